"""Days that come while partitions change hands: each review is fired once, by whoever has the partition then."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

from hub.stack import ManagedProcess
from hub.streams.producers import producer
from tests.integration.streams import ledger
from tests.integration.streams.conftest import Bench
from tests.integration.streams.test_worker import RESIDENT, resident, until

PERSONS = 300
SOON, LATER = date(2026, 3, 10), date(2026, 3, 20)
FIRST_VERSION = 1_000_000
"""Above all versions that other tests of this broker sent."""


def token(number: int) -> str:
    """Spread over the partitions."""
    return f"{number:032x}"[::-1]


def slow(bench: Bench, clock: Path) -> ManagedProcess:
    """A worker that fires one review a partition at a time: all of them last longer than another takes to join."""
    return bench.worker("hands", "hands", HUB_CLOCK_FILE=str(clock), LEDGER_BUDGET="1", LEDGER_SLEEP="0.3")


def reviewed(bench: Bench, name: str) -> Counter[tuple[date | None, int]]:
    """How many wait for which day, having been reviewed how often. A fold counts every review it is handed."""
    states = dict(state for part in ledger.restored(bench.settings, name) for state in ledger.decoded(part))
    return Counter((states[token(n)].next_review, states[token(n)].reviewed) for n in range(PERSONS))


def test_each_review_fires_once_though_partitions_change_hands_in_between(bench: Bench) -> None:
    """A second worker joins and the first is killed while reviews are being fired; what is overdue fires at a start."""
    bench.ledger("hands")
    clock = bench.folder / "clock"
    clock.write_text(datetime(2026, 3, 1, 4, tzinfo=UTC).isoformat())
    with closing(producer(bench.settings)) as out:
        for number in range(PERSONS):
            made = resident(token(number), version=FIRST_VERSION, valid_to=SOON if number % 3 else LATER)
            out.send(RESIDENT, token(number), bench.codec.encode(RESIDENT, made))
        out.flush()
    soon, later = PERSONS - PERSONS // 3, PERSONS // 3
    first = slow(bench, clock)
    ledger.wait_folded(bench.settings, "hands")
    assert reviewed(bench, "hands") == Counter({(SOON, 0): soon, (LATER, 0): later})

    clock.write_text(datetime(2026, 3, 10, 4, tzinfo=UTC).isoformat())
    until(lambda: reviewed(bench, "hands")[None, 1] > 0, first)
    second = slow(bench, clock)
    fired = reviewed(bench, "hands")[None, 1]
    assert fired < soon, "partitions went over when all was done"
    until(lambda: reviewed(bench, "hands")[None, 1] > fired, second)
    os.kill(first.pid, signal.SIGKILL)
    fired = reviewed(bench, "hands")[None, 1]
    assert fired < soon
    second.terminate()

    third = bench.worker("hands", "hands", HUB_CLOCK_FILE=str(clock))
    until(lambda: reviewed(bench, "hands")[SOON, 0] == 0, third)
    assert reviewed(bench, "hands") == Counter({(None, 1): soon, (LATER, 0): later})
    third.terminate()

    clock.write_text(datetime(2026, 4, 1, 4, tzinfo=UTC).isoformat())  # passed while nobody was there
    last = bench.worker("hands", "hands", HUB_CLOCK_FILE=str(clock))
    until(lambda: reviewed(bench, "hands")[LATER, 0] == 0, last)
    bench.send(20)
    ledger.wait_folded(bench.settings, "hands")
    assert reviewed(bench, "hands") == Counter({(None, 1): PERSONS})
