"""What must hold of every rule on every home: days announced, order and versions irrelevant, knowledge only settles."""

from __future__ import annotations

import random
from datetime import date, timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.domain.facts import PAYLOADS, Coverage, Payload
from hub.domain.homes import Home, Member
from hub.packs import load_book
from hub.policy.catalogue import RULES, decide
from hub.policy.findings import Finding
from hub.policy.kleene import NO, UNKNOWN, YES
from tests.unit.policy.homes import (
    FATHER,
    LONG_AGO,
    MOTHER,
    QUICK,
    SELF,
    START,
    benefit,
    check,
    death,
    fact,
    homes,
    inventory,
    justice,
    kin,
    listed,
    member,
    none_found,
    person_home,
    resident,
    settlement,
    wage,
)

DEMO = load_book(overlay="demo")
YEAR = 366
drawn = settings(max_examples=80, suppress_health_check=list(HealthCheck), phases=QUICK)


def everything_covered(one: Member) -> Member:
    """The same member with a 查无记录 for every topic it has no record of."""
    held = {fact.topic for fact in one.facts}
    more = [
        fact(Coverage(topic=topic, scope="person", delivery="full", found=False), f"zz{topic}")
        for topic in PAYLOADS
        if topic not in held
    ]
    return msgspec.structs.replace(one, facts=(*one.facts, *more))


def answer(finding: Finding | None) -> tuple[object, ...] | None:
    """What an alert or a work list would show: a change in any of it must be announced."""
    if finding is None:
        return None
    if finding.truth == YES:
        return finding.truth, finding.amount_fen, finding.grade, finding.evidence_hash, finding.people
    return finding.truth, finding.missing


def by_rule(home: Home, on: date) -> dict[str, Finding]:
    """The findings of a day."""
    return {finding.rule: finding for finding in decide(home, DEMO, on)}


def assert_no_surprise(home: Home) -> None:
    """Day by day over a year: an answer changes only on a day that the day before had announced."""
    before = by_rule(home, START)
    for offset in range(1, YEAR):
        today = START + timedelta(days=offset)
        now = by_rule(home, today)
        for rule in RULES:
            earlier = before.get(rule)
            if earlier is not None and earlier.review_on is not None:
                assert earlier.review_on >= today, (rule, earlier.review_on, today)
            announced = earlier is not None and earlier.review_on == today
            if not announced:
                assert answer(earlier) == answer(now.get(rule)), (rule, today, earlier, now.get(rule))
        before = now


@given(homes())
@settings(drawn, max_examples=15)
def test_no_answer_changes_on_a_day_nobody_announced(home: Home) -> None:
    """The timer of a home is enough: between two reviews nothing changes by itself."""
    assert_no_surprise(home)


def test_no_surprise_on_homes_made_for_each_rule() -> None:
    """The same on homes that really change within the year."""
    assert_no_surprise(_growing_up())
    assert_no_surprise(_growing_up_with_a_mother())
    assert_no_surprise(_prison_ends())
    assert_no_surprise(_bills_leave())
    assert_no_surprise(_check_expires())
    assert_no_surprise(_benefit_after_death())
    assert_no_surprise(_turning_eighty())


def test_those_homes_do_change() -> None:
    """The homes above would prove nothing if they stood still."""
    for made, rule in (
        (_growing_up(), "orphan"),
        (_prison_ends(), "defacto_unsupported"),
        (_bills_leave(), "medical_warning"),
        (_check_expires(), "dibao"),
        (_benefit_after_death(), "death_benefit_continues"),
        (_turning_eighty(), "elder_age_allowance"),
        (_turning_sixty(), "tekun"),
    ):
        first, last = (answer(by_rule(made, day).get(rule)) for day in (START, START + timedelta(days=YEAR - 1)))
        assert first != last, rule


@given(homes(), st.randoms(use_true_random=False), st.integers(2, 9))
@drawn
def test_order_and_versions_do_not_matter(home: Home, shuffle: random.Random, version: int) -> None:
    """Members and facts in any order, under other versions and times of receipt, give the same answers and hashes."""

    def mixed(one: Member) -> Member:
        facts = [msgspec.structs.replace(held, version=held.version + version) for held in one.facts]
        shuffle.shuffle(facts)
        return msgspec.structs.replace(one, facts=tuple(facts))

    members = [mixed(one) for one in home.members]
    shuffle.shuffle(members)
    other = msgspec.structs.replace(home, members=tuple(members))
    assert _seen(home) == _seen(other)


def _seen(home: Home) -> list[tuple[object, ...]]:
    return [
        (found.rule, found.truth, found.evidence_hash, found.amount_fen, found.grade, found.missing, found.review_on)
        for found in decide(home, DEMO, START)
    ]


