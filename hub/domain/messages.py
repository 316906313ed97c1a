"""What travels between the steps: events in, contributions between, alerts and conflicts out.

Each Struct mirrors a schema in schemas/ (a test compares them). Structs that are kept in state are `array_like`,
so their encoding holds no field names; a field may only be added at the end, with a default.
"""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple

from msgspec import Struct

from hub.domain.facts import Payload

Truth = Literal["yes", "no", "unknown"]
Change = Literal["UPSERT", "ANNUL", "ERASED"]


class Header(Struct, frozen=True, kw_only=True):
    """Shared header of every source event; `schemas/hub.Header.avsc` explains each field."""

    source: str
    record_id: str
    version: int
    change: Change
    person: str | None = None
    region: str | None = None
    event_time: int
    record_time: int
    received_at: int
    valid_from: date | None = None
    valid_to: date | None = None


class Event(NamedTuple):
    """One source event. `topic` has no version suffix, as `medical.settlement`; `payload` is None for an ANNUL."""

    topic: str
    header: Header
    payload: Payload | None


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
    """What one person's facts mean to one home. Ordered by (generation, sequence); an older one is ignored.

    `reads` is the fingerprint of the rules it was made for; empty where no rule has a say, or before it was kept.
    """

    home: str
    person: str
    roles: tuple[str, ...]
    state: Literal["LIVE", "ENDED"]
    generation: int
    sequence: int
    facts: tuple[Fact, ...]
    reads: str = ""


class Missing(Struct, frozen=True, order=True):
    """One input that would settle an unknown. `field` is topic.field, parameter.key or source.coverage.topic."""

    field: str
    person: str | None = None
    role: str | None = None
    source: str | None = None


class Evidence(Struct, frozen=True, order=True):
    """One value of one record that a decision relied on."""

    topic: str
    field: str
    value: str
    person: str | None
    source: str
    record_id: str
    version: int


class Condition(Struct, frozen=True):
    """One line of a decision. `text` is plain Chinese without personal data; `depth` gives the tree."""

    id: str
    depth: int
    truth: Truth
    text: str
    article: str | None = None


class Involved(Struct, frozen=True, order=True):
    """A person an alert concerns."""

    person: str
    role: str


class Alert(Struct, frozen=True, kw_only=True):
    """One revision of one episode of one rule on one subject."""

    alert_id: str
    revision: int
    state: Literal["OPEN", "AMENDED", "WITHDRAWN"]
    rule: str
    subject: str
    home: str
    episode: int
    grade: Literal["case", "lead"]
    line: str
    region: str | None = None
    township: str | None = None
    title: str
    explanation: str
    articles: tuple[str, ...] = ()
    amount_fen: int | None = None
    people: tuple[Involved, ...] = ()
    conditions: tuple[Condition, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()
    cause: Literal["facts", "time", "policy", "disposition"]
    decided_on: date
    opened_on: date
    due_on: date | None = None
    due_kind: Literal["service", "statutory"]
    evidence_hash: str
    policy_hash: str
    decided_at: int
    caused_at: int | None = None


class FindingChange(Struct, frozen=True, kw_only=True):
    """The outcome of a rule on a subject changed."""

    rule: str
    subject: str
    home: str
    truth: Literal["yes", "no", "unknown", "not_applicable"]
    region: str | None = None
    township: str | None = None
    missing: tuple[Missing, ...] = ()
    sequence: int
    policy_hash: str
    decided_on: date
    decided_at: int


class Disposition(Struct, frozen=True, kw_only=True):
    """What a caseworker or a line did with an alert."""

    disposition_id: str
    alert_id: str
    home: str
    subject: str
    rule: str
    revision: int
    evidence_hash: str
    policy_hash: str
    outcome: str
    reason: str | None = None
    suppress: bool
    by: str
    made_at: int


class Receipt(Struct, frozen=True, kw_only=True):
    """A line's answer to one delivered revision."""

    receipt_id: str
    alert_id: str
    revision: int
    line: str
    status: Literal["accepted", "rejected", "handled"]
    outcome: str | None = None
    reason: str | None = None
    made_at: int


class ConflictParty(Struct, frozen=True, order=True):
    """One side of a conflict; the value itself never appears."""

    topic: str
    source: str
    record_id: str
    version: int
    value_class: str


class Conflict(Struct, frozen=True, kw_only=True):
    """Sources disagree about a person."""

    conflict_id: str
    kind: str
    person: str
    state: Literal["OPEN", "CLOSED"]
    sequence: int
    field: str
    region: str | None = None
    parties: tuple[ConflictParty, ...] = ()
    seen_at: int


class Review(Struct, frozen=True):
    """A timer that fired: the home is to be decided again, as its review date has come."""

    home: str
    review_on: date


class RecordReference(Struct, frozen=True):
    """A record by its pseudonymous id, with the class of the failing value."""

    record_id: str
    version: int
    value_class: str


class QualityResult(Struct, frozen=True, kw_only=True):
    """One expectation on one micro-batch of one source."""

    run_id: str
    source: str
    topic: str
    suite: str
    expectation: str
    field: str | None = None
    dimension: str
    severity: Literal["info", "warning", "critical"]
    outcome: Literal["pass", "fail", "errored", "no_data"]
    checked: int
    failed: int
    region: str | None = None
    day: date
    examples: tuple[RecordReference, ...] = ()
    made_at: int


class Quarantined(Struct, frozen=True, kw_only=True):
    """One bad record, kept whole and sealed."""

    quarantine_id: str
    stage: Literal["connector", "worker"]
    source: str
    topic: str | None = None
    locator: str
    record_id: str | None = None
    field: str | None = None
    reason: str
    value_class: str
    message: str
    original: bytes
    mapping_hash: str | None = None
    attempt: int = 0
    received_at: int


class Activation(Struct, frozen=True, kw_only=True):
    """What is in force in a deployment: the policy pack, what rules read, and the generation of state that tells.

    While `switching_to` names the next generation, none tells. `state_codec` is the layout in which workers write
    states: it rises when nobody will go back to the release before.
    """

    policy_hash: str
    reads: str
    generation: int
    switching_to: int | None = None
    by: str
    activated_at: int
    state_codec: int = 1


Message = (
    Contribution | Alert | FindingChange | Disposition | Receipt | Conflict | QualityResult | Quarantined | Activation
)


class Output(NamedTuple):
    """One message to publish. `key` is the message key; `here` sends it to the partition that is being worked on."""

    topic: str
    key: str
    value: Message
    here: bool = False
