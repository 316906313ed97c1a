"""Synthea's tables as 医保 drops: written by hand here, so that every bill and insured year can be counted."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest

from connectors.loading import load_sources
from hub.domain.facts import Enrolment, Settlement
from hub.domain.messages import Event
from hub.domain.times import at_noon_ms
from hub.errors import ConfigurationError
from hub.simulate.dryrun import Departments
from hub.simulate.people import FEMALE, MALE, People
from hub.simulate.thirdparty import medical
from hub.simulate.thirdparty.synthea import END
from hub.vault.keys import generate
from hub.vault.tokens import Tokens

ROOT = Path(__file__).parents[3]
AS_OF = date(2026, 3, 15)
SHIFT = AS_OF - END
LIVING_MEN_OF_1951, LIVING_WOMEN_OF_1981 = 2, 1
"""Persons of the register whom the patients below can become."""

PATIENTS = """Id,BIRTHDATE,DEATHDATE,GENDER
p1,1950-03-01,,M
p2,1950-03-01,2024-05-02,M
p3,1950-04-01,,M
p4,1980-01-01,,F
p5,1910-01-01,1970-01-01,F
p6,1999-01-01,,F
"""
# p1 and p3 live and take both men; p2 died, comes after them and finds nobody; the only woman of p6's year is dead.
ENCOUNTERS = """Id,START,STOP,PATIENT,ENCOUNTERCLASS,CODE,TOTAL_CLAIM_COST,PAYER_COVERAGE
e1,2024-06-01T23:00:00Z,2024-06-03T01:00:00Z,p1,inpatient,1,1000.10,800.05
e2,2024-07-01T08:00:00Z,2024-07-01T09:00:00Z,p1,wellness,1,85.00,0.00
e3,2024-07-02T08:00:00Z,2024-07-02T09:00:00Z,p3,ambulatory,1,85.00,85.00
e4,2024-07-03T08:00:00Z,2024-07-03T09:00:00Z,p4,emergency,1,10.00,12.00
e5,2024-07-04T08:00:00Z,2024-07-04T09:00:00Z,p4,wellness,308646001,85.00,0.00
e6,2022-12-01T08:00:00Z,2022-12-01T09:00:00Z,p4,wellness,1,85.00,0.00
e7,2024-12-31T08:00:00Z,2025-01-02T09:00:00Z,p4,inpatient,1,85.00,0.00
e8,2024-04-01T08:00:00Z,2024-04-01T09:00:00Z,p2,outpatient,1,85.00,0.00
e9,2024-04-01T08:00:00Z,2024-04-01T09:00:00Z,p6,outpatient,1,85.00,0.00
"""
TRANSITIONS = """PATIENT,START_DATE,END_DATE,PAYER
p1,2023-11-01T00:00:00Z,2024-11-01T00:00:00Z,public
p1,2022-11-01T00:00:00Z,2023-11-01T00:00:00Z,private
p3,2023-11-01T00:00:00Z,2024-11-01T00:00:00Z,none
p4,2010-01-01T00:00:00Z,2040-01-01T00:00:00Z,private
p6,2023-11-01T00:00:00Z,2024-11-01T00:00:00Z,private
"""
PAYERS = """Id,OWNERSHIP
public,GOVERNMENT
private,PRIVATE
none,NO_INSURANCE
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthea")
    named = {"patients": PATIENTS, "encounters": ENCOUNTERS, "payer_transitions": TRANSITIONS, "payers": PAYERS}
    for name, text in named.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def register(root: Path) -> None:
    """A register of three men of 1951, the first of them dead, a woman of 1981, and one of 2000 who is dead."""
    people = People(Random(1))  # noqa: S311 — a repeatable population
    persons = [
        people.new(birth=birth, sex=sex, county="331121")
        for birth, sex in [
            *[(date(1951, month, 5), MALE) for month in (5, 6, 7)],
            (date(1981, 3, 1), FEMALE),
            (date(2000, 3, 1), FEMALE),
        ]
    ]
    (root / "thirdparty").mkdir(parents=True)
    with closing(sqlite3.connect(root / "thirdparty" / "registration.db")) as database, database:
        database.execute("CREATE TABLE people (id TEXT, citizen_number TEXT, county TEXT)")
        database.execute("CREATE TABLE deaths (id TEXT)")
        rows = [(f"TP{at}", person.number, person.county) for at, person in enumerate(persons)]
        database.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)
        database.executemany("INSERT INTO deaths VALUES (?)", [("DTP0",), ("DTP4",)])


@pytest.fixture(scope="module")
def written(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, medical.Written]:
    root = tmp_path_factory.mktemp("offices")
    register(root)
    return root, medical.write(tables, root, as_of=AS_OF)


