"""Both stages on five small rules: joins, moves, timers, coverage, dispositions, policy, and what leaves when."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from msgspec.structs import replace

from hub.discovery.state import HomeState
from hub.discovery.subject import SubjectStep, standing
from hub.discovery.topology import LocalTopology
from hub.domain.messages import Alert, Contribution, Event, Fact, Review
from hub.domain.times import at_noon_ms
from tests.topology.records import (
    NOON,
    TODAY,
    A,
    B,
    C,
    annul,
    benefit,
    covered,
    disposition,
    event,
    kin,
    member,
    registered_death,
    resident,
    settlement,
)
from tests.topology.small_law import RULES, book_with, law

DAY = timedelta(days=1)


@pytest.fixture(params=[1, 3])
def topology(request: pytest.FixtureRequest) -> LocalTopology:
    """The small rules; over several partitions the two halves of a join lie apart."""
    return LocalTopology(law(), partitions=request.param, clock=NOON)


def left(topology: LocalTopology, rule: str) -> list[tuple[str, int, int]]:
    """State, episode and revision of each alert of a rule that left."""
    return [(alert.state, alert.episode, alert.revision) for alert in topology.alerts() if alert.rule == rule]


def truth(topology: LocalTopology, rule: str, home: str) -> str:
    """What was said last of a rule at a home."""
    return topology.findings()[rule, home].truth


def household(*persons: str, id: str = "h", fen: int = 10_000) -> list[Event]:
    """Persons registered here, certified as one aid household, each with a benefit."""
    made = []
    for person in persons:
        made += [
            event(person, resident()),
            event(person, member(id, len(persons))),
            event(person, benefit(amount_fen=fen)),
        ]
    return made


def test_a_household_is_decided_when_all_its_members_have_come(topology: LocalTopology) -> None:
    events = household(A, B)
    topology.send(events[:3])
    assert truth(topology, "poor", "household:h") == "unknown"
    assert left(topology, "poor") == []
    topology.send(events[3:])
    assert truth(topology, "poor", "household:h") == "yes"
    (alert,) = topology.alerts()
    assert (alert.state, alert.amount_fen, alert.cause) == ("OPEN", 180_000, "facts")
    assert (alert.region, alert.township, alert.line) == ("331102", "331102001", "test")
    assert (alert.decided_on, alert.opened_on, alert.due_on) == (TODAY, TODAY, date(2026, 3, 23))
    assert {one.person for one in alert.people} == {A, B}


def test_a_correction_amends_and_an_annulment_withdraws(topology: LocalTopology) -> None:
    topology.send(household(A, B))
    topology.send([event(A, benefit(amount_fen=50_000), version=2)])
    topology.send([annul(event(B, member("h", 2)))])
    assert left(topology, "poor") == [("OPEN", 1, 1), ("AMENDED", 1, 2), ("WITHDRAWN", 1, 3)]
    assert [alert.amount_fen for alert in topology.alerts()] == [180_000, 140_000, 140_000]
    assert topology.open_set() == set()
    assert truth(topology, "poor", "household:h") == "unknown"


def test_the_same_again_late_and_older_says_nothing(topology: LocalTopology) -> None:
    newest = [event(A, benefit(amount_fen=90_000), version=3)]
    topology.send(household(A, B) + newest)
    before = (topology.alerts(), topology.persons(), topology.homes(), topology.findings())
    topology.send(household(A, B) + newest)
    topology.send([event(A, benefit(amount_fen=1), version=2)])
    assert (topology.alerts(), topology.persons(), topology.homes(), topology.findings()) == before
    assert topology.counts["record:superseded"] == 2


def test_a_move_recounts_both_households(topology: LocalTopology) -> None:
    topology.send(household(A, B) + household(C, id="k"))
    moved = len(topology.contributed)
    topology.send(
        [
            event(B, member("k", 2), version=2),
            event(C, member("k", 2), version=2),
            event(A, member("h", 1), version=2),
        ]
    )
    told = {(one.home, one.person): one.state for one in topology.contributed[moved:] if one.person == B}
    assert told == {("household:h", B): "ENDED", ("household:k", B): "LIVE"}
    amounts = {subject: amount for rule, subject, _, amount in topology.open_set() if rule == "poor"}
    assert amounts == {"household:h": 90_000, "household:k": 180_000}


def test_the_late_half_of_a_move_ends_right(topology: LocalTopology) -> None:
    """Between the halves a person counts in neither home or in both; once they are there it is as if together."""
    persons = household(A, B) + household(C, id="k")
    together = [
        event(B, member("k", 2), version=2),
        event(C, member("k", 2), version=2),
        event(A, member("h", 1), version=2),
    ]
    topology.send(persons)
    for half in together:
        topology.send([half])
    at_once = LocalTopology(law(), clock=NOON)
    at_once.send(persons + together)
    assert topology.open_set() == at_once.open_set()


def test_a_child_hears_of_a_parents_death_after_a_week(topology: LocalTopology) -> None:
    topology.send([event(A, resident()), event(B, kin(A, "son")), event(B, resident())])
    assert truth(topology, "bereaved", f"person:{A}") == "no"
    death = event(B, registered_death(TODAY - DAY))
    topology.send([death])
    assert truth(topology, "bereaved", f"person:{A}") == "yes"
    assert left(topology, "bereaved") == []
    topology.advance(at_noon_ms(TODAY + 6 * DAY))
    assert left(topology, "bereaved") == []
    topology.advance(at_noon_ms(TODAY + 7 * DAY))
    assert left(topology, "bereaved") == [("OPEN", 1, 1)]
    assert (topology.alerts()[-1].cause, topology.alerts()[-1].caused_at) == ("time", None)
    topology.send([event(B, registered_death(TODAY - DAY, revoked=True), version=2)])
    assert left(topology, "bereaved") == [("OPEN", 1, 1), ("WITHDRAWN", 1, 2)]


def test_a_death_revoked_within_its_hold_never_leaves(topology: LocalTopology) -> None:
    topology.send([event(A, resident()), event(B, kin(A, "son")), event(B, registered_death(TODAY))])
    topology.send([event(B, registered_death(TODAY, revoked=True), version=2)])
    topology.advance(at_noon_ms(TODAY + 30 * DAY))
    assert left(topology, "bereaved") == []


def test_a_child_known_only_by_its_parent_has_no_finding(topology: LocalTopology) -> None:
    topology.send([event(B, kin(A, "son")), event(B, registered_death(TODAY - 30 * DAY))])
    assert (("bereaved", f"person:{A}")) not in topology.findings()
    topology.send([event(A, resident())])
    assert truth(topology, "bereaved", f"person:{A}") == "yes"


def test_eighty_is_reached_by_the_clock_alone(topology: LocalTopology) -> None:
    topology.send([event(A, resident(birth_date=date(1946, 3, 20)))])
    topology.advance(at_noon_ms(date(2026, 3, 19)))
    assert left(topology, "eighty") == []
    topology.advance(at_noon_ms(date(2026, 3, 20)))
    assert left(topology, "eighty") == [("OPEN", 1, 1)]
    topology.send([event(A, resident(birth_date=date(1947, 3, 20)), version=2)])
    assert left(topology, "eighty") == [("OPEN", 1, 1), ("WITHDRAWN", 1, 2)]


def test_overdue_reviews_are_decided_by_the_day_they_are_worked_off(topology: LocalTopology) -> None:
    topology.send([event(A, settlement(TODAY, 6_000_000)), event(A, member("h"))])
    assert left(topology, "spent") == [("OPEN", 1, 1)]
    topology.advance(at_noon_ms(TODAY + 900 * DAY))
    assert left(topology, "spent") == [("OPEN", 1, 1), ("WITHDRAWN", 1, 2)]
    assert topology.alerts()[-1].decided_on == TODAY + 900 * DAY


def test_a_window_expires_with_no_event(topology: LocalTopology) -> None:
    topology.send([event(A, settlement(TODAY - 300 * DAY, 6_000_000)), event(A, member("h"))])
    topology.advance(at_noon_ms(TODAY + 64 * DAY))
    assert left(topology, "spent") == [("OPEN", 1, 1)]
    topology.advance(at_noon_ms(TODAY + 65 * DAY))
    assert left(topology, "spent") == [("OPEN", 1, 1), ("WITHDRAWN", 1, 2)]


def test_a_candidate_opens_a_lead_until_the_household_is_certified(topology: LocalTopology) -> None:
    topology.send([event(A, resident(hukou="k")), event(A, settlement(TODAY, 6_000_000))])
    (lead,) = topology.alerts()
    assert (lead.home, lead.grade) == ("candidate:k", "lead")
    topology.send([event(A, member("h"))])
    grades = {alert.home: (alert.state, alert.grade) for alert in topology.alerts() if alert.rule == "spent"}
    assert grades == {"candidate:k": ("WITHDRAWN", "lead"), "household:h": ("OPEN", "case")}


def test_absence_counts_under_a_statement_only_and_goes_with_it(topology: LocalTopology) -> None:
    home = f"person:{A}"
    topology.send([event(A, resident())])
    assert truth(topology, "unserved", home) == "unknown"
    topology.send([covered("assistance.benefit", upto=TODAY + 2 * DAY)])
    assert left(topology, "unserved") == [("OPEN", 1, 1)]
    topology.advance(at_noon_ms(TODAY + 3 * DAY))
    assert left(topology, "unserved") == [("OPEN", 1, 1), ("WITHDRAWN", 1, 2)]
    topology.send([covered("assistance.benefit", version=2)])
    assert left(topology, "unserved")[2:] == [("OPEN", 2, 1)]
    topology.send([annul(covered("assistance.benefit", version=2))])
    assert left(topology, "unserved")[3:] == [("WITHDRAWN", 2, 2)]


def test_a_statement_reaches_homes_that_come_later(topology: LocalTopology) -> None:
    topology.send([covered("assistance.benefit")])
    topology.send([event(A, resident()), event(B, resident())])
    assert {subject for rule, subject, *_ in topology.open_set() if rule == "unserved"} == {
        f"person:{A}",
        f"person:{B}",
    }


def test_a_statement_writes_only_homes_it_changes() -> None:
    topology = LocalTopology(law(), clock=NOON)
    topology.send([event(A, resident()), event(B, benefit())])
    told = Contribution("coverage:all", "coverage:all", (), "LIVE", 0, 1, (_fact(covered("assistance.benefit")),))
    homes = topology.homes()
    result = SubjectStep(law()).step(homes, [told], NOON)
    assert result.restated
    assert set(result.changes) == {"coverage:all"}
    reviews = [Review(home, date.min) for home in homes]
    result = SubjectStep(law()).step(homes | result.changes, reviews, NOON)
    assert not result.restated
    assert set(result.changes) == {f"person:{A}"}


def _fact(statement: Event) -> Fact:
    h = statement.header
    times = (h.event_time, h.record_time, h.received_at)
    return Fact(statement.topic, h.source, h.record_id, h.version, h.region, *times, None, None, statement.payload)


def test_a_disposition_closes_and_other_evidence_opens_again(topology: LocalTopology) -> None:
    topology.send(household(A))
    (alert,) = topology.alerts()
    topology.send([disposition(alert)])
    assert topology.open_set() == set()
    assert len(topology.alerts()) == 1
    topology.send([event(A, benefit(amount_fen=20_000), version=2)])
    assert left(topology, "poor") == [("OPEN", 1, 1), ("AMENDED", 1, 2)]
    topology.send([event(A, benefit(amount_fen=10_000), version=3)])
    assert left(topology, "poor")[2:] == [("WITHDRAWN", 1, 3)]


def test_a_disposition_before_its_contribution_keeps_the_alert_from_leaving(topology: LocalTopology) -> None:
    first = LocalTopology(law(), clock=NOON)
    first.send(household(A))
    topology.send([disposition(first.alerts()[0])])
    topology.send(household(A))
    assert topology.alerts() == ()
    assert topology.open_set() == set()


def test_another_policy_amends_what_it_changes_and_nothing_else(topology: LocalTopology) -> None:
    topology.send([*household(A), *household(B, id="k", fen=500_000)])
    topology.adopt(law(book_with(150_000)))
    policy_told = [alert for alert in topology.alerts() if alert.cause == "policy"]
    assert [(alert.state, alert.home, alert.amount_fen) for alert in policy_told] == [
        ("AMENDED", "household:h", 140_000)
    ]
    assert policy_told[0].policy_hash == book_with(150_000).for_region("331102").hash
    before = topology.alerts()
    topology.adopt(law(book_with(150_000)))
    assert topology.alerts() == before


def test_a_rule_that_reads_another_topic_is_served_after_the_sweep(topology: LocalTopology) -> None:
    topology.adopt(law(rules={"eighty": RULES["eighty"]}))
    topology.send([event(A, resident(hukou="k")), event(A, settlement(TODAY, 6_000_000))])
    assert topology.open_set() == set()
    topology.adopt(law())
    assert {rule for rule, *_ in topology.open_set()} == {"spent"}


def test_a_home_without_members_has_no_findings(topology: LocalTopology) -> None:
    events = household(A)
    topology.send(events)
    topology.send([annul(one) for one in events])
    assert topology.open_set() == set()
    assert {finding.truth for finding in topology.findings().values()} == {"not_applicable"}
    assert all(home.next_review is None for home in topology.homes().values())


def test_an_older_contribution_is_ignored_and_a_newer_generation_is_not() -> None:
    step = SubjectStep(law()).step
    states: dict[str, HomeState] = {}
    home = f"person:{A}"

    def fold(generation: int, sequence: int, state: str = "LIVE") -> str:
        told = Contribution(home, A, ("self",), state, generation, sequence, ())  # type: ignore[arg-type]  # both literals
        result = step(states, [told], NOON)
        states.update(result.changes)
        (count,) = (name for name in result.counts if name.startswith("record:"))
        return count

    assert fold(0, 5) == "record:folded"
    assert fold(0, 5) == fold(0, 4) == "record:stale"
    assert fold(1, 1, "ENDED") == "record:folded"
    assert fold(0, 9) == "record:stale"
    assert states[home].contributions[A].state == "ENDED"


def test_a_review_fires_once_and_never_early() -> None:
    topology = LocalTopology(law(), clock=NOON)
    topology.send([event(A, resident(birth_date=date(1946, 3, 20)))])
    step, states = SubjectStep(law()).step, topology.homes()
    home = f"person:{A}"
    due = date(2026, 3, 20)
    assert states[home].next_review == due
    assert step(states, [Review(home, due)], NOON).counts["record:not_due"] == 1
    assert step(states, [Review(home, due - DAY)], at_noon_ms(due)).changes == {}
    fired = step(states, [Review(home, due)], at_noon_ms(due))
    assert len(fired.outputs) == 2
    states.update(fired.changes)
    assert step(states, [Review(home, due)], at_noon_ms(due)).outputs == []


def test_what_comes_beside_a_review_is_the_cause() -> None:
    topology = LocalTopology(law(), clock=NOON)
    topology.send([event(A, resident(birth_date=date(1946, 3, 20)))])
    home, due = f"person:{A}", date(2026, 3, 20)
    (told,) = topology.contributed
    beside = replace(told, sequence=told.sequence + 1)
    result = SubjectStep(law()).step(topology.homes(), [beside, Review(home, due)], at_noon_ms(due))
    alerts = [output.value for output in result.outputs if isinstance(output.value, Alert)]
    assert {(alert.rule, alert.cause) for alert in alerts} >= {("eighty", "facts")}


def test_standing_numbers_follow_from_the_states(topology: LocalTopology) -> None:
    events = household(A, B)
    topology.send([covered("assistance.benefit"), *events])
    topology.send([annul(events[2])])
    counted = {name: number for name, number in topology.counts.items() if not name.startswith("record:") and number}
    states = topology.homes().values()
    assert counted == dict(sum((standing(state) for state in states), standing(HomeState())))
    assert counted["stage:poor:open"] == 1


def test_when_it_was_caused_is_when_the_newest_new_record_was_received(topology: LocalTopology) -> None:
    topology.send(household(A))
    topology.send([event(A, benefit(amount_fen=20_000), version=2, received_at=NOON + 5)])
    topology.send([event(A, settlement(TODAY, 1), received_at=NOON + 9)])
    topology.send([annul(event(A, member("h")))])
    assert [alert.caused_at for alert in topology.alerts()] == [NOON, NOON + 5, None]
