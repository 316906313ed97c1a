"""Reading topics outside a group: what is committed, to the end of each partition as it is when it is reached.

The client wants a group's name; the group is not joined and nothing is committed to it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from hub.errors import BrokerUnavailable, LogDamaged
from hub.settings import Settings

CHUNK: Final = 5_000
"""Records taken at once."""

SILENCE_S: Final = 60.0
"""A read that hears nothing for this long has failed: longer than any leader election."""

CHECKED: Final = {"check.crcs": True}
"""Of every client that reads: librdkafka does not compare checksums unless told to."""

_DAMAGED: Final = frozenset({KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError.INVALID_MSG})
"""Errors after which librdkafka goes on behind the batch it could not read."""

ELECTION_S: Final = 10.0
"""How long a partition's leader may not be known, after a broker was started."""


def reader(settings: Settings, name: str, **more: Any) -> Consumer:
    """A client that reads what is committed and says where a partition ends; close it.

    `more` are settings of librdkafka with dots written as underscores.
    """
    return Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": name,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # The end of a partition is reported where the reader stands, control records passed; the offset of the
            # last record delivered would stay short of it behind a commit marker.
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "log_level": 3,
            **CHECKED,
            **{key.replace("_", "."): value for key, value in more.items()},
        }
    )


def to_end(
    settings: Settings, name: str, places: Iterable[TopicPartition], silence_s: float = SILENCE_S
) -> Iterator[Message]:
    """Every committed record from each place on, until each partition has ended once.

    BrokerUnavailable, LogDamaged.

    A partition that is being written to has no end that stays; what lies behind its first one is not given.
    """
    consumer = reader(settings, name)
    try:
        places = list(places)
        left = {(place.topic, place.partition) for place in places}
        consumer.assign(places)
        heard = time.monotonic()
        while left:
            messages = consumer.consume(CHUNK, timeout=0.1)  # waits that long when fewer are there
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > silence_s:
                raise silent(settings)
            for message in messages:
                place = (message.topic(), message.partition())
                if message.error() is None:
                    if place in left:
                        yield message
                elif ended(settings, message):
                    left.discard(place)
    except KafkaException as error:
        raise silent(settings, error) from error
    finally:
        consumer.close()


def ends_of(settings: Settings, names: Iterable[str]) -> dict[tuple[str, int], int]:
    """End of each partition of topics that are there, by (topic, partition). BrokerUnavailable."""
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 3})
    names, deadline = list(names), time.monotonic() + ELECTION_S
    while True:
        try:
            known = admin.list_topics(timeout=SILENCE_S).topics
            wanted = {
                TopicPartition(name, at): OffsetSpec.latest()
                for name in names
                if name in known
                for at in known[name].partitions
            }
            asked = admin.list_offsets(wanted, request_timeout=SILENCE_S) if wanted else {}
            return {(at.topic, at.partition): int(end.result().offset) for at, end in asked.items()}
        except KafkaException as error:
            cause = error.args[0]
            if not isinstance(cause, KafkaError) or not cause.retriable() or time.monotonic() > deadline:
                raise silent(settings, error) from error
        time.sleep(0.2)


def ended(settings: Settings, message: Message) -> bool:
    """Whether what came instead of a record says that its partition ends here; False for what the client gets over.

    LogDamaged; BrokerUnavailable for what it does not.
    """
    failure = message.error()
    if failure.code() == KafkaError._PARTITION_EOF:
        return True
    check_whole(message)
    if failure.fatal() or not failure.retriable():
        raise silent(settings)
    return False


def check_whole(message: Message) -> None:
    """LogDamaged where what came instead of a record stands for a batch that cannot be read."""
    if message.error().code() in _DAMAGED:
        raise damaged(message)


def damaged(where: Message | Exception) -> LogDamaged:
    """A batch that is not what was sent, by the client's word for where it lies."""
    place = str(where) if isinstance(where, Exception) else f"{where.topic()}, partition {where.partition()}"
    return LogDamaged(
        f"a batch of records is damaged in Kafka's log ({place}) and nothing of it was taken — where a replica has it "
        "whole, make that one the leader; else find it by `kafka-dump-log --deep-iteration` and have it sent again"
    )


def silent(settings: Settings, error: KafkaException | None = None) -> BrokerUnavailable:
    """Kafka does not answer, or not as it should."""
    said = f" ({error.args[0].name()})" if error is not None and isinstance(error.args[0], KafkaError) else ""
    return BrokerUnavailable(
        f"Kafka at {settings.brokers} does not answer{said} — see that it runs and that HUB_BROKERS names it, then try "
        "again"
    )
