"""Every rule in force through both stages: opened, amended, withdrawn, unknown, turned by the clock alone.

What a rule answers in its finer cases is the business of its decision cases; here it is shown that records reach it
by its joins, that taking them back takes the alert back, and that it is woken when nothing arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, Final, NamedTuple

import pytest

from hub.discovery.topology import LocalTopology
from hub.domain.facts import Check, IncomeItem, Investigation, JusticeStatus, Kinship, Payment
from hub.domain.messages import Event
from hub.domain.times import at_noon_ms
from hub.packs import load_book
from hub.policy.catalogue import RULES
from tests.topology.records import (
    NOON,
    TODAY,
    A,
    B,
    C,
    annul,
    benefit,
    covered,
    event,
    kin,
    medical_death,
    member,
    pension,
    registered_death,
    resident,
    settlement,
)

BOOK: Final = load_book(overlay="demo")
COVERED: Final = tuple(
    covered(topic)
    for topic in (
        "assistance.benefit",
        "assistance.payment",
        "disability.certificate",
        "insurance.enrolment",
        "insurance.pension",
        "justice.status",
        "medical.settlement",
    )
)
DIED: Final = date(2026, 1, 10)
HOLD: Final = 7  # death.hold_days of the national pack


def check(wage_fen: int = 0, **fields: Any) -> Check:
    """A verification of A alone: property complies with every test, a wage a month or nothing."""
    income = (IncomeItem(person=A, type="wage", amount_fen=12 * wage_fen, months=12),) if wage_fen else ()
    compliant = {f"property_{test}": "compliant" for test in ("dibao", "margin", "tekun", "low_income", "rigid")}
    given: dict[str, Any] = {"authorised_until": date(2026, 12, 31), "covered_persons": (A,), "income": income}
    return Check(
        aid_household="h", period_from=date(2025, 1, 1), period_to=date(2025, 12, 31), **(compliant | given | fields)
    )


def payment(period: str) -> Payment:
    """A month of 高龄津贴."""
    paid_on = date.fromisoformat(f"{period}-15")
    return Payment(benefit="elder_age", period=period, paid_on=paid_on, amount_fen=10_000, paying_region="331102")


def justice(kind: str, since: date, **fields: Any) -> JusticeStatus:
    """A judicial status."""
    return JusticeStatus(kind=kind, since=since, **fields)


def complete(list_of: str) -> Kinship:
    """The statement that the kinship register lists all children, the spouse or the parents."""
    return Kinship(inventory_complete=list_of, certified_on=TODAY)


def dead(*persons: str, day: date = DIED) -> list[Event]:
    """Deaths that household register and hospital agree on."""
    return [event(person, made(day)) for person in persons for made in (registered_death, medical_death)]


def parents(child_born: date = date(2015, 5, 1)) -> list[Event]:
    """Child A, father B, mother C, all registered; each tie from both ends."""
    return [
        *(event(person, resident()) for person in (B, C)),
        event(A, resident(birth_date=child_born)),
        event(A, kin(B, "father"), "father"),
        event(A, kin(C, "mother"), "mother"),
        event(B, kin(A, "son")),
        event(C, kin(A, "son")),
        *COVERED,
    ]


class Story(NamedTuple):
    """What a rule is shown with: records that open it, one that amends, what takes it back, what leaves it unknown.

    `clock`: other records, and the day on which they make `turns` leave though nothing arrives.
    """

    subject: str
    opens: Sequence[Event]
    amends: Sequence[Event]
    ends: Sequence[Event]
    unknown: Sequence[Event]
    missing: str
    clock: Sequence[Event]
    day: date
    turns: str = "OPEN"
    held: int = 0
    grade: str = "case"
    amount_fen: int | None = None


POOR: Final = [
    event(A, resident()),
    event(A, member("h")),
    event(A, Investigation(aid_household="h", visited_on=date(2026, 1, 5), deductions_complete=True)),
    *COVERED,
]
ELDER: Final = [event(A, complete("children"), "c"), event(A, complete("spouse"), "s"), event(A, check()), *COVERED]
OLD: Final = resident(birth_date=date(1945, 5, 1))
SECOND: Final = benefit(paying_region="331121", since=date(2025, 9, 1))
SICK: Final = [event(A, resident()), event(A, member("h"))]
FATHER_DEAD: Final = [*parents(), *dead(B)]

STORIES: Final[dict[str, Story]] = {
    "dibao": Story(
        subject="household:h",
        opens=[*POOR, event(A, check(50_000))],
        amount_fen=58_300,
        amends=[event(A, check(60_000), version=2)],
        ends=[event(A, benefit("dibao"))],
        unknown=POOR,
        missing="assistance.check.property_dibao",
        clock=[*POOR, event(A, check(authorised_until=date(2026, 4, 1)))],
        day=date(2026, 4, 2),
        turns="WITHDRAWN",
    ),
    "death_benefit_continues": Story(
        subject=f"person:{A}",
        held=HOLD,
        opens=[event(A, resident()), *dead(A), event(A, payment("2026-02"), "2")],
        amends=[event(A, payment("2026-03"), "3")],
        ends=[annul(death) for death in dead(A)],
        unknown=[event(A, resident()), *dead(A)],
        missing="source.coverage.assistance.payment",
        clock=[event(A, resident()), *dead(A, day=TODAY), event(A, benefit("elder_age"))],
        day=date(2026, 4, 1),
    ),
    "funeral_affairs": Story(
        subject=f"person:{A}",
        held=HOLD,
        opens=[event(A, resident()), *dead(A), *COVERED],
        amends=[event(A, pension(None))],
        ends=[event(A, resident(status="cancelled_death"), version=2)],
        unknown=[event(A, resident(status="cancelled_death")), *dead(A)],
        missing="source.coverage.insurance.pension",
        clock=[event(A, resident()), *dead(A)],
        day=TODAY + timedelta(days=HOLD),
    ),
    "medical_warning": Story(
        subject="household:h",
        grade="lead",
        opens=[*SICK, event(A, settlement(date(2025, 9, 1), 6_000_000), "1")],
        amends=[event(A, settlement(date(2026, 1, 1), 6_000_000), "2")],
        ends=[event(A, settlement(date(2025, 9, 9), -6_000_000, reverses="1"), "3")],
        unknown=[*SICK, event(A, settlement(date(2025, 9, 1), 100))],
        missing="source.coverage.medical.settlement",
        clock=[*SICK, event(A, settlement(date(2025, 4, 1), 6_000_000))],
        day=date(2026, 4, 2),
        turns="WITHDRAWN",
    ),
    "tekun": Story(
        subject=f"person:{A}",
        opens=[event(A, resident(birth_date=date(1960, 5, 1))), *ELDER],
        amount_fen=141_000,
        amends=[event(A, check(10_000), version=2)],
        ends=[event(A, check(property_tekun="non_compliant"), version=2)],
        unknown=[event(A, resident(birth_date=date(1960, 5, 1))), *ELDER[1:]],
        missing="registration.kinship.inventory_complete",
        clock=[event(A, resident(birth_date=date(1966, 4, 1))), event(A, complete("parents"), "p"), *ELDER],
        day=date(2026, 4, 1),
    ),
    "orphan": Story(
        subject=f"person:{A}",
        opens=[*parents(), *dead(B, C)],
        amount_fen=200_000,
        amends=[event(B, registered_death(DIED - timedelta(days=1)), version=2)],
        ends=[annul(death) for death in dead(B)],
        unknown=[one for one in FATHER_DEAD if one.header.person != C],
        missing="registration.resident.status",
        clock=[*parents(date(2008, 4, 1)), *dead(B, C)],
        day=date(2026, 4, 1),
        turns="WITHDRAWN",
    ),
    "defacto_unsupported": Story(
        subject=f"person:{A}",
        opens=[*FATHER_DEAD, event(C, justice("prison", date(2025, 6, 1), term_months=24))],
        amount_fen=200_000,
        amends=[event(C, justice("prison", date(2025, 7, 1), term_months=24), version=2)],
        ends=[event(C, justice("prison", date(2025, 6, 1), term_months=24, released_on=date(2026, 3, 1)), version=2)],
        unknown=[*FATHER_DEAD, event(C, justice("lost_contact", date(2025, 1, 1)))],
        missing="justice.status.care_given",
        clock=[*FATHER_DEAD, event(C, justice("lost_contact", date(2025, 10, 1), care_given=False))],
        day=date(2026, 4, 1),
    ),
    "duplicate_benefit": Story(
        subject=f"person:{A}",
        opens=[event(A, benefit(), "1"), event(A, SECOND, "2")],
        amends=[event(A, benefit(paying_region="331121", since=date(2025, 10, 1)), "2", 2)],
        ends=[annul(event(A, SECOND, "2"))],
        unknown=[event(A, benefit(status="ended"), "1"), event(A, SECOND, "2")],
        missing="assistance.benefit.until",
        clock=[event(A, benefit(), "1"), event(A, benefit(paying_region="331121", since=date(2026, 4, 1)), "2")],
        day=date(2026, 4, 2),
    ),
    "elder_age_allowance": Story(
        subject=f"person:{A}",
        opens=[event(A, OLD), *COVERED],
        amends=[event(A, resident(birth_date=date(1945, 6, 1)), version=2)],
        ends=[event(A, benefit("elder_age"))],
        unknown=[event(A, OLD)],
        missing="source.coverage.assistance.benefit",
        clock=[event(A, resident(birth_date=date(1946, 4, 1))), *COVERED],
        day=date(2026, 4, 1),
    ),
}


class Shown:
    """A topology of which one rule is looked at."""

    def __init__(self, rule: str, *, partitions: int = 2) -> None:
        self.rule = rule
        self.story = STORIES[rule]
        self.topology = LocalTopology(BOOK, partitions=partitions, clock=NOON)

    def told(self) -> list[tuple[str, int, str]]:
        """State, revision and cause of each alert of the rule on its subject."""
        return [
            (alert.state, alert.revision, alert.cause)
            for alert in self.topology.alerts()
            if (alert.rule, alert.subject) == (self.rule, self.story.subject)
        ]

    def open(self) -> set[tuple[str, str, str, int | None]]:
        """What is open of the rule."""
        return {found for found in self.topology.open_set() if found[0] == self.rule}

    def to(self, day: date) -> None:
        """Move the clock to noon of a day."""
        self.topology.advance(at_noon_ms(day))

    def opened(self) -> None:
        """Send what opens the alert, and wait out its hold."""
        self.topology.send(self.story.opens)
        if self.story.held:
            assert self.told() == []
            self.to(TODAY + timedelta(days=self.story.held))


def test_every_rule_has_its_story() -> None:
    assert set(STORIES) == set(RULES)


@pytest.mark.parametrize("rule", STORIES)
def test_opened_amended_by_a_correction_and_withdrawn(rule: str) -> None:
    shown = Shown(rule)
    shown.opened()
    cause = "time" if shown.story.held else "facts"
    assert shown.told() == [("OPEN", 1, cause)]
    (alert,) = (alert for alert in shown.topology.alerts() if alert.rule == rule)
    assert (alert.grade, alert.amount_fen) == (shown.story.grade, shown.story.amount_fen)
    assert (alert.line, alert.region) == (RULES[rule].line, "331102")
    assert alert.due_on is not None
    assert alert.evidence and alert.articles and alert.explanation
    shown.topology.send(shown.story.amends)
    assert shown.told() == [("OPEN", 1, cause), ("AMENDED", 2, "facts")]
    shown.topology.send(shown.story.amends)
    assert len(shown.told()) == 2
    shown.topology.send([annul(one) for one in shown.story.opens if one.header.person is not None])
    shown.topology.send([annul(one) for one in shown.story.amends])
    assert shown.told()[2:] == [("WITHDRAWN", 3, "facts")]
    assert shown.open() == set()


@pytest.mark.parametrize("rule", STORIES)
def test_taken_back_by_what_contradicts_it_and_opened_again_without(rule: str) -> None:
    shown = Shown(rule)
    shown.opened()
    opened = shown.open()
    shown.topology.send(shown.story.ends)
    assert shown.told()[1:] == [("WITHDRAWN", 2, "facts")]
    # The next version of each record says again what it said at first; what was new is taken back.
    first = {(one.topic, one.header.person, one.header.record_id): one for one in shown.story.opens}
    back = []
    for one in shown.story.ends:
        held = first.get((one.topic, one.header.person, one.header.record_id))
        version = one.header.version + 1
        again = event(one.header.person, held.payload, one.header.record_id, version) if held else annul(one)
        back.append(again)
    shown.topology.send(back)
    shown.to(TODAY + timedelta(days=2 * HOLD))
    assert [state for state, *_ in shown.told()] == ["OPEN", "WITHDRAWN", "OPEN"]
    assert shown.open() == opened


@pytest.mark.parametrize("rule", STORIES)
def test_what_is_missing_leaves_it_unknown_and_is_named(rule: str) -> None:
    shown = Shown(rule)
    shown.topology.send(shown.story.unknown)
    shown.to(TODAY + timedelta(days=HOLD))
    finding = shown.topology.findings()[rule, shown.story.subject]
    assert finding.truth == "unknown"
    assert shown.story.missing in {missing.field for missing in finding.missing}
    assert shown.told() == []


@pytest.mark.parametrize("rule", STORIES)
def test_the_clock_alone_turns_it(rule: str) -> None:
    shown = Shown(rule)
    shown.topology.send(shown.story.clock)
    shown.to(shown.story.day - timedelta(days=1))
    before = shown.told()
    assert [state for state, *_ in before] == (["OPEN"] if shown.story.turns == "WITHDRAWN" else [])
    shown.to(shown.story.day)
    assert shown.told()[len(before) :] == [(shown.story.turns, len(before) + 1, "time")]


@pytest.mark.parametrize("rule", STORIES)
def test_order_and_repetition_do_not_matter(rule: str) -> None:
    shown = Shown(rule)
    shown.opened()
    records = [*shown.story.opens, *shown.story.opens]
    for seed in range(5):
        Random(seed).shuffle(records)  # noqa: S311  an order of records, no secret
        other = Shown(rule, partitions=1 + seed % 3)
        for one in records:
            other.topology.send([one])
        other.to(TODAY + timedelta(days=shown.story.held))
        assert other.open() == shown.open() != set()
