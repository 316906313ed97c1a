"""The heart of the worker: slots are taken over, restored, fed with batches, and let go. Knows nothing of Faust.

A batch is decoded and folded, then handed to its slot's writer, whose thread commits it while other slots are worked
on; `settle` waits for all of them and only then takes the changes over. An assignment that ends is settled first, so a
slot is never taken away between two of these: it holds what was committed, or the process is ending. Whatever is
raised here ends the process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

from hub.discovery.shapes import StepResult
from hub.domain.messages import Event, Quarantined, Review
from hub.domain.times import local_date
from hub.errors import TopologyMismatch
from hub.ops.clock import Clock
from hub.settings import Settings
from hub.streams import metrics
from hub.streams.accounts import count_in, show_waiting, tell_result
from hub.streams.commit import Outgoing, Passing, Writer, unhindered
from hub.streams.intake import HUB_KEYS, Intake, Keys, Raw, Taken, Values
from hub.streams.places import Places
from hub.streams.progress import RestoreProgress
from hub.streams.restore import check_ends, restore
from hub.streams.sifting import sift, tell
from hub.streams.stage import Stage
from hub.streams.state import RESTATED, PartitionState, Slot
from hub.streams.takeover import TAKEN_OVER
from hub.streams.topics import QUARANTINE
from hub.vault.sealed import Sealer

OPENERS: Final = 8
"""Writers opened at a time: each waits some 100 ms for the broker, and a worker may own sixteen."""

COMMITTERS: Final = 16
"""Commits under way at a time, as many as a worker may own slots: each mostly waits for the broker, which answers what
one producer sends partition by partition, 20 ms to 100 ms in all (docs/decisions/0013-where-the-floor-is.md)."""

REVIEW_BUDGET: Final = 500
"""Reviews fired in one batch, so that the first of January does not keep records waiting."""

REVIEW_S: Final = 0.25
"""After this long no further slot is reviewed in the same call: as long as a round of records may take."""


class Batch(NamedTuple):
    """Records of one slot, and the epoch of the assignment they were read under."""

    slot: Slot
    epoch: int
    records: list[Raw]


class Owned(NamedTuple):
    """A slot this process owns."""

    state: PartitionState
    writer: Writer

    def close(self) -> None:
        """Let it go: nothing more is written for it, and what is kept on disk may be taken up by another process."""
        self.writer.close()
        self.state.close()


class Folded(NamedTuple):
    """A batch that was folded and is being committed; `position` is what its commit answers with."""

    result: StepResult[Any]
    encoded: dict[str, bytes]
    offsets: Mapping[str, int]
    position: Future[int | None]
    settled: Callable[[], None]


class Engine:
    """All slots of this process. `process`, `settle`, `review`, `adopt`, `release` are called from one thread only."""

    def __init__(
        self,
        settings: Settings,
        stages: Sequence[Stage],
        codec: Values,
        sealer: Sealer,
        clock: Clock,
        passing: Passing = unhindered,
        keys: Keys = HUB_KEYS,
        admitted: Callable[[], None] = lambda: None,
    ) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.epoch = 0
        self.ready = False
        self.doing: tuple[str, Slot] | None = None
        """The step of a batch under way and its slot, for the watchdog; None between two batches."""
        self.batches = 0
        """Batches processed or dropped since the start, for the watchdog."""
        self.folds = 0
        """Folds begun since the start, of batches and of reviews, for the watchdog."""
        self.progress = RestoreProgress()
        self._stage_of = {name: stage for stage in stages for name in stage.input_names}
        self._settings = settings
        self._codec = codec
        self._clock = clock
        self._passing = passing
        self._admitted = admitted
        self._intake = Intake(codec, sealer, settings.partitions, keys)
        self._places = Places(settings)
        self._owned: dict[Slot, Owned] = {}
        self._committing: dict[Slot, Folded] = {}
        self._committers = ThreadPoolExecutor(COMMITTERS, thread_name_prefix="commit")
        self._reviewed: dict[Slot, float] = {}  # when a slot was last reviewed, by the monotonic clock
        self._failed: dict[Slot, set[str]] = defaultdict(set)  # keys whose review defeats the step
        self._newest: dict[tuple[str, int], int] = {}  # (topic, partition) → timestamp of the newest record taken in
        for stage in stages:
            for gauge in (metrics.PARTITIONS, metrics.RESTORING, metrics.STATES, metrics.WAITING):
                gauge.labels(stage.name).set(0)

    # --- owning slots ---------------------------------------------------------------------------------------------

    def slots_of(self, assigned: Iterable[tuple[str, int]]) -> set[Slot]:
        """The slots an assignment of (topic, partition) means. TopologyMismatch when one was torn apart."""
        parts: dict[Slot, set[str]] = defaultdict(set)
        for topic, partition in assigned:
            stage = self._stage_of.get(topic)
            if stage is not None:
                parts[Slot(stage.name, partition)].add(topic)
        for slot, topics in parts.items():
            absent = self.stages[slot.stage].input_names - topics
            if absent:
                raise TopologyMismatch(
                    f"partition {slot.partition} of {', '.join(sorted(absent))} was assigned elsewhere than the other "
                    f"topics of stage {slot.stage} — run the same release on every worker and `hub topics check`"
                )
        return set(parts)

    def suspend(self) -> None:
        """An assignment ends: batches read under it will be dropped. The slots stay until the next one is known."""
        self.epoch += 1
        self.settle()
        self.ready = False

    def release(self, kept: Iterable[Slot] = ()) -> None:
        """Let go of every slot but `kept`: state forgotten, writer closed."""
        self.settle()
        for slot in self._owned.keys() - set(kept):
            owned = self._owned.pop(slot)
            owned.close()
            self._failed.pop(slot, None)
            count_in(slot.stage, owned.state, -1)
        self._newest = {place: at for place, at in self._newest.items() if self._slot(*place) in self._owned}

    def prepare(self, wanted: Iterable[Slot], cancelled: threading.Event) -> dict[Slot, Owned] | None:
        """Open writers of slots not owned yet, then restore their states; None when `cancelled` first.

        Touches nothing of this object but what it returns, so it may run beside the loop. A slot kept over a
        rebalance needs no restore: had anybody else owned it meanwhile, this process's writer would be fenced.
        """
        slots = [slot for slot in wanted if slot not in self._owned]
        for slot in slots:
            metrics.RESTORING.labels(slot.stage).inc()
        with ThreadPoolExecutor(OPENERS, thread_name_prefix="open") as pool:
            opened = list(pool.map(partial(self._open, cancelled=cancelled), slots))
        fresh = {slot: owned for slot, owned in zip(slots, opened, strict=True) if owned is not None}
        self._admitted()  # after the writers were opened: what a former owner did under, this process now knows
        done = len(fresh) == len(slots) and restore(
            self._settings, (owned.state for owned in fresh.values()), cancelled, self.progress
        )
        if done:
            check_ends(self._settings, [owned.state for owned in fresh.values()])
        for slot in slots:
            metrics.RESTORING.labels(slot.stage).set(0)
        if not done:
            for owned in fresh.values():
                owned.close()
            return None
        for owned in fresh.values():
            if owned.state.stage.takeover is not None:
                owned.state.stage.takeover.begin(owned.state)
        return fresh

    def _open(self, slot: Slot, cancelled: threading.Event) -> Owned | None:
        """Fence the former owner of a slot, then take up what is kept of it here. None when `cancelled` first."""
        stage = self.stages[slot.stage]
        writer = Writer(self._settings, slot, stage.state_topic.name, self._passing)
        writer.open()
        state = self._places.open(stage, slot.partition, cancelled)
        if state is None:
            writer.close()
            return None
        return Owned(state, writer)

    def adopt(self, fresh: Mapping[Slot, Owned]) -> None:
        """Own prepared slots from now on."""
        for slot, owned in fresh.items():
            self._owned[slot] = owned
            count_in(slot.stage, owned.state, 1)
        self.ready = True

    def positions(self) -> dict[tuple[str, int], int]:
        """Where each input of each owned slot is to be read on: (topic, partition) → offset."""
        return {
            (topic, slot.partition): owned.state.offsets.get(topic, 0)
            for slot, owned in self._owned.items()
            for topic in owned.state.stage.input_names
        }

    def slot_of(self, topic: str, partition: int) -> Slot:
        """The slot that reads a partition of an input topic."""
        slot = self._slot(topic, partition)
        if slot is None:
            raise TopologyMismatch(f"no stage reads {topic} — run the same release on every worker")
        return slot

    def state(self, slot: Slot) -> PartitionState:
        """State of an owned slot."""
        return self._owned[slot].state

    @property
    def slots(self) -> set[Slot]:
        """Slots owned and restored."""
        return set(self._owned)

    # --- working --------------------------------------------------------------------------------------------------

    def process(self, batch: Batch) -> None:
        """Decode and fold one batch and begin its commit; drop it when it was read under an assignment that ended."""
        try:
            self._process(batch)
        finally:
            self.doing = None
        self.batches += 1

    def settle(self) -> None:
        """Wait until what was folded is committed, and take it over. Raises what a commit raised."""
        try:
            for slot, folded in self._committing.items():
                self.doing = "commit", slot
                position = folded.position.result()
                state = self._owned[slot].state
                before = len(state)
                state.apply(folded.result.changes, folded.encoded, folded.offsets, folded.result.counts, position)
                metrics.STATES.labels(slot.stage).inc(len(state) - before)
                self._failed[slot].difference_update(folded.result.changes)
                tell_result(slot.stage, folded.result, self._clock.now_ms())
                folded.settled()
        finally:
            self._committing.clear()
            self.doing = None

    def _process(self, batch: Batch) -> None:
        if batch.epoch != self.epoch or batch.slot not in self._owned:
            return
        if batch.slot in self._committing:
            self.settle()
        state = self._owned[batch.slot].state
        stage = batch.slot.stage
        records = [record for record in batch.records if record.offset >= state.offsets.get(record.topic, 0)]
        metrics.REPEATED.labels(stage).inc(len(batch.records) - len(records))
        if not records:
            return
        began, began_system, started = self._clock.now_ms(), time.time_ns() // 1_000_000, time.monotonic()
        self.doing = "decode", batch.slot
        taken = self._intake.take(records, state)
        self._passing("after_decode")
        offsets: dict[str, int] = {}
        for record in records:
            offsets[record.topic] = record.offset + 1
            self._newest[record.topic, record.partition] = record.timestamp
        for topic, number in Counter(record.topic for record in records).items():
            metrics.RECORDS.labels(stage, topic).inc(number)
        received = [value.header.received_at for value in taken.values if isinstance(value, Event)]

        def settled() -> None:
            metrics.BATCH.labels(stage).observe(time.monotonic() - started)
            if received:  # by the clock that connectors stamp them with
                metrics.waited(stage, began, received)
            else:  # what the hub itself published, stamped by the client that did
                metrics.waited(stage, began_system, [record.timestamp for record in records])
            metrics.BATCHES.labels(stage).inc()

        self._fold(batch.slot, taken, offsets, settled)

    def review(self) -> bool:
        """Fire what has come due, and look again at what another law or another statement decided: slot by slot, a
        budget for each, until REVIEW_S has passed, so that records go first. Whether more is left for the next call.

        Overdue reviews fire once at the start like any other.
        """
        if not self.ready:
            return False
        self.settle()
        began, started = time.time(), time.monotonic()
        today = local_date(self._clock.now_ms())
        left = False
        for slot in sorted(self._owned, key=lambda slot: self._reviewed.get(slot, 0.0)):
            if time.monotonic() - started > REVIEW_S:
                left = True
                break
            left = self._review(slot, today) or left
            self._reviewed[slot] = time.monotonic()
        if not left:
            metrics.REVIEWED.set(began)
        return left

    def _review(self, slot: Slot, today: date) -> bool:
        """Reviews of one slot. Whether more are left."""
        state = self._owned[slot].state
        failed = self._failed[slot]
        due = [one for one in state.reviews.due(today, REVIEW_BUDGET + len(failed)) if one.home not in failed]
        del due[REVIEW_BUDGET:]
        swept = list(islice(state.stale, REVIEW_BUDGET - len(due)))
        takeover = state.stage.takeover
        missing = takeover.missing(slot.partition, REVIEW_BUDGET - len(due) - len(swept)) if takeover else []
        reviews = due + [Review(key, date.min) for key in (*swept, *missing)]
        if reviews:
            self._fold(slot, Taken(reviews, [], []), {})
            self.settle()
            for _ in swept:
                state.stale.popleft()
            if takeover:
                takeover.took(slot.partition, len(missing))
            metrics.REVIEWS.labels(slot.stage, "due").inc(len(due))
            cause = "statement" if state.restated else "law"
            metrics.REVIEWS.labels(slot.stage, cause).inc(len(swept) + len(missing))
        if takeover and takeover.finished(state):
            self._fold(slot, Taken([], [], []), {TAKEN_OVER: 1})
            self.settle()
            takeover.end(slot.partition)
        if state.restated and state.stale.done and not failed:
            self._fold(slot, Taken([], [], []), {RESTATED: 0})
            self.settle()
        return len(reviews) >= REVIEW_BUDGET or not state.stale.done

    def observe(self, behind: Mapping[tuple[str, int], int]) -> None:
        """Set the gauges that are looked up rather than moved; `behind`: records not yet read by (topic, partition)."""
        waiting = dict.fromkeys(self.stages, 0)
        for slot, owned in self._owned.items():
            waiting[slot.stage] += len(owned.state.reviews)
        show_waiting(waiting, behind, self._newest)

    def _fold(
        self,
        slot: Slot,
        taken: Taken,
        offsets: Mapping[str, int],
        settled: Callable[[], None] = lambda: None,
    ) -> None:
        """Fold values of a slot and hand what comes of it to the slot's writer."""
        state, writer = self._owned[slot]
        now = self._clock.now_ms()
        self.folds += 1
        self.doing = "step", slot
        with metrics.STEP.labels(slot.stage).time():
            (result, outputs, encoded), bad = sift(partial(self._step, slot, now), taken.values)
        quarantined = taken.quarantined + [self._defeated(slot, taken, place, error) for place, error in bad]
        outputs += [
            Outgoing(QUARANTINE.name, one.quarantine_id.encode(), self._codec.encode(QUARANTINE.name, one), None)
            for one in quarantined
            if one is not None
        ]
        if result.restated:
            offsets = {**offsets, RESTATED: 1}
        position = self._committers.submit(_commit, writer, outputs, encoded, {**state.offsets, **offsets})
        self._committing[slot] = Folded(result, encoded, offsets, position, settled)

    def _step(
        self, slot: Slot, now: int, values: Sequence[Any]
    ) -> tuple[StepResult[Any], list[Outgoing], dict[str, bytes]]:
        """The pure step, and its outputs and states as bytes: all of it may fail over a value."""
        stage = self.stages[slot.stage]
        result = stage.step(self._owned[slot].state, values, now)
        outputs = [
            Outgoing(
                output.topic,
                output.key.encode(),
                self._codec.encode(output.topic, output.value),
                slot.partition if output.here else None,
            )
            for output in result.outputs
        ]
        return result, outputs, {key: stage.encode(value) for key, value in result.changes.items()}

    def _defeated(self, slot: Slot, taken: Taken, place: int, error: Exception) -> Quarantined | None:
        """A record that the step could not fold, put aside. None for a review: it waits for the next start, or until
        its state changes, and what is said of regions is looked through again then.
        """
        tell(slot.stage, error)
        if not taken.records:
            self._failed[slot].add(taken.values[place].home)
            metrics.UNREVIEWED.labels(slot.stage).inc()
            return None
        return self._intake.defeated(taken.records[place], taken.values[place], error)

    def _slot(self, topic: str, partition: int) -> Slot | None:
        stage = self._stage_of.get(topic)
        return None if stage is None else Slot(stage.name, partition)


def _commit(
    writer: Writer, outputs: list[Outgoing], states: dict[str, bytes], offsets: Mapping[str, int]
) -> int | None:
    """In a thread of its own, of which each writer has one at a time."""
    with metrics.COMMIT.labels(writer.slot.stage).time():
        return writer.commit(outputs, states, offsets)
