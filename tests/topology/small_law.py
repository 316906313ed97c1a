"""Five small rules that between them need every join, a window, a birthday, a hold and a coverage statement.

They are rules like those in force, only short: tests of the steps should not break when the law changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any, Final

from hub.discovery.law import Law
from hub.domain.facts import AidHousehold, Benefit, RegisteredDeath, Resident, Settlement
from hub.domain.homes import Home, HomeKind
from hub.domain.messages import Involved, Missing, Truth
from hub.domain.times import local_date
from hub.policy.calendar import WorkCalendar, birthday
from hub.policy.catalogue import place_of
from hub.policy.findings import Finding, Rule
from hub.policy.parameters import Entry, Policy, PolicyBook

LINE_FEN: Final = 100_000
WARNING_FEN: Final = 5_000_000


def found(rule: str, home: Home, truth: Truth, values: object = (), **more: Any) -> Finding:
    """A finding whose evidence hash is over the values it relied on."""
    relied = repr((rule, home.id, truth, values)).encode()
    given: dict[str, Any] = {
        "title": rule,
        "explanation": f"{rule}: {truth}",
        "articles": ("Art 1",),
        "conditions": (),
        "evidence": (),
        "missing": (Missing(field=f"{rule}.field"),) if truth == "unknown" else (),
        "people": tuple(Involved(member.person, role) for member in home.members for role in member.roles),
        "evidence_hash": blake2b(relied, digest_size=16).hexdigest(),
    }
    place = place_of(home)
    given |= {"region": place.region, "township": place.township}
    return Finding(rule=rule, subject=home.id, truth=truth, **(given | more))


def poor(home: Home, policy: Policy, on: date) -> Finding | None:
    """The household's benefits a head are below a line; unknown while a certified member has not contributed."""
    listed = [entry for member in home.members for _, entry in member.of(AidHousehold)]
    if not listed:
        return None
    if len(home.members) < max(entry.member_count for entry in listed):
        return found("poor", home, "unknown")
    line = policy.number("dibao_monthly_fen", on) or LINE_FEN
    total = sum(held.amount_fen or 0 for member in home.members for _, held in member.of(Benefit))
    gap = line * len(home.members) - total
    if gap <= 0:
        return found("poor", home, "no", total)
    return found("poor", home, "yes", (total, len(home.members)), amount_fen=gap, due_working_days=5)


def eighty(home: Home, policy: Policy, on: date) -> Finding | None:
    """Eighty years old."""
    entries = [entry for member in home.with_role("self") for _, entry in member.of(Resident)]
    born = max((entry.birth_date for entry in entries if entry.birth_date), default=None)
    if born is None:
        return None
    day = birthday(born, 80)
    return found("eighty", home, "yes", born) if day <= on else found("eighty", home, "no", born, review_on=day)


def bereaved(home: Home, policy: Policy, on: date) -> Finding | None:
    """A parent has died; told a week after the hub learned of it. Unknown without a parent."""
    parents = home.with_role("parent")
    if not home.with_role("self") or not parents:
        return found("bereaved", home, "unknown") if home.with_role("self") else None
    deaths = [(fact, death) for member in parents for fact, death in member.of(RegisteredDeath) if not death.revoked]
    if not deaths:
        return found("bereaved", home, "no")
    known_on = min(local_date(fact.received_at) for fact, _ in deaths)
    dates = sorted(str(death.death_date) for _, death in deaths)
    return found("bereaved", home, "yes", dates, hold_until=known_on + timedelta(days=7))


def unserved(home: Home, policy: Policy, on: date) -> Finding | None:
    """No benefit, and the register of benefits is complete to this day; unknown while nobody says so."""
    persons = home.with_role("self")
    if not persons:
        return None
    if any(member.of(Benefit) for member in persons):
        return found("unserved", home, "no")
    stated = [coverage for _, coverage in home.coverage if coverage.topic == "assistance.benefit"]
    if any(coverage.complete_to is None for coverage in stated):
        return found("unserved", home, "yes")
    last = max((coverage.complete_to for coverage in stated if coverage.complete_to), default=None)
    if last is None or last < on:
        return found("unserved", home, "unknown")
    return found("unserved", home, "yes", review_on=last + timedelta(days=1))


