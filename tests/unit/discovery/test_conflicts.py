"""Conflicts between sources: what opens one, what does not, what closes it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from hub.discovery.conflicts import covers
from hub.discovery.topology import LocalTopology
from hub.domain.facts import Coverage, Identity
from hub.domain.messages import Conflict, Event, Fact
from tests.topology.records import (
    NOON,
    TODAY,
    A,
    B,
    annul,
    benefit,
    covered,
    cremation,
    event,
    medical_death,
    member,
    pension,
    registered_death,
    resident,
    settlement,
    token,
)
from tests.topology.small_law import law

DIED = date(2026, 1, 10)
BEFORE, AFTER = DIED - timedelta(days=1), DIED + timedelta(days=1)


def conflicts(*events: Event) -> dict[str, Conflict]:
    """Open conflicts of one batch, by kind."""
    topology = LocalTopology(law(), clock=NOON)
    topology.send(events)
    found = topology.conflicts()
    assert len({conflict.kind for conflict in found}) == len(found)
    return {conflict.kind: conflict for conflict in found}


def classes(conflict: Conflict) -> list[tuple[str, str]]:
    """Topic and value class of each party."""
    return [(party.topic, party.value_class) for party in conflict.parties]


DEAD = event(A, registered_death(DIED))


@pytest.mark.parametrize(
    ("sign", "value_class"),
    [
        (event(A, settlement(AFTER, 100)), "treated"),
        (event(A, pension(AFTER)), "alive_check"),
        (event(A, benefit(since=AFTER), recorded=BEFORE), "benefit_active"),
        (event(A, benefit(last_review_on=AFTER), recorded=BEFORE), "benefit_active"),
        (event(A, benefit(), recorded=AFTER), "benefit_active"),
    ],
)
def test_dead_in_one_register_and_alive_in_another(sign: Event, value_class: str) -> None:
    conflict = conflicts(DEAD, sign)["dead_and_alive"]
    assert classes(conflict) == [("registration.death", "dead"), (sign.topic, value_class)]
    assert (conflict.field, conflict.region) == ("registration.death.death_date", "331102")


@pytest.mark.parametrize(
    "sign",
    [
        event(A, settlement(DIED, 100)),
        event(A, settlement(AFTER, -100)),
        event(A, settlement(AFTER, 100, reverses="other")),
        event(A, pension(DIED)),
        event(A, pension(None)),
        event(A, benefit(), recorded=DIED),
        event(A, benefit(status="ended"), recorded=AFTER),
        event(A, resident(), recorded=AFTER),
    ],
)
def test_what_is_no_sign_of_life(sign: Event) -> None:
    assert conflicts(DEAD, sign) == {}


def test_a_reversed_settlement_is_no_sign_of_life() -> None:
    treated = event(A, settlement(AFTER, 100), "r1")
    reversal = event(A, settlement(AFTER, -100, reverses="r1"), "r2")
    assert "dead_and_alive" in conflicts(DEAD, treated)
    assert conflicts(DEAD, treated, reversal) == {}


@pytest.mark.parametrize(
    ("death", "last_day"),
    [
        (medical_death(date(2026, 1, 1), "month"), date(2026, 1, 31)),
        (medical_death(date(2025, 1, 1), "year"), date(2025, 12, 31)),
        (cremation(DIED), DIED),
        (cremation(DIED, DIED - timedelta(days=3)), DIED - timedelta(days=3)),
    ],
)
def test_a_sign_counts_after_the_last_possible_day(death: object, last_day: date) -> None:
    record = event(A, death)  # type: ignore[arg-type]  # each is a payload
    assert conflicts(record, event(A, settlement(last_day, 100))) == {}
    assert "dead_and_alive" in conflicts(record, event(A, settlement(last_day + timedelta(days=1), 100)))


def test_the_earliest_death_is_what_a_sign_contradicts() -> None:
    later = event(A, medical_death(DIED + timedelta(days=9)))
    conflict = conflicts(DEAD, later, event(A, settlement(AFTER, 100)))["dead_and_alive"]
    assert classes(conflict) == [("registration.death", "dead"), ("medical.settlement", "treated")]


def test_a_death_without_a_day_and_a_revoked_death_contradict_nothing() -> None:
    sign = event(A, settlement(AFTER, 100))
    assert conflicts(event(A, registered_death(None)), sign) == {}
    assert conflicts(event(A, registered_death(DIED, revoked=True)), sign) == {}
    assert conflicts(event(A, medical_death(DIED, revoked=True)), sign) == {}


def test_a_later_sign_does_not_renew_a_conflict_and_a_revocation_closes_it() -> None:
    topology = LocalTopology(law(), clock=NOON)
    topology.send([DEAD, event(A, settlement(AFTER, 100), "r1")])
    (first,) = topology.conflicts()
    topology.send([event(A, settlement(AFTER + timedelta(days=30), 100), "r2")])
    assert topology.conflicts() == (first,)
    topology.send([event(A, registered_death(DIED, revoked=True), version=2)])
    assert topology.conflicts() == ()
    topology.send([event(A, registered_death(DIED), version=3)])
    (again,) = topology.conflicts()
    assert again.conflict_id == first.conflict_id
    assert again.sequence > first.sequence


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        (registered_death(DIED), medical_death(AFTER), True),
        (registered_death(DIED), medical_death(DIED), False),
        (registered_death(DIED), medical_death(date(2026, 1, 1), "month"), False),
        (registered_death(DIED), medical_death(date(2026, 2, 1), "month"), True),
        (registered_death(DIED), medical_death(date(2026, 6, 1), "year"), False),
        (registered_death(DIED), medical_death(AFTER, revoked=True), False),
        (registered_death(DIED), cremation(AFTER, DIED), False),
        (registered_death(DIED), cremation(AFTER, BEFORE), True),
        (registered_death(DIED), cremation(AFTER), False),
    ],
)
def test_dates_of_death_differ_at_their_precision(one: object, other: object, differ: bool) -> None:
    found = conflicts(event(A, one), event(A, other))  # type: ignore[arg-type]  # each is a payload
    assert ("deaths_differ" in found) is differ


def test_two_birth_dates() -> None:
    one = event(A, resident(birth_date=date(1950, 1, 1)), "1")
    other = event(A, resident(birth_date=date(1950, 1, 2)), "2")
    assert classes(conflicts(one, other)["birth_dates_differ"]) == [("registration.resident", "date")] * 2
    assert conflicts(one, event(A, resident(birth_date=date(1950, 1, 1)), "2")) == {}
    assert conflicts(one, event(A, resident(birth_date=None), "2")) == {}


def test_a_birth_date_that_the_number_contradicts() -> None:
    found = conflicts(event(A, resident(id_birth_agrees=False)), event(A, resident(id_birth_agrees=True), "2"))
    assert classes(found["birth_dates_differ"]) == [("registration.resident", "differs_from_number")]


def test_unknown_in_registration_needs_a_statement_that_covers_place_and_day() -> None:
    paid = event(A, benefit())
    assert conflicts(paid) == {}
    assert conflicts(paid, covered("registration.death")) == {}
    assert conflicts(paid, covered("registration.resident", region="330100")) == {}
    assert conflicts(paid, covered("registration.resident", upto=TODAY - timedelta(days=1))) == {}
    found = conflicts(paid, covered("registration.resident"))["unknown_in_registration"]
    assert classes(found) == [("assistance.benefit", "present"), ("source.coverage", "complete")]
    assert conflicts(paid, covered("registration.resident"), event(A, resident())) == {}
    assert conflicts(event(A, registered_death(None)), covered("registration.resident")) == {}


@pytest.mark.parametrize("statement_first", [True, False])
def test_a_withdrawn_statement_withdraws_what_rested_on_it(statement_first: bool) -> None:
    topology = LocalTopology(law(), clock=NOON, partitions=2)
    batches = [[covered("registration.resident")], [event(A, benefit())]]
    for batch in batches if statement_first else batches[::-1]:
        topology.send(batch)
    assert [conflict.kind for conflict in topology.conflicts()] == ["unknown_in_registration"]
    topology.send([annul(covered("registration.resident"))])
    assert topology.conflicts() == ()


def test_nothing_found_for_the_person_is_a_statement_too() -> None:
    answers = {
        found: event(A, Coverage(topic="registration.resident", scope="person", delivery="full", found=found))
        for found in (True, False, None)
    }
    assert "unknown_in_registration" in conflicts(event(A, benefit()), answers[False])
    assert conflicts(event(A, benefit()), answers[True]) == conflicts(event(A, benefit()), answers[None]) == {}


def test_two_live_aid_households() -> None:
    one = event(A, member("x"), "1")
    assert "two_live_households" in conflicts(one, event(A, member("y"), "2"))
    assert conflicts(one, event(A, member("x"), "2")) == {}
    assert conflicts(one, event(A, member("y", until=TODAY + timedelta(days=9)), "2")) == {}


def test_a_replaced_identity_with_a_later_record() -> None:
    replaced = event(A, Identity(old_person=A, new_person=B, reason="corrected"), recorded=DIED)
    assert conflicts(replaced, event(A, benefit(), recorded=DIED)) == {}
    found = conflicts(replaced, event(A, benefit(), recorded=AFTER))["replaced_identity"]
    assert classes(found) == [("registration.identity", "replaced"), ("assistance.benefit", "newer_record")]
    elsewhere = event(A, Identity(old_person=B, new_person=token("c"), reason="corrected"), recorded=DIED)
    assert conflicts(elsewhere, event(A, benefit(), recorded=AFTER)) == {}
    same = event(A, Identity(old_person=A, new_person=A, reason="upgraded"), recorded=DIED)
    assert conflicts(same, event(A, benefit(), recorded=AFTER)) == {}
    new = event(B, Identity(old_person=A, new_person=B, reason="corrected"), recorded=DIED)
    assert conflicts(new, event(B, benefit(), recorded=AFTER)) == {}


def test_each_collided_record_is_a_conflict_until_a_newer_version_settles_it() -> None:
    topology = LocalTopology(law(), clock=NOON)
    for record_id in ("1", "2"):
        topology.send([event(A, benefit(amount_fen=amount), record_id) for amount in (1, 2)])
    assert [conflict.kind for conflict in topology.conflicts()] == ["version_collision"] * 2
    topology.send([event(A, benefit(), "1", 2)])
    assert [party.record_id for conflict in topology.conflicts() for party in conflict.parties] == ["2"]


@pytest.mark.parametrize(
    ("wide", "narrow", "covered_there"),
    [
        ("331102", "331102", True),
        ("331100", "331102", True),
        ("330000", "331102", True),
        ("100000", "331102", True),
        ("331102", "331121", False),
        ("331100", "330726", False),
        ("331102", None, False),
        (None, "331102", False),
    ],
)
def test_a_wider_code_covers_what_lies_below(wide: str | None, narrow: str | None, covered_there: bool) -> None:
    statement = Coverage(topic="registration.resident", scope="region", delivery="full")
    fact = Fact("source.coverage", "s", "1", 1, wide, 0, 0, 0, None, None, statement)
    assert covers(fact, narrow, TODAY) is covered_there


@pytest.mark.parametrize(("day", "inside"), [(BEFORE, False), (DIED, True), (AFTER, True), (TODAY, False)])
def test_a_statement_covers_its_own_days(day: date, inside: bool) -> None:
    statement = Coverage(
        topic="registration.resident", scope="region", delivery="full", complete_from=DIED, complete_to=AFTER
    )
    fact = Fact("source.coverage", "s", "1", 1, "331102", 0, 0, 0, None, None, statement)
    assert covers(fact, "331102", day) is inside
