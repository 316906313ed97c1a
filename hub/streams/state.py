"""The state of one partition of one stage, in memory, as the changelog holds it; and its restore from there.

Values stay encoded: a partition holds many more states than a batch touches. The changelog's record under `OFFSETS`
says up to where the inputs are folded in; it was written in the same transaction as the states beside it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from hub.discovery.timers import ReviewIndex
from hub.errors import BrokerUnavailable, StateUnreadable
from hub.settings import Settings
from hub.streams import metrics
from hub.streams.stage import Stage

OFFSETS: Final = b"\x00offsets"
"""Key of the record of source offsets; no person or home begins with a zero byte."""

CHUNK: Final = 5_000
"""Changelog records taken at once during a restore."""

SILENCE_S: Final = 60.0
"""A restore that hears nothing for this long ends the process: longer than any leader election."""

_offsets: Final = msgspec.msgpack.Decoder(dict[str, int])


def encode_offsets(offsets: Mapping[str, int]) -> bytes:
    """Bytes of {topic: next offset}."""
    return msgspec.msgpack.encode(offsets)


class Slot(NamedTuple):
    """One partition of one stage: what one owner works on at a time."""

    stage: str
    partition: int


class PartitionState:
    """State values by key, next offsets by topic, the days on which states ask to be reviewed, standing numbers.

    `stale` are keys whose state was made under another law and that were not handed a review since. Reading is by the
    shape that steps see (`hub.discovery.shapes.States`).
    """

    def __init__(self, stage: Stage, partition: int) -> None:
        self.stage = stage
        self.partition = partition
        self.offsets: dict[str, int] = {}
        self.standing: Counter[str] = Counter()
        self.reviews = ReviewIndex()
        self.stale: deque[str] = deque()
        self._values: dict[str, bytes] = {}

    def get(self, key: str, /) -> Any:
        """The decoded state under a key, None where there is none."""
        data = self._values.get(key)
        return None if data is None else self.stage.decode(data)

    def keys(self) -> Iterable[str]:
        """Every key that has a state."""
        return self._values.keys()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record over, as it comes; `settle` follows after the last one."""
        if key == OFFSETS:
            if value is not None:
                self.offsets = _decode_offsets(value)
        elif value is None:
            self._values.pop(key.decode(), None)
        else:
            self._values[key.decode()] = value

    def settle(self) -> None:
        """After a restore: build what is derived from the states."""
        self.standing.clear()
        reviewed = []
        for key, data in self._values.items():
            state = self.stage.decode(data)
            self.standing.update(self.stage.standing(state))
            if self.stage.stale(state):
                self.stale.append(key)
            if self.stage.reviews and state.next_review is not None:
                reviewed.append((key, state))
        self.reviews = ReviewIndex(reviewed)

    def apply(
        self,
        changes: Mapping[str, Any],
        encoded: Mapping[str, bytes],
        offsets: Mapping[str, int],
        counts: Mapping[str, int],
    ) -> None:
        """Take over what was committed: `changes`, the same `encoded`, next offsets, changes of standing numbers."""
        self._values.update(encoded)
        self.offsets.update(offsets)
        if self.stage.reviews:
            self.reviews.update(changes)
        for name, change in counts.items():
            if not name.startswith("record:"):
                self.standing[name] += change


def restore(settings: Settings, states: Iterable[PartitionState], cancelled: threading.Event) -> bool:
    """Read the changelog of each partition to its end; False when `cancelled` first.

    Call it after the partitions' writers were opened: opening ends the transaction a former owner left open, so that
    the end of the log is the end of what was committed, and nobody else can write behind it.
    BrokerUnavailable when Kafka falls silent; StateFromTheFuture or StateUnreadable by what is found.
    """
    by_place = {(state.stage.state_topic.name, state.partition): state for state in states}
    if not by_place:
        return True
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "hub-restore",  # required by the client; the group is not joined and nothing is committed
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # The end of a partition is reported where the reader stands, control records passed; the offset of the
            # last record delivered would stay short of it behind a commit marker.
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "log_level": 3,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in by_place])
        if not _read_to_end(consumer, by_place, cancelled):
            return False
    except KafkaException as error:
        raise _silent() from error
    finally:
        consumer.close()
    for state in by_place.values():
        state.settle()
    return True


def _read_to_end(
    consumer: Consumer, by_place: dict[tuple[str, int], PartitionState], cancelled: threading.Event
) -> bool:
    missing = set(by_place)
    heard = time.monotonic()
    while missing:
        if cancelled.is_set():
            return False
        messages = consumer.consume(CHUNK, timeout=0.1)  # waits that long when fewer are there
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > SILENCE_S:
            raise _silent()
        for message in messages:
            place = (message.topic(), message.partition())
            failure = message.error()
            if failure is None:
                by_place[place].load(message.key(), message.value())
                metrics.RESTORED.labels(by_place[place].stage.name).inc()
            elif failure.code() == KafkaError._PARTITION_EOF:
                missing.discard(place)
                metrics.RESTORING.labels(by_place[place].stage.name).dec()
            elif failure.fatal() or not failure.retriable():
                raise _silent()
    return True


def _silent() -> BrokerUnavailable:
    return BrokerUnavailable("Kafka stopped answering while state was restored — see its log, then start again")


def _decode_offsets(data: bytes) -> dict[str, int]:
    try:
        return _offsets.decode(data)
    except msgspec.MsgspecError as error:
        raise StateUnreadable("the record of source offsets is damaged — rebuild this partition's state") from error
