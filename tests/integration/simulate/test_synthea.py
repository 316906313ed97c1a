"""Synthea really run, with few patients, joined with pseudopeople's register and read through the real mappings."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from connectors.loading import load_sources
from hub.domain.facts import Enrolment, Settlement
from hub.domain.messages import Event
from hub.domain.times import at_noon_ms
from hub.simulate.dryrun import Departments, Refused
from hub.simulate.thirdparty import environment, medical, offices, synthea
from hub.vault.keys import generate
from hub.vault.tokens import Tokens

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".cache" / "thirdparty"
AS_OF = date(2026, 3, 15)
SEED, HOUSEHOLDS, PATIENTS = 11, 150, 15


@pytest.fixture(scope="module")
def tables() -> Path:
    """Synthea's tables, made once and kept; a first run downloads Synthea."""
    return synthea.tables(CACHE, seed=SEED, patients=PATIENTS)


@pytest.fixture(scope="module")
def written(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, medical.Written]:
    root = tmp_path_factory.mktemp("thirdparty")
    offices.write(environment.rows(CACHE, seed=SEED, households=HOUSEHOLDS), root, as_of=AS_OF, seed=SEED)
    return root, medical.write(tables, root, as_of=AS_OF)


@pytest.fixture(scope="module")
def read(written: tuple[Path, medical.Written]) -> tuple[list[Event], list[Refused]]:
    source = Departments(load_sources(ROOT / "connectors" / "sources", ["tp-medical"]), written[0], Tokens(generate()))
    try:
        return source.read(at_noon_ms(AS_OF)), source.refused
    finally:
        source.close()


def drop(root: Path, name: str) -> list[dict[str, str]]:
    with (root / "thirdparty" / "medical" / f"{name}_001.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_arrives_and_none_is_refused(
    written: tuple[Path, medical.Written], read: tuple[list[Event], list[Refused]]
) -> None:
    kinds = [type(event.payload) for event in read[0]]
    assert kinds.count(Settlement) == written[1].settlements > 0
    assert kinds.count(Enrolment) == written[1].enrolments > 0
    assert read[1] == []


def test_all_bills_are_of_persons_of_the_register(
    written: tuple[Path, medical.Written], read: tuple[list[Event], list[Refused]]
) -> None:
    with closing(sqlite3.connect(written[0] / "thirdparty" / "registration.db")) as database:
        register = {number for (number,) in database.execute("SELECT citizen_number FROM people")}
    billed = {row["citizen_number"] for row in drop(written[0], "settlements")}
    assert billed <= register
    assert 0 < len(billed) <= written[1].joined <= written[1].patients
    assert len({event.header.person for event in read[0] if isinstance(event.payload, Settlement)}) == len(billed)


def test_money_adds_up_and_lies_in_the_window(read: tuple[list[Event], list[Refused]]) -> None:
    bills = [event.payload for event in read[0] if isinstance(event.payload, Settlement)]
    assert all(bill.total_fen == bill.basic_fund_fen + bill.cash_fen for bill in bills)
    assert all(bill.basic_fund_fen >= 0 and bill.cash_fen >= 0 for bill in bills)
    assert all(AS_OF - timedelta(days=730) <= bill.settled_on < AS_OF for bill in bills)
    assert any(bill.settled_on >= AS_OF - timedelta(days=365) for bill in bills)


def test_synthea_runs_once(tables: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tables.iterdir()}
    assert {path.stem for path in tables.iterdir()} == set(synthea.TABLES)
    assert synthea.tables(CACHE, seed=SEED, patients=PATIENTS) == tables
    assert {path: path.stat().st_mtime_ns for path in tables.iterdir()} == before