def drop(root: Path, name: str) -> list[dict[str, str]]:
    with (root / "thirdparty" / "medical" / f"{name}_001.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_patient_becomes_one_living_person_of_the_same_sex_and_year(
    written: tuple[Path, medical.Written],
) -> None:
    root, counts = written
    assert (counts.patients, counts.joined) == (5, LIVING_MEN_OF_1951 + LIVING_WOMEN_OF_1981)
    with closing(sqlite3.connect(root / "thirdparty" / "registration.db")) as database:
        living = dict(
            database.execute("SELECT citizen_number, id FROM people WHERE 'D' || id NOT IN (SELECT id FROM deaths)")
        )
    bills = drop(root, "settlements")
    assert {living[row["citizen_number"]] for row in bills} == {"TP1", "TP2", "TP3"}
    of_patient = {"e1": "p1", "e2": "p1", "e3": "p3", "e4": "p4"}
    persons = {(of_patient[row["id"]], row["citizen_number"]) for row in bills}
    assert len(persons) == len({patient for patient, _ in persons}) == len({number for _, number in persons}) == 3


def test_only_care_settled_in_the_window_is_a_settlement(written: tuple[Path, medical.Written]) -> None:
    root, counts = written
    bills = {row["id"]: row for row in drop(root, "settlements")}
    assert set(bills) == {"e1", "e2", "e3", "e4"}
    assert counts.settlements == 4
    assert (bills["e1"]["start"], bills["e1"]["stop"]) == (
        str(date(2024, 6, 1) + SHIFT),
        str(date(2024, 6, 3) + SHIFT),
    )


def test_what_the_fund_does_not_pay_is_cash_and_never_less_than_nothing(written: tuple[Path, medical.Written]) -> None:
    bills = {row["id"]: (row["total"], row["fund"], row["cash"]) for row in drop(written[0], "settlements")}
    assert bills == {
        "e1": ("1000.10", "800.05", "200.05"),
        "e2": ("85.00", "0.00", "85.00"),
        "e3": ("85.00", "85.00", "0.00"),
        "e4": ("10.00", "10.00", "0.00"),
    }


def test_each_insured_year_is_one_record_of_who_insured_last(written: tuple[Path, medical.Written]) -> None:
    root, counts = written
    years = {(row["id"].split("-")[0], int(row["year"])): row["payer"] for row in drop(root, "enrolments")}
    assert years == {
        ("p1", 2024): "PRIVATE",
        ("p1", 2025): "GOVERNMENT",
        ("p1", 2026): "GOVERNMENT",
        ("p4", 2024): "PRIVATE",
        ("p4", 2025): "PRIVATE",
        ("p4", 2026): "PRIVATE",
    }
    assert counts.enrolments == len(drop(root, "enrolments")) == len(years)


def test_the_drops_become_events_and_none_is_refused(written: tuple[Path, medical.Written]) -> None:
    events = read(written[0])
    bills = [event.payload for event in events if isinstance(event.payload, Settlement)]
    assert sorted((bill.total_fen, bill.basic_fund_fen, bill.cash_fen) for bill in bills) == [
        (1000, 1000, 0),
        (8500, 0, 8500),
        (8500, 8500, 0),
        (100010, 80005, 20005),
    ]
    assert all(AS_OF - timedelta(days=730) <= bill.settled_on < AS_OF for bill in bills)
    assert {event.payload.scheme for event in events if isinstance(event.payload, Enrolment)} == {
        "medical_resident",
        "medical_employee",
    }


def test_the_same_tables_make_the_same_bytes(
    tables: Path, written: tuple[Path, medical.Written], tmp_path: Path
) -> None:
    register(tmp_path)
    assert medical.write(tables, tmp_path, as_of=AS_OF) == written[1]
    for name in ("settlements_001.csv", "enrolments_001.csv", "settlements_001.csv.done", "enrolments_001.csv.done"):
        first, again = (root / "thirdparty" / "medical" / name for root in (written[0], tmp_path))
        assert first.read_bytes() == again.read_bytes()


def test_an_empty_folder_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "thirdparty" / "medical").mkdir(parents=True)
    assert read(tmp_path) == []


def test_without_a_register_it_says_what_to_do(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no register at .* — write the third-party offices"):
        medical.write(tables, tmp_path, as_of=AS_OF)


def read(root: Path) -> list[Event]:
    """Events of the drops through the real mapping; nothing may be refused."""
    source = Departments(load_sources(ROOT / "connectors" / "sources", ["tp-medical"]), root, Tokens(generate()))
    try:
        events = source.read(at_noon_ms(AS_OF))
        assert source.refused == []
        return events
    finally:
        source.close()
