"""The store on disk: one RocksDB a partition, for states that memory does not hold.

One family of columns holds rows of four kinds, told apart by their first byte:

    v<key>         the value
    d<key>         the day the key waits for, 0 for none: small rows, so that keys are counted and listed without values
    r<day><key>    empty; the index of reviews, earliest first
    m              the mark, with the numbers of keys and of reviews

Every write is one WriteBatch. There is no write-ahead log: what a killed process had not flushed is read again from
the changelog, from the mark that the last flush holds, and RocksDB flushes one family in the order it was written, so
that a mark never runs ahead of its values. Memory is bounded over all partitions of the process (`Limits`).
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Struct
from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from hub.domain.messages import Review
from hub.errors import StateUnavailable
from hub.ops.logs import logger
from hub.streams.store import Mark

MEMTABLE_BYTES: Final = 8 * 1024 * 1024
"""A partition's writes are flushed at this size, and sooner while those of all partitions together exceed their
allowance. While one buffer is flushed another fills, then writes wait: so a partition never holds more than twice this
in memory, nor has a killed process more than that to read again."""

BLOCK_BYTES: Final = 16 * 1024
"""What is read, unpacked and cached at once: a few states, or some hundred of the small rows."""

OPEN_FILES: Final = 64
"""Table files a partition keeps open; with files of 64 MiB that is 4 GiB without reopening one. Sixteen partitions
stay below the 1 024 descriptors a process is commonly allowed."""

FLUSH_EVERY_S: Final = 600.0
"""A partition with few writes is flushed after this long, so that a restart reads minutes and not days again."""

PAGE: Final = 1_000
"""Rows read at once where writes may come in between: an open iterator would keep old files and buffers alive."""

DAMAGED: Final = "damaged"
"""File beside a database that was found damaged; the next start builds it anew."""

_VALUE, _DAY, _REVIEW, _MARK = b"v", b"d", b"r", b"m"
_NO_DAY: Final = bytes(4)

_FULL: Final = ("No space left", "File too large", "Disk quota exceeded")
"""What the C library says of ENOSPC, EFBIG and EDQUOT, as RocksDB passes it on."""

_PASSING: Final = ("IO error", "Operation aborted", "Resource busy", "Shutdown in progress")
"""How RocksDB's statuses begin that are the machine's fault and not the program's."""

_log = logger("streams")


class _Stored(Struct, array_like=True):
    """The row of the mark. Fields are only ever added at the end."""

    position: int
    offsets: dict[str, int]
    standing: dict[str, int]
    law: str
    written_at: int
    keys: int
    reviews: int


_stored: Final = msgspec.msgpack.Decoder(_Stored)


class Limits:
    """Memory of all disk stores of a process: one cache of blocks, and one allowance for writes counted into it."""

    def __init__(self, cache_mb: int, write_mb: int) -> None:
        self.cache = Cache(cache_mb * 1024 * 1024)
        self.writes = WriteBufferManager.new_write_buffer_manager_with_cache(write_mb * 1024 * 1024, False, self.cache)

    def options(self) -> Options:
        """RocksDB's options for one partition."""
        table = BlockBasedOptions()
        table.set_block_cache(self.cache)
        table.set_cache_index_and_filter_blocks(True)  # else they grow with the data, outside every limit
        table.set_pin_l0_filter_and_index_blocks_in_cache(True)
        # In parts, of which the cache takes those in use: whole ones of a large table were read and unpacked again for
        # each get, 400 µs instead of 10.
        table.set_index_type(BlockBasedIndexType.two_level_index_search())
        table.set_partition_filters(True)
        table.set_bloom_filter(10, False)
        table.set_block_size(BLOCK_BYTES)
        table.set_format_version(5)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(table)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_write_buffer_size(MEMTABLE_BYTES)
        options.set_max_write_buffer_number(2)
        options.set_write_buffer_manager(self.writes)
        options.set_max_open_files(OPEN_FILES)
        options.set_max_background_jobs(2)
        options.set_keep_log_file_num(2)
        options.set_stats_dump_period_sec(0)
        return options


