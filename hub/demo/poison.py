"""Raw messages that no connector would send, put on a topic as a broken producer would: the worker must cope."""

from __future__ import annotations

import struct
from typing import Final

from confluent_kafka import Producer

from hub.errors import BrokerUnavailable
from hub.settings import Settings

TOPIC: Final = "registration.resident.v1"
_NO_SUCH_SCHEMA: Final = 2_000_000_000
_KEY: Final = b"0" * 32


def send_poison(settings: Settings) -> None:
    """One message each with a wrong magic byte, cut short, of an unknown schema id, and without a key."""
    out = Producer({"bootstrap.servers": settings.brokers, "partitioner": "murmur2_random"})
    for key, value in (
        (_KEY, b"\x07not a framed record"),
        (_KEY, b"\x00\x00"),
        (_KEY, b"\x00" + struct.pack(">I", _NO_SUCH_SCHEMA) + b"body"),
        (None, b"\x00" + struct.pack(">I", _NO_SUCH_SCHEMA) + b"no key"),
    ):
        out.produce(TOPIC, value=value, key=key)
    if out.flush(30):
        raise BrokerUnavailable("Kafka has not taken the demo's bad messages — see its log, then try again")
