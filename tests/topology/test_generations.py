"""Another fold, and other reading rules, on the pure steps: what is told after a generation or a law took over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hub.discovery.law import Law, catalogue_law
from hub.discovery.person import PersonStep
from hub.discovery.state import HomeState, RuleState
from hub.discovery.subject import SubjectStep
from hub.discovery.told import UNHEARD, kept_of, nothing_said, nothing_told, numbered, rule_state
from hub.discovery.topology import LocalTopology
from hub.domain.messages import Alert, Conflict, Contribution, Disposition, Event, FindingChange, Review
from hub.packs import load_book
from hub.policy import catalogue
from hub.policy.parameters import PolicyBook
from tests.topology.records import NOON, A, B, C, disposition, event, member, resident, settlement
from tests.topology.small_law import RULES, law
from tests.topology.test_order import END, EVENTS, _suppressed, last_said


@dataclass
class Told:
    """What a generation told, by home and by person, as it is read back from the topics."""

    homes: dict[str, dict[str, RuleState]] = field(default_factory=dict)
    persons: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def by(cls, former: LocalTopology) -> Told:
        """What a topology told last."""
        alerts = {(alert.home, alert.rule): alert for alert in former.alerts()}
        findings = {(found.home, found.rule): found for found in former.findings().values()}
        told = cls()
        for home, rule in alerts.keys() | findings.keys():
            told.homes.setdefault(home, {})[rule] = rule_state(alerts.get((home, rule)), findings.get((home, rule)))
        for conflict in former.conflicts():
            told.persons.setdefault(conflict.person, {})[conflict.conflict_id] = kept_of(conflict)
        return told


class NextGeneration(LocalTopology):
    """A topology that is built unheard, and then takes over."""

    def __init__(self, given_law: Law, generation: int, partitions: int = 1, clock: int = 0) -> None:
        self._generation = generation
        self._before: Told | None = None
        super().__init__(given_law, partitions, clock)

    def _bind(self, book: PolicyBook | Law) -> None:
        assert isinstance(book, Law)
        before = self._before
        homes = nothing_told if before is None else lambda home: before.homes.get(home, {})
        persons = nothing_said if before is None else lambda person: before.persons.get(person, {})
        unheard = before is None
        self._person = PersonStep(book, self._generation, unheard=unheard, told=persons)
        self._subject = SubjectStep(book, self._generation, unheard=unheard, told=homes)

    def take_over(self, given_law: Law, former: LocalTopology) -> None:
        """Sweep what was made unheard, and whatever was told of those who are not there any more."""
        self._before = Told.by(former)
        known = {*self.persons(), *self.homes()}
        self.adopt(given_law)
        for key in sorted(self._before.persons.keys() - known):
            self._person_batch(self._partition(key), [Review(key, date.min)])
        for key in sorted(self._before.homes.keys() - known):
            self._subject_batch(self._partition(key), [Review(key, date.min)])


def newest(conflicts: Iterable[Conflict]) -> dict[str, Conflict]:
    """The newest message of each conflict, by its own number."""
    found: dict[str, Conflict] = {}
    for conflict in conflicts:
        if conflict.conflict_id not in found or found[conflict.conflict_id].sequence < conflict.sequence:
            found[conflict.conflict_id] = conflict
    return found


@settings(max_examples=150)
@given(st.data())
def test_what_two_generations_told_amounts_to_what_is_open_in_the_second(data: st.DataObject) -> None:
    """Whatever the second one does not see: numbers go on without a gap, and the same fold tells nothing."""
    events = data.draw(EVENTS)
    former = LocalTopology(law(), partitions=data.draw(st.integers(1, 2)), clock=NOON)
    former.send(events)
    former.advance(END)
    sent = [alert for alert in former.alerts() if alert.state != "WITHDRAWN"]
    answers = [
        disposition(alert, suppress=data.draw(st.booleans()), made_at=number, number=str(number))
        for number, alert in enumerate(data.draw(st.lists(st.sampled_from(sent), max_size=2)) if sent else ())
    ]
    former.send(answers)

    unseen = data.draw(st.sets(st.integers(0, len(events) - 1), max_size=3))
    seen: list[Event | Disposition] = [one for number, one in enumerate(events) if number not in unseen]
    following = NextGeneration(law(), 1, partitions=data.draw(st.integers(1, 2)), clock=END)
    following.send([*seen, *answers])
    following.advance(END)
    assert following.alerts() == ()
    assert following.findings() == {}
    assert following.conflicts() == ()
    following.take_over(law(), former)
    if not unseen:
        assert following.alerts() == ()
        assert following.conflicts() == ()

    more = data.draw(EVENTS)
    following.send(more)
    told = last_said(former.alerts() + following.alerts())
    assert {
        (alert.rule, alert.subject, alert.evidence_hash, alert.amount_fen)
        for alert in told.values()
        if alert.state != "WITHDRAWN" and (alert.rule, alert.subject, alert.evidence_hash) not in _suppressed(answers)
    } == following.open_set()

    # As if the second had told from the beginning.
    alone = LocalTopology(law(), clock=END)
    alone.send([*seen, *answers])
    alone.send(more)
    assert following.open_set() == alone.open_set()
    conflicts = newest([*former._conflicts.values(), *following._conflicts.values()]).values()
    assert {one.conflict_id for one in conflicts if one.state == "OPEN"} == {
        one.conflict_id for one in alone.conflicts()
    }
    findings: dict[tuple[str, str], FindingChange] = {}
    for found in (*former.findings().values(), *following.findings().values()):
        held = findings.get((found.rule, found.subject))
        if held is None or held.sequence < found.sequence:
            findings[found.rule, found.subject] = found
    assert {key: found.truth for key, found in findings.items() if found.truth != "not_applicable"} == {
        key: found.truth for key, found in alone.findings().items() if found.truth != "not_applicable"
    }
    assert not any(str(home.policy_hash).startswith(UNHEARD) for home in following.homes().values())


def test_conflicts_are_taken_over_as_they_were_told() -> None:
    """One that stands is not told again, whatever its kind; one that the next fold does not see is closed."""
    collision = [event(A, resident(township="331102001")), event(A, resident(township="331102002"))]
    births = [event(B, resident()), event(B, resident(birth_date=date(1946, 3, 10)), "2")]
    only_here = [event(C, member("h")), event(C, member("i"), "2")]
    former = LocalTopology(law(), clock=NOON)
    former.send([*collision, *births, *only_here])
    assert {one.kind for one in former.conflicts()} == {
        "version_collision",
        "birth_dates_differ",
        "two_live_households",
    }
    following = NextGeneration(law(), 1, clock=NOON)
    following.send([*collision, *births])
    following.take_over(law(), former)
    (told,) = following._conflicts.values()
    assert (told.kind, told.person, told.state) == ("two_live_households", C, "CLOSED")
    assert told.sequence > max(one.sequence for one in former.conflicts())


def test_a_generation_is_above_all_numbers_of_those_before() -> None:
    assert numbered(0, 7) == 7
    assert numbered(1, 0) > numbered(0, 4_000_000_000)
    assert numbered(2, 1) > numbered(1, 4_000_000_000)


def contributed(given_law: Law, *persons: str) -> dict[str, Contribution]:
    """What persons of one aid household contribute to it under a law, in the person step's own words."""
    topology = LocalTopology(given_law, clock=NOON)
    for person in persons:
        topology.send(
            [
                event(person, resident()),
                event(person, member("h", len(persons))),
                event(person, settlement(date(2026, 3, 1), 3_000_000)),
            ]
        )
    return {told.person: told for told in topology.contributed if told.home == "household:h"}


