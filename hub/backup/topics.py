"""Topics read into files: what everything can be rebuilt from, and the states that it was worked into.

Read in the order that `hub.backup.cut` rests on: home states, person states, then all that was told, then the sources.
For each offset that somebody reads on from (a state from its sources, a reader of the store) it is counted how many
kept records lie before it: written anew they lie elsewhere (`hub.backup.refill`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, ResourceType

from hub.backup.cut import Cut
from hub.backup.files import Out
from hub.backup.manifest import File, TopicNote
from hub.errors import DataFault
from hub.settings import Settings
from hub.streams.codec import Codec
from hub.streams.reading import SILENCE_S, ends_of, silent, to_end
from hub.streams.state import OFFSETS
from hub.streams.topics import (
    ALERTS,
    CONFLICTS,
    CONTRIBUTIONS,
    FINDINGS,
    HOME_STATE,
    PERSON_STATE,
    of_generation,
    plain_name,
    topics_of,
)

RECORD: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Record",
    "namespace": "hub.backup",
    "fields": [
        {"name": "partition", "type": "int"},
        {"name": "offset", "type": "long"},
        {"name": "timestamp", "type": "long"},
        {"name": "key", "type": ["null", "bytes"]},
        {"name": "value", "type": ["null", "bytes"]},
    ],
}
TOLD: Final = 100_000
Positions = Mapping[tuple[str, int], Iterable[int]]
"""(topic, partition) → offsets that somebody reads on from."""

decode_offsets: Final = msgspec.msgpack.Decoder(dict[str, int]).decode
"""{topic: next offset} of the record under OFFSETS."""


def notes(settings: Settings) -> dict[str, TopicNote]:
    """Every topic of the deployment as the broker has it. BrokerUnavailable."""
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 3})
    try:
        known = admin.list_topics(timeout=SILENCE_S).topics
        names = [topic.name for topic in topics_of(settings.generation) if topic.name in known]
        asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names]) if names else {}
        own = {
            resource.name: {
                entry.name: str(entry.value)
                for entry in future.result().values()
                if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
            }
            for resource, future in asked.items()
        }
    except KafkaException as error:
        raise silent(settings, error) from error
    return {name: TopicNote(partitions=len(known[name].partitions), settings=own[name]) for name in names}


def dump(
    settings: Settings, folder: Path, held: dict[str, TopicNote], positions: Positions, say: Callable[[str], None]
) -> tuple[dict[str, TopicNote], dict[str, File]]:
    """Every topic into its file; `positions` are those of readers outside the topics. BrokerUnavailable."""
    reader = _Reader(settings, held, positions, say)
    files: dict[str, File] = {}
    done: dict[str, TopicNote] = {}
    try:
        for name in _in_order(settings, held):
            with Out(folder, file_of(name), RECORD) as out:
                done[name] = reader.read(name, out)
            files[out.name] = out.entry
    finally:
        reader.close()
    return done, files


def file_of(topic: str) -> str:
    """The file of a topic."""
    return f"topics/{topic}.avro"


class _Reader:
    """Reads topics one after the other, and remembers of each what the next ones need."""

    def __init__(
        self, settings: Settings, held: Mapping[str, TopicNote], positions: Positions, say: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._held = held
        self._say = say
        self._codec = Codec(settings.registry_url)
        self._cut = Cut(settings.generation)
        self._positions: dict[tuple[str, int], set[int]] = defaultdict(set)
        for at, offsets in positions.items():
            self._positions[at] |= set(offsets)
        person, home = (of_generation(topic, settings.generation).name for topic in (PERSON_STATE, HOME_STATE))
        self._states = {person: self._cut.person, home: self._cut.home}
        told = (of_generation(CONTRIBUTIONS, settings.generation), ALERTS, FINDINGS, CONFLICTS)
        # What lies before these ends was told by states that are captured later: it needs no look.
        self._told = {topic.name for topic in told if topic.name in held}
        self._ends = ends_of(settings, self._told)

    def read(self, name: str, out: Out) -> TopicNote:
        """One topic into its file."""
        ranks = {at: _Ranks(self._positions[name, at]) for at in range(self._held[name].partitions)}
        state, told = self._states.get(name), name in self._told
        last: dict[int, Message] = {}
        places = [TopicPartition(name, at, OFFSET_BEGINNING) for at in range(self._held[name].partitions)]
        for message in to_end(self._settings, "hub-backup", places):
            at, offset, key, value = message.partition(), message.offset(), message.key(), message.value()
            if state is not None:
                if key == OFFSETS:
                    last[at] = message  # of these only the newest counts
                    continue
                if key is not None and value is not None:
                    state(at, key.decode(), value)
            elif told and offset >= self._ends.get((name, at), 0) and not self._kept(name, at, value):
                ranks[at].passed(offset)
                continue
            _add(out, message, value)
            ranks[at].kept(offset)
            if out.records % TOLD == 0:
                self._say(f"{name}: {out.records} records")
        for at, message in last.items():
            value = message.value()
            if value is not None:
                for topic, offset in decode_offsets(value).items():
                    self._positions[topic, at].add(offset)
            _add(out, message, value)
            ranks[at].kept(message.offset())
        self._say(f"{name}: {out.records} records")
        note = self._held[name]
        return TopicNote(
            partitions=note.partitions,
            settings=note.settings,
            kept={at: rank.count for at, rank in ranks.items()},
            ranks={at: rank.all() for at, rank in ranks.items()},
        )

    def close(self) -> None:
        """Let go of the registry."""
        self._codec.close()

    def _kept(self, name: str, partition: int, value: bytes | None) -> bool:
        try:
            decoded = self._codec.decode(plain_name(name), value or b"")
        except DataFault:
            return True  # nobody's, and no worker's
        return self._cut.keeps(partition, decoded)  # type: ignore[arg-type]  # no event is told


class _Ranks:
    """How many kept records lie before each asked offset of a partition, counted as they pass in order."""

    def __init__(self, asked: Iterable[int]) -> None:
        self._asked = sorted(asked)
        self._before: list[int] = []
        self.count = 0

    def kept(self, offset: int) -> None:
        """A record at an offset is kept."""
        self.passed(offset)
        self.count += 1

    def passed(self, offset: int) -> None:
        """A record at an offset was seen."""
        upto = bisect_left(self._asked, offset + 1)
        self._before += [self.count] * (upto - len(self._before))

    def all(self) -> dict[int, int]:
        """Every asked offset; what lies behind the last record counts all."""
        return dict(zip(self._asked, self._before + [self.count] * len(self._asked), strict=False))


def _add(out: Out, message: Message, value: bytes | None) -> None:
    out.add(
        {
            "partition": message.partition(),
            "offset": message.offset(),
            "timestamp": max(0, message.timestamp()[1]),
            "key": message.key(),
            "value": value,
        }
    )


def _in_order(settings: Settings, held: Mapping[str, TopicNote]) -> list[str]:
    home, person = (of_generation(topic, settings.generation).name for topic in (HOME_STATE, PERSON_STATE))
    first = [name for name in (home, person) if name in held]
    told = [of_generation(CONTRIBUTIONS, settings.generation).name, ALERTS.name, FINDINGS.name, CONFLICTS.name]
    second = [name for name in told if name in held]
    return [*first, *second, *sorted(held.keys() - set(first) - set(second))]


def states_of(settings: Settings) -> set[str]:
    """Names of the two state topics in use."""
    return {of_generation(topic, settings.generation).name for topic in (HOME_STATE, PERSON_STATE)}
