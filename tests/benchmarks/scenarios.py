"""What is asked of the engines: how fast, how dear, how soon again, how late, and how all this grows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.benchmarks import commits, peers, workload
from tests.benchmarks.measure import Tail
from tests.benchmarks.runner import SEED, Bench, EngineSpec, Progress
from tests.benchmarks.workload import Made

PARTITIONS: Final = 8
HUB: Final = "hub"
BARE: Final = "bare"
HUB_DISK: Final = "hub-disk"
ENGINES: Final = (HUB, BARE, "kafka-streams", "quixstreams", "idiomatic")
"""What is compared unless said otherwise; `kafka-streams-eos`, `quixstreams-eos` and `hub-disk` can be asked for."""

LEAST: Final = {"kafka-streams": 0.45, "quixstreams": 0.12, "idiomatic": 0.04}
"""Events/s against the bare loop's below which a peer was set up badly, and the run counts as failed: two thirds of the
lowest ratios of a former trial on such a machine (24/51, 8/42 and 2.1/42 thousand a second at worst)."""

QUANTILES: Final = (0.5, 0.9, 0.99, 1.0)
TICK_S: Final = 0.01
"""How often records are sent under a given load: well below what is measured."""


def spec(name: str) -> EngineSpec:
    """How an engine is started. KeyError for a name that is none."""
    if name in (HUB, HUB_DISK):
        env = {"HUB_STATE": "disk"} if name == HUB_DISK else {}
        return EngineSpec(name, [sys.executable, "-m", "tests.benchmarks.hub_worker"], env)
    if name == BARE:
        return EngineSpec(name, [sys.executable, "-m", "tests.benchmarks.bare"], {})
    return EngineSpec(name, peers.command(name), {})


def check(names: Sequence[str]) -> None:
    """KeyError for a name that is no engine; and the peers' environments are made where they are missing."""
    wanted = [name for name in names if name not in (HUB, HUB_DISK, BARE)]
    for name in wanted:
        peers.version(name)
    if wanted:
        from tests.benchmarks.peers.setup import main

        main()


def engine(names: Sequence[str], events: int, say: Progress) -> list[dict[str, Any]]:
    """Each engine over the same input, then once more from its changelog alone."""
    rows = []
    with TemporaryDirectory() as folder, Bench(Path(folder), PARTITIONS, say) as bench:
        sent = bench.load(workload.generate(events, seed=SEED))
        for name in names:
            say(f"  {name} …")
            run = bench.run(spec(name), sent)
            say(f"    {run.events_per_s:,.0f} events/s, {run.cpu_us_per_event:.0f} µs each; its restore …")
            restored = bench.restore(spec(name))
            rows.append(run._asdict() | restored)
    _ratios(rows)
    return rows


def restore(names: Sequence[str], events: int, people: int, say: Progress) -> list[dict[str, Any]]:
    """How soon each engine works again when nothing but its changelog is left, with that many persons."""
    rows = []
    with TemporaryDirectory() as folder, Bench(Path(folder), PARTITIONS, say) as bench:
        sent = bench.load(workload.generate(events, seed=SEED, people=people))
        for name in names:
            say(f"  {name} …")
            bench.run(spec(name), sent)
            row: dict[str, Any] = {"engine": name}
            rows.append(row | bench.restore(spec(name)))
    for row in rows:
        row["of_bare"] = _share(rows, row, "restore_s")
    return rows


def latency(names: Sequence[str], events: int, seconds: float, say: Progress) -> list[dict[str, Any]]:
    """From a record's sending to the moment a downstream sees the alert it caused, at half of the sustained rate."""
    rows = []
    for name in names:
        # A broker that is still being compiled takes a core of two, and every engine waits for it.
        with TemporaryDirectory() as folder, Bench(Path(folder), PARTITIONS, say, quick=True) as bench:
            say(f"  {name}: sustained rate …")
            sent = bench.load(workload.generate(events, seed=SEED))
            told = bench.prepare(name)
            with bench.running(spec(name), told) as processes:
                tail = Tail(bench.settings.brokers, f"{told.prefix}.{workload.ALERT}", PARTITIONS)
                full = bench.measure(spec(name), told, processes, tail, sent)
                rate = full.events_per_s / 2
                say(f"  {name}: {rate:,.0f} events/s for {seconds:g} s …")
                waits = bench.paced(_more(events, int(rate * seconds)), rate, tail, processes)
                tail.close()
        waits.sort()
        at = {f"p{round(q * 100)}_ms": waits[min(len(waits) - 1, int(q * len(waits)))] * 1e3 for q in QUANTILES}
        rows.append({"engine": name, "events_per_s": rate, "alerts": len(waits), "same_alerts": full.same_alerts} | at)
    return rows


def _more(skipped: int, events: int) -> Iterator[Made]:
    """Records about the same persons, behind those that were sent already."""
    for number, record in enumerate(workload.generate(skipped + events, seed=SEED, people=skipped // 4)):
        if number >= skipped:
            yield record


def scale(events: int, most_people: int, say: Progress) -> list[dict[str, Any]]:
    """The hub's worker as partitions, workers and persons grow."""
    rows = []
    few = events // 4
    plan = [(1, 1, few), (PARTITIONS, 1, few), (PARTITIONS, 2, few), (PARTITIONS, 1, most_people)]
    for partitions, workers, people in plan:
        given = max(events, 2 * people)
        say(f"  {partitions} partitions, {workers} workers, {people:,} persons, {given:,} events …")
        with TemporaryDirectory() as folder, Bench(Path(folder), partitions, say) as bench:
            sent = bench.load(workload.generate(given, seed=SEED, people=people))
            run = bench.run(spec(HUB), sent, workers)
            row: dict[str, Any] = {"partitions": partitions, "people": people} | run._asdict()
            if workers == 1:
                row |= bench.restore(spec(HUB))
        rows.append(row)
    return rows


def commit(records: int, say: Progress) -> list[dict[str, Any]]:
    """Both commit cures and none, by the size of the batch."""
    with TemporaryDirectory() as folder, Bench(Path(folder), PARTITIONS, say) as bench:
        bench.create((commits.OUTPUT, commits.STATE))
        say("  three ways of committing, three sizes of a batch …")
        return [cost._asdict() for cost in commits.measure(bench.settings, records)]


def failures(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Why a run does not count; empty where it does."""
    found = [f"{row['engine']} ended with other open alerts than the oracle" for row in rows if not row["same_alerts"]]
    for row in rows:
        least = LEAST.get(row["engine"])
        if least is not None and row.get("of_bare") is not None and row["of_bare"] < least:
            found.append(
                f"{row['engine']} did {row['of_bare']:.2f} of the bare loop, at least {least} was expected: it is set "
                "up badly, or the machine was busy — a peer that is held back is no victory"
            )
    return found


def _ratios(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["of_bare"] = _share(rows, row, "events_per_s")
        row["cpu_of_bare"] = _share(rows, row, "cpu_us_per_event")


def _share(rows: Sequence[dict[str, Any]], row: dict[str, Any], figure: str) -> float | None:
    floor = next((other[figure] for other in rows if other["engine"] == BARE), None)
    return row[figure] / floor if floor else None


def now() -> str:
    """When a run was made, for its file."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
