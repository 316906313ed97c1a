"""Faust's aiokafka transport, carrying one message a slot and fetch: a batch of raw records.

Faust keeps the group, the assignment and the agents; per-record work of the framework (a message, an event, a queue
hop and an ack each) is what made it slow, so here a message is a whole batch. Offsets are not Faust's to keep: they
stand in the changelog, put there by the commit (hub.streams.commit), and what is committed to the group afterwards
serves lag tools only. Private methods of faust-streaming 0.15.3 are overridden, hence the exact pin.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Final

import aiokafka
from aiokafka.errors import CorruptRecordException, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from hub.ops.logs import logger
from hub.streams import rounds
from hub.streams.engine import Batch, Engine
from hub.streams.intake import Raw
from hub.streams.reading import damaged
from hub.streams.rounds import Pace, Turns
from hub.streams.state import Slot

SCHEME: Final = "hub"
"""Of a broker's address, by which Faust finds this driver: the entry point `faust.transports` of pyproject.toml."""

FETCH_WAIT_MS: Final = 25
"""How long Kafka may hold an answer back where nothing is new. aiokafka has one request under way for each broker, and
a partition whose records were taken waits for its answer: this is part of the latency of every stage."""

BATCH_BYTES = 4 * 1024 * 1024
"""Most bytes of one batch of a slot, but for a single record that is larger: what it leads to is one transaction."""

_log = logger("streams")
FAUST_LOG: Final = logging.getLogger("faust.hub")
"""Faust names a service's logger after its module; under this name its chatter is quietened with Faust's own."""


class BatchSchema(Schema):  # type: ignore[misc]  # Faust ships no types
    """Hands the batch through as it is; decoding is the engine's, where a fault can go to quarantine."""

    def compile(self, app: Any, **_options: Any) -> Any:
        """The function Faust calls for each message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


class BatchThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust ships no types
    """The thread that talks to Kafka."""

    logger = FAUST_LOG
    answered: int | None = None
    """When Kafka last answered a fetch of an assigned partition, in the client's own milliseconds; for the watchdog."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Faust's own, but reading only what is committed, and always with its assignor.

        Without tables Faust would choose round robin, which tears topics of equal partition counts apart.
        """
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=rounds.FETCH_RECORDS,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
        )

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Tell the group where this worker stands. For lag tools only, so a refusal is no fault."""
        consumer = self._ensure_consumer()
        mine = self.assignment()
        try:
            await consumer.commit(
                {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items() if tp in mine}
            )
        except (KafkaError, IllegalStateError) as error:
            _log.info("group offsets not told; state keeps its own", cause=type(error).__name__)
            return False
        return True

    async def _fetch_records(self, consumer: Any, active_partitions: Any, **options: Any) -> Any:
        """What the next round is to take, where more than one slot has records; else whatever comes next.

        aiokafka would empty its buffers one after another, each some thousand records long, whoever waits behind.
        """
        fetcher, assignment = consumer._fetcher, consumer._subscription.subscription.assignment
        by_slot: dict[Slot, dict[Any, int]] = defaultdict(dict)
        for tp in fetcher._records:
            state = assignment.state_value(tp) if assignment is not None and tp in active_partitions else None
            if state is not None and state.has_valid_position and state.lso is not None:
                by_slot[self.consumer.engine.slot_of(tp.topic, tp.partition)][tp] = max(1, state.lso - state.position)
        drained: dict[Any, Any] = {}
        if len(by_slot) > 1 or any(len(waiting) > 1 for waiting in by_slot.values()):
            for tp, number in self.consumer.turns.plan(by_slot, self.consumer.pace.limit, time.monotonic()):
                drained |= await super()._fetch_records(consumer, {tp}, 0, number)
        if drained:
            return drained
        return await super()._fetch_records(
            consumer, active_partitions, options.get("timeout"), self.consumer.pace.limit
        )

    async def behind(self) -> dict[tuple[str, int], int]:
        """Records not yet read, by (topic, partition); commit markers are no records once they are passed."""
        waiting: dict[tuple[str, int], int] = await self.call_thread(self._behind)
        return waiting

    async def _behind(self) -> dict[tuple[str, int], int]:
        found: dict[tuple[str, int], int] = {}
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return found
        for tp in subscription.assignment.tps:
            state = subscription.assignment.state_value(tp)
            if state is not None and state.has_valid_position and state.lso is not None:
                found[tp.topic, tp.partition] = max(0, state.lso - state.position)
                self.answered = max(self.answered or 0, state.timestamp or 0)
        return found


