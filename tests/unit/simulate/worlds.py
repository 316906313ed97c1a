"""A small world: its departments' files, read as the connectors read them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

from hub.domain.messages import Event
from hub.domain.times import at_noon_ms
from hub.simulate import departments
from hub.simulate.check import Truth, read, read_truth
from hub.simulate.dryrun import Refused
from hub.vault.keys import generate
from hub.vault.tokens import Tokens

AS_OF = date(2026, 3, 15)
NOW = at_noon_ms(AS_OF)
MANIFEST = departments.Manifest(seed=20260315, households=12, as_of=AS_OF)
SOURCES = Path(__file__).parents[3] / "connectors" / "sources"


class Read(NamedTuple):
    """What was read of both waves."""

    first: tuple[Event, ...]
    second: tuple[Event, ...]
    refused: tuple[Refused, ...]
    truth: Truth
    tokens: Tokens


def read_world(root: Path) -> Read:
    """Write both waves into a folder and read them through the real mappings."""
    departments.first(root, MANIFEST)
    tokens = Tokens(generate())
    source = read(root, SOURCES, tokens)
    try:
        first = tuple(source.read(NOW))
        departments.second(root)
        second = tuple(source.read(NOW + 1000))
        return Read(first, second, tuple(source.refused), read_truth(root), tokens)
    finally:
        source.close()
