"""Reading a topic into the SQL store: the offset lives beside the rows it led to, in the same transaction.

So a process that is killed anywhere reads on exactly where its rows end: nothing is skipped, nothing is doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hub.errors import BrokerUnavailable, TopologyMismatch
from hub.settings import Settings
from hub.store.db import session, upsert
from hub.store.models import ConsumerOffset
from hub.streams.reading import CHECKED, check_whole

METADATA_TIMEOUT_S: Final = 15.0
"""How long to wait for the broker to describe its topics: longer than one leader election."""


class StoreConsumer:
    """Reads every partition of some topics, from where the store says it stopped.

    Call `poll`, write rows in a session, and call `record_offsets` on the same session before it commits. An error
    in between must end the process (or drop this object): the next one starts from the store again.
    Only one process may run under a name; no group is joined.
    """

    def __init__(self, settings: Settings, name: str, topics: Sequence[str], engine: Engine) -> None:
        self._name = name
        self._engine = engine
        self._next: dict[tuple[str, int], int] = {}
        self._recorded: dict[tuple[str, int], int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.brokers,
                "group.id": f"hub-{name}",  # required by the client; offsets are kept in SQL, the group is not joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                # The end of a partition says how far was read where the last record is a transaction's marker.
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                **CHECKED,
            }
        )
        with session(engine, writes=False) as db:
            rows = db.scalars(select(ConsumerOffset).where(ConsumerOffset.consumer == name)).all()
        stored = {(row.topic, row.partition): row.next_offset for row in rows}
        assignment = []
        for topic in topics:
            for partition in self._partitions(topic):
                start = stored.get((topic, partition), 0)
                self._next[topic, partition] = start
                assignment.append(TopicPartition(topic, partition, start))
        self._recorded = {} if not stored else dict(self._next)
        self._consumer.assign(assignment)

    def _partitions(self, topic: str) -> list[int]:
        try:
            described = self._consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
        except KafkaException as error:
            raise BrokerUnavailable(
                "Kafka does not answer — see that it runs and that HUB_BROKERS names it, then try again"
            ) from error
        if described.error is not None or not described.partitions:
            raise TopologyMismatch(f"topic {topic} does not exist — run `hub topics create`")
        return sorted(described.partitions)

    def poll(self, limit: int, timeout_s: float) -> list[Message]:
        """Up to `limit` messages, waiting at most `timeout_s` for the first ones; in order within a partition."""
        try:
            polled = self._consumer.consume(limit, timeout=timeout_s)
        except KafkaException as error:
            raise BrokerUnavailable("Kafka does not answer — see that it runs, then try again") from error
        messages = []
        for message in polled:
            failure = message.error()
            if failure is not None:
                if failure.code() == KafkaError._PARTITION_EOF:
                    here = (message.topic(), message.partition())
                    self._next[here] = max(self._next[here], message.offset())
                    continue
                check_whole(message)
                if failure.retriable() or not failure.fatal():
                    continue  # librdkafka reconnects by itself; what it could not read will come again
                raise BrokerUnavailable(f"Kafka refused a read ({failure.name()}) — see its log, then try again")
            messages.append(message)
            self._next[message.topic(), message.partition()] = message.offset() + 1
        return messages

    def record_offsets(self, db: Session) -> None:
        """Write where the next start continues; part of the caller's transaction."""
        rows = [
            {"consumer": self._name, "topic": topic, "partition": partition, "next_offset": offset}
            for (topic, partition), offset in self._next.items()
        ]
        upsert(db, ConsumerOffset, rows)
        self._recorded = dict(self._next)

    def settle(self) -> None:
        """When nothing came: note how far was read, so that whoever compares it with the topics' ends sees no lag."""
        if self._recorded != self._next:
            with session(self._engine) as db:
                self.record_offsets(db)

    def lag(self) -> dict[str, int]:
        """Records not yet read, by topic, as far as the client has heard of them; no call to the broker."""
        behind: dict[str, int] = {}
        for (topic, partition), here in self._next.items():
            _low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            behind[topic] = behind.get(topic, 0) + max(0, high - here)
        return behind

    def close(self) -> None:
        """Leave; nothing is committed here."""
        self._consumer.close()
