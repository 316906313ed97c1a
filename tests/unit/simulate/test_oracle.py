"""The oracle itself on small logs, and the steps against it on a whole world in any order."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hub.discovery.topology import LocalTopology
from hub.domain.facts import AidHousehold, Benefit, Kinship, Payload, Resident, Settlement
from hub.domain.messages import Disposition, Event, Header
from hub.domain.times import DAY_MS
from hub.packs import load_book
from hub.simulate.check import subject_of
from hub.simulate.oracle.judge import Disagreement, Open, homes, newest, outcome
from hub.simulate.oracle.live import as_disagreement
from tests.unit.simulate.worlds import NOW, Read

BOOK = load_book(overlay="demo")
ANN, BOB = "a" * 32, "b" * 32
RESIDENT = Resident(
    hukou="c" * 32, hukou_kind="family", relation_to_head="self", status="registered", sex="2", id_kind="citizen"
)
MEMBER = AidHousehold(
    aid_household="JZ1",
    relation_to_applicant="self",
    lives_together=True,
    since=date(2025, 1, 1),
    counted=True,
    member_count=1,
    certified_on=date(2025, 1, 1),
)
BENEFIT = Benefit(type="dibao", status="active", since=date(2025, 1, 1), paying_region="331102")


def event(payload: Payload | None, topic: str, *, person: str = ANN, record: str = "r1", version: int = 1) -> Event:
    change = "UPSERT" if payload is not None else "ANNUL"
    header = Header(
        source="s",
        record_id=record,
        version=version,
        change=change,  # type: ignore[arg-type]  # one of the two words above
        person=person,
        region="331102",
        event_time=NOW,
        record_time=NOW,
        received_at=NOW,
    )
    return Event(topic, header, payload)


def homes_of(*events: Event) -> dict[str, dict[str, tuple[str, ...]]]:
    return {home.id: {member.person: member.roles for member in home.members} for home in homes(newest(events))}


def test_the_newest_version_of_a_record_counts_whatever_came_last() -> None:
    old, new = (event(replace(BENEFIT, type=kind), "assistance.benefit", version=v) for v, kind in ((1, "a"), (2, "b")))
    for order in ((old, new), (new, old), (new, old, new)):
        (fact,) = newest(order).persons[ANN]
        assert (fact.version, fact.payload) == (2, new.payload)


def test_an_annulment_takes_back_what_is_not_newer() -> None:
    first, third = (event(BENEFIT, "assistance.benefit", version=version) for version in (1, 3))
    gone = event(None, "assistance.benefit", version=2)
    assert newest((gone, first)).persons[ANN] == []
    assert [fact.version for fact in newest((third, gone, first)).persons[ANN]] == [3]
    assert newest((event(BENEFIT, "assistance.benefit", version=2), gone)).persons[ANN] == []


def test_two_contents_of_one_version_have_one_winner_and_are_a_conflict() -> None:
    one, other = (event(replace(BENEFIT, amount_fen=fen), "assistance.benefit") for fen in (1, 2))
    assert newest((one, other)) == newest((other, one))
    assert outcome((one, other), (), BOOK, NOW).conflicts >= {
        Disagreement("version_collision", ANN, "assistance.benefit|s|r1")
    }
    assert outcome((one, one), (), BOOK, NOW).conflicts == frozenset()
    later = event(BENEFIT, "assistance.benefit", version=2)
    assert outcome((one, other, later), (), BOOK, NOW).conflicts == frozenset()


def test_the_same_record_id_of_two_persons_is_two_records() -> None:
    tie = Kinship(other=BOB, relation="son")
    back = event(Kinship(other=ANN, relation="mother"), "registration.kinship", person=BOB)
    found = homes_of(event(tie, "registration.kinship"), back)
    assert found[f"person:{ANN}"] == {ANN: ("self",), BOB: ("child",)}
    assert found[f"person:{BOB}"] == {ANN: ("parent",), BOB: ("self",)}


def test_a_certified_household_without_an_end_replaces_the_candidate() -> None:
    resident = event(RESIDENT, "registration.resident")
    member = event(MEMBER, "assistance.household")
    ended = event(replace(MEMBER, until=date(2025, 6, 1)), "assistance.household")
    household, candidate = "household:JZ1", f"candidate:{'c' * 32}"
    assert candidate in homes_of(resident)
    assert set(homes_of(resident, member)) & {household, candidate} == {household}
    assert set(homes_of(resident, ended)) & {household, candidate} == {household, candidate}
    assert candidate not in homes_of(event(replace(RESIDENT, hukou_kind="collective"), "registration.resident"))


def test_a_person_of_whom_all_was_taken_back_has_no_home() -> None:
    assert homes_of(event(BENEFIT, "assistance.benefit"), event(None, "assistance.benefit", version=2)) == {}


def test_a_reversed_settlement_is_no_sign_of_life(world: Read) -> None:
    from hub.domain.facts import RegisteredDeath

    stay = Settlement(
        service_from=date(2026, 3, 1),
        service_to=date(2026, 3, 2),
        settled_on=date(2026, 3, 2),
        kind="inpatient",
        total_fen=100,
        basic_fund_fen=0,
        critical_illness_fund_fen=0,
        medical_aid_fen=0,
        supplementary_fen=0,
        personal_account_fen=0,
        cash_fen=100,
    )
    death = event(
        RegisteredDeath(death_date=date(2026, 2, 1), precision="day", kind="natural", revoked=False),
        "registration.death",
    )
    treated = event(stay, "medical.settlement")
    back = event(replace(stay, total_fen=-100, cash_fen=-100, reverses="r1"), "medical.settlement", record="r2")
    alive = Disagreement("dead_and_alive", ANN)
    assert alive in outcome((death, treated), (), BOOK, NOW).conflicts
    assert alive not in outcome((death, treated, back), (), BOOK, NOW).conflicts


def disposition(opened: Open, *, made_at: int, suppress: bool, identifier: str = "d1") -> Disposition:
    return Disposition(
        disposition_id=identifier,
        alert_id="x",
        home=opened.subject,
        subject=opened.subject,
        rule=opened.rule,
        revision=1,
        evidence_hash=opened.evidence_hash,
        policy_hash="",
        outcome="not_eligible",
        suppress=suppress,
        by="test",
        made_at=made_at,
    )


def test_a_disposition_silences_its_own_evidence_until_a_newer_one_says_otherwise(world: Read) -> None:
    everything = outcome(world.first, (), BOOK, NOW).opened
    one = min(everything, key=str)
    silenced = disposition(one, made_at=1, suppress=True)
    assert outcome(world.first, (silenced,), BOOK, NOW).opened == everything - {one}
    again = disposition(one, made_at=2, suppress=False, identifier="d2")
    assert outcome(world.first, (again, silenced), BOOK, NOW).opened == everything
    other = disposition(one._replace(evidence_hash="0" * 32), made_at=3, suppress=True)
    assert outcome(world.first, (other,), BOOK, NOW).opened == everything


def folded(records: list[Event | Disposition], random: Random, days: int, partitions: int) -> LocalTopology:
    """The steps over these records: cut into batches anywhere, the clock moved week by week at the end."""
    topology = LocalTopology(BOOK, partitions=partitions, clock=NOW)
    start = 0
    while start < len(records):
        size = random.choice((1, 5, 60, 400))
        topology.send(records[start : start + size])
        start += size
    for day in (*range(0, days, 7), days):
        topology.advance(NOW + day * DAY_MS)
    return topology


@pytest.fixture(scope="module")
def log(world: Read) -> list[Event | Disposition]:
    """Both waves, and dispositions on some of what the first wave opens."""
    opened = sorted(outcome(world.first, (), BOOK, NOW).opened, key=str)
    answers = [
        disposition(one, made_at=number, suppress=number % 3 != 0, identifier=f"d{number}")
        for number, one in enumerate(opened[::3], 1)
    ]
    return [*world.first, *world.second, *answers]


def assert_agree(records: list[Event | Disposition], topology: LocalTopology, now: int) -> None:
    """Open alerts, conflicts and every answer are those of the oracle."""
    events = [record for record in records if isinstance(record, Event)]
    answers = [record for record in records if isinstance(record, Disposition)]
    expected = outcome(events, answers, BOOK, now)
    assert expected.opened == {Open(*found) for found in topology.open_set()}
    assert expected.conflicts == {as_disagreement(found) for found in topology.conflicts()}
    truths = {key: found.truth for key, found in topology.findings().items() if found.truth != "not_applicable"}
    assert expected.truths == truths


@pytest.fixture(scope="module")
def families(world: Read) -> list[list[Event]]:
    """The events of each planted subject with its kin and household: enough to decide, few enough to shrink."""
    everything = (*world.first, *world.second)
    statements = [one for one in everything if one.header.person is None and one.header.region == "331121"]
    related: dict[str, set[str]] = defaultdict(set)
    for one in everything:
        person, payload = one.header.person, one.payload
        if person and isinstance(payload, Kinship) and payload.other:
            related[person].add(payload.other)
        if person and isinstance(payload, AidHousehold):
            related[f"household:{payload.aid_household}"].add(person)
    found = []
    for planted in world.truth.planted:
        subject = subject_of(planted, world.tokens)
        token = subject.partition(":")[2]
        group = related[subject] if planted.kind == "household" else {token, *related[token]}
        found.append([one for one in everything if one.header.person in group] + statements)
    return found


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_steps_agree_with_the_oracle_on_any_part_of_a_family(
    families: list[list[Event]], data: st.DataObject
) -> None:
    family = data.draw(st.sampled_from(families))
    places = data.draw(st.lists(st.integers(0, len(family) - 1), min_size=1, max_size=60))
    records = [family[place] for place in places]
    days = data.draw(st.integers(0, 40))
    topology = LocalTopology(BOOK, clock=NOW)
    while records:
        size = data.draw(st.integers(1, len(records)))
        topology.send(records[:size])
        records = records[size:]
    topology.advance(NOW + days * DAY_MS)
    assert_agree([family[place] for place in places], topology, NOW + days * DAY_MS)


@settings(
    max_examples=3,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an order of thousands of records does not shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(min_value=0, max_value=2**32),
    days=st.sampled_from((0, 1, 6, 45)),
    partitions=st.sampled_from((1, 3)),
)
def test_the_steps_agree_with_the_oracle_on_a_whole_world_in_any_order(
    log: list[Event | Disposition], seed: int, days: int, partitions: int
) -> None:
    random = Random(seed)  # noqa: S311 — an order of records, not a secret
    records = [*log, *random.choices(log, k=len(log) // 10)]
    random.shuffle(records)
    assert_agree(log, folded(records, random, days, partitions), NOW + days * DAY_MS)
