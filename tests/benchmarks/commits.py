"""What a commit costs: both cures and none, the same messages on one broker, by the size of the batch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from hub.settings import Settings
from hub.streams.commit import Outgoing, Writer
from hub.streams.state import Slot
from hub.streams.topics import Topic
from tests.benchmarks.state_first import Cure, Plain, StateFirst

CURES: Final[dict[str, Cure]] = {"transaction": Writer, "state first": StateFirst, "none": Plain}
SIZES: Final = (10, 100, 1_000)
VALUE: Final = bytes(range(160))
"""160 bytes: a state of the workload, and a contribution."""

OUTPUT: Final = Topic(name="commits.output", key="any", joined=True)
STATE: Final = Topic(name="commits.state", key="any", joined=True, cleanup="compact")


class Cost(NamedTuple):
    """One cure at one size. A record is an input whose batch changes as many states and says as many outputs."""

    cure: str
    batch: int
    records_per_s: float
    cpu_us_per_record: float
    commit_ms: float
    open_ms: float


def measure(settings: Settings, records: int, rounds: int = 3) -> Iterator[Cost]:
    """Each cure at each size, `records` in all, in turn and `rounds` times over: the median of each is given."""
    found: dict[tuple[str, int], list[Cost]] = {}
    for _ in range(rounds):
        for size in SIZES:
            for name in CURES:
                found.setdefault((name, size), []).append(_one(settings, name, size, records))
    for (name, size), costs in found.items():
        middle = [statistics.median(figures) for figures in zip(*(cost[2:] for cost in costs), strict=True)]
        yield Cost(name, size, *middle)


def _one(settings: Settings, name: str, size: int, records: int) -> Cost:
    began = time.perf_counter()
    writer = CURES[name](settings, Slot("commits", 0), STATE.name)
    writer.open()
    opened = time.perf_counter() - began
    batches = max(5, min(records, 200 * size) // size)
    keys = [f"{number:032x}" for number in range(size)]
    outputs = [Outgoing(OUTPUT.name, key.encode(), VALUE, None) for key in keys]
    states = dict.fromkeys(keys, VALUE)
    writer.commit(outputs, states, {"in": 0})  # leaders and ids are looked up by the first one
    each = []
    cpu, began = time.process_time(), time.perf_counter()
    for number in range(batches):
        at = time.perf_counter()
        writer.commit(outputs, states, {"in": number})
        each.append(time.perf_counter() - at)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    writer.close()
    done = batches * size
    return Cost(name, size, done / took, used / done * 1e6, statistics.median(each) * 1e3, opened * 1e3)
