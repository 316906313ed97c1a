"""Where running topics are cut, and how offsets are counted: no broker needed."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hub.backup.cut import Cut
from hub.backup.topics import _Ranks
from hub.discovery.state import (
    FORMER,
    HomeState,
    PersonState,
    RuleState,
    encode_home,
    encode_person,
)
from hub.discovery.told import numbered
from hub.discovery.topology import LocalTopology
from hub.domain.homes import COVERAGE_HOME
from hub.domain.messages import Conflict, Contribution, FindingChange, Message
from hub.errors import StateFromTheFuture
from tests.topology.records import NOON, TODAY, A, B, benefit, covered, event, member, registered_death, resident
from tests.topology.small_law import law


def contribution(person: str, generation: int, sequence: int) -> Contribution:
    return Contribution("person:x", person, ("self",), "LIVE", generation, sequence, ())


def test_contributions_above_the_captured_person_are_left_out() -> None:
    cut = Cut(0)
    cut.person(0, A, encode_person(PersonState(0, 4, "r"), FORMER))
    cut.person(0, A, encode_person(PersonState(0, 5, "r")))
    kept = [cut.keeps(0, contribution(A, *at)) for at in ((0, 4), (0, 5), (0, 6), (1, 1))]
    assert kept == [True, True, False, False]
    assert not cut.keeps(0, contribution(B, 0, 1)), "of a person whose first state came later"


def test_statements_have_a_state_in_every_partition() -> None:
    cut = Cut(0)
    cut.person(1, COVERAGE_HOME, encode_person(PersonState(0, 3, "")))
    told = Contribution(COVERAGE_HOME, COVERAGE_HOME, (), "LIVE", 0, 3, ())
    assert (cut.keeps(1, told), cut.keeps(0, told)) == (True, False)


def test_conflicts_and_outcomes_are_cut_by_their_numbers() -> None:
    cut = Cut(2)
    cut.person(0, A, encode_person(PersonState(2, 3, "r")))
    cut.home(0, "h", encode_home(HomeState(rules={"poor": RuleState("yes", sequence=7)})))
    conflict = Conflict(conflict_id="c", kind="k", person=A, state="OPEN", sequence=0, field="f", seen_at=0)
    finding = FindingChange(
        rule="poor", subject="h", home="h", truth="yes", sequence=0, policy_hash="", decided_on=TODAY, decided_at=0
    )

    def conflict_kept(generation: int, sequence: int) -> bool:
        said: Conflict = replace(conflict, sequence=numbered(generation, sequence))
        return cut.keeps(0, said)

    def finding_kept(generation: int, sequence: int, rule: str = "poor") -> bool:
        said: FindingChange = replace(finding, rule=rule, sequence=numbered(generation, sequence))
        return cut.keeps(0, said)

    assert [conflict_kept(2, 3), conflict_kept(2, 4), conflict_kept(1, 99)] == [True, False, True]
    assert [finding_kept(2, 7), finding_kept(2, 8), finding_kept(2, 1, "other")] == [True, False, False]


def test_everything_a_state_told_is_kept_and_all_that_follows_is_not() -> None:
    """Of a whole small deployment, captured between two batches."""
    topology = LocalTopology(law(), clock=NOON)
    topology.send([covered("assistance.benefit"), event(A, resident()), event(A, member("h", 1))])
    topology.send([event(A, benefit(amount_fen=10_000))])
    before: tuple[Message, ...] = (
        *topology.contributed,
        *topology.alerts(),
        *topology.findings().values(),
        *topology.conflicts(),
    )
    cut = Cut(0)
    persons, homes = topology.values()
    for key, value in persons.items():
        cut.person(0, key, value)
    for key, value in homes.items():
        cut.home(0, key, value)
    counts = len(topology.contributed), len(topology.alerts())
    topology.send(
        [
            event(A, benefit(amount_fen=20_000), version=2),
            event(A, registered_death(date(2026, 1, 1))),
            event(B, resident()),
        ]
    )
    after: tuple[Message, ...] = (*topology.contributed[counts[0] :], *topology.alerts()[counts[1] :])
    assert {type(message).__name__ for message in after} == {"Contribution", "Alert"}
    assert all(cut.keeps(0, message) for message in before)
    assert not any(cut.keeps(0, message) for message in after)


def test_a_state_of_a_newer_release_ends_a_backup() -> None:
    with pytest.raises(StateFromTheFuture):
        Cut(0).home(0, "h", b"\x09\x01\x90")


@given(st.lists(st.booleans(), max_size=30), st.lists(st.integers(0, 40), max_size=6))
def test_ranks_count_what_was_kept_before_an_offset(kept: list[bool], asked: list[int]) -> None:
    """With gaps (transaction marks) at every third offset, and records left out."""
    ranks = _Ranks(set(asked))
    offsets = [offset for offset in range(len(kept)) if offset % 3 != 2]
    for offset in offsets:
        if kept[offset]:
            ranks.kept(offset)
        else:
            ranks.passed(offset)
    wanted = {at: sum(kept[offset] for offset in offsets if offset < at) for at in asked}
    assert ranks.all() == wanted
    assert ranks.count == sum(kept[offset] for offset in offsets)
