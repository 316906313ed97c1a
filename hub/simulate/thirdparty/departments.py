"""Third-party records from generator to departments' files, in one call: for the demo and for `hub simulate`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from hub.simulate.thirdparty import environment, medical, offices, synthea
from hub.stack.java import Progress

CACHE: Final = Path(".cache/thirdparty")
"""Generators and what they made, kept over runs."""

HOUSEHOLDS: Final = 300
"""About 600 persons: large enough for every planted corruption, small enough for the demo's minutes."""


def write(
    root: Path,
    *,
    seed: int,
    as_of: date,
    households: int = HOUSEHOLDS,
    with_synthea: bool = False,
    cache: Path = CACHE,
    progress: Progress = lambda _: None,
) -> None:
    """Write `root/thirdparty`; what was made is said as progress. Raises what making the generators raises."""
    rows = environment.rows(cache, seed=seed, households=households, progress=progress)
    ledger = offices.write(rows, root, as_of=as_of, seed=seed)
    progress(f"{root / 'thirdparty'}: {len(ledger)} corrupted cells, listed in ledger.json")
    if with_synthea:
        tables = synthea.tables(cache, seed=seed, progress=progress)
        progress(medical.write(tables, root, as_of=as_of).text)
