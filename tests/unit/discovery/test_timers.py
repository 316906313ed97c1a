"""The index of review dates: what is due, once, and only by the date a home has now."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.discovery.state import HomeState
from hub.discovery.timers import ReviewIndex
from hub.domain.messages import Review

DAY = date(2026, 3, 16)
DATES = st.none() | st.dates(DAY - timedelta(days=3), DAY + timedelta(days=3))
CHANGES = st.lists(st.dictionaries(st.sampled_from("abcd"), DATES), max_size=6)


@given(CHANGES)
def test_what_is_due_is_what_the_states_say(batches: list[dict[str, date | None]]) -> None:
    index, states = ReviewIndex(), dict[str, HomeState]()
    for batch in batches:
        changes = {home: HomeState(next_review=day) for home, day in batch.items()}
        states |= changes
        index.update(changes)
        wanted = sorted(
            (state.next_review, home)
            for home, state in states.items()
            if state.next_review is not None and state.next_review <= DAY
        )
        assert [(review.review_on, review.home) for review in index.due(DAY)] == wanted
        dates = [state.next_review for state in states.values() if state.next_review is not None]
        assert index.next() == min(dates, default=None)
        assert len(index) == len(dates)
    rebuilt = ReviewIndex(states.items())
    assert rebuilt.due(DAY) == index.due(DAY)


def test_a_budget_takes_the_earliest_and_leaves_the_rest_due() -> None:
    index = ReviewIndex((home, HomeState(next_review=DAY - timedelta(days=age))) for home, age in (("a", 1), ("b", 2)))
    assert index.due(DAY, 1) == [Review("b", DAY - timedelta(days=2))]
    index.update({"b": HomeState(next_review=DAY + timedelta(days=1))})
    assert index.due(DAY, 5) == [Review("a", DAY - timedelta(days=1))]


def test_a_review_stays_due_until_its_home_was_decided() -> None:
    index = ReviewIndex([("a", HomeState(next_review=DAY))])
    assert index.due(DAY) == index.due(DAY) == [Review("a", DAY)]
    index.update({"a": HomeState()})
    assert index.due(DAY) == []
