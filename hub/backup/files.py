"""Files of a backup: Avro object containers with blocks in zstandard, written and read as streams.

Any Avro tool reads them. A file is made under another name and appears under its own when it is whole and on disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import fastavro
import fastavro.write

from hub.backup.manifest import File, digest
from hub.errors import BackupRefused

CODEC: Final = "zstandard"
BLOCK_BYTES: Final = 1 << 18
"""Uncompressed bytes of a block: large enough to be packed well, small enough to be read piece by piece."""


class Out:
    """One file being written; `add` records, and after the `with` its entry for the manifest is `entry`."""

    def __init__(self, folder: Path, name: str, schema: dict[str, Any]) -> None:
        self.name = name
        self.records = 0
        self._path = folder / name
        self._draft = self._path.with_name(f".{self._path.name}")
        self._schema = fastavro.parse_schema(schema)

    def __enter__(self) -> Out:
        """Open."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(handle, "wb")
        self._writer = fastavro.write.Writer(self._file, self._schema, codec=CODEC, sync_interval=BLOCK_BYTES)
        return self

    def add(self, record: dict[str, Any]) -> None:
        """One record."""
        self._writer.write(record)
        self.records += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; the file appears under its name unless something was raised."""
        try:
            if kind is None:
                self._writer.flush()
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
        if kind is None:
            self._draft.rename(self._path)
        else:
            self._draft.unlink(missing_ok=True)

    @property
    def entry(self) -> File:
        """Size and hash, once it is written."""
        return File(sha256=digest(self._path), size=self._path.stat().st_size, records=self.records)


def records(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Every record of a file, in order. BackupRefused where it is none of ours."""
    try:
        with (folder / name).open("rb") as file:
            for record in fastavro.reader(file):
                if not isinstance(record, dict):
                    raise BackupRefused(f"{name} holds no records — take another backup")
                yield record
    except (OSError, ValueError, EOFError, fastavro.read.SchemaResolutionError) as error:
        raise BackupRefused(f"{name} cannot be read ({type(error).__name__}) — take another backup") from error
