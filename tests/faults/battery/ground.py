"""Brokers, registry and nursery that all cases share; each case begins with topics made anew."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from hub.settings import Settings
from hub.stack import KafkaBroker, SchemaRegistry
from hub.stack.java import resolve
from hub.stack.kafka import cluster
from hub.stack.stack import COMPATIBILITY
from hub.streams.admin import create_topics
from hub.streams.schemas import register
from hub.streams.topics import TOPICS
from hub.vault.keys import init_keys
from tests.faults.battery.nursery import Nursery
from tests.topics import TIMEOUT_S, empty

PARTITIONS: Final = 3
"""Odd, and more than one: an even count would keep topics together by chance, one would hide every wrong partition."""


class Ground:
    """Brokers, registry, nursery and keys. `clean` empties the topics for the next case."""

    def __init__(
        self, brokers: Sequence[KafkaBroker], registry: SchemaRegistry, folder: Path, nursery: Nursery
    ) -> None:
        self.brokers = brokers
        self.registry = registry
        self.nursery = nursery
        self.settings = Settings(
            data_dir=folder,
            brokers=",".join(broker.bootstrap for broker in brokers),
            registry_url=registry.url,
            partitions=PARTITIONS,
            overlay="demo",
        )
        init_keys(self.settings.keys)
        register(registry.url)

    def clean(self) -> None:
        """Delete every topic of the hub and make it anew."""
        empty(self.settings.brokers)
        create_topics(self.settings)
        admin = AdminClient({"bootstrap.servers": self.settings.brokers, "log_level": 1})
        deadline = time.monotonic() + TIMEOUT_S
        # A topic is known before its partitions can be read; nobody is to fail for that.
        places = {
            TopicPartition(topic.name, partition): OffsetSpec.latest()
            for topic in TOPICS
            for partition in range(PARTITIONS if topic.joined else 1)
        }
        while not _readable(admin, places):
            assert time.monotonic() < deadline, "topics have no leaders"
            time.sleep(0.05)


def _readable(admin: AdminClient, places: dict[TopicPartition, OffsetSpec]) -> bool:
    try:
        for future in admin.list_offsets(places, request_timeout=TIMEOUT_S).values():
            future.result()
    except KafkaException:
        return False
    return True


@contextmanager
def ground(folder: Path, nodes: int = 1) -> Iterator[Ground]:
    """Brokers, a registry and a nursery of the battery's own."""
    parts = resolve()
    registry = SchemaRegistry(parts, folder / "registry")
    brokers = [KafkaBroker(parts, folder / "kafka")] if nodes == 1 else cluster(parts, folder, nodes)
    parts_running: list[KafkaBroker | SchemaRegistry] = [*brokers, registry]
    nursery = Nursery()
    try:
        for part in reversed(parts_running):
            part.start()
        for part in parts_running:
            part.wait_ready()
        registry.set_compatibility(COMPATIBILITY)
        yield Ground(brokers, registry, folder / "hub", nursery)
    finally:
        nursery.close()
        for part in parts_running:
            part.kill()  # nothing of it is needed again
