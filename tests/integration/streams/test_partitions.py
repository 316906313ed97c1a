"""One partitioner everywhere: librdkafka as the hub sets it, aiokafka, and the Java client agree on every key."""

from __future__ import annotations

import random
import subprocess
import zlib
from contextlib import closing
from typing import Final

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from hub.errors import TopologyMismatch
from hub.settings import Settings
from hub.stack.java import JavaParts, java
from hub.streams import placement
from hub.streams.partitioner import partition_of
from hub.streams.placement import GOLDEN, GOLDEN_PARTITIONS, check_partitioner
from hub.streams.producers import producer

PARTITIONS: Final = GOLDEN_PARTITIONS


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """Tokens and home ids, of every length modulo four and with bytes beyond ASCII."""
    chosen = random.Random(13)  # noqa: S311 - keys for a test, always the same
    tokens = [f"{chosen.getrandbits(128):032x}" for _ in range(200)]
    odd = ["é" * n + "x" * (n % 4) for n in range(1, 40)]
    homes = [f"household:{token[: n % 9 + 1]}" for n, token in enumerate(tokens[:60])]
    return sorted({*GOLDEN, *tokens, *homes, *odd})


def topic(kafka: str, name: str) -> str:
    """A topic of PARTITIONS partitions."""
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(name, PARTITIONS, 1)]).values():
        future.result()
    return name


def where_they_lie(kafka: str, name: str, count: int) -> dict[str, int]:
    """Partition of each key."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": name, "enable.auto.commit": False})
    consumer.assign([TopicPartition(name, partition, 0) for partition in range(PARTITIONS)])
    found: dict[str, int] = {}
    while len(found) < count:
        messages = consumer.consume(count - len(found), timeout=20)
        assert messages, f"{len(found)} of {count} keys arrived"
        found.update((message.key().decode(), message.partition()) for message in messages)
    consumer.close()
    return found


def test_golden_keys_lie_where_they_always_lay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written down once, and checked at every start; a hash that places one of them elsewhere is refused."""
    check_partitioner()
    monkeypatch.setattr(placement, "partition_of", lambda key, count: zlib.crc32(key) % count)
    with pytest.raises(TopologyMismatch, match="known keys elsewhere"):
        check_partitioner()


def test_aiokafka_agrees(keys: list[str]) -> None:
    """Its own partitioner, as Faust would use it."""
    choose = DefaultPartitioner()
    everywhere = list(range(PARTITIONS))
    assert {key: choose(key.encode(), everywhere, everywhere) for key in keys} == {
        key: partition_of(key.encode(), PARTITIONS) for key in keys
    }


def test_the_hubs_producer_agrees(kafka: str, keys: list[str]) -> None:
    """librdkafka, as hub.streams.producers sets it."""
    name = topic(kafka, "golden-librdkafka")
    with closing(producer(Settings(brokers=kafka))) as sender:
        for key in keys:
            sender.send(name, key, b"")
        sender.flush()
    assert where_they_lie(kafka, name, len(keys)) == {key: partition_of(key.encode(), PARTITIONS) for key in keys}


def test_the_java_client_agrees(kafka: str, keys: list[str], java_parts: JavaParts) -> None:
    """Kafka's console producer, which is the Java client, with keys on its standard input."""
    name = topic(kafka, "golden-java")
    subprocess.run(
        [
            str(java()), "-Xmx128m", "-Dfile.encoding=UTF-8", "-cp", f"{java_parts.kafka}/*",
            "org.apache.kafka.tools.ConsoleProducer",
            "--bootstrap-server", kafka, "--topic", name,
            "--property", "parse.key=true", "--property", "key.separator=|",
        ],
        input="".join(f"{key}|\n" for key in keys), text=True, encoding="utf-8", check=True, timeout=90,
        capture_output=True,
    )  # fmt: skip
    assert where_they_lie(kafka, name, len(keys)) == {key: partition_of(key.encode(), PARTITIONS) for key in keys}
