"""The oracle: what ought to be open, decided from scratch out of every accepted event, with no step and no state.

Written apart from `hub.discovery` (an import contract holds it), so that agreement of the two means something. It takes
the newest version of every record, builds every home by the tie rules, and asks the same law once about each of them.

    newest     of one record (person, topic, source, record id): the highest version. Of two contents of one version an
               erasure wins over an annulment, that over any content, and of contents the one of the smallest digest
    ties       every person is `self` at home person:<token>; somebody who calls the other son or daughter is `parent`
               at the other's home, who calls the other father or mother is `child` there, a spouse `spouse`; a
               membership record makes a `member` of household:<id>; without a membership that has no end, an entry in
               a family 户口 makes a `member` of candidate:<hukou>. Days play no part here: homes decide by date
    too old    a record below the horizon of its kind on the day is left out, whatever else is known; so is a collision
               whose winner is, or was recorded that long ago where it took the record back
    open       the answer is yes, its hold is over, and no newest disposition of just this evidence suppresses it
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from hub.domain.facts import AidHousehold, Coverage, Kinship, Resident
from hub.domain.homes import Home, Member, home_id, home_kind
from hub.domain.messages import Disposition, Event, Fact
from hub.domain.times import local_date
from hub.policy.catalogue import decide, horizons_under, topics_for
from hub.policy.horizon import anchor, falls_on
from hub.policy.parameters import PolicyBook
from hub.simulate.oracle.conflicts import kinds_of

AT_THE_OTHERS: Final = {"son": "parent", "daughter": "parent", "father": "child", "mother": "child", "spouse": "spouse"}
_encode: Final = msgspec.msgpack.Encoder().encode


class Open(NamedTuple):
    """One alert that ought to be open."""

    rule: str
    subject: str
    evidence_hash: str
    amount_fen: int | None


class Disagreement(NamedTuple):
    """One conflict between sources that ought to be open. `record` is empty but for a version collision."""

    kind: str
    person: str
    record: str = ""


class Outcome(NamedTuple):
    """All that ought to stand at a moment.

    `truths` holds the answer of every rule that applies, by (rule, subject); `joined` counts persons with a record and
    homes by kind.
    """

    opened: frozenset[Open]
    conflicts: frozenset[Disagreement]
    truths: dict[tuple[str, str], str]
    joined: dict[str, int]


class Records(NamedTuple):
    """The newest version of every record: of each person, of regions, and those that came with two contents."""

    persons: dict[str, list[Fact]]
    statements: list[Fact]
    collided: frozenset[tuple[str, str, str, str]]


def outcome(events: Iterable[Event], dispositions: Iterable[Disposition], book: PolicyBook, now: int) -> Outcome:
    """What ought to stand at `now` (UTC milliseconds)."""
    today = local_date(now)
    records = newest(events, today, horizons_under(book))
    suppressed = _suppressed(dispositions)
    opened: set[Open] = set()
    truths: dict[tuple[str, str], str] = {}
    joined = Counter({"persons": sum(map(bool, records.persons.values()))})
    for home in homes(records):
        if home.kind != "person":
            joined[f"{home.kind}s"] += 1
        for finding in decide(home, book, today):
            truths[finding.rule, finding.subject] = finding.truth
            held = finding.hold_until is not None and today < finding.hold_until
            silenced = (home.id, finding.rule, finding.evidence_hash) in suppressed
            if finding.truth == "yes" and not held and not silenced:
                opened.add(Open(finding.rule, finding.subject, finding.evidence_hash, finding.amount_fen))
    return Outcome(frozenset(opened), frozenset(disagreements(records)), truths, dict(joined))


def newest(events: Iterable[Event], today: date | None = None, horizons: Mapping[str, int] | None = None) -> Records:
    """The newest version of every record; on a day, without those of which no rule reads so far back (months)."""
    versions: dict[tuple[str, str, str, str], list[Event]] = defaultdict(list)
    for event in events:
        header = event.header
        key = (header.person or "", event.topic, header.source, header.record_id)
        held = versions[key]
        if held and held[0].header.version < header.version:
            held.clear()
        if not held or held[0].header.version == header.version:
            held.append(event)
    persons: dict[str, list[Fact]] = defaultdict(list)
    statements: list[Fact] = []
    collided = set()
    for key in sorted(versions):
        candidates = sorted(versions[key], key=_precedence)
        if len({_content(event) for event in candidates}) > 1:
            collided.add(key)
        event = candidates[0]
        if key[0] and today is not None and _too_old(event, today, horizons or {}):
            collided.discard(key)
            persons[key[0]]
            continue
        if key[0]:
            persons[key[0]]  # a person of whom all was taken back is still known, as somebody without facts
        if event.header.change != "UPSERT" or event.payload is None:
            continue
        (persons[key[0]] if key[0] else statements).append(_fact(event))
    return Records(dict(persons), statements, frozenset(collided))


def _too_old(event: Event, today: date, horizons: Mapping[str, int]) -> bool:
    person, months = event.header.person, horizons.get(event.topic)
    if person is None or months is None:
        return False
    if event.header.change != "UPSERT" or event.payload is None:
        day = local_date(event.header.record_time)
    else:
        day = anchor(event.topic, event.payload)
    return falls_on(person, day, months) <= today


def homes(records: Records) -> list[Home]:
    """Every home that anybody contributes to, members by token, their facts ordered, coverage attached."""
    roles: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for person, facts in records.persons.items():
        for home, role in _ties(person, facts):
            roles[home][person].add(role)
    coverage = tuple((fact, fact.payload) for fact in records.statements if isinstance(fact.payload, Coverage))
    built = []
    for home in sorted(roles):
        members = tuple(
            Member(person, tuple(sorted(roles[home][person])), _carried(home, roles[home][person], records, person))
            for person in sorted(roles[home])
        )
        built.append(Home(home, members, coverage))
    return built


def _carried(home: str, roles: set[str], records: Records, person: str) -> tuple[Fact, ...]:
    """A person's facts of the topics that somebody in these roles brings to such a home; 查无记录 always goes along."""
    wanted = {"source.coverage"}.union(*(topics_for(home_kind(home), role) for role in roles))
    return tuple(fact for fact in records.persons[person] if fact.topic in wanted)


