"""A running deployment as the oracle sees it: every accepted event and disposition, and what is open on alerts.v1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from confluent_kafka import TopicPartition

from hub.domain.messages import Alert, Conflict, Disposition, Event, Message
from hub.errors import DataFault, TopologyMismatch
from hub.ops.clock import Clock
from hub.packs import load_book
from hub.policy.parameters import PolicyBook
from hub.settings import Settings
from hub.simulate.oracle.judge import Disagreement, Open, Outcome, outcome
from hub.streams.codec import Codec
from hub.streams.reading import ends_of, to_end
from hub.streams.topics import ALERTS, CONFLICTS, DISPOSITIONS, SOURCE_TOPICS


class Log(NamedTuple):
    """Everything that a decision may rest on.

    `superseded` counts events that came after a newer version of their record; `refused` counts records that the
    worker quarantines: they decide nothing.
    """

    events: list[Event]
    dispositions: list[Disposition]
    superseded: int
    refused: int


class Agreement(NamedTuple):
    """The deployment against the oracle. `counts`: how many alerts are open in both, in one of them only, and the same
    of conflicts between sources. The differences themselves name tokens, no persons.
    """

    counts: dict[str, int]
    joined: dict[str, int]
    superseded: int
    only_hub: frozenset[Open | Disagreement]
    only_oracle: frozenset[Open | Disagreement]

    @property
    def agrees(self) -> bool:
        """No difference at all."""
        return not self.only_hub and not self.only_oracle


def compare(settings: Settings) -> Agreement:
    """Judge all that lies in Kafka now, and compare it with what is open there. Wait until nothing moves first."""
    log = read_events_from_kafka(settings)
    expected = _judge(log, settings)
    alerts, conflicts = open_on_alerts(settings, log.dispositions), open_conflicts(settings)
    counts = {
        "open": len(alerts & expected.opened),
        "only_hub": len(alerts - expected.opened),
        "only_oracle": len(expected.opened - alerts),
        "conflicts": len(conflicts & expected.conflicts),
        "conflicts_only_hub": len(conflicts - expected.conflicts),
        "conflicts_only_oracle": len(expected.conflicts - conflicts),
    }
    return Agreement(
        counts,
        expected.joined,
        log.superseded,
        (alerts - expected.opened) | (conflicts - expected.conflicts),
        (expected.opened - alerts) | (expected.conflicts - conflicts),
    )


def judge(settings: Settings) -> Outcome:
    """What ought to stand now, by all that lies in Kafka."""
    return _judge(read_events_from_kafka(settings), settings)


def _judge(log: Log, settings: Settings) -> Outcome:
    return outcome(log.events, log.dispositions, book_of(settings), Clock(settings).now_ms())


def book_of(settings: Settings) -> PolicyBook:
    """The policy packs of this deployment."""
    return load_book(overlay=settings.overlay or None)


def read_events_from_kafka(settings: Settings) -> Log:
    """All source events and dispositions, from the first to what is there now. Region statements are read once."""
    events: list[Event] = []
    newest: dict[tuple[str, str, str, str | None], int] = {}
    statements: set[bytes] = set()
    dispositions: list[Disposition] = []
    superseded = refused = 0
    topics = [topic.name for topic in SOURCE_TOPICS] + [DISPOSITIONS.name]
    for name, key, value, decoded in _records(settings, topics):
        if isinstance(decoded, Event):
            header = decoded.header
            if header.person is not None and key != header.person.encode():
                refused += 1  # the worker quarantines a key that is not the record's person
                continue
            if header.person is None:
                if value in statements:
                    continue  # a region statement lies on every partition
                statements.add(value)
            record = (name, header.source, header.record_id, header.person)
            held = newest.setdefault(record, header.version)
            superseded += header.version < held
            newest[record] = max(held, header.version)
            events.append(decoded)
        elif isinstance(decoded, Disposition):
            dispositions.append(decoded)
        else:
            refused += 1
    return Log(events, dispositions, superseded, refused)


def open_on_alerts(settings: Settings, dispositions: list[Disposition]) -> frozenset[Open]:
    """Alerts that are open: the newest revision of each, unless withdrawn or answered by a suppressing disposition."""
    newest: dict[str, Alert] = {}
    for _, _, _, alert in _records(settings, [ALERTS.name]):
        if isinstance(alert, Alert):
            held = newest.get(alert.alert_id)
            if held is None or held.revision < alert.revision:
                newest[alert.alert_id] = alert
    last: dict[tuple[str, str, str], Disposition] = {}
    for one in sorted(dispositions, key=lambda one: (one.made_at, one.disposition_id)):
        last[one.home, one.rule, one.evidence_hash] = one
    silenced = {key for key, one in last.items() if one.suppress}
    return frozenset(
        Open(alert.rule, alert.subject, alert.evidence_hash, alert.amount_fen)
        for alert in newest.values()
        if alert.state != "WITHDRAWN" and (alert.home, alert.rule, alert.evidence_hash) not in silenced
    )


def open_conflicts(settings: Settings) -> frozenset[Disagreement]:
    """Conflicts that are open: the newest message of each. A collision's record is named by its first party."""
    newest: dict[str, Conflict] = {}
    for _, _, _, conflict in _records(settings, [CONFLICTS.name]):
        if isinstance(conflict, Conflict):
            held = newest.get(conflict.conflict_id)
            if held is None or held.sequence <= conflict.sequence:
                newest[conflict.conflict_id] = conflict
    return frozenset(as_disagreement(conflict) for conflict in newest.values() if conflict.state == "OPEN")


def as_disagreement(conflict: Conflict) -> Disagreement:
    """A conflict as the oracle names it."""
    record = ""
    if conflict.kind == "version_collision":
        party = conflict.parties[0]
        record = f"{party.topic}|{party.source}|{party.record_id}"
    return Disagreement(conflict.kind, conflict.person, record)


def _records(
    settings: Settings, topics: list[str]
) -> Iterator[tuple[str, bytes | None, bytes, Event | Message | None]]:
    """Topic, key, value and decoded value (None where nobody can decode it) of every committed record, to the end."""
    ends = ends_of(settings, topics)
    for topic in topics:
        if (topic, 0) not in ends:
            raise TopologyMismatch(f"topic {topic} does not exist — run `hub topics create`")
    codec = Codec(settings.registry_url)
    try:
        for message in to_end(settings, "hub-oracle", [TopicPartition(*place, 0) for place in ends]):
            topic, value = message.topic() or "", message.value() or b""
            yield topic, message.key(), value, _decode(codec, topic, value)
    finally:
        codec.close()


def _decode(codec: Codec, topic: str, value: bytes) -> Event | Message | None:
    try:
        return codec.decode(topic, value)
    except DataFault:
        return None
