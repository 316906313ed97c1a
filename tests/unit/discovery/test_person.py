"""The person fold: facts by version, ties, contributions once and only when something changed."""

from __future__ import annotations

from datetime import date
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.discovery.law import Law
from hub.discovery.person import PersonStep
from hub.discovery.shapes import StepResult
from hub.discovery.state import PersonState
from hub.domain.facts import Coverage
from hub.domain.homes import COVERAGE_HOME
from hub.domain.messages import Contribution, Event, Output
from hub.errors import DataFault
from tests.topology.records import (
    NOON,
    A,
    B,
    C,
    annul,
    benefit,
    covered,
    event,
    kin,
    member,
    registered_death,
    resident,
    settlement,
)
from tests.topology.small_law import RULES, law

DAY = date(2026, 1, 5)


class Persons:
    """One partition's person stage: `fold` is one batch."""

    def __init__(self, bound: Law | None = None) -> None:
        self.states: dict[str, PersonState] = {}
        self.bind(bound or law())

    def bind(self, bound: Law) -> None:
        self._step = PersonStep(bound, generation=3).step

    def fold(self, *events: Event) -> StepResult[PersonState]:
        result = self._step(self.states, events, NOON)
        self.states.update(result.changes)
        return result


def contributions(outputs: list[Output]) -> dict[str, Contribution]:
    """Contributions by home; a home is told once a batch."""
    made = [output.value for output in outputs if isinstance(output.value, Contribution)]
    assert len({one.home for one in made}) == len(made)
    return {one.home: one for one in made}


def test_a_replay_changes_nothing_and_says_nothing() -> None:
    persons = Persons()
    first = event(A, resident(hukou="h1"))
    persons.fold(first)
    again = persons.fold(first, first)
    assert (again.changes, again.outputs) == ({}, [])
    assert again.counts == {"record:replayed": 2}


def test_an_older_version_is_superseded() -> None:
    persons = Persons()
    persons.fold(event(A, benefit(amount_fen=2), version=2))
    older = persons.fold(event(A, benefit(amount_fen=1), version=1))
    assert (older.changes, older.outputs) == ({}, [])
    assert older.counts == {"record:superseded": 1}


def test_an_annulment_that_comes_first_takes_back_what_follows() -> None:
    persons = Persons()
    record = event(A, benefit(), version=4)
    persons.fold(annul(record, version=5))
    late = persons.fold(record)
    assert late.counts == {"record:superseded": 1}
    assert persons.states[A].facts == ()
    assert persons.states[A].sent == {}


def test_a_newer_version_returns_after_an_annulment() -> None:
    persons = Persons()
    persons.fold(event(A, benefit(), version=1), annul(event(A, benefit()), version=2))
    back = persons.fold(event(A, benefit(), version=3))
    assert [fact.version for fact in persons.states[A].facts] == [3]
    assert persons.states[A].floors == ()
    assert contributions(back.outputs)[f"person:{A}"].state == "LIVE"


def test_an_erased_record_is_told_from_a_superseded_one() -> None:
    persons = Persons()
    record = event(A, benefit())
    persons.fold(record, annul(record, change="ERASED"))
    assert persons.fold(record).counts == {"record:erased": 1}


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_two_contents_under_one_version_have_one_winner(order: tuple[int, ...]) -> None:
    events = [event(A, benefit(amount_fen=amount), version=2) for amount in (1, 2, 3)]
    events.append(event(A, benefit(amount_fen=0), version=1))
    wanted = Persons()
    wanted.fold(*events)
    persons = Persons()
    for index in order:
        persons.fold(events[index])
    assert persons.states[A].facts == wanted.states[A].facts
    assert persons.states[A].collided == (("assistance.benefit", "assistance_benefit", "1"),)
    assert persons.states[A].conflicts == wanted.states[A].conflicts != {}


@pytest.mark.parametrize("first", [0, 1])
def test_an_annulment_beats_a_record_of_its_own_version(first: int) -> None:
    persons = Persons()
    record = event(A, benefit(), version=2)
    both = [record, annul(record, version=2)]
    persons.fold(both[first])
    persons.fold(both[1 - first])
    assert persons.states[A].facts == ()
    assert len(persons.states[A].conflicts) == 1


def test_the_same_content_received_twice_keeps_the_earliest_time_and_is_no_collision() -> None:
    persons = Persons()
    for received_at in (NOON + 5, NOON, NOON + 9):
        persons.fold(event(A, benefit(), received_at=received_at))
    assert [fact.received_at for fact in persons.states[A].facts] == [NOON]
    assert persons.states[A].conflicts == {}


