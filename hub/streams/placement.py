"""Whether keys lie in the partitions where the hub looks for them, asked at every start, failing closed.

Joins rest on one partitioner everywhere. librdkafka's own default is CRC32, and a producer left at it would put a
person's records of one topic into another partition than those of the next, and nothing would ever join them. The
worker quarantines a record it finds misplaced and ends where most of a batch are (hub.streams.intake); this look
before the first batch keeps it from starting at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from confluent_kafka import Message, TopicPartition

from hub.domain.homes import COVERAGE_HOME
from hub.errors import TopologyMismatch
from hub.settings import Settings
from hub.streams.partitioner import partition_of
from hub.streams.reading import to_end
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
"""How long Kafka may be silent: longer than one leader election."""

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


def _newest(settings: Settings, names: list[str]) -> Iterator[Message]:
    """The committed records among the last SAMPLE offsets of every partition."""
    places = [TopicPartition(name, at, _TAIL - SAMPLE) for name in names for at in range(settings.partitions)]
    return to_end(settings, "hub-placement", places, TIMEOUT_S)
