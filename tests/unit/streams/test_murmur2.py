"""The hash that places keys is Kafka's own."""

from __future__ import annotations

import aiokafka.partitioner
from hypothesis import given
from hypothesis import strategies as st

from hub.streams.intake import murmur2


@given(st.binary(max_size=200))
def test_it_is_the_hash_of_the_other_clients(key: bytes) -> None:
    """Whatever the length: words, a rest of one to three bytes, or nothing."""
    assert murmur2(key) == aiokafka.partitioner.murmur2(key) & 0xFFFFFFFF