@pytest.mark.parametrize(
    ("relation", "home", "role"),
    [
        ("son", f"person:{B}", "parent"),
        ("daughter", f"person:{B}", "parent"),
        ("father", f"person:{B}", "child"),
        ("mother", f"person:{B}", "child"),
        ("spouse", f"person:{B}", "spouse"),
    ],
)
def test_kinship_contributes_to_the_other_end(relation: str, home: str, role: str) -> None:
    every_role = {"parent", "child", "spouse"}
    persons = Persons(_reading_kin(every_role))
    told = contributions(persons.fold(event(A, kin(B, relation))).outputs)
    assert told[home].roles == (role,)
    assert told[f"person:{A}"].roles == ("self",)


def _reading_kin(roles: set[str]) -> Law:
    bereaved = RULES["bereaved"]
    reads = dict.fromkeys(roles, bereaved.reads["parent"])
    changed = type(bereaved)(
        id="kin", title="kin", line="x", homes=bereaved.homes, reads=reads, articles=(), decide=bereaved.decide
    )
    return law(rules={"kin": changed})


def test_a_role_that_no_rule_reads_contributes_nothing() -> None:
    told = contributions(Persons().fold(event(A, kin(B, "father"))).outputs)
    assert set(told) == {f"person:{A}"}


def test_siblings_and_statements_of_completeness_are_no_ties() -> None:
    complete = kin("", "other")
    persons = Persons(_reading_kin({"parent", "child", "spouse"}))
    statement = type(complete)(inventory_complete="children", certified_on=DAY)
    told = contributions(persons.fold(event(A, kin(B, "sibling"), "1"), event(A, statement, "2")).outputs)
    assert set(told) == {f"person:{A}"}


def test_a_family_of_the_register_is_a_candidate_until_an_aid_household_is_certified() -> None:
    persons = Persons()
    entry = event(A, resident(hukou="h1"))
    assert "candidate:h1" in contributions(persons.fold(entry).outputs)
    certified = contributions(persons.fold(event(A, member("aid1"))).outputs)
    assert certified["candidate:h1"].state == "ENDED"
    assert certified["household:aid1"].state == "LIVE"
    ended = contributions(persons.fold(event(A, member("aid1", until=DAY), version=2)).outputs)
    assert {home: told.state for home, told in ended.items() if home != f"person:{A}"} == {
        "candidate:h1": "LIVE",
        "household:aid1": "LIVE",
    }


def test_a_collective_register_is_no_family() -> None:
    told = contributions(Persons().fold(event(A, resident(hukou="h1", hukou_kind="collective"))).outputs)
    assert set(told) == {f"person:{A}"}


def test_a_move_ends_one_tie_and_begins_another_in_one_batch() -> None:
    persons = Persons()
    persons.fold(event(A, member("old")))
    moved = persons.fold(event(A, member("new"), version=2))
    told = contributions(moved.outputs)
    assert (told["household:old"].state, told["household:old"].facts) == ("ENDED", ())
    assert told["household:new"].state == "LIVE"
    assert {one.sequence for one in told.values()} == {2}
    assert {one.generation for one in told.values()} == {3}
    assert set(persons.states[A].sent) == {f"person:{A}", "household:new"}


def test_a_person_without_live_facts_leaves_every_home() -> None:
    persons = Persons()
    entry = event(A, resident(hukou="h1"))
    persons.fold(entry)
    gone = contributions(persons.fold(annul(entry)).outputs)
    assert {home: told.state for home, told in gone.items()} == {f"person:{A}": "ENDED", "candidate:h1": "ENDED"}


def test_the_last_fact_taken_back_ends_the_ties_though_none_came_from_it() -> None:
    persons = Persons()
    paid = event(A, benefit())
    persons.fold(paid)
    gone = contributions(persons.fold(annul(paid)).outputs)
    assert {home: told.state for home, told in gone.items()} == {f"person:{A}": "ENDED"}


def test_another_role_at_the_same_home_is_told() -> None:
    persons = Persons(_reading_kin({"parent", "child"}))
    persons.fold(event(A, kin(B, "son"), "1"))
    told = contributions(persons.fold(event(A, kin(B, "father"), "2")).outputs)
    assert told[f"person:{B}"].roles == ("child", "parent")


