"""Who reads alerts: it appends each to a ledger as it becomes visible, and watches how far the workers have come.

It reads committed records only, from its own position, and never twice. The ledger is append-only: one JSON line an
alert revision with the hash of its payload.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from msgspec import Struct

from hub.discovery.state import decode_home
from hub.domain.messages import Alert
from hub.errors import DataFault, RegistryUnavailable
from hub.settings import Settings
from hub.streams.codec import Codec
from hub.streams.state import OFFSETS, RESTATED
from hub.streams.topics import ALERTS, CONTRIBUTIONS, HOME_STATE, PERSON_STATE

TIMEOUT_S: Final = 10.0
WATCHED: Final = (ALERTS.name, CONTRIBUTIONS.name, PERSON_STATE.name, HOME_STATE.name)
Place = tuple[str, int]
_offsets: Final = msgspec.msgpack.Decoder(dict[str, int])


class Delivered(Struct, frozen=True):
    """One alert revision as it came: where it lay, the hash of its bytes, and what it says. None: unreadable."""

    partition: int
    offset: int
    payload_hash: str
    alert: Alert | None


class Downstream:
    """Reads until `close`. `quiet` says whether everything accepted has come through."""

    def __init__(self, settings: Settings, ledger: Path) -> None:
        self._codec = Codec(settings.registry_url)
        self._ledger = ledger.open("wb", buffering=0)
        self._encode = msgspec.json.Encoder().encode
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._ends: dict[Place, int] = {}  # behind the last record seen
        self._done: dict[Place, dict[str, int]] = {}  # changelog partition → next offset by input topic
        self._reviews: dict[tuple[int, bytes], date | None] = {}
        self._reached: dict[Place, int] = {}  # where a partition ended when its end was reached last
        self._admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 1})
        self.failure: BaseException | None = None
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.brokers,
                "group.id": "downstream",  # required by the client; the group is not joined
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "log_level": 1,
            }
        )
        known = self._consumer.list_topics(timeout=TIMEOUT_S).topics
        self._places = [(topic, partition) for topic in WATCHED for partition in sorted(known[topic].partitions)]
        self._consumer.assign([TopicPartition(*place, 0) for place in self._places])
        self._thread = threading.Thread(target=self._run, name="downstream", daemon=True)
        self._thread.start()

    def quiet(self, accepted: Mapping[Place, int], today: date) -> bool:
        """Whether both stages have passed all that was `accepted` (next offset by place), no home waits for a review
        that is due, and all of it was read."""
        with self._lock:
            behind = any(
                self._done.get((PERSON_STATE.name, partition), {}).get(topic, 0) < end
                for (topic, partition), end in accepted.items()
            )
        if behind or not self._read_to_the_end():
            return False
        with self._lock:
            if any(day is not None and day <= today for day in self._reviews.values()):
                return False
            if any(offsets.get(RESTATED) for offsets in self._done.values()):
                return False  # a sweep is under way
            return all(
                self._done.get((HOME_STATE.name, partition), {}).get(topic, 0) >= end
                for (topic, partition), end in self._ends.items()
                if topic == CONTRIBUTIONS.name
            )

    @property
    def progress(self) -> int:
        """A number that rises while anything moves."""
        with self._lock:
            return sum(self._reached.values()) + sum(self._ends.values())

    def missing(self, accepted: Mapping[Place, int]) -> str:
        """Where it stands, for a person who looks for what does not come."""
        with self._lock:
            person = {
                f"{topic}-{partition}": f"{self._done.get((PERSON_STATE.name, partition), {}).get(topic, 0)}/{end}"
                for (topic, partition), end in accepted.items()
                if self._done.get((PERSON_STATE.name, partition), {}).get(topic, 0) < end
            }
            home = {
                f"{topic}-{partition}": f"{self._done.get((HOME_STATE.name, partition), {}).get(topic, 0)}/{end}"
                for (topic, partition), end in self._ends.items()
                if topic == CONTRIBUTIONS.name
            }
        return f"person stage behind: {person}; subject stage: {home}; {self.failure or ''}"

    def close(self) -> None:
        """Leave."""
        self._stop.set()
        self._thread.join(TIMEOUT_S)
        self._consumer.close()
        self._codec.close()
        self._ledger.close()

    def _read_to_the_end(self) -> bool:
        """Whether it stands, markers of transactions passed, where each partition ends now."""
        wanted = {TopicPartition(*place): OffsetSpec.latest() for place in self._places}
        try:
            ends = {
                (at.topic, at.partition): future.result().offset
                for at, future in self._admin.list_offsets(wanted, request_timeout=TIMEOUT_S).items()
            }
        except KafkaException:
            return False
        with self._lock:
            return all(self._reached.get(place, 0) >= end for place, end in ends.items())

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for message in self._consumer.consume(500, timeout=0.1):
                    if message.error() is None:
                        self._take(message)
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        with self._lock:
                            self._reached[message.topic(), message.partition()] = message.offset()
        except BaseException as error:
            self.failure = error
            raise

    def _take(self, message: Message) -> None:
        topic, place = message.topic(), (message.topic(), message.partition())
        value = message.value() or b""
        if topic == ALERTS.name:
            self._append(message.partition(), message.offset(), value)
        with self._lock:
            self._ends[place] = message.offset() + 1
            if message.key() == OFFSETS:
                self._done[place] = _offsets.decode(value)
            elif topic == HOME_STATE.name:
                self._reviews[message.partition(), message.key()] = decode_home(value).next_review

    def _append(self, partition: int, offset: int, value: bytes) -> None:
        decoded = self._decode(value)
        alert = decoded if isinstance(decoded, Alert) else None
        line = Delivered(partition, offset, blake2b(value, digest_size=16).hexdigest(), alert)
        self._ledger.write(self._encode(line) + b"\n")

    def _decode(self, value: bytes) -> object:
        """A registry that is away is waited for: it is no fault of the alert."""
        while True:
            try:
                return self._codec.decode(ALERTS.name, value)
            except DataFault:
                return None
            except RegistryUnavailable:
                if self._stop.wait(0.2):
                    raise


def read_ledger(path: Path) -> list[Delivered]:
    """What was delivered, in the order it came."""
    decoder = msgspec.json.Decoder(Delivered)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]
