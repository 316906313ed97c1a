"""Avro readers and writers made for one schema and one Python type: bytes to Structs and back, without a dict between.

fastavro interprets a schema for each record and hands out dicts, which then become Structs: 120 µs for a contribution,
most of it walking the schema (docs/decisions/0011-avro-by-generated-code.md). Here the walk happens once: a schema
becomes the source of one Python function, field after field, that reads or writes this very record. It covers what the
hub's own schemas use (boolean, int, long, string, bytes, date, array, record, union of null and one other); the codec
keeps fastavro for all else, as where a record was written under another version of the schema, and a test holds
the two against each other.

What a Struct's type says beyond Avro is checked here too: a `Literal` field holds one of its values.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple

Read = Callable[[bytes, int], Any]
"""(bytes, where the record begins) → value. IndexError where the bytes end too soon, ValueError for other misfits."""

Write = Callable[[Any, bytearray], None]
"""Appends a value. AttributeError, TypeError, ValueError or OverflowError for one that does not fit."""

EPOCH: Final = date(1970, 1, 1).toordinal()
_LONG: Final = range(-(2**63), 2**63)
_INT: Final = range(-(2**31), 2**31)
_SMALL: Final = 64  # zigzag values from -64 to 63 take one byte
_BYTES: Final = tuple(bytes((2 * n if n >= 0 else -2 * n - 1,)) for n in (*range(_SMALL), *range(-_SMALL, 0)))
"""One-byte zigzag by value; a negative index counts from the end."""


class Unsupported(Exception):
    """A schema holds something this module does not read."""


class Shape(NamedTuple):
    """How a record becomes a Python value, by `make(**fields)`, and how its fields are read again.

    `attributes` maps a field onto an expression over `v`. `literals` lists what a text field may hold, `ranges` what an
    integer field may. `inner` are the shapes of records in fields, by field.
    """

    make: Callable[..., Any]
    attributes: Mapping[str, str]
    literals: Mapping[str, frozenset[str]] = {}
    ranges: Mapping[str, range] = {}
    inner: Mapping[str, Shape] = {}


def shape_of(struct: Any, ranges: Mapping[str, range] | None = None) -> Shape:
    """The shape of a Struct whose field names are those of the schema."""
    hints = typing.get_type_hints(struct)
    literals = {
        name: frozenset(typing.get_args(hint))
        for name, hint in hints.items()
        if typing.get_origin(hint) is typing.Literal
    }
    inner = {}
    for name, hint in hints.items():
        for part in (hint, *typing.get_args(hint)):
            if hasattr(part, "__struct_fields__"):
                inner[name] = shape_of(part)
    attributes = {name: f"v.{name}" for name in struct.__struct_fields__}
    return Shape(struct, attributes, literals, ranges or {}, inner)


# --- the walk ---------------------------------------------------------------------------------------------------------


class _Maker(ABC):
    """Walks a schema and writes the source of one function. What is done with each type is the subclasses'."""

    def __init__(self, **names: Any) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"EPOCH": EPOCH, **names}
        self._records: dict[str, Any] = {}
        self._count = 0

    def fresh(self, value: Any = None) -> str:
        """A name not used before, bound to a value if one is given."""
        self._count += 1
        name = f"n{self._count}"
        if value is not None:
            self.names[name] = value
        return name

    def emit(self, depth: int, *lines: str) -> None:
        """Append lines of source."""
        self.lines += ["    " * depth + line for line in lines]

    def made(self, name: str) -> Any:
        """The function that was written."""
        exec("\n".join(self.lines), self.names)  # noqa: S102 - source made here, from schemas of our own
        return self.names[name]

    def value(self, schema: Any, at: str, depth: int, shape: Shape | None) -> None:
        """Source for a value of a schema; `at` is the variable it is read into, or the expression that gives it."""
        if isinstance(schema, list):
            if len(schema) != 2 or "null" not in schema:
                raise Unsupported("a union of other things than null and one type")
            null = schema.index("null")
            self.union(null, schema[1 - null], at, depth, shape)
            return
        if isinstance(schema, str):
            schema = self._records.get(schema, {"type": schema})
        kind, logical = schema["type"], schema.get("logicalType")
        if logical is not None and (kind, logical) != ("int", "date"):
            raise Unsupported(f"logical type {logical}")
        match kind:
            case "int" | "long":
                self.number(kind, at, depth, dated=logical is not None)
            case "string" | "bytes":
                self.text(kind, at, depth)
            case "boolean":
                self.boolean(at, depth)
            case "array":
                self.array(schema["items"], at, depth, shape)
            case "record":
                if shape is None:
                    raise Unsupported(f"record {schema['name']} has no type here")
                space = schema.get("namespace")
                self._records[f"{space}.{schema['name']}" if space else schema["name"]] = schema
                self.record(schema["fields"], at, depth, shape)
            case _:
                raise Unsupported(str(kind))

    @abstractmethod
    def union(self, null: int, other: Any, at: str, depth: int, shape: Shape | None) -> None:
        """Null under index `null`, or the other type under the other index."""

    @abstractmethod
    def number(self, kind: str, at: str, depth: int, *, dated: bool) -> None:
        """An int or long; `dated`: days that stand for a date."""

    @abstractmethod
    def text(self, kind: str, at: str, depth: int) -> None:
        """A string or bytes."""

    @abstractmethod
    def boolean(self, at: str, depth: int) -> None:
        """A boolean."""

    @abstractmethod
    def array(self, items: Any, at: str, depth: int, shape: Shape | None) -> None:
        """An array; `shape` is that of records in it."""

    @abstractmethod
    def record(self, fields: Any, at: str, depth: int, shape: Shape) -> None:
        """A record."""


