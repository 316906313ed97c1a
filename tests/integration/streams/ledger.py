"""A small real stage, and the check that nothing of it was lost or invented, whatever happened to its workers.

Per person it sums the live settlements and notes whether the person is registered. Each time that changes it tells so,
with a sequence number of the person's own; so a lost telling leaves a gap in the numbers and a repeated one a double.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition
from msgspec import Struct

from hub.discovery.shapes import States, StepResult
from hub.domain.facts import Resident, Settlement
from hub.domain.messages import Conflict, Event, Output, Review
from hub.settings import Settings
from hub.streams.codec import Codec
from hub.streams.restore import restore
from hub.streams.stage import Stage
from hub.streams.state import PartitionState
from hub.streams.topics import CONFLICTS, QUARANTINE, SOURCE_TOPICS, Topic

INPUTS: Final = tuple(t for t in SOURCE_TOPICS if t.name in ("registration.resident.v1", "medical.settlement.v1"))
OUTPUT: Final = CONFLICTS
FOLDED_S: Final = 60.0
BOOM_FEN: Final = -13
"""A settlement over this sum defeats the fold, as a record does that the program was not written for."""

BOOM_VERSION: Final = 2_000_000_013
"""So does the review of a person who was registered under this version."""


class Held(Struct, frozen=True, array_like=True):
    """One person: records by id as (version, amount), whether registered, and the day to look again."""

    sequence: int = 0
    records: dict[str, tuple[int, int]] = {}
    registered: int = 0
    next_review: date | None = None
    reviewed: int = 0

    def said(self) -> str:
        """What is told of it."""
        amount = sum(amount for _, amount in self.records.values())
        return f"{'registered' if self.registered > 0 else 'absent'} {amount} {self.reviewed}"


def state_topic(name: str) -> Topic:
    """Changelog of a ledger."""
    return Topic(name=f"ledger-{name}-state.v1", key="person", joined=True, cleanup="compact")


def topics(name: str) -> list[Topic]:
    """Every topic a ledger needs."""
    return [*INPUTS, OUTPUT, QUARANTINE, state_topic(name)]


def stage(name: str) -> Stage:
    """The stage under a name of its own: several may read the same inputs."""
    encoder, decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Held)

    def step(states: States[Held], records: Sequence[Event | Review], now: int) -> StepResult[Held]:
        result: StepResult[Held] = StepResult()
        by_person: dict[str, list[Event | Review]] = defaultdict(list)
        for record in records:
            by_person[record.home if isinstance(record, Review) else str(record.header.person)].append(record)
        for person, own in by_person.items():
            before = states.get(person) or Held()
            after = before
            for record in own:
                after = fold(after, record)
            if after != before:
                sequence = before.sequence + (after.said() != before.said())
                result.changes[person] = after = msgspec.structs.replace(after, sequence=sequence)
            if after.sequence != before.sequence:
                telling = Conflict(
                    conflict_id=person, kind=name, person=person, state="OPEN", sequence=after.sequence,
                    field=after.said(), seen_at=now,
                )  # fmt: skip
                result.outputs.append(Output(OUTPUT.name, person, telling))
        return result

    return Stage(
        name=f"ledger-{name}",
        inputs=INPUTS,
        state_topic=state_topic(name),
        step=step,
        encode=encoder.encode,
        decode=decoder.decode,
        reviews=True,
        standing=lambda held: Counter({f"truth:ledger:{'yes' if held.registered else 'no'}": 1}),
    )


def fold(held: Held, record: Event | Review) -> Held:
    """One record into a person. Idempotent by record and version."""
    if isinstance(record, Review):
        if held.registered == BOOM_VERSION:
            raise ArithmeticError("a review that the fold was not written for")
        return msgspec.structs.replace(held, next_review=None, reviewed=held.reviewed + 1)
    header, payload = record.header, record.payload
    if isinstance(payload, Resident):
        review = header.valid_to if header.version > held.registered else held.next_review
        return msgspec.structs.replace(held, registered=max(held.registered, header.version), next_review=review)
    version = held.records.get(header.record_id, (0, 0))[0]
    if header.version <= version:
        return held
    amount = payload.total_fen if isinstance(payload, Settlement) else 0
    if amount == BOOM_FEN:
        raise ArithmeticError(f"a fold that quotes its value: {header.person}")
    return msgspec.structs.replace(held, records={**held.records, header.record_id: (header.version, amount)})


def faults(settings: Settings, name: str, sent: Iterable[Event], codec: Codec) -> list[str]:
    """Everything that is not as it must be; empty when nothing was lost, doubled or invented."""
    expected: dict[str, Held] = {}
    for event in sorted(sent, key=lambda event: event.header.version):
        person = str(event.header.person)
        expected[person] = fold(expected.get(person, Held()), event)
    found: list[str] = []

    told: dict[str, list[Conflict]] = defaultdict(list)
    for value in read_committed(settings, OUTPUT.name):
        telling = codec.decode(OUTPUT.name, value)
        if isinstance(telling, Conflict) and telling.kind == name:
            told[telling.person].append(telling)
    for person, tellings in told.items():
        if [telling.sequence for telling in tellings] != list(range(1, len(tellings) + 1)):
            found.append(f"{person} was told as {[telling.sequence for telling in tellings]}")
    for person, held in expected.items():
        last = told[person][-1].field if told[person] else Held().said()
        if last != held.said():
            found.append(f"{person} was told last as {last}, not {held.said()}")
    found += [f"{person} was told of and never sent" for person in told.keys() - expected.keys()]

    states = {key: state for part in restored(settings, name) for key, state in decoded(part)}
    for person, held in expected.items():
        if person not in states or states[person].said() != held.said():
            found.append(f"{person} is held as {states.get(person)}, not {held}")
    return found


def decoded(part: PartitionState) -> Iterable[tuple[str, Any]]:
    """Keys and states of a partition."""
    return ((key, part.get(key)) for key in list(part.keys()))


def restored(settings: Settings, name: str) -> list[PartitionState]:
    """What the changelog of a ledger holds."""
    parts = [PartitionState(stage(name), partition) for partition in range(settings.partitions)]
    assert restore(settings, parts, threading.Event())
    return parts


def ends(settings: Settings) -> dict[tuple[str, int], int]:
    """Offset behind the last committed record of each input partition; markers and aborted records lie beyond it."""
    found: dict[tuple[str, int], int] = {}
    for topic in INPUTS:
        for message in messages(settings, topic.name):
            found[topic.name, message.partition()] = message.offset() + 1
    return found


def wait_folded(settings: Settings, name: str) -> None:
    """Wait until the ledger has folded in everything that was sent."""
    wanted = ends(settings)
    deadline = time.monotonic() + FOLDED_S
    while True:
        parts = restored(settings, name)
        if all(parts[partition].offsets.get(topic, 0) >= end for (topic, partition), end in wanted.items()):
            return
        assert time.monotonic() < deadline, f"not folded in: {[part.offsets for part in parts]}, wanted {wanted}"
        time.sleep(0.2)


def read_committed(settings: Settings, topic: str) -> list[bytes]:
    """Every committed value of a topic, in order within a partition."""
    return [message.value() for message in messages(settings, topic)]


def messages(settings: Settings, *topics: str) -> list[Message]:
    """Every committed message of some topics, in order within a partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "read",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    described = consumer.list_topics(timeout=10).topics
    places = [TopicPartition(topic, partition, 0) for topic in topics for partition in described[topic].partitions]
    consumer.assign(places)
    found: list[Message] = []
    open_ends = len(places)
    while open_ends:
        for message in consumer.consume(1000, timeout=0.2):
            if message.error() is None:
                found.append(message)
            else:
                open_ends -= 1
    consumer.close()
    return found
