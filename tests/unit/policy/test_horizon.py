"""What a rule declares of its windows is so: whatever lies beyond them changes nothing of any finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from hub.domain.facts import Enrolment, Payload
from hub.domain.homes import Home, Member
from hub.domain.messages import Fact
from hub.packs import load_book
from hub.policy import cases
from hub.policy.case_facts import CannotExpress
from hub.policy.catalogue import RULES, decide, horizons_under, topics_for
from hub.policy.findings import Finding, merged
from hub.policy.horizon import LATENESS, TAPER, anchor, falls_on, horizons, reaches_back_to, windowed
from hub.policy.lives import SIGN_MONTHS
from hub.policy.parameters import Entry, PolicyBook
from tests.unit.policy.homes import TOPIC_OF, homes, settlement
from tests.unit.policy.test_properties import drawn
from tests.unit.policy.test_rule_cases import CASES

BARE = load_book(overlay="demo").overridden({LATENESS: 0, TAPER: 0})
"""Without what is added for late records, so that a window declared too short shows."""

LATE = 4_000_000_000_000
"""A record time after all others: the newest record of a home must not say where it is if it will be pruned."""


def beyond(person: str, on: date, months: Mapping[str, int]) -> Iterator[Fact]:
    """Records of every windowed kind just below the horizon: dear bills, one of them reversed, and years insured."""
    payloads: list[Payload] = []
    if "medical.settlement" in months:
        last = reaches_back_to(person, on, months["medical.settlement"]) - timedelta(days=1)
        payloads += [settlement(last, 900_000), settlement(last - timedelta(days=9), 70_000)]
        payloads += [settlement(last, -70_000, reverses="old1")]
    if "insurance.enrolment" in months:
        year = reaches_back_to(person, on, months["insurance.enrolment"]).year - 1
        payloads += [
            Enrolment(scheme=scheme, year=year, place="330726", status="active")
            for scheme in ("medical_resident", "pension_employee")
        ]
    for number, payload in enumerate(payloads):
        yield Fact(TOPIC_OF[type(payload)], "s", f"old{number}", 1, "330726", LATE, LATE, LATE, None, None, payload)


def with_old(home: Home, on: date, months: Mapping[str, int]) -> Home:
    """The same home with records that are to be pruned."""

    def more(member: Member) -> Member:
        carried = frozenset[str]().union(*(topics_for(home.kind, role) for role in member.roles))
        old = (fact for fact in beyond(member.person, on, months) if fact.topic in carried)
        return msgspec.structs.replace(member, facts=(*member.facts, *old))

    return msgspec.structs.replace(home, members=tuple(more(member) for member in home.members))


def found(home: Home, book: PolicyBook, on: date) -> dict[str, Finding]:
    """What each rule answers."""
    return {finding.rule: finding for finding in decide(home, book, on)}


def assert_nothing_changes(home: Home, book: PolicyBook, on: date) -> None:
    """Each rule by its own windows: with all it reads that lies beyond them, and without."""
    plain = found(home, book, on)
    for rule in RULES.values():
        full = found(with_old(home, on, horizons([rule], BARE)), book, on)
        assert full.get(rule.id) == plain.get(rule.id), rule.id


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_no_case_is_decided_by_what_lies_beyond(case: dict[str, Any]) -> None:
    for _, current, _ in cases._steps(case):
        try:
            home = cases.home_of(current)
        except CannotExpress:
            continue
        book = BARE.overridden(cases._parameters(current.get("parameters") or {}), "case")
        assert_nothing_changes(home, book, cases._date(current["as_of"]))


@given(homes())
@settings(drawn)
def test_no_home_is_decided_by_what_lies_beyond(home: Home) -> None:
    for on in (date(2026, 1, 1), date(2029, 2, 28)):
        assert_nothing_changes(home, BARE, on)


def test_horizons_follow_from_rules_and_figures() -> None:
    book = load_book()
    sign, late, taper = (book.longest(key) for key in (SIGN_MONTHS, LATENESS, TAPER))
    assert sign and late and taper
    assert horizons_under(book) == {
        "medical.settlement": sign + late + taper,
        "insurance.enrolment": 12 + late + taper,
    }
    assert horizons(RULES.values(), book.overridden({SIGN_MONTHS: 3})) == {
        "medical.settlement": 12 + late + taper,  # the bills' window is the longest then
        "insurance.enrolment": 12 + late + taper,
    }


def test_one_rule_without_a_window_keeps_the_kind() -> None:
    boundless = msgspec.structs.replace(RULES["tekun"], windows={})
    rules = [boundless if rule.id == "tekun" else rule for rule in RULES.values()]
    assert set(horizons(rules, load_book())) == windowed(rules) == {"insurance.enrolment"}
    assert not horizons([RULES["orphan"]], load_book())


def test_nothing_is_pruned_on_a_guess() -> None:
    book = load_book()
    assert horizons(RULES.values(), book.overridden({TAPER: []})) == {}
    assert set(horizons(RULES.values(), book.overridden({SIGN_MONTHS: []}))) == {"insurance.enrolment"}
    ending = Entry(
        region="100000", key=LATENESS, value=24, effective_from=date(2000, 1, 1), effective_to=date(2030, 1, 1),
        source="t", mark="K",
    )  # fmt: skip
    assert book.overridden({LATENESS: [ending]}).longest(LATENESS) is None


def test_the_longest_figure_of_any_region_and_day_counts() -> None:
    entry = Entry(region="331102", key=LATENESS, value=60, effective_from=date(2040, 1, 1), source="t", mark="K")
    nation = msgspec.structs.replace(entry, region="100000", value=24, effective_from=date(2000, 1, 1))
    assert PolicyBook([nation, entry], load_book().calendar).longest(LATENESS) == 60
    assert PolicyBook([entry], load_book().calendar).longest(LATENESS) is None, "elsewhere nobody says"


def test_windows_of_several_readings_are_all_kept() -> None:
    assert merged({"a.b": (1,)}, {"a.b": ("x",), "c.d": (2,)}) == {"a.b": (1, "x"), "c.d": (2,)}


def test_absurd_years_have_an_anchor() -> None:
    for year in (-5, 0, 9999, 123_456):
        day = anchor("insurance.enrolment", Enrolment(scheme="x", year=year, place="331102", status="active"))
        assert falls_on("a", day, 84) > date(1, 1, 1)
