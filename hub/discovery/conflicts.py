"""Where sources disagree about one person: time-free functions of its live facts, so that order cannot matter.

One conflict a kind and person (a version collision: one a record) is open at most; its parties are representative
records, the first by day where a source keeps saying the same, so that a monthly record does not renew it.

    dead_and_alive           a death that is not revoked, and after its last possible day a settlement that was not
                             reversed, a pension's alive check, or a benefit begun, reviewed or recorded as active
    deaths_differ            dates of death that cannot be one day, at the precision each is given in
    birth_dates_differ       two dates in the household registers, or a date that the citizen number contradicts
    unknown_in_registration  facts elsewhere, no entry in the household register, and a coverage statement that says
                             the register is complete for that region and day (or a 查无记录 for the person)
    two_live_households      two aid households, each without an end
    replaced_identity        a token that was replaced, with records made later than the replacement
    version_collision        two contents under one version of a record
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from hashlib import blake2b
from typing import Final, TypeVar

from msgspec import Struct

from hub.discovery.state import RecordKey
from hub.domain.facts import (
    PAYLOADS,
    AidHousehold,
    Benefit,
    Coverage,
    Cremation,
    Identity,
    MedicalDeath,
    Payload,
    Pension,
    RegisteredDeath,
    Resident,
    Settlement,
)
from hub.domain.messages import ConflictParty, Fact
from hub.domain.times import local_date
from hub.policy.view import lies_in

P = TypeVar("P", bound=Payload)
_DAY: Final = timedelta(days=1)


class Found(Struct, frozen=True):
    """A conflict as the facts show it. `discriminator` tells conflicts of one kind and person apart."""

    kind: str
    field: str
    region: str | None
    parties: tuple[ConflictParty, ...]
    discriminator: str = ""


class Known(Struct, frozen=True):
    """All that is known of one person: live facts by topic (a topic without any is no key), and more.

    `statements` are the region coverage statements of registration.resident.
    """

    person: str
    facts: Mapping[str, Sequence[Fact]]
    versions: Mapping[RecordKey, int]
    collided: frozenset[RecordKey]
    statements: tuple[Fact, ...]

    def of(self, payload_type: type[P], topic: str) -> list[tuple[Fact, P]]:
        """Facts of a topic with their payloads, ordered by (source, record_id)."""
        return [(fact, fact.payload) for fact in self.facts.get(topic, ()) if isinstance(fact.payload, payload_type)]


def find(known: Known) -> list[Found]:
    """Every conflict that stands."""
    found: list[Found] = []
    for topics, check in _CHECKS:
        if topics.isdisjoint(known.facts):
            continue  # most persons have none of these records
        conflict = check(known)
        if conflict is not None:
            found.append(conflict)
    found.extend(_collisions(known))
    return found


def conflict_id(person: str, found: Found) -> str:
    """32 hex over kind, person and discriminator: the same conflict again has the same id."""
    text = f"{found.kind}|{person}|{found.discriminator}"
    return blake2b(text.encode(), digest_size=16).hexdigest()


def covers(statement: Fact, region: str | None, day: date) -> bool:
    """Whether a region statement speaks for a county and a day."""
    coverage = statement.payload
    if not isinstance(coverage, Coverage) or region is None:
        return False
    return (
        lies_in(region, statement.region)
        and (coverage.complete_from is None or coverage.complete_from <= day)
        and (coverage.complete_to is None or day <= coverage.complete_to)
    )


def _party(fact: Fact, value_class: str) -> ConflictParty:
    return ConflictParty(fact.topic, fact.source, fact.record_id, fact.version, value_class)


def _region(known: Known, facts: Iterable[Fact]) -> str | None:
    """County of the household register's entry, else of the first record that names one."""
    residents = known.facts.get("registration.resident", ())
    return next((fact.region for fact in (*residents, *facts) if fact.region is not None), None)


# --- deaths ---------------------------------------------------------------------------------------------------------


class _Death(Struct, frozen=True):
    """A death that stands: first and last day it can have been."""

    fact: Fact
    field: str
    first: date
    last: date
    precision: str


def _span(day: date, precision: str) -> tuple[date, date]:
    if precision == "year":
        return date(day.year, 1, 1), date(day.year, 12, 31)
    if precision == "month":
        first = day.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1) - _DAY
    return day, day


def _deaths(known: Known) -> list[_Death]:
    deaths: list[_Death] = []
    stated: list[tuple[Fact, date | None, str]] = [
        *((f, p.death_date, p.precision) for f, p in known.of(RegisteredDeath, "registration.death") if not p.revoked),
        *((f, p.death_date, p.precision) for f, p in known.of(MedicalDeath, "medical.death") if not p.revoked),
        *((f, p.death_date, "day") for f, p in known.of(Cremation, "funeral.cremation")),
    ]
    for fact, day, precision in stated:
        if day is not None:
            deaths.append(_Death(fact, f"{fact.topic}.death_date", *_span(day, precision), precision))
    return deaths


def _dead_and_alive(known: Known) -> Found | None:
    deaths = _deaths(known)
    # A cremation without a date of death still bounds it.
    for fact, cremation in known.of(Cremation, "funeral.cremation"):
        if cremation.death_date is None:
            day = cremation.cremated_on
            deaths.append(_Death(fact, "funeral.cremation.cremated_on", day, day, "latest"))
    if not deaths:
        return None
    death = min(deaths, key=lambda d: (d.last, d.fact.topic, d.fact.source, d.fact.record_id))
    first: dict[tuple[str, str], tuple[date, str, Fact, str]] = {}
    for day, fact, value_class in _signs_of_life(known):
        if day > death.last:
            where = (fact.topic, fact.source)
            sign = (day, fact.record_id, fact, value_class)
            if where not in first or sign[:2] < first[where][:2]:
                first[where] = sign
    if not first:
        return None
    signs = [(fact, value_class) for _, _, fact, value_class in (first[where] for where in sorted(first))]
    return Found(
        "dead_and_alive",
        death.field,
        _region(known, [death.fact]),
        (_party(death.fact, "dead"), *(_party(fact, value_class) for fact, value_class in signs)),
    )


