"""Records as they come off a topic: decoded, checked against their key, or put aside whole and sealed.

A data fault is the record's own and goes to quarantine in the same transaction as what the batch led to; an absent
registry is not, and ends the process before anything is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

from hub.discovery.person import owner
from hub.domain.codes import QUARANTINE_REASONS
from hub.domain.homes import COVERAGE_HOME
from hub.domain.messages import Contribution, Disposition, Event, Message, Quarantined
from hub.errors import DataFault, TopologyMismatch
from hub.streams import metrics
from hub.streams.partitioner import partition_of
from hub.streams.topics import LARGE_BYTES, TOPICS
from hub.vault.sealed import Sealer

MISPLACED_BEARABLE: Final = 20
"""Records of one batch that may lie in a wrong partition before it is a producer's fault and not the records'."""

_LIMIT: Final = {topic.name: topic.max_bytes for topic in TOPICS}


class Raw(Protocol):
    """A record as aiokafka delivers it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Taken(NamedTuple):
    """What a batch of records came to: values, the record of each, and what was put aside. Reviews have no records."""

    values: Sequence[Any]
    records: Sequence[Raw]
    quarantined: list[Quarantined]


class Values(Protocol):
    """Bytes to values and back: `hub.streams.codec.Codec`, or what a benchmark reads."""

    def encode(self, topic: str, value: Any, /) -> bytes:
        """Bytes for a topic."""

    def decode(self, topic: str, data: bytes, /) -> Any:
        """The value that bytes of a topic hold. DataFault."""


class Known(Protocol):
    """Whether a key has a state in the partition: such a key is known to lie where it belongs."""

    def __contains__(self, key: str, /) -> bool: ...


class Intake:
    """Reads the records of one deployment. `keys` says under which key a value must have come."""

    def __init__(self, codec: Values, sealer: Sealer, partitions: int, keys: Keys) -> None:
        self._codec = codec
        self._sealer = sealer
        self._partitions = partitions
        self._keys = keys

    def take(self, records: list[Raw], known: Known) -> Taken:
        """Decode a batch of one partition. RegistryUnavailable; TopologyMismatch when a producer misplaces keys."""
        values: list[Any] = []
        good: list[Raw] = []
        aside: list[Quarantined] = []
        misplaced = 0
        for record in records:
            try:
                value, key = self._read(record)
                if key not in known and self._misplaced(record, value):
                    misplaced += 1
                    raise _fault(record, value, "key", "key_mismatch", f"partition {record.partition}")
            except DataFault as fault:
                metrics.QUARANTINED.labels(record.topic, fault.reason).inc()
                aside.append(self._put_aside(record, fault))
            else:
                values.append(value)
                good.append(record)
        if misplaced > MISPLACED_BEARABLE and 2 * misplaced > len(records):
            raise TopologyMismatch(
                f"{misplaced} of {len(records)} records of partition {records[0].partition} "
                f"({records[0].topic} and others) have keys that belong to other partitions — a producer does not "
                "partition by murmur2: set partitioner=murmur2_random there and send its records again"
            )
        return Taken(values, good, aside)

    def defeated(self, record: Raw, value: Any, error: Exception) -> Quarantined:
        """A record that decoded and could not be folded, put aside whole."""
        fault = error
        if not isinstance(fault, DataFault):
            remedy = "report it with the worker's log; when the program is mended, replay it"
            fault = _fault(record, value, "value", "fold_failed", type(error).__name__, remedy)
        metrics.QUARANTINED.labels(record.topic, fault.reason).inc()
        return self._put_aside(record, fault)

    def _read(self, record: Raw) -> tuple[Any, str]:
        """The value and its key, which is the one it must have come under."""
        size = len(record.value or b"")
        limit = _LIMIT.get(record.topic, LARGE_BYTES)
        if size > limit:
            raise _unread(record, "value", "oversize", f"{size} bytes, at most {limit}")
        if record.key is None:
            raise _unread(record, "key", "null_key", "no key")
        value = self._codec.decode(record.topic, record.value or b"")
        wanted = self._keys.owner(value)
        if wanted is None:
            raise _fault(record, value, "person", "missing_field", "no person")
        if wanted.encode() != record.key:
            raise _fault(record, value, "key", "key_mismatch", f"{len(record.key)} bytes")
        if isinstance(value, Event):
            owner(value)  # what the person step refuses must not reach it: it would end every worker in turn
        return value, wanted

    def _misplaced(self, record: Raw, value: Any) -> bool:
        if self._keys.spreads(value) or record.key is None:
            return False
        return partition_of(record.key, self._partitions) != record.partition

    def _put_aside(self, record: Raw, fault: DataFault) -> Quarantined:
        original = record.value or b""
        locator = f"{record.topic}-{record.partition}-{record.offset}"
        return Quarantined(
            quarantine_id=blake2b(f"{record.topic}\x00{locator}\x00".encode() + original, digest_size=16).hexdigest(),
            stage="worker",
            source=fault.source,
            topic=record.topic,
            locator=locator,
            record_id=None if fault.record == "unreadable" else fault.record,
            field=fault.field,
            reason=fault.reason,
            value_class=fault.value_class,
            message=f"{QUARANTINE_REASONS[fault.reason]}: {fault.remedy}",
            original=self._sealer.seal(original),
            received_at=record.timestamp,
        )


def owner_key(value: Event | Message) -> str | None:
    """The message key a value must have come under, None when it names nobody."""
    if isinstance(value, Event):
        return value.header.source if spreads(value) else value.header.person
    if isinstance(value, Contribution | Disposition):
        return value.home
    raise TypeError(f"no stage reads {type(value).__name__}")


def spreads(value: Event | Message) -> bool:
    """Whether a value is meant for every partition: a statement on a whole region, and what stage 1 makes of it."""
    if isinstance(value, Event):
        return value.topic == "source.coverage" and value.header.person is None
    return isinstance(value, Contribution) and value.home == COVERAGE_HOME


class Keys(NamedTuple):
    """What a value says of its key: the key it must have come under, and whether it is meant for every partition."""

    owner: Callable[[Any], str | None]
    spreads: Callable[[Any], bool]


HUB_KEYS: Final = Keys(owner_key, spreads)


def _unread(record: Raw, field: str, reason: str, value_class: str) -> DataFault:
    return DataFault(
        record.topic, "unreadable", field, reason, value_class, "find out who produced it and send it again"
    )


def _fault(
    record: Raw, value: Any, field: str, reason: str, value_class: str,
    remedy: str = "send it again under the key of its person",
) -> DataFault:  # fmt: skip
    if isinstance(value, Event):
        source, record_id = value.header.source, value.header.record_id
    else:
        source, record_id = record.topic, "unreadable"
    return DataFault(source, record_id, field, reason, value_class, remedy)
