"""Everything that lies in Kafka after a case, read once from the start, and states built from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from confluent_kafka import TopicPartition

from hub.settings import Settings
from hub.streams.reading import ends_of, to_end
from hub.streams.state import OFFSETS, PartitionState
from hub.streams.topics import (
    ALERTS,
    CONFLICTS,
    CONTRIBUTIONS,
    FINDINGS,
    HOME_STATE,
    PERSON_STATE,
    QUARANTINE,
    SOURCE_TOPICS,
)

READ: Final = tuple(
    topic.name
    for topic in (*SOURCE_TOPICS, CONTRIBUTIONS, ALERTS, FINDINGS, CONFLICTS, QUARANTINE, PERSON_STATE, HOME_STATE)
)


class Record(NamedTuple):
    """One committed record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


Log = dict[str, list[Record]]
"""Topic → committed records, in order within a partition."""


def read(settings: Settings, topics: Iterable[str] = READ) -> Log:
    """Every committed record of the topics."""
    log: Log = {topic: [] for topic in topics}
    places = [TopicPartition(*place, 0) for place in sorted(ends_of(settings, log))]
    for message in to_end(settings, "readback", places):
        topic = str(message.topic())
        where = (int(message.partition() or 0), int(message.offset() or 0))
        log[topic].append(Record(topic, *where, message.key(), message.value()))
    return log


class Held(NamedTuple):
    """One partition as its changelog ends: newest value by key, next offset by input topic."""

    values: dict[str, bytes]
    offsets: bytes


def compacted(records: Iterable[Record]) -> dict[int, Held]:
    """What compaction would leave of a changelog, by partition."""
    values: dict[int, dict[str, bytes]] = defaultdict(dict)
    offsets: dict[int, bytes] = {}
    for record in records:
        if record.key == OFFSETS:
            offsets[record.partition] = record.value or b""
        elif record.value is None:
            values[record.partition].pop((record.key or b"").decode(), None)
        else:
            values[record.partition][(record.key or b"").decode()] = record.value
    return {partition: Held(values[partition], offsets.get(partition, b"")) for partition in values.keys() | offsets}


def hashed(values: Iterable[tuple[str, bytes]]) -> str:
    """One hash over keys and encoded states, whatever their order."""
    whole = blake2b(digest_size=16)
    for key, value in sorted(values):
        whole.update(f"{len(key)}|{key}|{len(value)}|".encode() + value)
    return whole.hexdigest()


def digest(state: PartitionState) -> Mapping[str, Any]:
    """What a worker holds of one slot: number of states, a hash over them, next offsets."""
    keys = list(state.keys())
    values = [(key, state.stage.encode(state.get(key))) for key in keys]
    return {"states": len(keys), "hash": hashed(values), "offsets": dict(state.offsets)}
