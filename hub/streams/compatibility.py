"""Avro schema resolution, asked in both directions: may a reader of one schema read what the other wrote?

FULL_TRANSITIVE means both, against every release. The registry asks the same when a schema is registered; this
answers without a registry, so that `hub schemas check` can refuse a change before it is committed.
Rules: Apache Avro 1.12 specification, "Schema Resolution"; aliases are not used in this project and not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

PROMOTIONS: Final = {
    "int": frozenset({"int", "long", "float", "double"}),
    "long": frozenset({"long", "float", "double"}),
    "float": frozenset({"float", "double"}),
    "string": frozenset({"string", "bytes"}),
    "bytes": frozenset({"bytes", "string"}),
}
"""What a writer's primitive may be read as (Avro 1.12, Schema Resolution)."""


def full_problems(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    """Why `new` and `old` cannot live on one topic for ever, one sentence each; empty when they can."""
    backward = [f"a new reader cannot read old records: {text}" for text in problems(new, old)]
    forward = [f"an old reader cannot read new records: {text}" for text in problems(old, new)]
    return backward + forward


def problems(reader: dict[str, Any], writer: dict[str, Any]) -> list[str]:
    """Why `reader` cannot read what `writer` wrote, with the path of each field."""
    return list(_Resolution(reader, writer).compare(reader, writer, ""))


class _Resolution:
    """One reader against one writer; named types of each are looked up in their own schema."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._readers: dict[str, Any] = {}
        self._writers: dict[str, Any] = {}
        _names(reader, self._readers)
        _names(writer, self._writers)
        self._seen: set[tuple[str, str]] = set()

    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        reader, writer = self._readers.get(_key(reader), reader), self._writers.get(_key(writer), writer)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.compare(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._branches(reader, writer, path)
        elif _kind(reader) != _kind(writer):
            if _kind(reader) not in PROMOTIONS.get(_kind(writer), frozenset()):
                yield f"{path or 'value'}: {_kind(writer)} cannot be read as {_kind(reader)}"
        elif _kind(reader) == "record":
            yield from self._records(reader, writer, path)
        elif _kind(reader) == "array":
            yield from self.compare(reader["items"], writer["items"], f"{path}[]")
        elif _kind(reader) == "map":
            yield from self.compare(reader["values"], writer["values"], f"{path}{{}}")
        elif _kind(reader) in ("enum", "fixed"):
            yield from _named(reader, writer, path)
        elif _logical(reader) != _logical(writer):
            yield f"{path}: {_logical(writer) or 'a plain value'} means something else than {_logical(reader)}"

    def _branches(self, union: list[Any], writer: Any, path: str) -> Iterator[str]:
        attempts = [list(self.compare(branch, writer, path)) for branch in union]
        if all(attempts):
            alike = [found for branch, found in zip(union, attempts, strict=True) if _kind(branch) == _kind(writer)]
            # With one branch of the writer's kind, its own differences say more than that nothing fits.
            yield from (
                alike[0] if len(alike) == 1 else [f"{path}: {_kind(writer)} fits no branch of the reader's union"]
            )

    def _records(self, reader: Any, writer: Any, path: str) -> Iterator[str]:
        pair = (_full_name(reader), _full_name(writer))
        if pair[0].rpartition(".")[2] != pair[1].rpartition(".")[2]:
            yield f"{path or 'value'}: record {pair[1]} cannot be read as {pair[0]}"
            return
        if pair in self._seen:
            return
        self._seen.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            here = f"{path}.{field['name']}".lstrip(".")
            if field["name"] in written:
                yield from self.compare(field["type"], written[field["name"]]["type"], here)
            elif "default" not in field:
                yield f"{here}: it is not written and has no default"


def _named(reader: Any, writer: Any, path: str) -> Iterator[str]:
    if _full_name(reader).rpartition(".")[2] != _full_name(writer).rpartition(".")[2]:
        yield f"{path}: {_full_name(writer)} cannot be read as {_full_name(reader)}"
    elif _kind(reader) == "fixed" and reader["size"] != writer["size"]:
        yield f"{path}: {writer['size']} bytes cannot be read as {reader['size']}"
    elif _kind(reader) == "enum" and "default" not in reader:
        for symbol in writer["symbols"]:
            if symbol not in reader["symbols"]:
                yield f"{path}: symbol {symbol} is not known"


def _kind(schema: Any) -> str:
    if isinstance(schema, dict):
        inner = schema["type"]
        return _kind(inner) if isinstance(inner, dict | list) else str(inner)
    return "union" if isinstance(schema, list) else str(schema)


def _logical(schema: Any) -> str | None:
    return schema.get("logicalType") if isinstance(schema, dict) else None


def _full_name(schema: Any) -> str:
    return f"{schema.get('namespace', '')}.{schema['name']}".lstrip(".")


def _key(schema: Any) -> str:
    return schema if isinstance(schema, str) else ""


def _names(schema: Any, found: dict[str, Any]) -> None:
    """Named types by full name. Schemas come whole from hub.streams.schemas, so each states its namespace."""
    if isinstance(schema, list):
        for branch in schema:
            _names(branch, found)
    elif isinstance(schema, dict):
        if schema.get("type") in ("record", "enum", "fixed"):
            found[_full_name(schema)] = schema
        for field in schema.get("fields", ()):
            _names(field["type"], found)
        for part in ("items", "values", "type"):
            if isinstance(schema.get(part), dict | list):
                _names(schema[part], found)
