"""Avro readers and writers made for one schema and one Python type: bytes to Structs and back, without a dict between.

fastavro interprets a schema for each record and hands out dicts, which then become Structs: 120 µs for a contribution,
most of it walking the schema (docs/decisions/0011-avro-by-generated-code.md). Here the walk happens once: a schema
becomes the source of one Python function, field after field, that reads or writes this very record. It covers what the
hub's own schemas use (null, boolean, int, long, string, bytes, date, array, record, union of null and one other); the
codec keeps fastavro for all else, as where a record was written under another version of the schema, and a test holds
the two against each other.

What a Struct's type says beyond Avro is checked here too: a `Literal` field holds one of its values.
"""

from __future__ import annotations

import typing
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


# --- reading ----------------------------------------------------------------------------------------------------------


class _Reader:
    """Writes the source of one reader."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"EPOCH": EPOCH, "day": date.fromordinal, "outside": _outside}
        self._count = 0

    def fresh(self, value: Any = None) -> str:
        self._count += 1
        name = f"n{self._count}"
        if value is not None:
            self.names[name] = value
        return name

    def emit(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]

    def varint(self, depth: int) -> None:
        """Leaves the unsigned number in `b`."""
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

    def value(self, schema: Any, into: str, depth: int, shape: Shape | None, named: dict[str, Any]) -> None:
        """Reads a value of a schema into a variable."""
        kind = schema if isinstance(schema, str) else schema.get("type") if isinstance(schema, dict) else "union"
        if isinstance(schema, str) and schema in named:
            schema, kind = named[schema], "record"
        if kind in ("int", "long"):
            self.varint(depth)
            dated = isinstance(schema, dict) and schema.get("logicalType") == "date"
            self._refuse_logical(schema, dated)
            number = "(b >> 1) ^ -(b & 1)"
            self.emit(depth, f"{into} = day(({number}) + EPOCH)" if dated else f"{into} = {number}")
        elif kind in ("string", "bytes"):
            self._refuse_logical(schema, False)
            self.varint(depth)
            text = ".decode()" if kind == "string" else ""
            self.emit(
                depth, "if b & 1: outside('a length below zero')", f"j = i + (b >> 1); {into} = d[i:j]{text}; i = j"
            )
        elif kind == "boolean":
            self.emit(depth, "b = d[i]; i += 1", "if b > 1: outside('a boolean that is neither')", f"{into} = b == 1")
        elif kind == "null":
            self.emit(depth, f"{into} = None")
        elif kind == "union":
            self._union(schema, into, depth, shape, named)
        elif kind == "array":
            self._array(schema["items"], into, depth, shape, named)
        elif kind == "record":
            self._record(schema, into, depth, shape, named)
        else:
            raise Unsupported(str(kind))

    @staticmethod
    def _refuse_logical(schema: Any, known: bool) -> None:
        if isinstance(schema, dict) and "logicalType" in schema and not known:
            raise Unsupported(f"logical type {schema['logicalType']}")

    def _union(self, schema: list[Any], into: str, depth: int, shape: Shape | None, named: dict[str, Any]) -> None:
        if len(schema) != 2 or "null" not in schema:
            raise Unsupported("a union of other things than null and one type")
        null = schema.index("null")
        self.emit(depth, "b = d[i]; i += 1", f"if b == {2 * null}: {into} = None", f"elif b == {2 - 2 * null}:")
        self.value(schema[1 - null], into, depth + 1, shape, named)
        self.emit(depth, "else: outside('a branch the union lacks')")

    def _array(self, items: Any, into: str, depth: int, shape: Shape | None, named: dict[str, Any]) -> None:
        rows, left, one = self.fresh(), self.fresh(), self.fresh()
        self.emit(depth, f"if d[i] == 0: {into} = (); i += 1", "else:", f"    {rows} = []", "    while True:")
        self.varint(depth + 2)
        self.emit(
            depth + 2,
            f"{left} = (b >> 1) ^ -(b & 1)",
            f"if {left} == 0: break",
            f"if {left} < 0:",
            f"    {left} = -{left}",
        )
        self.varint(depth + 3)  # the block's size in bytes, for readers that skip it
        self.emit(depth + 2, f"for _ in range({left}):")
        self.value(items, one, depth + 3, shape, named)
        self.emit(depth + 3, f"{rows}.append({one})")
        self.emit(depth + 1, f"{into} = tuple({rows})")

    def _record(self, schema: Any, into: str, depth: int, shape: Shape | None, named: dict[str, Any]) -> None:
        if shape is None:
            raise Unsupported(f"record {schema['name']} has no type here")
        _name(schema, named)
        fields = []
        for field in schema["fields"]:
            name, variable = field["name"], self.fresh()
            self.value(field["type"], variable, depth, shape.inner.get(name), named)
            if name in shape.literals:
                self.emit(depth, f"if {variable} not in {self.fresh(shape.literals[name])}: outside('{name}')")
            if name in shape.ranges:
                allowed = shape.ranges[name]
                check = f"not {allowed.start} <= {variable} < {allowed.stop}"
                self.emit(depth, f"if {variable} is not None and {check}: outside('{name}')")
            fields.append(f"{name}={variable}")
        self.emit(depth, f"{into} = {self.fresh(shape.make)}({', '.join(fields)})")


def compile_reader(schema: Any, shape: Shape) -> Read:
    """A function that reads one record of a schema; it must end where the bytes end. Unsupported."""
    made = _Reader()
    made.emit(0, "def read(d, i):")
    made.value(schema, "v", 1, shape, {})
    made.emit(
        1,
        "if i > len(d): raise IndexError('the bytes end too soon')",
        "if i < len(d): outside('bytes behind the record')",
        "return v",
    )
    exec("\n".join(made.lines), made.names)  # noqa: S102 - source made above, from schemas of our own
    read: Read = made.names["read"]
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


class _Writer(_Reader):
    """Writes the source of one writer."""

    def __init__(self) -> None:
        super().__init__()
        self.names |= {"B": _BYTES, "long": varint, "int32": _small_int, "EPOCH": EPOCH}

    def number(self, expression: str, depth: int, function: str = "long") -> None:
        self.emit(
            depth, f"n = {expression}", f"out += B[n] if {-_SMALL} <= n < {_SMALL} else {function}(n)"
        )  # fmt: skip

    def value(self, schema: Any, into: str, depth: int, shape: Shape | None, named: dict[str, Any]) -> None:
        """Appends the value that an expression gives."""
        kind = schema if isinstance(schema, str) else schema.get("type") if isinstance(schema, dict) else "union"
        if isinstance(schema, str) and schema in named:
            schema, kind = named[schema], "record"
        if kind in ("int", "long"):
            dated = isinstance(schema, dict) and schema.get("logicalType") == "date"
            self._refuse_logical(schema, dated)
            self.number(f"{into}.toordinal() - EPOCH" if dated else into, depth, "int32" if kind == "int" else "long")
        elif kind in ("string", "bytes"):
            self._refuse_logical(schema, False)
            self.emit(depth, f"e = {into}.encode()" if kind == "string" else f"e = bytes(memoryview({into}))")
            self.number("len(e)", depth)
            self.emit(depth, "out += e")
        elif kind == "boolean":
            self.emit(depth, f"out += {{True: B[-1], False: B[0]}}[{into}]")
        elif kind == "null":
            pass
        elif kind == "union":
            self._union(schema, into, depth, shape, named)
        elif kind == "array":
            self._array(schema["items"], into, depth, shape, named)
        elif kind == "record":
            self._record(schema, into, depth, shape, named)
        else:
            raise Unsupported(str(kind))

    def _union(self, schema: list[Any], into: str, depth: int, shape: Shape | None, named: dict[str, Any]) -> None:
        if len(schema) != 2 or "null" not in schema:
            raise Unsupported("a union of other things than null and one type")
        null = schema.index("null")
        held = self.fresh()
        self.emit(
            depth, f"{held} = {into}", f"if {held} is None: out += B[{null}]", "else:", f"    out += B[{1 - null}]"
        )
        self.value(schema[1 - null], held, depth + 1, shape, named)

    def _array(self, items: Any, into: str, depth: int, shape: Shape | None, named: dict[str, Any]) -> None:
        rows, one = self.fresh(), self.fresh()
        self.emit(depth, f"{rows} = {into}", f"if {rows}:")
        self.number(f"len({rows})", depth + 1)
        self.emit(depth + 1, f"for {one} in {rows}:")
        before = len(self.lines)
        self.value(items, one, depth + 2, shape, named)
        if len(self.lines) == before:
            self.emit(depth + 2, "pass")
        self.emit(depth, "out += B[0]")

    def _record(self, schema: Any, into: str, depth: int, shape: Shape | None, named: dict[str, Any]) -> None:
        if shape is None:
            raise Unsupported(f"record {schema['name']} has no type here")
        _name(schema, named)
        for field in schema["fields"]:
            name, variable = field["name"], self.fresh()
            expression = shape.attributes[name].replace("v.", f"{into}.", 1)
            self.emit(depth, f"{variable} = {expression}")
            self.value(field["type"], variable, depth, shape.inner.get(name), named)


def compile_writer(schema: Any, shape: Shape) -> Write:
    """A function that appends one record of a schema to a bytearray. Unsupported."""
    made = _Writer()
    made.emit(0, "def write(v, out):")
    made.value(schema, "v", 1, shape, {})
    exec("\n".join(made.lines), made.names)  # noqa: S102 - source made above, from schemas of our own
    write: Write = made.names["write"]
    return write


def _name(schema: Any, named: dict[str, Any]) -> None:
    """Remember a record under its full name, by which the schema may speak of it again."""
    name = schema["name"]
    space = schema.get("namespace")
    named[name if "." in name or not space else f"{space}.{name}"] = schema


def plain(schema: Any) -> Any:
    """A schema without its explanations: two that are equal so are written and read alike."""
    if isinstance(schema, dict):
        return {name: plain(part) for name, part in schema.items() if name != "doc"}
    if isinstance(schema, list):
        return [plain(part) for part in schema]
    return schema
