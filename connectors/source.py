"""The seam between a kind of source and the way in: a source is polled and gives batches of raw rows.

A table reader and a file reader stand behind it today; a gateway or a change feed gives the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from connectors.mapping import Stream

BATCH_ROWS = 2000
"""Rows of a batch: some hundred kilobytes, and a commit every third of a second at the rate aimed at."""

Raw = str | int | float | Decimal | date | bool | None
"""What a cell may hold once read; a datetime is a date too."""

Cells = Mapping[str, Raw]
Position = dict[str, Any]
"""Where a reading continues, as JSON; kept in the store, understood by its reader only."""


class Unreadable(NamedTuple):
    """Why a reader could not make a row of what it found: a quarantine reason and the class of what was there."""

    reason: str
    value_class: str
    field: str


class Row(NamedTuple):
    """One row as read. `locator` is where, without personal data; None where only the record id tells (a table)."""

    cells: Cells
    locator: str | None = None
    children: Mapping[str, Sequence[Cells]] = {}
    sequence: int | None = None
    unreadable: Unreadable | None = None


class BadFile(NamedTuple):
    """A file that cannot be read as a whole, with its bytes as far as they may be kept."""

    name: str
    content: bytes | None
    unreadable: Unreadable


class Batch(NamedTuple):
    """Rows of one stream. Once they are published, `positions` (by key) are stored: a repeat gives the same rows.

    `first` and `last` mark the ends of one whole reading of a snapshot stream; they mean nothing for changes.
    """

    stream: Stream
    rows: Sequence[Row]
    positions: Mapping[str, Position]
    first: bool = False
    last: bool = False
    bad_file: BadFile | None = None


class Positions(Protocol):
    """What a reader may know of earlier readings."""

    def position(self, key: str) -> Position:
        """The stored position of a key, empty when there is none."""


class Source(Protocol):
    """A source that can be polled."""

    def poll(self, stream: Stream, positions: Positions, now_ms: int) -> Iterator[Batch]:
        """Batches of what is new in a stream, until there is no more. SourceUnavailable when it cannot be read now."""

    def close(self) -> None:
        """Let go of what is open."""
