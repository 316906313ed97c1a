"""A process that writes to a store on disk until it is killed or refused: `python -m tests.unit.streams.disk_child`.

    MODE FOLDER COUNT     fill: apply COUNT times; say `refused <code>` and end with 75 when the disk takes no more
                          hold: apply COUNT times, say `ready`, go on applying until killed
                          keep: open, say `ready`, and sleep
HUB_TEST_FSIZE limits the size of a file, in bytes: a disk that is full, as far as a store can see.

What is applied is a function of the position (`change`), so that a test can say what a store must hold at any of them.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from hub.errors import StateUnavailable
from hub.settings import Settings
from hub.streams import disk
from hub.streams.disk import Limits
from hub.streams.places import Places
from hub.streams.state import PartitionState
from tests.integration.streams.ledger import Held, stage

STAGE: Final = stage("child")
FIRST_DAY: Final = date(2026, 1, 1)
KEYS: Final = 97


def change(position: int, padding: int = 100) -> tuple[str, Held]:
    """The key that a position changes, and what to; with some 2 kB of random records, that do not compress away."""
    day = None if position % 3 == 0 else FIRST_DAY + timedelta(days=position % 11)
    noise = os.urandom(8 * padding).hex()
    records = {noise[16 * number : 16 * number + 16]: (1, 1) for number in range(padding)}
    return f"k{position * 31 % KEYS}", Held(
        sequence=position, records=records, registered=position % 2, next_review=day
    )


def apply(state: PartitionState) -> None:
    """The next position."""
    position = state.position + 1
    key, after = change(position)
    before = state.get(key)
    counts = Counter(STAGE.standing(after))
    counts.subtract(STAGE.standing(before) if before is not None else {})
    state.apply({key: after}, {key: STAGE.encode(after)}, {"t": position}, counts, position)


def open_(folder: Path) -> PartitionState:
    """The state under a folder."""
    places = Places(Settings(state="disk", state_dir=folder), ask=lambda _settings, _topic: ("cluster", "topic id"))
    # Small buffers within an ample allowance: each is flushed when one write has filled it, and no other write yet.
    disk.MEMTABLE_BYTES = 256 * 1024  # type: ignore[misc]
    places._limits = Limits(64, 32)
    state = places.open(STAGE, 0, threading.Event())
    assert state is not None
    return state


def main() -> None:
    """Do as told."""
    mode, folder, count = sys.argv[1:]
    limit = os.environ.get("HUB_TEST_FSIZE")
    try:
        state = open_(Path(folder))
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
        for _ in range(int(count)):
            apply(state)
        if mode == "fill":
            state.close()
    except StateUnavailable as error:
        print("refused", error.code, error, flush=True)  # noqa: T201  its parent reads it
        os._exit(75)
    if mode == "fill":
        return
    print("ready", flush=True)  # noqa: T201  its parent reads it
    while mode == "hold":
        apply(state)
    time.sleep(600)


if __name__ == "__main__":
    main()
