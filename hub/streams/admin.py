"""Topics on the broker: made as hub.streams.topics says, and compared with it, failing closed.

Partition counts are fixed at creation: joins rest on equal counts and one partitioner, so a topic that differs stops
every process that would join on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from confluent_kafka.cimpl import NewTopic

from hub.errors import BrokerUnavailable, TopologyMismatch
from hub.settings import Settings
from hub.streams.reading import silent
from hub.streams.topics import TOPICS, Topic

TIMEOUT_S: Final = 30.0
"""How long an administrative request may take: longer than one leader election."""

REPLICAS: Final = 3
"""Copies of each partition where there are as many brokers: one may fail while another is being maintained."""

STATE_SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""Closed segments are compacted, the open one is not: smaller segments keep a restore short."""


def settings_of(topic: Topic) -> dict[str, str]:
    """Kafka's own names and values for a topic. What is not named here stays as the broker has it."""
    chosen = {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_bytes),
    }
    if topic.cleanup == "compact":
        chosen["segment.bytes"] = str(STATE_SEGMENT_BYTES)
    return chosen


def partitions_of(topic: Topic, settings: Settings) -> int:
    """Partitions a topic must have: those of the deployment where it is joined, else one."""
    return settings.partitions if topic.joined else 1


def create_topics(settings: Settings, topics: Iterable[Topic] = TOPICS) -> list[str]:
    """Create what is missing; names of what was made. Then checks all of them: TopologyMismatch, BrokerUnavailable."""
    topics = list(topics)
    admin = _admin(settings)
    try:
        described = admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise silent(settings) from error
    replicas = min(REPLICAS, len(described.brokers))
    missing = [
        NewTopic(
            topic.name,
            num_partitions=partitions_of(topic, settings),
            replication_factor=replicas,
            config=settings_of(topic),
        )
        for topic in topics
        if topic.name not in described.topics
    ]
    made = []
    for name, future in (admin.create_topics(missing, operation_timeout=TIMEOUT_S) if missing else {}).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another process made it at the same moment; the check below looks at it
            raise BrokerUnavailable(
                f"Kafka did not create {name} ({error.args[0].name()}) — see its log, then try again"
            ) from error
        made.append(name)
    _wait_known(admin, [topic.name for topic in topics])
    check_topics(settings, topics, admin=admin)
    return sorted(made)


def _wait_known(admin: AdminClient, names: list[str]) -> None:
    """The controller has made the topics; brokers learn of it a moment later. Whatever stays away, the check names."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        known = admin.list_topics(timeout=TIMEOUT_S).topics
        if all(name in known and known[name].partitions for name in names):
            return
        time.sleep(0.1)


def check_topics(settings: Settings, topics: Iterable[Topic] = TOPICS, *, admin: AdminClient | None = None) -> None:
    """TopologyMismatch, naming every difference, unless all topics are as agreed; BrokerUnavailable."""
    topics = list(topics)
    admin = admin or _admin(settings)
    try:
        found = admin.list_topics(timeout=TIMEOUT_S).topics
        present = [topic for topic in topics if topic.name in found]
        resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in present]
        configured = {
            resource.name: {entry.name: entry.value for entry in future.result().values()}
            for resource, future in (admin.describe_configs(resources) if resources else {}).items()
        }
    except KafkaException as error:
        raise silent(settings) from error
    wrong = [f"{topic.name} does not exist" for topic in topics if topic.name not in found]
    for topic in present:
        wrong += _differences(topic, len(found[topic.name].partitions), configured[topic.name], settings)
    if wrong:
        raise TopologyMismatch(
            f"topics are not as agreed: {'; '.join(wrong)} — run `hub topics create` for missing ones; partition "
            "counts cannot be changed later, so set HUB_PARTITIONS to what exists or make the topic anew"
        )


def _differences(topic: Topic, partitions: int, configured: dict[str, Any], settings: Settings) -> list[str]:
    wrong = []
    if partitions != partitions_of(topic, settings):
        wrong.append(f"{topic.name} has {partitions} partitions, not {partitions_of(topic, settings)}")
    for name, wanted in settings_of(topic).items():
        if name != "segment.bytes" and configured.get(name) != wanted:
            wrong.append(f"{topic.name} has {name}={configured.get(name)}, not {wanted}")
    return wrong


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.brokers, "log_level": 3})