def _signs_of_life(known: Known) -> Iterable[tuple[date, Fact, str]]:
    settlements = known.of(Settlement, "medical.settlement")
    reversed_ids = {(fact.source, settled.reverses) for fact, settled in settlements if settled.reverses is not None}
    for fact, settled in settlements:
        if settled.reverses is None and settled.total_fen >= 0 and (fact.source, fact.record_id) not in reversed_ids:
            yield settled.service_from, fact, "treated"
    for fact, pension in known.of(Pension, "insurance.pension"):
        if pension.last_alive_check is not None:
            yield pension.last_alive_check, fact, "alive_check"
    for fact, benefit in known.of(Benefit, "assistance.benefit"):
        if benefit.status == "active":
            days = (benefit.since, benefit.last_review_on or benefit.since, local_date(fact.record_time))
            yield max(days), fact, "benefit_active"


def _deaths_differ(known: Known) -> Found | None:
    deaths = _deaths(known)
    if len(deaths) < 2 or max(d.first for d in deaths) <= min(d.last for d in deaths):
        return None
    parties = tuple(sorted(_party(d.fact, d.precision) for d in deaths))
    return Found("deaths_differ", f"{parties[-1].topic}.death_date", _region(known, [deaths[0].fact]), parties)


# --- registers ------------------------------------------------------------------------------------------------------


def _birth_dates_differ(known: Known) -> Found | None:
    entries = [(f, r) for f, r in known.of(Resident, "registration.resident") if r.birth_date is not None]
    contradicted = [(f, r) for f, r in entries if r.id_birth_agrees is False]
    if len({r.birth_date for _, r in entries}) < 2:
        entries = contradicted
    if not entries:
        return None
    classes = {None: "date", True: "agrees_with_number", False: "differs_from_number"}
    parties = tuple(_party(fact, classes[entry.id_birth_agrees]) for fact, entry in entries)
    return Found("birth_dates_differ", "registration.resident.birth_date", _region(known, ()), parties)


def _unknown_in_registration(known: Known) -> Found | None:
    if "registration.resident" in known.facts:
        return None
    elsewhere = [
        fact
        for topic, facts in known.facts.items()
        if topic != "source.coverage" and not topic.startswith("registration.")
        for fact in facts
    ]
    if not elsewhere:
        return None
    elsewhere.sort(key=lambda fact: (fact.topic, fact.source, fact.record_id))
    not_found = next(
        (
            fact
            for fact, coverage in known.of(Coverage, "source.coverage")
            if coverage.topic == "registration.resident" and coverage.found is False
        ),
        None,
    )
    for fact in elsewhere:
        day = local_date(fact.event_time)
        statement = not_found or next((s for s in known.statements if covers(s, fact.region, day)), None)
        if statement is not None:
            parties = (_party(fact, "present"), _party(statement, "not_found" if not_found else "complete"))
            return Found("unknown_in_registration", "registration.resident.status", fact.region, parties)
    return None


def _two_live_households(known: Known) -> Found | None:
    live = [(f, m) for f, m in known.of(AidHousehold, "assistance.household") if m.until is None]
    if len({membership.aid_household for _, membership in live}) < 2:
        return None
    parties = tuple(_party(fact, "live") for fact, _ in live)
    field = "assistance.household.aid_household"
    return Found("two_live_households", field, _region(known, [fact for fact, _ in live]), parties)


def _replaced_identity(known: Known) -> Found | None:
    replacements = [
        fact
        for fact, identity in known.of(Identity, "registration.identity")
        if identity.old_person == known.person != identity.new_person
    ]
    if not replacements:
        return None
    replaced = min(replacements, key=lambda fact: (fact.record_time, fact.source, fact.record_id))
    later = [
        fact
        for topic, facts in sorted(known.facts.items())
        if topic not in ("registration.identity", "source.coverage")
        for fact in facts
        if fact.record_time > replaced.record_time
    ]
    if not later:
        return None
    parties = (_party(replaced, "replaced"), _party(later[0], "newer_record"))
    return Found("replaced_identity", "registration.identity.new_person", _region(known, later), parties)


def _collisions(known: Known) -> list[Found]:
    found = []
    for key in sorted(known.collided):
        topic, source, record_id = key
        party = ConflictParty(topic, source, record_id, known.versions[key], "payload")
        facts = [fact for fact in known.facts.get(topic, ()) if (fact.source, fact.record_id) == (source, record_id)]
        found.append(Found("version_collision", f"{topic}.version", _region(known, facts), (party,), "|".join(key)))
    return found


_DEATHS: Final = frozenset({"registration.death", "medical.death", "funeral.cremation"})
_CHECKS: Final[tuple[tuple[frozenset[str], Callable[[Known], Found | None]], ...]] = (
    (_DEATHS, _dead_and_alive),
    (_DEATHS, _deaths_differ),
    (frozenset({"registration.resident"}), _birth_dates_differ),
    (frozenset(PAYLOADS) - {"registration.resident"}, _unknown_in_registration),
    (frozenset({"assistance.household"}), _two_live_households),
    (frozenset({"registration.identity"}), _replaced_identity),
)
"""Each check with the topics without which it finds nothing."""
