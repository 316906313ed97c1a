"""Reads dropped files: CSV and workbooks, once each, and only when their sender says that they are whole.

Every file has a row of its own among the positions (name, size, time, state), so a restart neither reads one twice
nor skips one. A file that cannot be read as a whole stays where it is and is looked at again when it changes.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import time
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final
from xml.etree.ElementTree import ParseError  # openpyxl raises it for a damaged part

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from connectors.columns import row_columns
from connectors.mapping import SourceMapping, Stream
from connectors.source import BATCH_ROWS, BadFile, Batch, Cells, Position, Positions, Row, Unreadable
from hub.errors import SourceUnavailable
from hub.streams.topics import LARGE_BYTES

KEPT_BYTES: Final = LARGE_BYTES // 2
"""Bytes of a bad file that are kept sealed in quarantine: well below the largest message its topic takes."""

UNFINISHED: Final = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
"""Endings under which common transfer programs write what is not whole yet."""

_CHUNK: Final = 1 << 20

csv.field_size_limit(LARGE_BYTES)  # a cell too large for an event is to be named so, not as a broken row


class FileFault(Exception):
    """A file cannot be read as a whole; never leaves the room."""

    def __init__(self, reason: str, value_class: str, field: str = "file") -> None:
        super().__init__(reason)
        self.unreadable = Unreadable(reason, value_class, field)


class FileSource:
    """Polls the drop folder of one source."""

    def __init__(self, mapping: SourceMapping, root: Path) -> None:
        self._mapping = mapping
        self._folder = root / (mapping.folder or "")

    def poll(self, stream: Stream, positions: Positions, now_ms: int) -> Iterator[Batch]:
        """Batches of each new file of a stream, in the order of their names (or of their sequence)."""
        for path, sequence in self._files(stream):
            try:
                yield from self._file(stream, path, sequence, positions)
            except FileNotFoundError:
                continue  # its sender took it back; what was read of it stands
            except OSError as error:
                raise SourceUnavailable(
                    f"{self._mapping.source}: a dropped file cannot be read ({error.strerror}) — see its rights"
                ) from error

    def close(self) -> None:
        """Nothing stays open between polls."""

    def _files(self, stream: Stream) -> list[tuple[Path, int | None]]:
        """Files that are whole, in order; None for one whose name lacks the sequence it should have."""
        pattern = stream.files or ""
        try:
            names = [
                path
                for path in self._folder.iterdir()
                if fnmatchcase(path.name, pattern)
                and not path.name.startswith(".")
                and not path.name.endswith(UNFINISHED)
                and path.is_file()
                and _whole(stream, path)
            ]
        except OSError as error:
            raise SourceUnavailable(
                f"{self._mapping.source}: drop folder {self._mapping.folder} cannot be read ({error.strerror}) — "
                "make it under HUB_SOURCE_ROOT and let this process read it"
            ) from error
        found = [(path, sequence_of(stream, path.name)) for path in names]
        return sorted(found, key=lambda one: (one[1] or 0, one[0].name))

    def _file(self, stream: Stream, path: Path, sequence: int | None, positions: Positions) -> Iterator[Batch]:
        key = file_key(stream, path.name)
        stat = path.stat()
        seen = {"file": path.name, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        held = positions.position(key)
        known = all(held.get(name) == value for name, value in seen.items())
        own = positions.position(stream.id)
        again = held.get("state") == "held" and own.get("accept", False)
        if known and held.get("state") in ("done", "bad", "held", "superseded") and not again:
            return
        order = [sequence or 0, path.name]
        if stream.delivery == "snapshot" and own.get("newest", order) > order:
            # A newer complete statement was read: this one says nothing any more.
            yield Batch(stream, [], {key: {**seen, "state": "superseded"}})
            return
        try:
            if stream.version.file_sequence is not None and sequence is None:
                raise FileFault("unreadable_file", "file name without the sequence of version.file_sequence", "name")
            start = held.get("next", 0) if known and stream.delivery == "delta" else 0
            with path.open("rb") as content:
                yield from file_batches(stream, content, path.name, sequence, seen, start)
        except FileFault as fault:
            kept = path.read_bytes() if stat.st_size <= KEPT_BYTES else None
            bad = BadFile(path.name, kept, fault.unreadable)
            yield Batch(stream, [], {key: {**seen, "state": "bad"}}, bad_file=bad)


def file_key(stream: Stream, name: str) -> str:
    """Key of a file among the positions of its source."""
    return f"{stream.id}/{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def file_batches(
    stream: Stream, content: BinaryIO, name: str, sequence: int | None, file: Position, start: int = 0
) -> Iterator[Batch]:
    """Batches of one file, of which there is at least one; `file` is what its position says, `start` rows to pass by.

    FileFault when the file cannot be read as a whole, before any batch.
    """
    rows = read_rows(stream, content, name, sequence)
    at = sum(1 for _ in islice(rows, start))
    batch = list(islice(rows, BATCH_ROWS))
    first = True
    while True:
        at += len(batch)
        following = list(islice(rows, BATCH_ROWS))
        last = not following
        positions: dict[str, Position] = {
            file_key(stream, name): {**file, "state": "done" if last else "reading", "next": at}
        }
        if last and stream.delivery == "snapshot":
            positions[stream.id] = {"newest": [sequence or 0, name]}
        yield Batch(stream, batch, positions, first=first, last=last)
        if last:
            return
        batch, first = following, False


def read_rows(stream: Stream, content: BinaryIO, name: str, sequence: int | None) -> Iterator[Row]:
    """Rows of a file. FileFault, instead of the first row, when it cannot be read as a whole."""
    if stream.xlsx:
        return _workbook_rows(stream, content, name, sequence)
    return _csv_rows(stream, content, name, sequence)


def _whole(stream: Stream, path: Path) -> bool:
    rule = stream.complete
    if rule is None or rule.rename:
        return True
    try:
        changed = path.stat().st_mtime_ns
        if rule.marker is not None:
            if path.name.endswith(rule.marker):
                return False
            # A marker older than its file belongs to what was there before; the file is being written anew.
            return path.with_name(path.name + rule.marker).stat().st_mtime_ns >= changed
    except FileNotFoundError:
        return False
    wanted = rule.stable_for.total_seconds() if rule.stable_for is not None else 0
    return time.time_ns() - changed >= wanted * 1e9


def sequence_of(stream: Stream, name: str) -> int | None:
    """The number in a file's name, by `version.file_sequence`; None where there is none."""
    pattern = stream.version.file_sequence
    found = re.search(pattern, name) if pattern is not None else None
    return int(found[1]) if found is not None and found[1].isdecimal() else None


