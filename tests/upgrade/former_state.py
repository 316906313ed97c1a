"""State values as the release at 2c26653 wrote and read them: its Structs and its decoder, kept as they were.

The oracle of the way back: what this release writes before `hub upgrade finalise` must be read by this. Only payloads
are this release's own; their schemas are held to full compatibility.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from hub.domain.facts import Payload

PREFIX: Final = bytes((1, 1))


class Fact(Struct, frozen=True, array_like=True):
    """One version of one source record, as kept in state. `payload` is None for a floor left by an ANNUL."""

    topic: str
    source: str
    record_id: str
    version: int
    region: str | None
    event_time: int
    record_time: int
    received_at: int
    valid_from: date | None
    valid_to: date | None
    payload: Payload | None


class Contribution(Struct, frozen=True, array_like=True):
    """What one person's facts mean to one home. Ordered by (generation, sequence); an older one is ignored."""

    home: str
    person: str
    roles: tuple[str, ...]
    state: Literal["LIVE", "ENDED"]
    generation: int
    sequence: int
    facts: tuple[Fact, ...]


class Missing(Struct, frozen=True, order=True):
    """One input that would settle an unknown. `field` is topic.field, parameter.key or source.coverage.topic."""

    field: str
    person: str | None = None
    role: str | None = None
    source: str | None = None


RecordKey = tuple[str, str, str]
"""(topic, source, record_id)."""

Stage = Literal["none", "held", "open", "suppressed"]
FullTruth = Literal["yes", "no", "unknown", "not_applicable"]


class Floor(Struct, frozen=True, array_like=True):
    """What stays of a record that was taken back: an equal or older version of it no longer counts."""

    topic: str
    source: str
    record_id: str
    version: int
    erased: bool


class PersonState(Struct, frozen=True, array_like=True):
    """One person: its live facts ordered by (topic, source, record_id), and what was said of it.

    `collided` are the records of which two contents came under the newest version. `sent` maps each home that this
    person contributes to onto its roles there. `conflicts` maps each open conflict onto a digest of its last message.
    `reads` is the fingerprint of the law by which contributions were last made.
    """

    generation: int
    sequence: int
    reads: str
    facts: tuple[Fact, ...] = ()
    floors: tuple[Floor, ...] = ()
    collided: tuple[RecordKey, ...] = ()
    sent: dict[str, tuple[str, ...]] = {}
    conflicts: dict[str, str] = {}


class Answer(Struct, frozen=True, array_like=True):
    """The newest disposition of one evidence hash. Later is (made_at, disposition_id), so that order cannot matter."""

    evidence_hash: str
    suppress: bool
    made_at: int
    disposition_id: str


class RuleState(Struct, frozen=True, array_like=True):
    """One rule at one home: what it says now, and the alert that left last.

    `stage` is where the finding stands. `episode` and `revision` number the newest alert; `live` says that its last
    revision was not a withdrawal. `evidence_hash` to `due_on` are as that revision said.
    """

    truth: FullTruth
    stage: Stage = "none"
    sequence: int = 0
    missing: tuple[Missing, ...] = ()
    region: str | None = None
    township: str | None = None
    episode: int = 0
    revision: int = 0
    live: bool = False
    evidence_hash: str = ""
    amount_fen: int | None = None
    grade: Literal["case", "lead"] = "case"
    opened_on: date | None = None
    due_on: date | None = None
    due_kind: Literal["service", "statutory"] = "service"


class HomeState(Struct, frozen=True, array_like=True):
    """One home: the newest contribution of each person (ENDED ones stay as floors), and each rule's state."""

    contributions: dict[str, Contribution] = {}
    rules: dict[str, RuleState] = {}
    answers: dict[str, tuple[Answer, ...]] = {}
    next_review: date | None = None
    policy_hash: str | None = None
    region: str | None = None
    township: str | None = None


_person: Final = msgspec.msgpack.Decoder(PersonState)
_home: Final = msgspec.msgpack.Decoder(HomeState)


class StateFromTheFuture(Exception):
    """The value was written by a newer release."""


def decode_person(data: bytes) -> PersonState:
    """A person's state as that release reads it."""
    return _person.decode(_body(data))


def decode_home(data: bytes) -> HomeState:
    """A home's state as that release reads it."""
    return _home.decode(_body(data))


def _body(data: bytes) -> Any:
    if data[:2] != PREFIX:
        raise StateFromTheFuture(f"state of codec {data[0]}, fold {data[1]}")
    return memoryview(data)[2:]
