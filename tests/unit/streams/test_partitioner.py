"""Keys are placed alike by librdkafka, which sends them, and by aiokafka, whose answer is checked against Java's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.streams import partitioner
from hub.streams.placement import GOLDEN, GOLDEN_PARTITIONS


def test_librdkafkas_own_function_is_found() -> None:
    assert partitioner.partition_of is not partitioner.partition_in_python


@given(st.binary(max_size=80), st.integers(1, 1000))
def test_both_place_any_key_alike(key: bytes, partitions: int) -> None:
    assert partitioner.partition_of(key, partitions) == partitioner.partition_in_python(key, partitions)


def test_both_place_known_keys_where_java_does() -> None:
    for place in (partitioner.partition_of, partitioner.partition_in_python):
        assert {key: place(key.encode(), GOLDEN_PARTITIONS) for key in GOLDEN} == GOLDEN
