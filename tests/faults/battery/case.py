"""One case: clean topics, a seeded input, a fault, an end to all faults, quiet, and the verdicts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition
from msgspec import Struct

from hub.discovery.law import catalogue_law
from hub.domain.times import local_date
from hub.ops.clock import Clock
from hub.packs import load_book
from hub.streams.codec import Codec
from hub.streams.commit import Writer
from hub.streams.stages import stages_of
from hub.streams.state import Slot
from hub.streams.topics import ALERTS, CONTRIBUTIONS, FINDINGS
from tests.faults.battery import downstream as downstreams
from tests.faults.battery import publisher as publishers
from tests.faults.battery.crew import Crew
from tests.faults.battery.downstream import Downstream
from tests.faults.battery.generator import ORDINARY, Profile, items
from tests.faults.battery.ground import PARTITIONS, Ground
from tests.faults.battery.invariants import Evidence, Replay, Verdict, Vitals, judge
from tests.faults.battery.publisher import Publisher
from tests.faults.battery.readback import compacted, hashed, read
from tests.topology.records import NOON

SESSION_S: Final = 6
"""The shortest session the broker allows: what a dead worker's partitions wait for."""

CATCH_UP_S: Final = 90.0
"""T of the invariant on lag: a session, a rebalance, a restore and the work of a whole case, on a busy machine."""

SLOWEST: Final = 25.0
"""Records a second that a worker full of windows manages at least: a long case has longer."""

HANDED_OVER_S: Final = 30.0
"""A session, a rebalance and a restore, on a busy machine."""

STALLED_S: Final = 15.0
"""When nothing has moved for so long, and a worker has its partitions, nothing will."""

RATE: Final = 120.0
"""Messages a second while the faults go on: a case's input lasts some three seconds."""

SLEEP_S: Final = 0.003
"""Slept at each point of the protocol: the windows are many times as wide as they are without."""


class Result(Struct, frozen=True, kw_only=True):
    """What came of a case."""

    fault: str
    seed: int
    mutant: str | None
    seconds: float
    lag_s: float | None
    accepted: int
    alerts: int
    exits: list[int]
    notes: list[str]
    skipped: str | None = None
    verdicts: list[Verdict]

    @property
    def held(self) -> bool:
        """No invariant was broken."""
        return all(verdict.held is not False for verdict in self.verdicts)


class Case:
    """What a fault's script has in its hands."""

    def __init__(self, ground: Ground, folder: Path, seed: int, profile: Profile, mutant: str | None) -> None:
        self.ground = ground
        self.folder = folder
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - a repeatable choice, no secret
        self.notes: list[str] = []
        self.skipped: str | None = None
        self.at_end = ExitStack()
        self.vitals: Vitals | None = None
        self._stalled_s = STALLED_S if mutant is None else SESSION_S
        folder.mkdir(parents=True, exist_ok=True)
        self.clock = folder / "clock"
        self.set_clock(NOON)
        self.settings = ground.settings.model_copy(update={"clock_file": self.clock})
        self.codec = Codec(self.settings.registry_url)
        ground.clean()
        self.publisher = Publisher(
            self.settings, self.codec, items(seed, profile, PARTITIONS), folder / "accepted.jsonl", RATE
        )
        self.downstream = Downstream(self.settings, folder / "delivered.jsonl")
        self.crew = Crew(
            self._env(mutant), folder, f"battery-{seed}-{os.getpid()}-{time.monotonic_ns()}", ground.nursery
        )

    def _env(self, mutant: str | None) -> dict[str, str]:
        return {
            "HUB_DATA_DIR": str(self.settings.data_dir),
            "HUB_BROKERS": self.settings.brokers,
            "HUB_REGISTRY_URL": self.settings.registry_url,
            "HUB_PARTITIONS": str(PARTITIONS),
            "HUB_OVERLAY": "demo",
            "HUB_CLOCK_FILE": str(self.clock),
            "HUB_SESSION_TIMEOUT_S": str(SESSION_S),
            "BATTERY_SLEEP": str(SLEEP_S),
            "BATTERY_MUTANT": mutant or "",
        }

    @property
    def today(self) -> date:
        """The day by the case's clock."""
        return local_date(Clock(self.settings).now_ms())

    def set_clock(self, at_ms: int, file: Path | None = None) -> None:
        """Write an instant (UTC ms) that is now from now on."""
        (file or self.clock).write_text(datetime.fromtimestamp(at_ms / 1000, UTC).isoformat())

    def storm(self, share: float = 0.4) -> None:
        """Accept a share of the input at once, so that there is work, and the rest at its rate from now on."""
        self.publisher.first(int(self.publisher.left * share))
        self.publisher.start()

    def skip(self, reason: str) -> None:
        """The fault cannot be made here."""
        self.skipped = reason

    def until(self, good: Callable[[], bool], patience_s: float, what: str) -> None:
        """Wait, tending the crew; note what did not come."""
        if not self.crew.until(good, patience_s):
            self.notes.append(f"not seen: {what}")

    def places(self) -> dict[tuple[str, int], int]:
        """Next offset behind what was accepted."""
        ends: dict[tuple[str, int], int] = {}
        for one in publishers.read_ledger(self.folder / "accepted.jsonl"):
            place = (one.topic, one.partition)
            ends[place] = max(ends.get(place, 0), one.offset + 1)
        return ends

    def settle(self) -> tuple[float | None, str]:
        """Accept what is left of the input, and wait until all of it has come through; seconds, or what is missing."""
        self.publisher.finish()
        began, ends = time.monotonic(), self.places()
        if self.comes_through(ends):
            return time.monotonic() - began, ""
        return None, self.downstream.missing(ends)

    def comes_through(self, ends: Mapping[tuple[str, int], int]) -> bool:
        """Wait until all before `ends` has come through; False when it did not, or when nothing moves any more."""
        moved, seen = time.monotonic(), -1

        def over() -> bool:
            nonlocal moved, seen
            progress = self.downstream.progress
            if progress != seen:
                moved, seen = time.monotonic(), progress
            if self.downstream.quiet(ends, self.today):
                return True
            if time.monotonic() - moved < self._stalled_s:
                return False
            if any(member.ready for member in self.crew.members):
                return True
            moved = time.monotonic()  # nobody works: the dead one's session is waited out, or a state restored
            return False

        self.crew.until(over, CATCH_UP_S + self.publisher.accepted / SLOWEST)
        return self.downstream.quiet(ends, self.today)

    def replay(self) -> Replay:
        """Let all workers go, put every position back to the first record, and let one worker read all of it again."""
        counted = (ALERTS.name, CONTRIBUTIONS.name, FINDINGS.name)
        stages = stages_of(catalogue_law(load_book(overlay="demo")))
        changelogs = tuple(stage.state_topic.name for stage in stages)

        def look() -> tuple[Mapping[str, int], Mapping[str, str]]:
            log = read(self.settings, (*counted, *changelogs))
            hashes = {
                f"{topic}-{partition}": hashed(held.values.items())
                for topic in changelogs
                for partition, held in compacted(log[topic]).items()
            }
            return {topic: len(log[topic]) for topic in counted}, hashes

        self.crew.end()
        before, hashes_before = look()
        for stage in stages:
            for partition in range(PARTITIONS):
                with closing(Writer(self.settings, Slot(stage.name, partition), stage.state_topic.name)) as writer:
                    writer.open()
                    writer.commit([], {}, {})
        self.crew = Crew(self.crew.env, self.folder, f"{self.crew.groups[-1]}-replay", self.ground.nursery)
        self.crew.add()
        ends = self.places()
        self.crew.until(
            lambda: not self.downstream.quiet(ends, self.today), CATCH_UP_S
        )  # it has seen the first records
        done = self.comes_through(ends)
        self.crew.end()
        after, hashes_after = look()
        return Replay(before, after, hashes_before, hashes_after, done)

    def told(self) -> dict[tuple[str, int], int]:
        """The furthest each group was told, by place."""
        found: dict[tuple[str, int], int] = {}
        for group in self.crew.groups:
            reader = Consumer({"bootstrap.servers": self.settings.brokers, "group.id": group, "log_level": 1})
            try:
                places = [TopicPartition(*place) for place in self.places()]
                for at in reader.committed(places, timeout=10):
                    found[at.topic, at.partition] = max(found.get((at.topic, at.partition), 0), at.offset)
            finally:
                reader.close()
        return found

    def close(self) -> None:
        """End everything of the case."""
        self.crew.end()
        self.at_end.close()
        self.publisher.close()
        self.downstream.close()
        self.codec.close()


