"""Stream = batch: any order, duplicates, any ends of batches, any clock between, any partitions: the same in the end.

Compared are the open set, the findings, the conflicts and all states, but for the numbers that count how often
something was said: sequences, episodes, revisions, and the days on which alerts opened.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.discovery.state import HomeState, PersonState
from hub.discovery.topology import LocalTopology
from hub.domain.messages import Alert, Disposition, Event
from hub.domain.times import DAY_MS, at_noon_ms
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
from tests.topology.small_law import law

PERSONS = st.sampled_from([A, B, C])
RECENT = st.sampled_from([TODAY - timedelta(days=days) for days in (0, 3, 8, 360, 364)])
PAYLOADS = st.one_of(
    st.builds(
        resident,
        hukou=st.sampled_from(["k", "l"]),
        birth_date=st.sampled_from([date(1946, 3, 10), date(1946, 3, 20), date(1980, 1, 1)]),
        township=st.sampled_from(["331102001", "331121101"]),
    ),
    st.builds(
        member,
        st.sampled_from(["h", "i"]),
        st.integers(1, 2),
        until=st.sampled_from([None, None, TODAY]),
    ),
    st.builds(benefit, amount_fen=st.sampled_from([10_000, 300_000])),
    st.builds(kin, PERSONS, st.sampled_from(["son", "father", "spouse"])),
    st.builds(registered_death, RECENT, revoked=st.booleans()),
    st.builds(settlement, RECENT, st.sampled_from([3_000_000, 6_000_000])),
)
RECORDS = st.builds(
    event,
    PERSONS,
    PAYLOADS,
    st.sampled_from(["1", "2"]),
    st.integers(1, 3),
    received_at=st.sampled_from([NOON, NOON - 5 * DAY_MS, NOON - 9 * DAY_MS]),
    region=st.sampled_from(["331102", "331121"]),
)
STATEMENTS = st.builds(
    covered,
    st.sampled_from(["assistance.benefit", "registration.resident"]),
    version=st.integers(1, 2),
    upto=st.sampled_from([None, TODAY, TODAY + timedelta(days=2)]),
)
EVENTS = st.lists(
    st.one_of(
        RECORDS,
        STATEMENTS,
        st.builds(annul, st.one_of(RECORDS, STATEMENTS), change=st.sampled_from(["ANNUL", "ERASED"])),
    ),
    min_size=1,
    max_size=14,
)
END = at_noon_ms(TODAY + timedelta(days=4))


def person_without_numbers(state: PersonState) -> tuple[Any, ...]:
    """What a person's state says, without how often it was said."""
    return (state.facts, state.floors, state.collided, state.sent, state.conflicts)


def home_without_numbers(state: HomeState) -> tuple[Any, ...]:
    """What a home's state says, without how often it was said. Ended contributions are floors and say nothing."""
    live = {person: (told.roles, told.facts) for person, told in state.contributions.items() if told.state == "LIVE"}
    rules = {
        rule: (held.truth, held.stage, held.missing, held.region, held.township)
        + ((held.evidence_hash, held.amount_fen, held.grade) if held.stage == "open" else ())
        for rule, held in state.rules.items()
        if held.truth != "not_applicable"
    }
    place = (state.region, state.township, state.policy_hash) if live else ()
    return (live, rules, state.answers, state.next_review, place)


def outcome(topology: LocalTopology) -> dict[str, Any]:
    """All that has to be equal in the end."""
    empty = home_without_numbers(HomeState())
    homes = {home: home_without_numbers(state) for home, state in topology.homes().items()}
    return {
        "open": topology.open_set(),
        "persons": {person: person_without_numbers(state) for person, state in topology.persons().items()},
        "homes": {home: said for home, said in homes.items() if said != empty},
        "findings": {
            key: (found.truth, found.missing, found.region, found.township)
            for key, found in topology.findings().items()
            if found.truth != "not_applicable"
        },
        "conflicts": {
            conflict.conflict_id: (conflict.kind, conflict.field, conflict.region, conflict.parties)
            for conflict in topology.conflicts()
        },
    }


def last_said(alerts: tuple[Alert, ...]) -> dict[tuple[str, str], Alert]:
    """Newest revision by (rule, subject): numbers rise without a gap, and one alert at most is open."""
    newest: dict[tuple[str, str], Alert] = {}
    for alert in alerts:
        held = newest.get((alert.rule, alert.subject))
        if alert.state == "OPEN":
            assert held is None or held.state == "WITHDRAWN"
            assert (alert.episode, alert.revision) == (1 if held is None else held.episode + 1, 1)
        else:
            assert held is not None and held.state != "WITHDRAWN"
            assert (alert.alert_id, alert.revision) == (held.alert_id, held.revision + 1)
        newest[alert.rule, alert.subject] = alert
    return newest


@settings(max_examples=150)
@given(st.data())
def test_order_duplicates_batches_and_clock_do_not_matter(data: st.DataObject) -> None:
    events = data.draw(EVENTS)
    at_once = LocalTopology(law(), clock=END)
    at_once.send(events)
    answers = (
        [
            disposition(alert, suppress=data.draw(st.booleans()), made_at=number, number=str(number))
            for number, alert in enumerate(data.draw(st.lists(st.sampled_from(at_once.alerts()), max_size=3)))
            if alert.state != "WITHDRAWN"
        ]
        if at_once.alerts()
        else []
    )
    at_once.send(answers)

    records: list[Event | Disposition] = [*events, *answers]
    again = data.draw(st.permutations(records + data.draw(st.lists(st.sampled_from(records), max_size=4))))
    topology = LocalTopology(law(), partitions=data.draw(st.integers(1, 3)), clock=NOON)
    while again:
        size = data.draw(st.integers(1, len(again)))
        batch, again = again[:size], again[size:]
        topology.send(batch)
        topology.advance(min(END, topology.now + data.draw(st.integers(0, 2)) * DAY_MS))
    topology.advance(END)

    assert outcome(topology) == outcome(at_once)

    # What downstream was told amounts to the open set: not withdrawn, and not answered as it was last said.
    suppressed = _suppressed(answers)
    told = {
        (alert.rule, alert.subject, alert.evidence_hash, alert.amount_fen)
        for alert in last_said(topology.alerts()).values()
        if alert.state != "WITHDRAWN" and (alert.rule, alert.subject, alert.evidence_hash) not in suppressed
    }
    assert told == topology.open_set()


def _suppressed(answers: list[Disposition]) -> set[tuple[str, str, str]]:
    newest = {(one.rule, one.subject, one.evidence_hash): one.suppress for one in answers}
    return {key for key, suppress in newest.items() if suppress}