def _ties(person: str, facts: list[Fact]) -> list[tuple[str, str]]:
    if not facts:
        return []
    ties = [(home_id("person", person), "self")]
    settled = False  # belongs to a certified household without an end
    for fact in facts:
        told = fact.payload
        if isinstance(told, Kinship) and told.other and told.relation in AT_THE_OTHERS:
            ties.append((home_id("person", told.other), AT_THE_OTHERS[told.relation]))
        if isinstance(told, AidHousehold):
            ties.append((home_id("household", told.aid_household), "member"))
            settled = settled or told.until is None
    for fact in facts:
        entry = fact.payload
        if not settled and isinstance(entry, Resident) and entry.hukou and entry.hukou_kind == "family":
            ties.append((home_id("candidate", entry.hukou), "member"))
    return ties


def _suppressed(dispositions: Iterable[Disposition]) -> set[tuple[str, str, str]]:
    """Home, rule and evidence hash of which the newest disposition suppresses."""
    last: dict[tuple[str, str, str], Disposition] = {}
    for one in sorted(dispositions, key=lambda one: (one.made_at, one.disposition_id)):
        last[one.home, one.rule, one.evidence_hash] = one
    return {key for key, one in last.items() if one.suppress}


def _fact(event: Event) -> Fact:
    header = event.header
    return Fact(
        topic=event.topic,
        source=header.source,
        record_id=header.record_id,
        version=header.version,
        region=header.region,
        event_time=header.event_time,
        record_time=header.record_time,
        received_at=header.received_at,
        valid_from=header.valid_from,
        valid_to=header.valid_to,
        payload=event.payload,
    )


def _content(event: Event) -> bytes:
    """What an event says, whenever it was recorded or received. Whatever takes a record back says the same."""
    header = event.header
    if header.change != "UPSERT":
        return b""
    return _encode((header.region, header.valid_from, header.valid_to, event.payload))


def _precedence(event: Event) -> tuple[int, bytes, int, int, int]:
    header = event.header
    if header.change != "UPSERT":
        return (0 if header.change == "ERASED" else 1, b"", 0, 0, 0)
    digest = blake2b(_content(event), digest_size=16).digest()
    return 2, digest, header.received_at, header.record_time, header.event_time


def disagreements(records: Records) -> Iterable[Disagreement]:
    """Every conflict between sources."""
    for person, facts in records.persons.items():
        for kind in kinds_of(person, facts, records.statements):
            yield Disagreement(kind, person)
    for person, topic, source, record in records.collided:
        if person:
            yield Disagreement("version_collision", person, f"{topic}|{source}|{record}")
