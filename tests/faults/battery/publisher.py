"""Sends the input and keeps the ledger of what the broker acknowledged: one JSON line a message, with its offset.

Only what stands in the ledger was accepted. A message whose delivery failed, or whose answer was lost, is sent again:
should it lie there twice, it is a duplicate like any other.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import KafkaError, Message
from confluent_kafka import Producer as KafkaProducer
from msgspec import Struct

from hub.domain.messages import Event
from hub.settings import Settings
from hub.streams.codec import Codec
from hub.streams.intake import owner_key
from hub.streams.partitioner import partition_of
from hub.streams.producers import COMMON
from tests.faults.battery.generator import Item

NO_SUCH_SCHEMA: Final = 2_000_000_000
PATIENCE_S: Final = 60.0
"""How long the broker may be away before an input that nobody takes ends the case."""

REASONS: Final = {"tombstone": "bad_magic"}
"""The reason quarantine gives where it is not the name of the spoiling."""


class Accepted(Struct, frozen=True):
    """One acknowledged message. `spoilt` is the reason that quarantine must give, None for a good one."""

    topic: str
    partition: int
    offset: int
    event: Event
    spoilt: str | None = None


class Wire(NamedTuple):
    """One message as it is sent."""

    key: bytes | None
    value: bytes | None
    partition: int | None


def wire(item: Item, codec: Codec, partitions: int) -> Wire:
    """An item as bytes, spoilt where it is to be."""
    key = (owner_key(item.event) or "").encode()
    value = codec.encode(f"{item.event.topic}.v1", item.event)
    if item.spoilt is None:
        return Wire(key, value, item.partition)
    home = partition_of(key, partitions)
    return {
        "bad_magic": Wire(key, b"\x07" + value[1:], home),
        "truncated": Wire(key, value[:3], home),
        "unknown_schema": Wire(key, value[:1] + struct.pack(">I", NO_SUCH_SCHEMA) + value[5:], home),
        "schema_misfit": Wire(key, value + b"\x00", home),
        "null_key": Wire(None, value, home),
        "key_mismatch": Wire(b"f" * 32, value, home),
        "tombstone": Wire(key, None, home),
    }[item.spoilt]


class Publisher:
    """Sends items from a thread of its own, at a rate, and writes the ledger. `finish` sends the rest at once."""

    def __init__(self, settings: Settings, codec: Codec, items: Sequence[Item], ledger: Path, rate: float) -> None:
        self._settings = settings
        self._left = list(reversed(items))
        self._wires = {id(item): wire(item, codec, settings.partitions) for item in items}
        self._ledger = ledger.open("wb", buffering=0)
        self._encode = msgspec.json.Encoder().encode
        self._pause_s = 1 / rate
        self._hurry, self._stop = threading.Event(), threading.Event()
        self._waiting = 0
        self._failed: list[Item] = []
        self._producer = KafkaProducer(
            {**COMMON, "bootstrap.servers": settings.brokers, "linger.ms": 0, "log_level": 1}
        )
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self.accepted = 0

    def first(self, count: int) -> None:
        """Send so many before anything else runs, and wait until they are accepted."""
        for _ in range(min(count, len(self._left))):
            self._send(self._left.pop())
        self._wait_accepted()

    def start(self) -> None:
        """Send the others at the rate."""
        self._thread.start()

    def finish(self) -> None:
        """Send what is left at once and wait until all is accepted."""
        self._hurry.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the broker took no input"
        self._wait_accepted()

    @property
    def left(self) -> int:
        """Items not yet sent."""
        return len(self._left)

    def close(self) -> None:
        """Let go, whatever is left."""
        self._stop.set()
        self._hurry.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._producer.purge()
        self._producer.close()
        self._ledger.close()

    def _run(self) -> None:
        while self._left and not self._stop.is_set():
            self._send(self._left.pop())
            self._producer.poll(0)
            self._hurry.wait(self._pause_s)

    def _send(self, item: Item) -> None:
        sent = self._wires[id(item)]
        where: dict[str, Any] = {} if sent.partition is None else {"partition": sent.partition}
        self._waiting += 1
        self._producer.produce(
            f"{item.event.topic}.v1", sent.value, sent.key, on_delivery=partial(self._delivered, item), **where
        )

    def _delivered(self, item: Item, error: KafkaError | None, message: Message) -> None:
        self._waiting -= 1
        if error is not None:
            self._failed.append(item)
            return
        spoilt = item.spoilt and REASONS.get(item.spoilt, item.spoilt)
        made = Accepted(message.topic(), message.partition(), message.offset(), item.event, spoilt)
        self._ledger.write(self._encode(made) + b"\n")
        self.accepted += 1

    def _wait_accepted(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self._waiting or self._failed:
            assert time.monotonic() < deadline, f"{self._waiting + len(self._failed)} messages were not accepted"
            failed, self._failed = self._failed, []
            for item in failed:
                self._send(item)
            self._producer.poll(0.05)


def read_ledger(path: Path) -> list[Accepted]:
    """What was accepted, in the order of the acknowledgements."""
    decoder = msgspec.json.Decoder(Accepted)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]
