"""The original of a bad record as bytes, to be sealed into quarantine and read again by a later mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from connectors.source import BadFile, Cells, Raw, Row, Unreadable

_TAG: Final = "\x00"  # a cell that is one of these pairs is a value msgpack has no type for


class OriginalRow(msgspec.Struct, frozen=True):
    """A row as it was read, and the stream that read it."""

    stream: str
    row: Row


class OriginalFile(msgspec.Struct, frozen=True):
    """A file as it was dropped; `content` is None where it was too large to keep."""

    stream: str
    name: str
    content: bytes | None


def pack_row(stream: str, row: Row) -> bytes:
    """A row as bytes, equal for an equal row."""
    return msgspec.msgpack.encode(
        {
            "stream": stream,
            "cells": _packed(row.cells),
            "children": {name: [_packed(one) for one in rows] for name, rows in row.children.items()},
            "locator": row.locator,
            "sequence": row.sequence,
            "unreadable": row.unreadable,
        },
        order="deterministic",
    )


def pack_file(stream: str, file: BadFile) -> bytes:
    """A file as bytes."""
    return msgspec.msgpack.encode({"stream": stream, "file": file.name, "content": file.content}, order="deterministic")


def unpack(original: bytes) -> OriginalRow | OriginalFile:
    """What `pack_row` or `pack_file` was given."""
    body: dict[str, Any] = msgspec.msgpack.decode(original)
    if "file" in body:
        return OriginalFile(body["stream"], body["file"], body["content"])
    unreadable = body["unreadable"]
    row = Row(
        _unpacked(body["cells"]),
        body["locator"],
        {name: [_unpacked(one) for one in rows] for name, rows in body["children"].items()},
        body["sequence"],
        None if unreadable is None else Unreadable(*unreadable),
    )
    return OriginalRow(body["stream"], row)


def _packed(cells: Cells) -> dict[str, Any]:
    return {name: _pack(cell) for name, cell in cells.items()}


def _pack(cell: Any) -> Any:
    if cell is None or isinstance(cell, str | bool | int | float | bytes):
        return cell
    if isinstance(cell, datetime):
        return [_TAG, "moment", cell.isoformat()]
    if isinstance(cell, date):
        return [_TAG, "day", cell.isoformat()]
    if isinstance(cell, Decimal):
        return [_TAG, "decimal", str(cell)]
    return str(cell)


def _unpacked(cells: Mapping[str, Any]) -> dict[str, Raw]:
    return {name: _unpack(cell) for name, cell in cells.items()}


def _unpack(cell: Any) -> Any:
    if not (isinstance(cell, Sequence) and len(cell) == 3 and cell[0] == _TAG) or isinstance(cell, str | bytes):
        return cell
    _tag, kind, text = cell
    if kind == "decimal":
        return Decimal(text)
    return datetime.fromisoformat(text) if kind == "moment" else date.fromisoformat(text)