@given(homes())
@drawn
def test_knowing_more_never_flips_a_settled_answer(home: Home) -> None:
    """A statement that nothing else exists turns unknowns into answers, and leaves yes and no alone."""
    sure = msgspec.structs.replace(home, members=tuple(everything_covered(one) for one in home.members))
    now = by_rule(sure, START)
    for rule, finding in by_rule(home, START).items():
        if finding.truth != UNKNOWN:
            assert finding.truth == now[rule].truth, rule


@given(homes())
@drawn
def test_only_unknown_findings_miss_something(home: Home) -> None:
    """Unknown names at least one input; a settled answer names none."""
    for finding in decide(home, DEMO, START):
        assert (finding.truth == UNKNOWN) == bool(finding.missing), finding
        assert finding.truth == YES or (finding.amount_fen is None and finding.hold_until is None)
        assert finding.region is not None
        assert "应停" not in finding.explanation + finding.title


@given(homes())
@drawn
def test_what_is_missing_is_enough(home: Home) -> None:
    """Where only coverage is missing, stating exactly that coverage settles the answer or asks for no more of it."""
    for finding in decide(home, DEMO, START):
        topics = [gap.field.removeprefix("source.coverage.") for gap in finding.missing]
        if not finding.missing or not all(gap.field.startswith("source.coverage.") for gap in finding.missing):
            continue
        stated = msgspec.structs.replace(
            home, members=tuple(_with(one, [none_found(topic) for topic in topics]) for one in home.members)
        )
        assert by_rule(stated, START)[finding.rule].truth != UNKNOWN, finding


@given(homes())
@drawn
def test_what_is_missing_is_needed(home: Home) -> None:
    """Where several statements are missing, no single one can be left out: some completion would still hang on it."""
    for finding in decide(home, DEMO, START):
        gaps = [gap for gap in finding.missing if gap.field.startswith("source.coverage.")]
        if len(gaps) != len(finding.missing) or len(gaps) < 2:
            continue
        for left_out in gaps:
            stated = msgspec.structs.replace(
                home,
                members=tuple(
                    _with(
                        one,
                        [
                            none_found(gap.field.removeprefix("source.coverage."))
                            for gap in gaps
                            if gap != left_out and gap.person == one.person
                        ],
                    )
                    for one in home.members
                ),
            )
            again = by_rule(stated, START)[finding.rule]
            assert again.truth == NO or left_out in again.missing, (finding, left_out)


def _with(one: Member, payloads: list[Coverage]) -> Member:
    more = tuple(fact(payload, f"zz{position}") for position, payload in enumerate(payloads))
    return msgspec.structs.replace(one, facts=(*one.facts, *more))


def _parents(*mother: Payload) -> tuple[Member, Member]:
    father = member(FATHER, ("parent",), [resident(date(1980, 1, 1)), death(date(2020, 5, 5))])
    return everything_covered(father), everything_covered(
        member(MOTHER, ("parent",), [resident(date(1982, 1, 1)), *mother])
    )


def _growing_up() -> Home:
    child = member(SELF, ("self",), [resident(date(2008, 2, 29)), kin(MOTHER, "mother"), kin(FATHER, "father")])
    return person_home(everything_covered(child), *_parents(death(date(2022, 1, 1))))


def _growing_up_with_a_mother() -> Home:
    child = member(SELF, ("self",), [resident(date(2008, 2, 29)), kin(MOTHER, "mother"), kin(FATHER, "father")])
    return person_home(everything_covered(child), *_parents())


def _prison_ends() -> Home:
    child = member(SELF, ("self",), [resident(date(2015, 2, 1)), kin(MOTHER, "mother"), kin(FATHER, "father")])
    return person_home(
        everything_covered(child), *_parents(justice("prison", date(2025, 1, 1), date(2026, 6, 30), term_months=18))
    )


def _bills_leave() -> Home:
    bills = [
        settlement(date(2025, 2, 1), 30000),
        settlement(date(2025, 8, 1), 30000),
        settlement(date(2025, 12, 31), 4),
    ]
    return Home("household:h", (everything_covered(member(SELF, ("member",), [resident(), listed(), *bills])),))


def _check_expires() -> Home:
    report = check((SELF,), (wage(SELF, 500),), authorised_until=date(2026, 5, 31))
    return Home("household:h", (everything_covered(member(SELF, ("member",), [resident(), listed(), report])),))


def _benefit_after_death() -> Home:
    facts: list[Payload] = [resident(), death(date(2025, 12, 30)), benefit("elder_age", LONG_AGO, date(2026, 3, 31))]
    return person_home(everything_covered(member(SELF, ("self",), facts)))


def _turning_eighty() -> Home:
    return person_home(everything_covered(member(SELF, ("self",), [resident(date(1946, 5, 20))])))


def _turning_sixty() -> Home:
    facts: list[Payload] = [
        resident(date(1966, 5, 20)),
        check((SELF,)),
        inventory("children"),
        inventory("spouse"),
        inventory("parents"),
    ]
    return person_home(everything_covered(member(SELF, ("self",), facts)))