class DiskReviews:
    """The index of reviews of a disk store."""

    def __init__(self, store: DiskStore) -> None:
        self._store = store

    def __len__(self) -> int:
        return self._store.waiting

    def due(self, today: date, budget: int | None = None) -> list[Review]:
        """Reviews due by a day, earliest first, at most `budget`. They stay due until a write says otherwise."""
        return self._store.due(today, budget)


class DiskStore:
    """RocksDB under a folder. StateUnavailable when the disk is full or fails, or the files are damaged."""

    lasting = True

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.mark = Mark()
        self.waiting = 0
        """Keys that wait for a day."""
        self._keys = 0
        self._first = _REVIEW  # no review lies before this row
        self._flushed = 0.0
        self._db: Any = None
        self._folder = folder
        self._options = limits.options()
        self._unlogged = WriteOptions()
        setattr(self._unlogged, "disable_wal", True)  # noqa: B010  it is a property, which the type stub calls a method
        if (folder / DAMAGED).exists():
            _log.warning("state on disk was damaged; it is built anew from the changelog", folder=str(folder))
            self._remove()
        try:
            self._open()
        except StateUnavailable:
            if not (folder / DAMAGED).exists():
                raise
            _log.warning("state on disk is damaged; it is built anew from the changelog", folder=str(folder))
            self._db = None  # lets go of its files
            self._remove()
            self._open()
        self.reviews = DiskReviews(self)

    def get(self, key: str, /) -> bytes | None:
        """The value under a key, None where there is none."""
        try:
            value: bytes | None = self._db.get(_VALUE + key.encode())
        except Exception as error:
            self._fail(error)
        return value

    def many(self, keys: Sequence[str], /) -> Iterable[bytes | None]:
        """The values under some keys, in their order."""
        return self._rows([_VALUE + key.encode() for key in keys])

    def keys(self) -> Iterable[str]:
        """Every key that has a value. Not to be used across a write."""
        return (row[1:].decode() for row, _ in self._range(_DAY, b"e"))

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every key with its value, read in pages. What is written meanwhile may be seen or not."""
        start, page = _VALUE, list[tuple[bytes, bytes]]()
        while True:
            page.clear()
            for row in self._range(start, b"w"):
                page.append(row)
                if len(page) == PAGE:
                    break
            yield from ((row[1:].decode(), value) for row, value in page)
            if len(page) < PAGE:
                return
            start = page[-1][0] + b"\x00"

    def __contains__(self, key: str, /) -> bool:
        try:
            return _DAY + key.encode() in self._db
        except Exception as error:
            self._fail(error)

    def __len__(self) -> int:
        return self._keys

    def due(self, today: date, budget: int | None) -> list[Review]:
        """Reviews due by a day, earliest first, at most `budget`."""
        end = _review_row((today.toordinal() + 1).to_bytes(4, "big"), b"")
        found: list[Review] = []
        if budget == 0 or self._first >= end:
            return found
        # Rows of reviews gone by lie dead at the front until they are compacted away: begin where the last look began
        # to find any, or every look would pass over all of them.
        first = end
        for row, _ in self._range(self._first, end):
            if not found:
                first = row
            found.append(Review(row[5:].decode(), date.fromordinal(int.from_bytes(row[1:5], "big"))))
            if len(found) == budget:
                break
        self._first = first
        return found

    def write(self, values: Mapping[str, bytes | None], days: Mapping[str, date | None], mark: Mark) -> None:
        """Take over values, days of review, and the mark: one batch, whole or not there."""
        batch = WriteBatch(raw_mode=True)
        keys, waiting, first = self._keys, self.waiting, self._first
        rows = [key.encode() for key in values]
        for key, row, held in zip(values, rows, self._rows([_DAY + row for row in rows]), strict=True):
            value, day = values[key], days.get(key)
            new = None if value is None else _NO_DAY if day is None else day.toordinal().to_bytes(4, "big")
            if value is None:
                batch.delete(_VALUE + row)
            else:
                batch.put(_VALUE + row, value)
            if new == held:
                continue
            keys += (held is None) - (new is None)
            if held not in (None, _NO_DAY):
                batch.delete(_review_row(held, row))
                waiting -= 1
            if new not in (None, _NO_DAY):
                batch.put(_review_row(new, row), b"")
                first = min(first, _review_row(new, row))
                waiting += 1
            if new is None:
                batch.delete(_DAY + row)
            else:
                batch.put(_DAY + row, new)
        stored = _Stored(mark.position, mark.offsets, mark.standing, mark.law, mark.written_at, keys, waiting)
        batch.put(_MARK, msgspec.msgpack.encode(stored))
        try:
            self._db.write(batch, self._unlogged)
            if time.monotonic() - self._flushed > FLUSH_EVERY_S:
                self._flushed = time.monotonic()
                self._db.flush(wait=False)
        except Exception as error:
            self._fail(error)
        self._keys, self.waiting, self._first, self.mark = keys, waiting, first, mark

    def clear(self) -> None:
        """Forget everything, the mark too."""
        try:
            self._db.close()
            self._remove()
        except Exception as error:
            self._fail(error)
        self._open()

    def close(self) -> None:
        """Flush, so that the next start reads little again, and let go of the files."""
        try:
            self._db.flush()
            self._db.close()
        except Exception as error:
            self._fail(error)

    def _open(self) -> None:
        self._flushed = time.monotonic()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(self._folder), self._options)
        except Exception as error:
            self._fail(error)
        self._read_mark()

    def _remove(self) -> None:
        """The marker of damage goes last: a removal cut short begins again."""
        (self._folder / DAMAGED).touch()
        for entry in self._folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != DAMAGED:
                entry.unlink()
        (self._folder / DAMAGED).unlink()

    def _read_mark(self) -> None:
        self._first = _REVIEW
        (row,) = self._rows([_MARK])
        if row is None:
            self.mark, self._keys, self.waiting = Mark(), 0, 0
            return
        try:
            held = _stored.decode(row)
        except msgspec.MsgspecError as error:
            self._fail(Exception(f"Corruption: {type(error).__name__}"))
        self.mark = Mark(held.position, held.offsets, held.standing, held.law, held.written_at)
        self._keys, self.waiting = held.keys, held.reviews

    def _rows(self, rows: list[bytes]) -> list[bytes | None]:
        if not rows:
            return []
        try:
            found: list[bytes | None] = self._db.get(rows)
        except Exception as error:
            self._fail(error)
        return found

    def _range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows of a range. By the bare iterator: the one over items ends at a block it cannot read as at the last."""
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        try:
            rows = self._db.iter(bounds)
            rows.seek(start)
            while rows.valid():
                yield rows.key(), rows.value()
                rows.next()
            rows.status()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        """Turn RocksDB's one kind of error into ours. Its text may quote keys, so only what is known of it is told."""
        text = str(error)
        if _is_damage(error):
            with contextlib.suppress(OSError):
                (self._folder / DAMAGED).touch()
            raise StateUnavailable(
                f"state on disk under {self._folder} is damaged — start again: it is built anew from the changelog; "
                "when it happens twice, look at the disk"
            ) from None
        if any(cause in text for cause in _FULL):
            raise StateUnavailable(
                f"no more can be written under {self._folder} — make space there, or let HUB_STATE_DIR name a larger "
                "disk, and start again: nothing is lost, the changelog has it all"
            ) from None
        if not text.startswith(_PASSING):
            raise error
        raise StateUnavailable(
            f"state on disk under {self._folder} cannot be read or written — look at the disk and at who else has "
            "these files open, then start again: nothing is lost, the changelog has it all"
        ) from None


def _review_row(day: Any, key: bytes) -> bytes:
    return _REVIEW + bytes(day) + key


def _is_damage(error: Exception) -> bool:
    return str(error).startswith("Corruption")