# --- reading ----------------------------------------------------------------------------------------------------------


class _Reader(_Maker):
    """`read(d, i)`: the bytes, and where the record begins."""

    def __init__(self) -> None:
        super().__init__(day=date.fromordinal, outside=_outside)

    def varint(self, depth: int) -> None:
        """Leaves an unsigned number in `b`."""
        self.emit(
            depth,
            "b = d[i]; i += 1",
            "if b > 127:",
            "    b &= 127; s = 7",
            "    while (x := d[i]) > 127:",
            "        b |= (x & 127) << s; s += 7; i += 1",
            "    b |= x << s; i += 1",
            "    if s > 63: outside('a number of more than 64 bits')",
        )

    def union(self, null: int, other: Any, at: str, depth: int, shape: Shape | None) -> None:
        """The index first."""
        self.emit(depth, "b = d[i]; i += 1", f"if b == {2 * null}: {at} = None", f"elif b == {2 - 2 * null}:")
        self.value(other, at, depth + 1, shape)
        self.emit(depth, "else: outside('a branch the union lacks')")

    def number(self, kind: str, at: str, depth: int, *, dated: bool) -> None:
        """Zigzag."""
        self.varint(depth)
        number = "(b >> 1) ^ -(b & 1)"
        self.emit(depth, f"{at} = day(({number}) + EPOCH)" if dated else f"{at} = {number}")

    def text(self, kind: str, at: str, depth: int) -> None:
        """Its length first."""
        self.varint(depth)
        decoded = ".decode()" if kind == "string" else ""
        self.emit(depth, "if b & 1: outside('a length below zero')", f"j = i + (b >> 1); {at} = d[i:j]{decoded}; i = j")

    def boolean(self, at: str, depth: int) -> None:
        """One byte."""
        self.emit(depth, "b = d[i]; i += 1", "if b > 1: outside('a boolean that is neither')", f"{at} = b == 1")

    def array(self, items: Any, at: str, depth: int, shape: Shape | None) -> None:
        """Blocks until an empty one. A count below zero is followed by the block's size, for readers that skip it."""
        rows, left, one = self.fresh(), self.fresh(), self.fresh()
        self.emit(depth, f"if d[i] == 0: {at} = (); i += 1", "else:", f"    {rows} = []", "    while True:")
        self.varint(depth + 2)
        self.emit(depth + 2, f"{left} = (b >> 1) ^ -(b & 1)", f"if {left} == 0: break", f"if {left} < 0:")
        self.emit(depth + 3, f"{left} = -{left}")
        self.varint(depth + 3)
        self.emit(depth + 2, f"for _ in range({left}):")
        self.value(items, one, depth + 3, shape)
        self.emit(depth + 3, f"{rows}.append({one})")
        self.emit(depth + 1, f"{at} = tuple({rows})")

    def record(self, fields: Any, at: str, depth: int, shape: Shape) -> None:
        """Its fields, what their types say beyond Avro, and the value made of them."""
        given = []
        for field in fields:
            name, variable = field["name"], self.fresh()
            self.value(field["type"], variable, depth, shape.inner.get(name))
            if name in shape.literals:
                self.emit(depth, f"if {variable} not in {self.fresh(shape.literals[name])}: outside('{name}')")
            if name in shape.ranges:
                allowed = shape.ranges[name]
                check = f"not {allowed.start} <= {variable} < {allowed.stop}"
                self.emit(depth, f"if {variable} is not None and {check}: outside('{name}')")
            given.append(f"{name}={variable}")
        self.emit(depth, f"{at} = {self.fresh(shape.make)}({', '.join(given)})")


