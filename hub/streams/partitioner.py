"""Which partition a key belongs to: librdkafka's own murmur2 partitioner, the one that places it when it is sent.

confluent-kafka does not export the function, but its library does (`rdkafka.h`). aiokafka's gives
the same answers in Python, ten times as slowly, and is taken where a build of the client hides the library.
`hub.streams.placement` checks known keys at every start.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

from aiokafka.partitioner import murmur2
from confluent_kafka import cimpl

_POSITIVE: Final = 0x7FFFFFFF
"""Java's and librdkafka's partitioners drop the sign."""


def partition_in_python(key: bytes, partitions: int) -> int:
    """The partition every producer of the hub puts a key into, by aiokafka's murmur2."""
    return int((murmur2(key) & _POSITIVE) % partitions)


def _of_librdkafka() -> Callable[[bytes, int], int] | None:
    try:
        place = ctypes.CDLL(cimpl.__file__).rd_kafka_msg_partitioner_murmur2
    except (AttributeError, OSError):
        return None
    # (topic, key, its length, partitions, two opaque values): of these it reads the key and the number only.
    unread = ctypes.c_void_p
    place.argtypes = [unread, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, unread, unread]
    place.restype = ctypes.c_int32

    def partition_in_librdkafka(key: bytes, partitions: int) -> int:
        """The partition every producer of the hub puts a key into."""
        return int(place(None, key, len(key), partitions, None, None))

    return partition_in_librdkafka


partition_of: Final = _of_librdkafka() or partition_in_python
"""The partition every producer of the hub puts a key into."""
