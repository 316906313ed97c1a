"""Real parts for the connectors: a broker of their own (topics have fixed names), registry, store and vault on both
databases, and a reader of all that was published."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from connectors.ingest import Hold
from connectors.loading import load_sources
from connectors.mapping import Stream
from connectors.parts import Parts, open_parts
from connectors.replay import Replay, waiting
from connectors.service import Connectors
from hub.domain.messages import Event, Quarantined
from hub.errors import HubError
from hub.quality.projector import project_quarantine
from hub.settings import Settings
from hub.stack import LocalStack
from hub.store.db import migrate, open_store, session
from hub.streams.admin import create_topics
from hub.streams.codec import Codec
from hub.streams.schemas import register
from hub.streams.topics import QUARANTINE, SOURCE_TOPICS
from hub.vault.cards import Vault, open_vault
from hub.vault.keys import init_keys

PARTITIONS = 3
_schemas = count()


@pytest.fixture(scope="module")
def brokers(own_stack: LocalStack) -> str:
    """bootstrap.servers of a broker with all topics; tests tell their events apart by source."""
    create_topics(Settings(brokers=own_stack.bootstrap, partitions=PARTITIONS))
    return own_stack.bootstrap


@pytest.fixture(scope="session")
def registered(registry_url: str) -> str:
    """Base URL of a registry that has all schemas."""
    register(registry_url)
    return registry_url


class Sent(NamedTuple):
    """One message as it lies on a topic."""

    partition: int
    key: str
    value: bytes
    event: Event


class Deployment:
    """One deployment of the connectors on real parts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine: Engine = open_store(settings.store)
        self.vault: Vault = open_vault(settings)
        self.codec = Codec(settings.registry_url)
        self.parts: Parts = open_parts(settings, self.vault)
        self.holds: list[Hold] = []

    def close(self) -> None:
        """Let go of both databases, of the registry and of the broker."""
        self.engine.dispose()
        self.vault.close()
        self.codec.close()
        self.parts.close()

    def describe(self, source: str, text_of_mapping: str) -> None:
        """Write a mapping under the name of its source."""
        self.settings.sources.mkdir(exist_ok=True)
        (self.settings.sources / f"{source}.yaml").write_text(text_of_mapping, encoding="utf-8")

    def read(self, *sources: str) -> tuple[Counter[str], list[HubError]]:
        """Read sources to their end, as a process just started would. Counts by kind, and what could not be read."""
        counts: Counter[str] = Counter()

        def report(_source: str, _stream: Stream, told: Counter[tuple[str, str]]) -> None:
            for (_topic, kind), one in told.items():
                counts[kind] += one

        mappings = load_sources(self.settings.sources, sources)
        connectors = Connectors(self.settings, mappings, self.engine, self.parts, report)
        try:
            errors = connectors.run_once(threading.Event(), 30)
        finally:
            connectors.close()
        self.holds = [hold for _source, hold in connectors.holds]
        return counts, errors

    def take(self, *sources: str) -> Counter[str]:
        """Read sources, which must go well."""
        counts, errors = self.read(*sources)
        assert errors == []
        return +counts

    def sent(self, source: str) -> list[Sent]:
        """Everything a source has published, partition by partition, in order."""
        found = []
        for topic in SOURCE_TOPICS:
            for partition, key, value in messages(self.settings.brokers, topic.name):
                event = self.codec.decode(topic.name, value)
                assert isinstance(event, Event)
                if event.header.source == source:
                    found.append(Sent(partition, key, value, event))
        return found

    def events(self, source: str) -> list[Event]:
        """Events of a source; those of one person in order."""
        return [one.event for one in self.sent(source)]

    def quarantined(self, source: str) -> list[Quarantined]:
        """Quarantined records of a source."""
        found = []
        for _partition, _key, value in messages(self.settings.brokers, QUARANTINE.name):
            record = self.codec.decode(QUARANTINE.name, value)
            assert isinstance(record, Quarantined)
            if record.source == source:
                found.append(record)
        return found

    def replay(self, source: str) -> dict[str | None, str]:
        """Replay what waits of a source: record id → what became of it."""
        rows = waiting(self.engine, source=source, states=("waiting", "failed_again"))
        results = Replay(self.settings, self.engine, self.parts, load_sources(self.settings.sources)).replay(rows)
        names = {row.quarantine_id: row.record_id for row in rows}
        return {names[result.quarantine_id]: result.state for result in results}

    def project(self, source: str) -> None:
        """Bring quarantined records into the store, as the quality process does."""
        with session(self.engine) as db:
            project_quarantine(db, self.quarantined(source))


def messages(brokers: str, topic: str) -> list[tuple[int, str, bytes]]:
    """Partition, key and value of everything on a topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "test",
            "enable.auto.commit": False,
            "enable.partition.eof": True,  # counting offsets would wait for ever for a transaction's marker
            "fetch.wait.max.ms": 20,  # the ends are what is waited for
            "log_level": 3,
        }
    )
    found: list[tuple[int, str, bytes]] = []
    try:
        partitions = []
        for partition in sorted(consumer.list_topics(topic, timeout=20).topics[topic].partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            if low < high:
                partitions.append(partition)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        ended: set[int | None] = set()
        while len(ended) < len(partitions):
            message = consumer.poll(20)
            assert message is not None, f"{topic} does not answer"
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF
                ended.add(message.partition())
                continue
            value = message.value()
            assert value is not None
            found.append((message.partition() or 0, (message.key() or b"").decode(), value))
        return found
    finally:
        consumer.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the departments of a test keep their files."""
    made = tmp_path / "departments"
    made.mkdir()
    return made


@pytest.fixture
def settings(tmp_path: Path, folder: Path, brokers: str, registered: str) -> Settings:
    """Settings of a deployment on SQLite, keys made."""
    made = Settings(
        data_dir=tmp_path / "hub",
        brokers=brokers,
        registry_url=registered,
        sources=tmp_path / "sources",
        source_root=folder,
        partitions=PARTITIONS,
    )
    init_keys(made.keys)
    return made


@pytest.fixture
def deployment(settings: Settings) -> Iterator[Deployment]:
    """An empty deployment on SQLite."""
    migrate(settings.store)
    made = Deployment(settings)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Deployment]:
    """An empty deployment on each database."""
    if request.param == "sqlite":
        migrate(settings.store)
        made = Deployment(settings)
        yield made
        made.close()
        return
    server = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    schema = f"connectors_{os.getpid()}_{next(_schemas)}"
    admin = create_engine(server)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = server.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    migrate(url)
    made = Deployment(settings.model_copy(update={"store_url": url}))
    yield made
    made.close()
    with admin.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()
