"""Pruning at the horizon: the same in any order, batches and clock; late records, floors and their end; one review."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.discovery.person import PersonStep
from hub.discovery.state import PersonState
from hub.discovery.topology import LocalTopology
from hub.domain.messages import Event
from hub.domain.times import DAY_MS, at_noon_ms, local_date
from hub.policy.calendar import add_months
from hub.policy.horizon import REDELIVERY_MONTHS, falls_on, reaches_back_to
from hub.simulate.oracle.judge import newest
from tests.topology.records import NOON, TODAY, A, B, annul, event, member, resident, settlement
from tests.topology.small_law import law
from tests.topology.test_order import outcome

MONTHS = {"medical.settlement": 15}
"""More than the window of the small rule `spent`, a year."""

DAY = timedelta(days=1)
AGES = [0, 200, 380, 430, 455, 470, 490, 520, 700, 850, 900, 1500]
"""Days before today: within the window, around the horizon, around the end of the floors, far beyond."""

GONE = date(2028, 6, 20)
"""Every record of these tests is below the horizon then."""


def bill(
    person: str, record: str, version: int, day: date, recorded: date, *, cash: int = 6_000_000, change: str = "UPSERT"
) -> Event:
    """One version of a settlement; the record date is the source's."""
    made = event(person, settlement(day, cash), record, version, recorded=recorded, received_at=at_noon_ms(recorded))
    return made if change == "UPSERT" else _taken_back(made, change)


def _taken_back(made: Event, change: str) -> Event:
    gone = annul(made, made.header.version, change)
    from msgspec.structs import replace

    return gone._replace(header=replace(gone.header, record_time=made.header.record_time))


@st.composite
def versions(draw: st.DrawFn) -> list[Event]:
    """All versions of one settlement. A version is recorded no earlier than the ones before it, nor than its day.

    Contents may collide under one version, on one day, and a version may be taken back under its own number.
    """
    person, record = draw(st.sampled_from([A, B])), draw(st.sampled_from(["1", "2", "3"]))
    events: list[Event] = []
    recorded = date.min
    for version in range(1, draw(st.integers(1, 3)) + 1):
        day = TODAY - draw(st.sampled_from(AGES)) * DAY
        recorded = max(recorded, day)
        for cash in draw(st.lists(st.sampled_from([3_000_000, 6_000_000]), min_size=1, max_size=2)):
            change = draw(st.sampled_from(["UPSERT", "UPSERT", "UPSERT", "ANNUL", "ERASED"]))
            events.append(bill(person, record, version, day, recorded, cash=cash, change=change))
    return events


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Settlements of two persons of one household."""
    events = [event(A, member("h", 2)), event(B, member("h", 2))]
    taken: set[tuple[str | None, str]] = set()
    for made in draw(st.lists(versions(), min_size=1, max_size=4)):
        key = (made[0].header.person, made[0].header.record_id)
        if key not in taken:  # else the versions of two drawings would contradict each other
            taken.add(key)
            events += made
    return events


@settings(max_examples=300)
@given(st.data())
def test_pruning_is_the_same_in_any_order_batches_and_clock(data: st.DataObject) -> None:
    events = data.draw(logs())
    end = at_noon_ms(TODAY + data.draw(st.integers(0, 90)) * DAY)
    at_once = LocalTopology(law(horizons=MONTHS), clock=end)
    at_once.send(events)

    again = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=4))))
    topology = LocalTopology(law(horizons=MONTHS), partitions=data.draw(st.integers(1, 2)), clock=NOON - 60 * DAY_MS)
    while again:
        size = data.draw(st.integers(1, len(again)))
        batch, again = again[:size], again[size:]
        topology.send(batch)
        topology.advance(min(end, topology.now + data.draw(st.integers(0, 50)) * DAY_MS))
    topology.advance(end)

    assert outcome(topology) == outcome(at_once)
    for person, state in at_once.persons().items():
        assert state.next_review == topology.persons()[person].next_review
    # Nothing that is open hangs on what was pruned, and the oracle keeps the same records.
    unpruned = LocalTopology(law(), clock=end)
    unpruned.send(events)
    assert topology.open_set() == unpruned.open_set()
    kept = newest(events, local_date(end), MONTHS)
    assert {person: list(state.facts) for person, state in topology.persons().items()} == kept.persons
    collided = {(person, *key) for person, state in topology.persons().items() for key in state.collided}
    assert collided == kept.collided


@given(st.text(alphabet="0123456789abcdef", min_size=32, max_size=32), st.dates(), st.integers(1, 100))
def test_the_two_views_of_a_horizon_agree(person: str, day: date, months: int) -> None:
    """The first day below, and how far a day reaches back."""
    if not date(1000, 1, 1) < day < date(8000, 1, 1):
        return
    falls = falls_on(person, day, months)
    assert add_months(day, months) < falls <= add_months(day, months) + timedelta(days=62)
    assert day < reaches_back_to(person, falls, months)
    assert day >= reaches_back_to(person, falls - DAY, months)


@pytest.fixture
def topology() -> LocalTopology:
    """A deployment on TODAY."""
    return LocalTopology(law(horizons=MONTHS), clock=NOON)


def state_of(topology: LocalTopology, person: str = A) -> PersonState:
    """One person's state."""
    return topology.persons()[person]


def said(topology: LocalTopology, person: str = A) -> list[tuple[str, int]]:
    """Homes that this person contributed to, in order, with how many facts."""
    return [(told.home, len(told.facts)) for told in topology.contributed if told.person == person]


