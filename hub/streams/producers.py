"""Producing: every producer of the hub is made here, so that keys land where the joins expect them.

librdkafka partitions by CRC32 unless told otherwise, Java and aiokafka by murmur2: a mixture would make joins miss
without a word. A delivery that fails is raised, never only logged.
"""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as KafkaProducer

from hub.errors import BrokerUnavailable, DataFault
from hub.settings import Settings

FLUSH_TIMEOUT_S: Final = 30.0
"""How long to wait for outstanding acknowledgements: longer than one leader election."""

PARTITIONER: Final = "murmur2_random"

COMMON: Final[dict[str, Any]] = {
    "partitioner": PARTITIONER,
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 5,
    "delivery.timeout.ms": 60_000,
}

FENCING: Final = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})
"""Error codes by which a broker says that another producer opened the same transactional id since."""


class Producer:
    """Sends keyed messages and raises what failed at the next `send` or `flush`."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._producer = KafkaProducer(configuration)
        self._failed: KafkaError | None = None
        self.acknowledged = 0

    def send(self, topic: str, key: str, value: bytes, *, partition: int | None = None) -> None:
        """Queue one message. DataFault for one that is too large; BrokerUnavailable when an earlier one failed."""
        where: dict[str, Any] = {} if partition is None else {"partition": partition}
        while True:
            try:
                self._producer.produce(topic, value=value, key=key.encode(), on_delivery=self._delivered, **where)
                break
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: wait for acknowledgements
            except KafkaException as error:
                self._refuse(error, topic, len(value))
        self._producer.poll(0)
        self._raise_failed()

    def flush(self) -> None:
        """Wait until all is acknowledged. BrokerUnavailable when something failed or is still outstanding."""
        outstanding = self._producer.flush(FLUSH_TIMEOUT_S)
        self._raise_failed()
        if outstanding:
            raise BrokerUnavailable(f"Kafka has not acknowledged {outstanding} messages — see that it runs")

    def close(self) -> None:
        """Let go of the connections; nothing can be sent after it. What `flush` has not waited for is given up."""
        self._producer.purge()  # closing would wait for it, minutes where the broker is gone
        self._producer.close()

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.acknowledged += 1
        elif self._failed is None:
            self._failed = error

    def _raise_failed(self) -> None:
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise BrokerUnavailable(f"Kafka did not take a message ({failed.name()}) — see its log, then try again")

    @staticmethod
    def _refuse(error: KafkaException, topic: str, size: int) -> None:
        cause = error.args[0]
        if isinstance(cause, KafkaError) and cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise DataFault(
                topic, "outgoing", "value", "oversize", f"{size} bytes", "split the record at its source"
            ) from error
        raise BrokerUnavailable("Kafka did not take a message — see its log, then try again") from error


def producer(settings: Settings, **extra: Any) -> Producer:
    """A producer for this deployment; `extra` are librdkafka settings, with dots written as underscores."""
    return Producer(
        {**COMMON, "bootstrap.servers": settings.brokers, **{k.replace("_", "."): v for k, v in extra.items()}}
    )