def test_a_contribution_carries_what_rules_read_there_and_no_more() -> None:
    persons = Persons()
    told = contributions(
        persons.fold(
            event(A, resident(hukou="h1")),
            event(A, settlement(DAY, 100)),
            event(A, benefit()),
            event(A, kin(B, "son")),
            event(A, registered_death(DAY)),
            event(A, Coverage(topic="assistance.benefit", scope="person", delivery="full", found=False)),
        ).outputs
    )
    carried = {home: {fact.topic for fact in one.facts} for home, one in told.items()}
    assert carried == {
        f"person:{A}": {"registration.resident", "assistance.benefit", "source.coverage"},
        "candidate:h1": {"registration.resident", "medical.settlement", "source.coverage"},
        f"person:{B}": {"registration.death", "source.coverage"},
    }


def test_only_homes_that_read_what_changed_are_told() -> None:
    persons = Persons()
    persons.fold(event(A, resident(hukou="h1")), event(A, kin(B, "son")))
    told = contributions(persons.fold(event(A, settlement(DAY, 100))).outputs)
    assert set(told) == {"candidate:h1"}
    assert persons.fold(event(A, benefit(), "x"), annul(event(A, benefit(), "x"))).outputs == []


def test_a_state_made_for_rules_that_read_otherwise_contributes_anew() -> None:
    persons = Persons(law(rules={"eighty": RULES["eighty"]}))
    persons.fold(event(A, resident(hukou="h1")), event(A, settlement(DAY, 100)))
    persons.bind(law())
    assert PersonStep(law()).stale(persons.states[A])
    told = contributions(persons.fold(event(A, settlement(DAY, 100))).outputs)
    assert "medical.settlement" in {fact.topic for fact in told["candidate:h1"].facts}
    assert not PersonStep(law()).stale(persons.states[A])


def test_a_region_statement_is_passed_on_in_the_same_partition() -> None:
    persons = Persons()
    told = persons.fold(covered("assistance.benefit")).outputs
    assert [(output.key, output.here) for output in told] == [(COVERAGE_HOME, True)]
    assert persons.fold(covered("assistance.benefit")).outputs == []
    assert not PersonStep(law()).stale(persons.states[COVERAGE_HOME])
    withdrawn = persons.fold(annul(covered("assistance.benefit"))).outputs
    assert [output.value.facts for output in withdrawn if isinstance(output.value, Contribution)] == [()]


def test_an_event_about_nobody_or_of_nothing_is_refused_by_name() -> None:
    with pytest.raises(DataFault, match=r"header\.person: null_key"):
        Persons().fold(event(None, benefit()))
    with pytest.raises(DataFault, match="payload: schema_misfit"):
        Persons().fold(event(A, None, topic="assistance.benefit"))


RECORDS = st.builds(
    event,
    st.sampled_from([A, B]),
    st.one_of(
        st.builds(benefit, amount_fen=st.integers(1, 2)),
        st.builds(resident, hukou=st.sampled_from(["h1", "h2"]), hukou_kind=st.sampled_from(["family", "collective"])),
        st.builds(kin, st.sampled_from([B, C]), st.sampled_from(["son", "spouse"])),
        st.builds(member, st.sampled_from(["x", "y"]), until=st.sampled_from([None, DAY])),
    ),
    st.sampled_from(["1", "2"]),
    st.integers(1, 3),
    received_at=st.integers(NOON, NOON + 2),
)
CHANGES = st.one_of(RECORDS, st.builds(annul, RECORDS, change=st.sampled_from(["ANNUL", "ERASED"])))


def _unnumbered(states: dict[str, PersonState]) -> dict[str, tuple[object, ...]]:
    return {
        person: (state.facts, state.floors, state.collided, state.sent, state.conflicts)
        for person, state in states.items()
    }


@given(st.data())
def test_order_duplicates_and_batches_do_not_matter(data: st.DataObject) -> None:
    events = data.draw(st.lists(CHANGES, min_size=1, max_size=10))
    wanted = Persons()
    wanted.fold(*events)
    again = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=4))))
    persons = Persons()
    live: dict[tuple[str, str], Contribution] = {}
    for one in again:
        for told in contributions(persons.fold(one).outputs).values():
            held = live.get((told.home, told.person))
            assert held is None or held.sequence < told.sequence
            live[told.home, told.person] = told
    assert _unnumbered(persons.states) == _unnumbered(wanted.states)
    # What homes heard last is what the state says was sent.
    sent = {(home, person) for person, state in persons.states.items() for home in state.sent}
    assert {key for key, told in live.items() if told.state == "LIVE"} == sent