def test_a_record_is_pruned_by_the_clock_alone_and_the_homes_are_told(topology: LocalTopology) -> None:
    day = TODAY - 300 * DAY
    topology.send([event(A, resident(hukou="k")), bill(A, "1", 1, day, day)])
    falls = falls_on(A, day, MONTHS["medical.settlement"])
    assert state_of(topology).next_review == falls
    before = said(topology)
    topology.advance(at_noon_ms(falls - DAY))
    assert len(state_of(topology).facts) == 2
    assert said(topology) == before
    topology.advance(at_noon_ms(falls))
    assert [fact.topic for fact in state_of(topology).facts] == ["registration.resident"]
    assert [(floor.record_id, floor.version, floor.pruned) for floor in state_of(topology).floors] == [("1", 1, True)]
    told = said(topology)[len(before) :]
    assert told == [("candidate:k", 1)], "only the home that reads settlements hears of it"
    assert state_of(topology).next_review == falls_on(A, day, MONTHS["medical.settlement"] + REDELIVERY_MONTHS)


def test_a_replay_beneath_the_horizon_is_no_collision_and_an_older_version_is_superseded(
    topology: LocalTopology,
) -> None:
    day = TODAY - 300 * DAY
    second = bill(A, "1", 2, day, day)
    topology.send([event(A, resident()), second])
    topology.advance(at_noon_ms(falls_on(A, day, 15)))
    before = state_of(topology)
    topology.send([second, bill(A, "1", 1, day, day, cash=1)])
    assert (topology.counts["record:replayed"], topology.counts["record:superseded"]) == (1, 1)
    assert state_of(topology) == before


def test_a_floor_ends_and_an_older_version_stays_superseded(topology: LocalTopology) -> None:
    day = TODAY - 300 * DAY
    topology.send([event(A, resident()), bill(A, "1", 2, day, day)])
    topology.advance(at_noon_ms(falls_on(A, day, 15 + REDELIVERY_MONTHS)))
    assert (state_of(topology).floors, state_of(topology).next_review) == ((), None)
    before = state_of(topology)
    topology.send([bill(A, "1", 1, day, day)])
    assert topology.counts["record:superseded"] == 1
    assert state_of(topology) == before


def test_a_floor_of_what_was_taken_back_ends_too(topology: LocalTopology) -> None:
    day = TODAY - 300 * DAY
    topology.send([event(A, resident()), bill(A, "1", 2, day, day, change="ERASED")])
    assert [floor.erased for floor in state_of(topology).floors] == [True]
    topology.advance(at_noon_ms(falls_on(A, day, 15 + REDELIVERY_MONTHS) - DAY))
    assert state_of(topology).floors
    topology.advance(at_noon_ms(falls_on(A, day, 15 + REDELIVERY_MONTHS)))
    assert state_of(topology).floors == ()


def test_what_is_read_without_a_window_is_never_pruned(topology: LocalTopology) -> None:
    old = date(1930, 1, 1)
    topology.send([event(A, resident(birth_date=old), recorded=old), annul(event(A, member("h"), recorded=old))])
    topology.advance(at_noon_ms(GONE))
    assert (len(state_of(topology).facts), len(state_of(topology).floors)) == (1, 1)
    assert state_of(topology).next_review is None


def test_a_person_of_whom_all_is_pruned_leaves_its_homes(topology: LocalTopology) -> None:
    topology.send([bill(A, "1", 1, TODAY, TODAY)])
    topology.advance(at_noon_ms(GONE))
    assert (state_of(topology).facts, state_of(topology).sent) == ((), {})
    assert topology.contributed[-1].state == "ENDED"


def test_states_written_without_pruning_are_swept_and_say_nothing_anew(topology: LocalTopology) -> None:
    """As after the upgrade: nobody knows when their records fall below, so each is looked at once."""
    day = TODAY - 300 * DAY
    events = [event(A, resident(hukou="k")), bill(A, "1", 1, day, day)]
    held = PersonStep(law(horizons=MONTHS), prunes=False)
    assert held.made_under != PersonStep(law(horizons=MONTHS)).made_under
    states: dict[str, Any] = held.step({}, events, NOON).changes
    assert (states[A].next_review, states[A].horizons) == (None, "")
    assert not held.stale(states[A])
    step = PersonStep(law(horizons=MONTHS))
    assert step.stale(states[A])
    from hub.domain.messages import Review

    swept = step.step(states, [Review(A, date.min)], NOON)
    assert swept.outputs == []
    assert swept.changes[A].next_review == falls_on(A, day, 15)
    assert not step.stale(swept.changes[A])


def test_other_horizons_are_a_reason_to_look_again() -> None:
    topology = LocalTopology(law(horizons=MONTHS), clock=NOON)
    topology.send([event(A, resident()), bill(A, "1", 1, TODAY - 400 * DAY, TODAY - 400 * DAY)])
    assert len(state_of(topology).facts) == 2
    topology.adopt(law(horizons={"medical.settlement": 12}))
    assert len(state_of(topology).facts) == 1


def test_a_day_beyond_every_calendar_is_kept_and_ends_nothing(topology: LocalTopology) -> None:
    far = date(9999, 12, 31)
    topology.send([bill(A, "1", 1, far, TODAY, cash=1)])
    topology.advance(at_noon_ms(GONE))
    assert len(state_of(topology).facts) == 1
