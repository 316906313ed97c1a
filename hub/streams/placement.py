"""Whether keys lie in the partitions where the hub looks for them, asked at every start, failing closed.

Joins rest on one partitioner everywhere. librdkafka's own default is CRC32, and a producer left at it would put a
person's records of one topic into another partition than those of the next, and nothing would ever join them. The
worker quarantines a record it finds misplaced and ends where most of a batch are (hub.streams.intake); this look
before the first batch keeps it from starting at all.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from hub.domain.homes import COVERAGE_HOME
from hub.errors import BrokerUnavailable, TopologyMismatch
from hub.settings import Settings
from hub.streams.intake import partition_of
from hub.streams.topics import Topic

GOLDEN_PARTITIONS: Final = 13
"""No power of two, so that a wrong bit anywhere in the hash shows."""

GOLDEN: Final = {"a" * 32: 0, "0123456789abcdef0123456789abcdef": 10, "household:5f1c": 6, "coverage:all": 8, "民政": 1}
"""Keys and their partition of GOLDEN_PARTITIONS, written down: all clients changing alike would part old from new."""

SAMPLE: Final = 20
"""Newest offsets looked at in each partition. Of eight partitions, CRC32 misplaces seven keys in eight."""

FEW: Final = 3
"""So many misplaced records may be single mistakes, which the worker puts aside one by one."""

TIMEOUT_S: Final = 30.0
"""How long the look may take: longer than one leader election."""

SPREAD_TOPIC: Final = "source.coverage.v1"
"""Statements on a whole region go to every partition, whatever their key."""

_TAIL: Final = -2000
"""librdkafka's RD_KAFKA_OFFSET_TAIL_BASE: this less n is the offset n before the end, or the first there is."""


def check_partitioner() -> None:
    """TopologyMismatch unless this installation's hash puts the golden keys where they always lay."""
    wrong = {key for key, where in GOLDEN.items() if partition_of(key.encode(), GOLDEN_PARTITIONS) != where}
    if wrong:
        raise TopologyMismatch(
            f"this installation's murmur2 places {len(wrong)} of {len(GOLDEN)} known keys elsewhere than before, so "
            "old and new records would not join — install aiokafka as requirements.lock pins it"
        )


def check_placement(settings: Settings, topics: Iterable[Topic]) -> None:
    """TopologyMismatch, naming each topic whose newest records mostly lie in wrong partitions; BrokerUnavailable."""
    check_partitioner()
    names = sorted(topic.name for topic in topics if topic.joined and topic.name != SPREAD_TOPIC)
    seen: Counter[str] = Counter()
    misplaced: Counter[str] = Counter()
    for message in _newest(settings, names):
        key = message.key()
        if key is None or key == COVERAGE_HOME.encode():
            continue
        seen[message.topic()] += 1
        misplaced[message.topic()] += partition_of(key, settings.partitions) != message.partition()
    wrong = [
        f"{misplaced[name]} of the {seen[name]} newest records of {name}"
        for name in names
        if misplaced[name] > FEW and 2 * misplaced[name] > seen[name]
    ]
    if wrong:
        raise TopologyMismatch(
            f"{'; '.join(wrong)} lie in partitions where nobody looks for their keys — a producer does not partition "
            "by murmur2: set partitioner=murmur2_random there and send its records again"
        )


def _newest(settings: Settings, names: list[str]) -> Iterable[Message]:
    """The committed records among the last SAMPLE offsets of every partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "hub-placement",  # required by the client; the group is not joined, nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "log_level": 3,
        }
    )
    places = {(name, partition) for name in names for partition in range(settings.partitions)}
    deadline = time.monotonic() + TIMEOUT_S
    try:
        consumer.assign([TopicPartition(*place, _TAIL - SAMPLE) for place in places])
        while places:
            if time.monotonic() > deadline:
                raise _away(settings)
            for message in consumer.consume(1_000, timeout=0.2):
                failure = message.error()
                if failure is None:
                    yield message
                elif failure.code() == KafkaError._PARTITION_EOF:
                    place = (message.topic(), message.partition())
                    # A topic that is being written to has no end that stays, and may be said to have ended twice in
                    # one go; what came by its first end is enough.
                    if place in places:
                        places.discard(place)
                        consumer.incremental_unassign([TopicPartition(*place)])
                elif failure.fatal() or not failure.retriable():
                    raise _away(settings)
    except KafkaException as error:
        raise _away(settings) from error
    finally:
        consumer.close()


def _away(settings: Settings) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"Kafka at {settings.brokers} did not say where the newest records lie — see its log, then start again"
    )
