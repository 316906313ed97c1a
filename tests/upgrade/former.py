"""What `make_former.py` wrote, read."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cramjam
import msgspec
from msgspec import Struct

Opened = tuple[str, str, str, int | None]
"""Rule, subject, evidence hash, amount."""


class Former(Struct, frozen=True):
    """A deployment of the former release; `make_former.py` says what is in it."""

    release: str
    now: int
    later: int
    schemas: dict[str, str]
    first: list[tuple[str, str, bytes]]
    second: list[tuple[str, str, bytes]]
    persons: dict[str, bytes]
    homes: dict[str, bytes]
    open: list[Opened]
    open_after: list[Opened]
    open_later: list[Opened]
    store: str


@lru_cache(maxsize=1)
def former() -> Former:
    """The fixture."""
    packed = (Path(__file__).parent / "former.bin").read_bytes()
    return msgspec.msgpack.decode(bytes(cramjam.zstd.decompress(packed)), type=Former)
