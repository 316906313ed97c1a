"""Departments' files, read through the real mappings: what is good arrives, what is bad is refused for its reason."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from hub.domain.codes import QUARANTINE_REASONS
from hub.domain.facts import PAYLOADS, Certificate, Check, Enrolment, Kinship, Resident
from hub.errors import ConfigurationError
from hub.simulate import departments, faults
from hub.simulate.population import COVERAGE
from tests.unit.simulate.worlds import AS_OF, MANIFEST, NOW, Read


@pytest.fixture(scope="module")
def expected() -> list[faults.Fault]:
    return faults.first(MANIFEST.world()).faults


def test_each_bad_record_is_refused_for_its_reason_and_nothing_else_is(
    world: Read, expected: list[faults.Fault]
) -> None:
    bad = [one for one in expected if one.outcome == "quarantined"]
    assert Counter((one.source, one.reason) for one in bad) == Counter(
        (one.source, one.reason) for one in world.refused
    )


def test_every_reason_of_a_connector_has_its_bad_record(expected: list[faults.Fault]) -> None:
    of_the_worker = {
        "bad_magic", "truncated", "unknown_schema", "null_key", "key_mismatch", "schema_misfit", "fold_failed",
    }  # fmt: skip
    assert {one.reason for one in expected if one.reason} == set(QUARANTINE_REASONS) - of_the_worker


def test_a_retired_region_becomes_its_successor(world: Read) -> None:
    (record,) = (one.record for one in faults.first(MANIFEST.world()).faults if one.outcome == "mapped")
    (event,) = (one for one in world.first if one.header.record_id == record)
    assert isinstance(event.payload, Enrolment)
    assert (event.header.region, event.payload.place) == ("331124", "331124")


def test_an_older_record_comes_after_the_newer_one(world: Read) -> None:
    (record,) = (one.record for one in faults.second(MANIFEST.world()).faults)
    versions = [one.header.version for one in (*world.first, *world.second) if one.header.record_id == record]
    assert versions == [1, 2, 1]


def test_every_topic_is_fed(world: Read) -> None:
    assert {one.topic for one in (*world.first, *world.second)} == set(PAYLOADS)


def test_every_source_states_coverage_of_topics_that_it_feeds(world: Read) -> None:
    fed = {(one.header.source, one.topic) for one in world.first}
    stated = {(source, topic) for source, topics in COVERAGE.items() for topic in topics}
    assert stated <= fed | {("renshe", "insurance.enrolment")}


def test_ties_arrive_at_both_ends(world: Read) -> None:
    ties = {
        (one.header.person, one.payload.other): one.payload.relation
        for one in world.first
        if isinstance(one.payload, Kinship) and one.payload.other
    }
    assert ties
    back = {"son": {"father", "mother"}, "daughter": {"father", "mother"}, "spouse": {"spouse"}}
    for (person, other), relation in ties.items():
        if relation in back and person:
            assert ties[other or "", person] in back[relation]


def test_child_rows_arrive_with_their_report(world: Read) -> None:
    checks = [one.payload for one in world.first if isinstance(one.payload, Check)]
    assert any(check.income for check in checks)
    assert all(check.covered_persons for check in checks)
    assert {item.months for check in checks for item in check.income} == {12}


def test_components_of_a_disability_arrive_by_category_and_level(world: Read) -> None:
    certificates = [one.payload for one in world.first if isinstance(one.payload, Certificate)]
    assert ("limb", 1) in {(part.category, part.level) for one in certificates for part in one.components}


def test_no_number_leaves_the_connectors(world: Read) -> None:
    numbers = [one.number for one in world.truth.planted if one.number]
    events = msgspec.json.encode([(one.header, one.payload) for one in (*world.first, *world.second)])
    assert numbers
    assert not [number for number in numbers if number.encode() in events]


def test_vanished_and_voided_records_are_annulled(world: Read) -> None:
    annulled = {one.topic for one in world.second if one.header.change == "ANNUL"}
    # By a mark, by a mark in a drop, and by absence from a snapshot; and benefits whose number was corrected.
    assert {"registration.death", "medical.settlement", "justice.status", "assistance.benefit"} <= annulled


def test_a_corrected_number_moves_the_record(world: Read) -> None:
    people = {one.header.record_id: one.header.person for one in world.first if isinstance(one.payload, Resident)}
    moved = [
        one
        for one in world.second
        if isinstance(one.payload, Resident)
        and people.get(one.header.record_id, one.header.person) != one.header.person
    ]
    assert moved
    for event in moved:
        (gone,) = (
            one
            for one in world.second
            if one.header.record_id == event.header.record_id and one.header.change == "ANNUL"
        )
        assert gone.header.person == people[event.header.record_id]


def test_a_second_reading_of_the_same_files_says_nothing(tmp_path: Path, world: Read) -> None:
    from hub.simulate.check import read
    from tests.unit.simulate.worlds import SOURCES

    departments.first(tmp_path / "d", MANIFEST)
    source = read(tmp_path / "d", SOURCES, world.tokens)
    try:
        assert len(source.read(NOW)) == len(world.first)
        assert source.read(NOW + 1) == []
    finally:
        source.close()


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty"):
        departments.first(tmp_path, MANIFEST)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    with pytest.raises(ConfigurationError, match="no simulated world"):
        departments.second(tmp_path)


def test_offices_keep_their_own_columns_and_codes(tmp_path: Path) -> None:
    departments.first(tmp_path / "d", MANIFEST)
    database = sqlite3.connect(tmp_path / "d" / "gongan" / "huji.db")
    try:
        columns = [row[1] for row in database.execute("PRAGMA table_info(CZRK_JBXX)")]
        codes = {row[0] for row in database.execute("SELECT DISTINCT YHZGX FROM CZRK_JBXX")}
    finally:
        database.close()
    assert columns[:3] == ["RYBH", "GMSFHM", "XM"]
    assert {"02", "10", "20"} <= codes
    drop = tmp_path / "d" / "yibao" / f"jiesuan_{AS_OF.replace(day=14):%Y%m%d}_101.csv"
    assert drop.with_name(drop.name + ".done").exists()
    assert "结算流水号" in drop.read_bytes().decode("gb18030")
    with pytest.raises(UnicodeDecodeError):
        drop.read_bytes().decode("utf-8")