class BatchConsumer(driver.Consumer):  # type: ignore[misc]  # Faust ships no types
    """Fetches, hands out batches, and waits until all of them are committed before it fetches again.

    In lockstep no batch can be lost between two assignments without notice, memory is bounded by one round, and no
    slot starves another. Whatever was fetched and then dropped is read again: `_adrift` makes the next fetch seek.
    """

    logger = FAUST_LOG
    engine: Engine

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._handed_out: set[tuple[int, Slot]] = set()
        self._all_done = asyncio.Event()
        self._adrift = False
        self._left: dict[Slot, list[Raw]] = {}  # fetched, and more than one batch of its slot may hold
        self._told: dict[TP, int] = {}
        self.pace = Pace()
        self.turns = Turns()
        super().__init__(*args, **kwargs)
        self.engine = self.app.engine

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    def folded(self, batch: Batch) -> bool:
        """A batch was folded, or dropped as its assignment ended. True for the last of a round, which is then settled.

        The caller settles it at once: nothing else runs on the loop between this and the next fetch.
        """
        self._handed_out.discard((batch.epoch, batch.slot))
        if self._handed_out:
            return False
        self._all_done.set()
        return True

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's signature
        """One message for each slot that has records."""
        if self._handed_out:
            self._all_done.clear()
            await self.wait(self._all_done, timeout=timeout)
            if self._handed_out:
                return
        self.pace.end()
        if self._adrift and self.flow_active and self.engine.ready:
            await self.perform_seek()
        epoch = self.engine.epoch
        by_slot = self._left or await self._fetched(timeout)
        self._left = {}
        if not by_slot or self.should_stop:
            return
        if epoch != self.engine.epoch or not self.flow_active or not self.engine.ready:
            self._adrift = True
            return
        for slot, records in by_slot.items():
            size = first_batch(records)
            if size < len(records):
                self._left[slot] = records[size:]
                del records[size:]
        self._handed_out.update((epoch, slot) for slot in by_slot)
        for slot, records in by_slot.items():
            yield TP(records[-1].topic, slot.partition), self._message(Batch(slot, epoch, records))

    async def _fetched(self, timeout: float) -> dict[Slot, list[Raw]]:  # noqa: ASYNC109 - Faust's signature
        try:
            fetched, _active = await self._wait_next_records(timeout)
        except CorruptRecordException as error:
            raise damaged(error) from error
        by_slot: dict[Slot, list[Raw]] = defaultdict(list)
        for tp, records in (fetched or {}).items():
            by_slot[self.engine.slot_of(tp.topic, tp.partition)].extend(records)
        return by_slot

    def _message(self, batch: Batch) -> Any:
        last: Any = batch.records[-1]
        tp = TP(last.topic, last.partition)
        return ConsumerMessage(
            last.topic, last.partition, last.offset, last.timestamp / 1000, last.timestamp_type, (), None, batch,
            None, 0, 0, tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def perform_seek(self) -> None:
        """Read on where the states stand. Called by Faust before the flow resumes after a rebalance."""
        self._adrift = False
        mine = self.assignment()
        wanted = {TP(*place): offset for place, offset in self.engine.positions().items() if TP(*place) in mine}
        self._read_offset.clear()
        if wanted:
            await self._thread.seek_wait(wanted)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """An assignment ends: nothing read under it counts any more."""
        self.app.on_assignment_ends()
        self._handed_out.clear()
        self._left.clear()
        self._all_done.set()
        self._adrift = True
        self._told.clear()
        await super().on_partitions_revoked(revoked)

    async def force_commit(self, topics: Iterable[Any] | None = None, start_new_transaction: bool = True) -> bool:
        """Tell the group what the changelogs hold. Best effort."""
        if not self.engine.ready:
            return False
        moved = {
            TP(*place): offset
            for place, offset in self.engine.positions().items()
            if offset and self._told.get(TP(*place)) != offset
        }
        if not moved or not await self._commit(moved):
            return False
        self._told.update(moved)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """No gap: a message is a batch, and its offset that of the last record. Faust would keep each for good."""

    async def behind(self) -> dict[tuple[str, int], int]:
        """Records not yet read, by (topic, partition)."""
        found: dict[tuple[str, int], int] = await self._thread.behind()
        return found

    @property
    def handed_out(self) -> int:
        """Batches that agents were given and have not done."""
        return len(self._handed_out)

    @property
    def answered(self) -> int | None:
        """When Kafka last answered a fetch, as `behind` saw it; a value to compare with itself only."""
        found: int | None = self._thread.answered
        return found

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust looks for acks here; the worker's own lag gauges say more."""


def first_batch(records: Sequence[Any]) -> int:
    """How many records make the first batch: up to BATCH_BYTES, and one at least."""
    size = 0
    for number, record in enumerate(records):
        size += len(record.value or b"")
        if size > BATCH_BYTES and number:
            return number
    return len(records)


class Transport(driver.Transport):  # type: ignore[misc]  # Faust ships no types
    """The driver with batches."""

    Consumer = BatchConsumer
