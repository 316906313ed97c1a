"""Topics written anew from a backup's files, each record into the partition it had.

A record lies at another offset where transactions had left marks or records were left out. So whoever reads on from an
offset, a state from its sources or a reader of the store, goes on behind as many records as lay before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as KafkaProducer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from hub.backup.files import records
from hub.backup.manifest import TopicNote
from hub.backup.topics import TOLD, decode_offsets, file_of, states_of
from hub.errors import BackupRefused, BrokerUnavailable
from hub.settings import Settings
from hub.streams.admin import create_topics, settings_of
from hub.streams.codec import FRAME, MAGIC
from hub.streams.producers import COMMON, FLUSH_TIMEOUT_S
from hub.streams.reading import ends_of, silent
from hub.streams.state import OFFSETS, encode_offsets
from hub.streams.topics import LARGE_BYTES, Topic, topics_of


def occupied(settings: Settings, held: Mapping[str, TopicNote]) -> list[str]:
    """Topics that hold records already. BrokerUnavailable."""
    return sorted({topic for (topic, _), end in ends_of(settings, held).items() if end > 0})


def fill(
    settings: Settings,
    folder: Path,
    held: Mapping[str, TopicNote],
    ids: Mapping[int, int],
    say: Callable[[str], None],
) -> None:
    """Make the topics and write them, states last. `ids` are schemas that are under another id now.

    BackupRefused when a record comes to lie elsewhere than counted; BrokerUnavailable, TopologyMismatch.
    """
    create_topics(settings, topics_of(settings.generation))
    _set(settings, held)
    states = states_of(settings)
    for name in sorted(held, key=lambda name: (name in states, name)):
        count = _write(settings, folder, name, held, ids, say)
        say(f"{name}: {count} records")
    ends = ends_of(settings, held)
    for name, note in held.items():
        if any(ends.get((name, at), 0) != wanted for at, wanted in note.kept.items()):
            raise BackupRefused(
                f"{name} does not hold what was written: somebody else writes to it — stop it, empty the topics, then "
                "restore again"
            )


def moved(held: Mapping[str, TopicNote], topic: str, partition: int, offset: int) -> int:
    """Where reading goes on in a topic that was written anew; the same where it was not, or nobody asked."""
    note = held.get(topic)
    if note is None or partition not in note.ranks:
        return offset
    return note.ranks[partition].get(offset, offset)


def _write(
    settings: Settings,
    folder: Path,
    name: str,
    held: Mapping[str, TopicNote],
    ids: Mapping[int, int],
    say: Callable[[str], None],
) -> int:
    state = name in states_of(settings)
    failed: list[KafkaError] = []
    producer = KafkaProducer(
        {**COMMON, "bootstrap.servers": settings.brokers, "message.max.bytes": LARGE_BYTES, "log_level": 3}
    )
    count = 0

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    try:
        for record in records(folder, file_of(name)):
            value, at = record["value"], record["partition"]
            if value is not None:
                if state and record["key"] == OFFSETS:
                    value = encode_offsets(
                        {topic: moved(held, topic, at, offset) for topic, offset in decode_offsets(value).items()}
                    )
                elif not state:
                    value = _renamed(value, ids)
            while True:
                try:
                    producer.produce(
                        name, value, record["key"], at, timestamp=record["timestamp"], on_delivery=delivered
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
            if failed:
                break
            count += 1
            if count % TOLD == 0:
                say(f"{name}: {count} records")
        outstanding = producer.flush(FLUSH_TIMEOUT_S)
    finally:
        producer.purge()
        producer.close()
    if failed or outstanding:
        raise BrokerUnavailable(f"Kafka did not take all of {name} — see its log, empty the topics, then restore again")
    return count


def _renamed(value: bytes, ids: Mapping[int, int]) -> bytes:
    """A record whose schema is under another id now."""
    if len(value) < FRAME.size or value[0] != MAGIC:
        return value
    old = int.from_bytes(value[1 : FRAME.size], "big")
    new = ids.get(old, old)
    return value if new == old else value[:1] + new.to_bytes(4, "big") + value[FRAME.size :]


def _set(settings: Settings, held: Mapping[str, TopicNote]) -> None:
    """Settings of topics that this release does not make by itself."""
    ours: dict[str, Topic] = {topic.name: topic for topic in topics_of(settings.generation)}
    wanted = []
    for name, note in held.items():
        if name not in ours:
            continue
        more = {key: value for key, value in note.settings.items() if key not in settings_of(ours[name])}
        if more:
            entries = [
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in more.items()
            ]
            wanted.append(ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries))
    if not wanted:
        return
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 3})
    try:
        for future in admin.incremental_alter_configs(wanted).values():
            future.result()
    except KafkaException as error:
        raise silent(settings, error) from error
