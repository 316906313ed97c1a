"""Faults planted into a worker's program, each a way of being wrong that the battery must catch.

They replace parts of a running worker (`plant`); nothing of them is in the program itself. While one of them passes
unnoticed, a run without breaches means nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar, Final

from confluent_kafka import KafkaException
from confluent_kafka import Producer as KafkaProducer
from faust.types import TP

from hub.discovery import person
from hub.discovery.folding import Folding
from hub.domain.messages import Event
from hub.settings import Settings
from hub.streams import engine, transport
from hub.streams.commit import Outgoing, Passing, Writer, unhindered
from hub.streams.producers import COMMON
from hub.streams.state import Slot

LINGER_MS: Final = 3_000
"""How long the mutant that does not wait keeps its outputs to itself."""


class AcknowledgesEarly(Writer):
    """Moves the position before what the records led to is written."""

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> int | None:
        """In two transactions."""
        super().commit([], {}, offsets)
        return super().commit(outputs, states, offsets)


class OutputsFirst(Writer):
    """Publishes what a batch says before it keeps what it knows."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._kept: Mapping[str, int] = {}

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> int | None:
        """In two transactions."""
        super().commit(outputs, {}, self._kept)
        self._kept = dict(offsets)
        return super().commit([], states, offsets)


class StateFirst(Writer):
    """Keeps what it knows before it publishes what it says, and leaves no mark that something is still to be said."""

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> int | None:
        """In two transactions."""
        super().commit([], states, offsets)
        return super().commit(outputs, {}, offsets)


class _Loose(Writer):
    """Publishes outputs by a producer of its own, outside the transaction."""

    settings: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, settings: Settings, slot: Slot, changelog: str, passing: Passing = unhindered) -> None:
        super().__init__(settings, slot, changelog, passing)
        self._loose = KafkaProducer({**COMMON, "bootstrap.servers": settings.brokers, "log_level": 1, **self.settings})

    def _publish(self, outputs: list[Outgoing]) -> None:
        for topic, key, value, partition in outputs:
            where: dict[str, Any] = {} if partition is None else {"partition": partition}
            self._loose.produce(topic, value, key, **where)
        self._loose.poll(0)


class CommitsBeforeFlush(_Loose):
    """Commits while its outputs still lie in the producer's buffer."""

    settings: ClassVar[Mapping[str, Any]] = {"linger.ms": LINGER_MS}

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> int | None:
        """Without waiting for what it published."""
        self._publish(outputs)
        return super().commit([], states, offsets)


class SwallowsSendErrors(_Loose):
    """Waits for its outputs, and goes on whatever became of them."""

    settings: ClassVar[Mapping[str, Any]] = {"linger.ms": 0, "delivery.timeout.ms": 2_000}

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> int | None:
        """A delivery that failed is nobody's business."""
        with contextlib.suppress(KafkaException):
            self._publish(outputs)
            self._loose.flush(5)
        return super().commit([], states, offsets)


class Forgetful(Folding):
    """Folds whatever comes, however old and however often."""

    def apply(self, event: Event) -> str:
        """As if nothing were known of the record."""
        key = (event.topic, event.header.source, event.header.record_id)
        self._facts.pop(key, None)
        self._floors.pop(key, None)
        return super().apply(event)


class IgnoresGaps(transport.BatchConsumer):
    """Tells the group what was fetched, done or not, and reads on from there: what was dropped in between is a gap."""

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ASYNC109 - Faust's signature
        """Acknowledge all that was fetched, then hand it out."""
        handed = [one async for one in super().getmany(timeout)]
        read = {}
        for _, message in handed:
            for record in message.value.records:
                read[TP(record.topic, record.partition)] = record.offset + 1
        if read:
            await self._commit(read)
        for one in handed:
            yield one

    async def perform_seek(self) -> None:
        """Read on wherever the group says."""
        self._adrift = False
        self._read_offset.clear()

    async def force_commit(self, *_topics: Any, **_options: Any) -> bool:
        """The fetch has told the group already."""
        return False


def _writer(kind: type[Writer]) -> Callable[[], None]:
    return lambda: setattr(engine, "Writer", kind)


def _crc32() -> None:
    COMMON["partitioner"] = "consistent_random"  # librdkafka's own default


MUTANTS: Final[dict[str, Callable[[], None]]] = {
    "acknowledge-early": _writer(AcknowledgesEarly),
    "commit-before-flush": _writer(CommitsBeforeFlush),
    "outputs-before-state": _writer(OutputsFirst),
    "state-before-outputs": _writer(StateFirst),
    "dedupe-dropped": lambda: setattr(person, "Folding", Forgetful),
    "crc32-partitioner": _crc32,
    "swallowed-send-error": _writer(SwallowsSendErrors),
    "gap-ignored": lambda: setattr(transport.Transport, "Consumer", IgnoresGaps),
}
"""Name → how it is planted. Call it before the worker is prepared."""