def spent(home: Home, policy: Policy, on: date) -> Finding | None:
    """Above a line paid in cash within the last 365 days; the window moves though nothing arrives."""
    window = timedelta(days=365)
    held = [bill for member in home.members for _, bill in member.of(Settlement)]
    within = [bill for bill in held if on - window < bill.service_to <= on]
    total = sum(bill.cash_fen for bill in within)
    changes = [bill.service_to for bill in held if bill.service_to > on] + [bill.service_to + window for bill in within]
    return found(
        "spent",
        home,
        "yes" if total > WARNING_FEN else "no",
        total,
        grade="lead" if home.kind == "candidate" else "case",
        review_on=min(changes, default=None),
    )


def rule(id: str, homes: set[HomeKind], reads: dict[str, set[str]], decide: Callable[..., Finding | None]) -> Rule:
    """A rule of this file."""
    fields = {role: frozenset(names) for role, names in reads.items()}
    return Rule(id=id, title=id, line="test", homes=frozenset(homes), reads=fields, articles=("Art 1",), decide=decide)


RULES: Final = {
    made.id: made
    for made in (
        rule(
            "poor",
            {"household"},
            {"member": {"assistance.household.member_count", "assistance.benefit.amount_fen"}},
            poor,
        ),
        rule("eighty", {"person"}, {"self": {"registration.resident.birth_date"}}, eighty),
        rule("bereaved", {"person"}, {"parent": {"registration.death.death_date"}}, bereaved),
        rule("unserved", {"person"}, {"self": {"assistance.benefit.type"}}, unserved),
        rule("spent", {"household", "candidate"}, {"member": {"medical.settlement.cash_fen"}}, spent),
    )
}


def topics(rules: dict[str, Rule], kind: HomeKind, role: str) -> frozenset[str]:
    """What a role brings to homes of a kind; register entry and membership always, as the catalogue has it."""
    fields = {field for made in rules.values() if kind in made.homes for field in made.reads.get(role, ())}
    always = {"self": {"registration.resident"}, "member": {"registration.resident", "assistance.household"}}
    return frozenset({field.rpartition(".")[0] for field in fields} | always.get(role, set()))


def book_with(line_fen: int | None = None) -> PolicyBook:
    """A book with one figure for all regions, or none."""
    entries = []
    if line_fen is not None:
        start = date(2020, 1, 1)
        entries = [
            Entry(
                region="100000", key="dibao_monthly_fen", value=line_fen, effective_from=start, source="test", mark="K"
            )
        ]
    return PolicyBook(entries, WorkCalendar(frozenset(), frozenset(), 2026))


def law(
    book: PolicyBook | None = None, rules: dict[str, Rule] | None = None, horizons: Mapping[str, int] | None = None
) -> Law:
    """The small rules under a book; nothing is ever pruned unless `horizons` say so (months by topic)."""
    used = RULES if rules is None else rules
    policies = book or book_with()

    def decide(home: Home, on: date) -> tuple[Finding, ...]:
        region = place_of(home).region
        if region is None:
            return ()
        policy = policies.for_region(region)
        answers = (made.decide(home, policy, on) for made in used.values() if home.kind in made.homes)
        return tuple(answer for answer in answers if answer is not None)

    return Law(
        rules=used,
        topics=partial(topics, used),
        decide=decide,
        policy_hash=lambda region: policies.for_region(region).hash if region else policies.hash,
        working_day=lambda day, count: policies.calendar.add_working_days(day, count).day,
        horizons=horizons or {},
    )