def compile_reader(schema: Any, shape: Shape) -> Read:
    """A function that reads one record of a schema; it must end where the bytes end. Unsupported."""
    maker = _Reader()
    maker.emit(0, "def read(d, i):")
    maker.value(schema, "v", 1, shape)
    maker.emit(
        1,
        "if i > len(d): raise IndexError('the bytes end too soon')",
        "if i < len(d): outside('bytes behind the record')",
        "return v",
    )
    read: Read = maker.made("read")
    return read


def _outside(what: str) -> None:
    raise ValueError(what)


# --- writing ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 14)  # a batch holds the same few times over and over
def varint(value: int) -> bytes:
    """A long in Avro's zigzag encoding. OverflowError beyond 64 bits."""
    if value not in _LONG:
        raise OverflowError("a number of more than 64 bits")
    left = (value << 1) ^ (value >> 63)
    out = bytearray()
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)
    return bytes(out)


def _small_int(value: int) -> bytes:
    if value not in _INT:
        raise OverflowError("a number of more than 32 bits")
    return varint(value)


class _Writer(_Maker):
    """`write(v, out)`: the value, and the bytearray it is appended to."""

    def __init__(self) -> None:
        super().__init__(B=_BYTES, long=varint, int=_small_int)

    def _number(self, expression: str, depth: int, kind: str = "long") -> None:
        self.emit(depth, f"n = {expression}", f"out += B[n] if {-_SMALL} <= n < {_SMALL} else {kind}(n)")

    def union(self, null: int, other: Any, at: str, depth: int, shape: Shape | None) -> None:
        """The index first."""
        held = self.fresh()
        self.emit(depth, f"{held} = {at}", f"if {held} is None: out += B[{null}]", "else:", f"    out += B[{1 - null}]")
        self.value(other, held, depth + 1, shape)

    def number(self, kind: str, at: str, depth: int, *, dated: bool) -> None:
        """Zigzag."""
        self._number(f"{at}.toordinal() - EPOCH" if dated else at, depth, kind)

    def text(self, kind: str, at: str, depth: int) -> None:
        """Its length first."""
        self.emit(depth, f"e = {at}.encode()" if kind == "string" else f"e = bytes(memoryview({at}))")
        self._number("len(e)", depth)
        self.emit(depth, "out += e")

    def boolean(self, at: str, depth: int) -> None:
        """One byte."""
        self.emit(depth, f"out += {{True: B[-1], False: B[0]}}[{at}]")

    def array(self, items: Any, at: str, depth: int, shape: Shape | None) -> None:
        """One block, then the empty one."""
        rows, one = self.fresh(), self.fresh()
        self.emit(depth, f"{rows} = {at}", f"if {rows}:")
        self._number(f"len({rows})", depth + 1)
        self.emit(depth + 1, f"for {one} in {rows}:")
        self.value(items, one, depth + 2, shape)
        self.emit(depth, "out += B[0]")

    def record(self, fields: Any, at: str, depth: int, shape: Shape) -> None:
        """Its fields."""
        for field in fields:
            name, variable = field["name"], self.fresh()
            self.emit(depth, f"{variable} = {shape.attributes[name].replace('v.', f'{at}.', 1)}")
            self.value(field["type"], variable, depth, shape.inner.get(name))


def compile_writer(schema: Any, shape: Shape) -> Write:
    """A function that appends one record of a schema to a bytearray. Unsupported."""
    maker = _Writer()
    maker.emit(0, "def write(v, out):")
    maker.value(schema, "v", 1, shape)
    write: Write = maker.made("write")
    return write


def plain(schema: Any) -> Any:
    """A schema without its explanations: two that are equal so are written and read alike."""
    if isinstance(schema, dict):
        return {name: plain(part) for name, part in schema.items() if name != "doc"}
    if isinstance(schema, list):
        return [plain(part) for part in schema]
    return schema
