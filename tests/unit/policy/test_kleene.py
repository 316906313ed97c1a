"""Three values: truth tables, what is missing, what settles, when it changes."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from hub.domain.messages import Missing, Truth
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, any_of, conditions, negate, some_of

TRUTHS: tuple[Truth, ...] = (YES, NO, UNKNOWN)
DAY = timedelta(days=1)
START = date(2026, 1, 1)


def leaf(truth: Truth, name: str = "x", changes_on: date | None = None) -> Clause:
    """A leaf with one input of its own."""
    missing = (Missing(field=f"parameter.{name}"),) if truth == UNKNOWN else ()
    return Clause(id=name, truth=truth, text=name, missing=missing, changes_on=changes_on)


@pytest.mark.parametrize(("one", "other"), list(product(TRUTHS, TRUTHS)))
def test_truth_tables(one: Truth, other: Truth) -> None:
    """Kleene's strong tables."""
    order = {NO: 0, UNKNOWN: 1, YES: 2}
    low, high = sorted((one, other), key=order.__getitem__)
    assert low == all_of("a", "", leaf(one), leaf(other)).truth
    assert high == any_of("o", "", leaf(one), leaf(other)).truth
    assert high == some_of("s", "", leaf(one), leaf(other)).truth
    assert {YES: NO, NO: YES, UNKNOWN: UNKNOWN}[one] == negate("n", "", leaf(one)).truth


def test_a_settled_answer_misses_nothing() -> None:
    """A no in a conjunction makes every missing part irrelevant."""
    clause = all_of("a", "", leaf(UNKNOWN, "u"), leaf(NO, "n"))
    assert clause.missing == ()
    assert [reason.id for reason in clause.reasons] == ["n"]


def test_first_settling_part_explains() -> None:
    """The order of the rule is the order of the explanation, and some_of keeps every yes."""
    parts = (leaf(NO, "n"), leaf(YES, "first"), leaf(YES, "second"))
    assert [reason.id for reason in any_of("o", "", *parts).reasons] == ["first"]
    assert [reason.id for reason in some_of("s", "", *parts).reasons] == ["first", "second"]


def test_conditions_are_flat_with_depth() -> None:
    """The tree line by line."""
    tree = all_of("root", "", any_of("inner", "", leaf(YES, "deep")), leaf(NO, "side"))
    assert [(one.id, one.depth) for one in conditions(tree)] == [("root", 0), ("inner", 1), ("deep", 2), ("side", 1)]


class Plan(Struct, frozen=True):
    """A tree over leaves that change on given days: what kleene sees is built for each day."""

    kind: str
    parts: tuple[Plan, ...] = ()
    name: str = ""
    truths: tuple[Truth, ...] = ()
    days: tuple[int, ...] = ()

    def on(self, day: date, fixed: dict[str, Truth] | None = None) -> Clause:
        """The clause of a day; `fixed` answers leaves by name."""
        if self.kind == "leaf":
            if fixed and self.name in fixed:
                return leaf(fixed[self.name], self.name)
            turns = [START + DAY * offset for offset in self.days]
            passed = sum(turn <= day for turn in turns)
            following = [turn for turn in turns if turn > day]
            return leaf(self.truths[passed], self.name, min(following, default=None))
        parts = tuple(part.on(day, fixed) for part in self.parts)
        if self.kind == "not":
            return negate("not", "", parts[0])
        return {"all": all_of, "any": any_of, "some": some_of}[self.kind](self.kind, "", *parts)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A small tree in which every leaf has a name of its own."""
    count = 0

    def leaf_plan() -> Plan:
        nonlocal count
        count += 1
        days = tuple(sorted(draw(st.sets(st.integers(1, 8), max_size=2))))
        truths = tuple(draw(st.sampled_from(TRUTHS)) for _ in range(len(days) + 1))
        return Plan("leaf", (), f"l{count}", truths, days)

    def tree(depth: int) -> Plan:
        kind = draw(st.sampled_from(["leaf", "all", "any", "some", "not"])) if depth else "leaf"
        if kind == "leaf":
            return leaf_plan()
        size = 1 if kind == "not" else draw(st.integers(1, 3))
        return Plan(kind, tuple(tree(depth - 1) for _ in range(size)))

    return tree(3)


def shape(clause: Clause) -> tuple[object, ...]:
    """What must not change on a day that nobody announced."""
    return clause.truth, clause.missing, tuple(reason.id for reason in clause.reasons)


@given(plans())
def test_nothing_changes_before_its_day(plan: Plan) -> None:
    """From a day up to the day before `changes_on`, truth, missing inputs and reasons stay as they are."""
    day = START
    for _ in range(12):
        now = plan.on(day)
        following = plan.on(day + DAY)
        if now.changes_on is None or now.changes_on > day + DAY:
            assert shape(now) == shape(following)
        day += DAY


@given(plans(), st.data())
def test_missing_is_necessary_and_sufficient(plan: Plan, data: st.DataObject) -> None:
    """Answering all that is missing settles it; and each missing input decides in some completion of the others."""
    clause = plan.on(START)
    names = [item.field.removeprefix("parameter.") for item in clause.missing]
    answers: dict[str, Truth] = {name: data.draw(st.sampled_from((YES, NO))) for name in names}
    assert plan.on(START, answers).truth != UNKNOWN
    for name in names[:3]:
        others = [other for other in names if other != name][:6]
        assert any(
            plan.on(START, {**dict(zip(others, values, strict=True)), name: YES}).truth
            != plan.on(START, {**dict(zip(others, values, strict=True)), name: NO}).truth
            for values in product((YES, NO), repeat=len(others))
        )


@given(plans(), st.data())
def test_an_answer_never_flips_what_is_settled(plan: Plan, data: st.DataObject) -> None:
    """Turning an unknown leaf into a value leaves a yes a yes and a no a no."""
    clause = plan.on(START)
    unknown = [one.id for one in conditions(clause) if one.truth == UNKNOWN and one.id.startswith("l")]
    answers: dict[str, Truth] = {name: data.draw(st.sampled_from((YES, NO))) for name in unknown}
    if clause.truth != UNKNOWN:
        assert clause.truth == plan.on(START, answers).truth
