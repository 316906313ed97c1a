"""One process at a time reads a source: versions are decided from what the store holds, so two would disagree.

The lock goes with its process: a file lock beside a SQLite store (one machine by its nature), a session's advisory
lock on PostgreSQL.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text

from hub.errors import SourceUnavailable

_PAUSE_S: Final = 0.2


@contextmanager
def source_lock(engine: Engine, source: str, wait_s: float) -> Iterator[None]:
    """Hold the lock of a source. SourceUnavailable when another process keeps it for longer than `wait_s`."""
    if engine.dialect.name == "postgresql":
        with _advisory(engine, source, time.monotonic() + wait_s):
            yield
    else:
        with _file(engine, source, time.monotonic() + wait_s):
            yield


def _busy(source: str) -> SourceUnavailable:
    return SourceUnavailable(f"{source} is being read by another process — wait for it, or stop it, then try again")


@contextmanager
def _advisory(engine: Engine, source: str, deadline: float) -> Iterator[None]:
    number = int.from_bytes(hashlib.sha256(f"hub connect {source}".encode()).digest()[:8], "big", signed=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": number}).scalar_one():
            if time.monotonic() >= deadline:
                raise _busy(source)
            time.sleep(_PAUSE_S)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": number})


@contextmanager
def _file(engine: Engine, source: str, deadline: float) -> Iterator[None]:
    path = Path(f"{engine.url.database}.{source}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise _busy(source) from None
                time.sleep(_PAUSE_S)
        yield
    finally:
        os.close(handle)  # which lets go of the lock