def test_a_home_is_decided_when_each_member_has_contributed_for_the_rules_in_force() -> None:
    """Rules that read more: until the last member came, nothing is said; then it is said once, for the law's sake."""
    old, new = law(rules={"poor": RULES["poor"]}), law()
    states: dict[str, HomeState] = {}

    def fold(step: SubjectStep, *records: Contribution | Review) -> list[Alert]:
        result = step.step(states, records, NOON)
        states.update(result.changes)
        return [output.value for output in result.outputs if isinstance(output.value, Alert)]

    before, after = contributed(old, A, B), contributed(new, A, B)
    fold(SubjectStep(old), before[A], before[B])
    step = SubjectStep(new)
    renewed = [replace(after[person], sequence=100) for person in (A, B)]
    assert fold(step, renewed[0]) == []
    assert "spent" not in states["household:h"].rules
    assert fold(step, Review("household:h", date.min)) == []
    (alert,) = fold(step, renewed[1])
    assert (alert.rule, alert.state, alert.revision, alert.cause) == ("spent", "OPEN", 1, "policy")
    assert fold(step, *renewed) == []


def test_another_edition_of_the_formulas_has_every_home_decided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same figures: the packs cannot tell."""
    book = load_book()
    topology = LocalTopology(book, clock=NOON)
    topology.send([event(A, resident())])
    home = topology.homes()[f"person:{A}"]
    assert not SubjectStep(catalogue_law(book)).stale(home)
    monkeypatch.setattr(catalogue, "EDITION", 2)
    assert SubjectStep(catalogue_law(book)).stale(home)