Script = Callable[[Case], None]
"""What a fault does, between the first worker's start and the end of all faults."""


def run_case(
    ground: Ground,
    folder: Path,
    name: str,
    script: Script,
    seed: int,
    *,
    profile: Profile = ORDINARY,
    mutant: str | None = None,
    replay: bool = False,
) -> Result:
    """Run a case to its verdicts. The same seed gives the same input and the same choices of the fault."""
    began = time.monotonic()
    with ExitStack() as stack:
        case = Case(ground, folder, seed, profile, mutant)
        stack.callback(case.close)
        script(case)
        crew = case.crew
        if case.skipped is not None:
            return Result(
                fault=name, seed=seed, mutant=mutant, seconds=0, lag_s=None, accepted=0, alerts=0, exits=[], notes=[],
                skipped=case.skipped, verdicts=[],
            )  # fmt: skip
        evidence = _gather(case, replay)
        verdicts = judge(evidence)
        return Result(
            fault=name,
            seed=seed,
            mutant=mutant,
            seconds=round(time.monotonic() - began, 1),
            lag_s=evidence.lag_s and round(evidence.lag_s, 1),
            accepted=len(evidence.accepted),
            alerts=len(evidence.delivered),
            exits=[code for member in crew.members for code in member.exits],
            notes=case.notes,
            verdicts=verdicts,
        )


def _gather(case: Case, replay: bool) -> Evidence:
    lag_s, waiting = case.settle()
    book = load_book(overlay="demo")
    stages = stages_of(catalogue_law(book))
    stores: list[Mapping[str, Any]] = []

    def whole() -> bool:
        """Every slot has an owner: where all was done before the last kill, its partitions may still be on the way."""
        ready = [member for member in case.crew.alive() if member.ready]  # one that starts would die of being asked
        stores[:] = [held for member in ready if (held := member.held()) is not None]
        return sum(len(held["slots"]) for held in stores) >= PARTITIONS * len(stages)

    case.until(whole, HANDED_OVER_S, "an owner for every partition")
    evidence = Evidence(
        accepted=publishers.read_ledger(case.folder / "accepted.jsonl"),
        delivered=downstreams.read_ledger(case.folder / "delivered.jsonl"),
        log=read(case.settings),
        codec=case.codec,
        book=book,
        stages=stages,
        now=Clock(case.settings).now_ms(),
        lag_s=lag_s,
        waiting=waiting,
        stores=stores,
        told=case.told(),
        vitals=case.vitals,
    )
    if replay and lag_s is not None:
        evidence.replay = case.replay()
    return evidence