# --- CSV -----------------------------------------------------------------------------------------------------


def _csv_rows(stream: Stream, content: BinaryIO, name: str, sequence: int | None) -> Iterator[Row]:
    _check_encoding(stream, content)
    text = io.TextIOWrapper(content, encoding=stream.encoding, newline="")
    try:
        lines = _Lines(text)
        reader = csv.reader(lines, delimiter=stream.delimiter, strict=True)
        try:
            header = [cell.strip().removeprefix("\ufeff") for cell in next(reader, [])]
        except csv.Error:
            raise FileFault("unreadable_file", "first line is no CSV", "header") from None
        _check_header(stream, header, content)
        yield from _csv_body(reader, lines, header, name, sequence)
    finally:
        text.detach()  # the file is its opener's to close


def _csv_body(reader: Any, lines: _Lines, header: Sequence[str], name: str, sequence: int | None) -> Iterator[Row]:
    while True:
        lines.taken.clear()
        at = f"{name}:{reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raw: Cells = {"line": "".join(lines.taken)}
            yield Row(raw, at, sequence=sequence, unreadable=Unreadable("broken_row", "quotes do not match", "row"))
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            numbered: Cells = {f"cell {index}": cell for index, cell in enumerate(cells, 1)}
            fault = Unreadable("broken_row", f"{len(cells)} cells under {len(header)} columns", "row")
            yield Row(numbered, at, sequence=sequence, unreadable=fault)
            continue
        yield Row(dict(zip(header, cells, strict=True)), at, sequence=sequence)


class _Lines:
    """Lines of a file; remembers those that make the row being read, to keep them if they make none."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        return line


def _check_encoding(stream: Stream, content: BinaryIO) -> None:
    """Read it all once: a wrong byte on the last line must not be found after the first were published."""
    decoder = codecs.getincrementaldecoder(stream.encoding)("strict")
    try:
        while chunk := content.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise FileFault("wrong_encoding", f"bytes that are no {stream.encoding}") from None
    content.seek(0)


def _check_header(stream: Stream, header: Sequence[str], content: BinaryIO | None) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FileFault("duplicate_header", f"{len(twice)} names stand twice: {', '.join(twice)}", "header")
    missing = sorted(row_columns(stream) - set(header))
    if not missing:
        return
    if content is not None and (other := _other_encoding(stream, content)):
        raise FileFault("wrong_encoding", f"{other}, not {stream.encoding}", "header")
    raise FileFault("unreadable_file", f"no column {', '.join(missing)}", "header")


def _other_encoding(stream: Stream, content: BinaryIO) -> str | None:
    """The encoding in which the first line would hold the columns; GBK reads nearly any bytes as something."""
    content.seek(0)
    line = content.readline()
    for encoding in ("utf-8-sig", "gb18030", "utf-16"):
        try:
            names = {cell.strip() for cell in line.decode(encoding).split(stream.delimiter)}
        except UnicodeDecodeError:
            continue
        if row_columns(stream) <= names:
            return encoding
    return None


# --- workbooks -----------------------------------------------------------------------------------------------


def _workbook_rows(stream: Stream, content: BinaryIO, name: str, sequence: int | None) -> Iterator[Row]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of styles and validations it leaves out; we want values
            book = load_workbook(content, read_only=True, data_only=True)
            sheet = book[stream.sheet] if stream.sheet is not None else book.worksheets[0]
            rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    except (zipfile.BadZipFile, InvalidFileException, ParseError, KeyError, IndexError, ValueError, OSError) as error:
        known = isinstance(error, KeyError) and stream.sheet is not None
        what = f"no sheet {stream.sheet}" if known else "no workbook"
        raise FileFault("unreadable_file", what) from None
    book.close()
    header = [str(cell).strip() if cell is not None else "" for cell in (rows[0] if rows else [])]
    while header and not header[-1]:
        header.pop()
    _check_header(stream, header, None)
    return _workbook_body(rows, header, name, sequence)


def _workbook_body(
    rows: Sequence[Sequence[Any]], header: Sequence[str], name: str, sequence: int | None
) -> Iterator[Row]:
    for number, row in enumerate(rows[1:], 2):
        if all(cell is None or cell == "" for cell in row):
            continue
        at = f"{name}:{number}"
        if any(cell is not None for cell in row[len(header) :]):
            cells: Cells = {f"cell {index}": cell for index, cell in enumerate(row, 1)}
            fault = Unreadable("broken_row", f"{len(row)} cells under {len(header)} columns", "row")
            yield Row(cells, at, sequence=sequence, unreadable=fault)
            continue
        padded = [*row, *[None] * (len(header) - len(row))]
        yield Row(dict(zip(header, padded, strict=False)), at, sequence=sequence)
