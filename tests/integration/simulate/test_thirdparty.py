"""pseudopeople's records, made by the real generator in its own environment and read through the real mappings."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest

from connectors.loading import load_sources
from hub.domain.citizen_id import check
from hub.domain.facts import Check, Enrolment, Kinship, RegisteredDeath, Resident
from hub.domain.messages import Event
from hub.domain.times import at_noon_ms
from hub.simulate.dryrun import Departments, Refused
from hub.simulate.thirdparty import environment, offices
from hub.vault.keys import generate
from hub.vault.tokens import Tokens

ROOT = Path(__file__).parents[3]
AS_OF = date(2026, 3, 15)
SEED, HOUSEHOLDS = 11, 150


@pytest.fixture(scope="module")
def rows() -> Path:
    """The generator's rows; its environment is made once and kept in the cache that the demo uses too."""
    return environment.rows(ROOT / ".cache" / "thirdparty", seed=SEED, households=HOUSEHOLDS)


@pytest.fixture(scope="module")
def written(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[offices.Corrupted]]:
    root = tmp_path_factory.mktemp("thirdparty")
    return root, offices.write(rows, root, as_of=AS_OF, seed=SEED)


@pytest.fixture(scope="module")
def read(written: tuple[Path, list[offices.Corrupted]]) -> tuple[list[Event], list[Refused]]:
    mappings = load_sources(ROOT / "connectors" / "sources", ["tp-registration", "tp-insurance", "tp-assistance"])
    source = Departments(mappings, written[0], Tokens(generate()))
    try:
        return source.read(at_noon_ms(AS_OF)), source.refused
    finally:
        source.close()


def test_records_of_every_kind_arrive(read: tuple[list[Event], list[Refused]]) -> None:
    kinds = {type(event.payload) for event in read[0]}
    assert {Resident, Kinship, RegisteredDeath, Enrolment, Check} <= kinds
    residents = [event.payload for event in read[0] if isinstance(event.payload, Resident)]
    assert len(residents) > HOUSEHOLDS
    assert {one.id_check for one in residents} == {"ok"}


def test_only_what_the_ledger_names_is_refused(
    written: tuple[Path, list[offices.Corrupted]], read: tuple[list[Event], list[Refused]]
) -> None:
    corrupted = {(one.source, one.record) for one in written[1]}
    refused = {(one.source, one.record) for one in read[1]}
    assert refused
    assert refused <= corrupted


def test_a_corrupted_number_never_becomes_a_person(
    written: tuple[Path, list[offices.Corrupted]], read: tuple[list[Event], list[Refused]]
) -> None:
    broken = {one.record for one in written[1] if one.column == "citizen_number" and not check(one.sent).ok}
    refused = {one.record for one in read[1] if one.reason in ("citizen_id_check", "citizen_id_form", "missing_field")}
    assert broken
    assert broken <= refused


def test_a_birth_date_that_is_still_a_date_contradicts_the_number(
    written: tuple[Path, list[offices.Corrupted]], read: tuple[list[Event], list[Refused]]
) -> None:
    doubtful = {one.record for one in written[1] if one.column == "date_of_birth"}
    refused = {one.record for one in read[1]}
    flags = {
        event.header.record_id: event.payload.id_birth_agrees
        for event in read[0]
        if isinstance(event.payload, Resident) and event.payload.birth_date
    }
    assert {record for record, agrees in flags.items() if not agrees} == (doubtful & set(flags)) - refused
    assert False in flags.values()


def test_the_same_rows_make_the_same_files(
    rows: Path, written: tuple[Path, list[offices.Corrupted]], tmp_path: Path
) -> None:
    assert offices.write(rows, tmp_path, as_of=AS_OF, seed=SEED) == written[1]
    for name in ("ledger.json", "insurance/wages_001.csv"):
        first, again = (hashlib.sha256((root / "thirdparty" / name).read_bytes()) for root in (written[0], tmp_path))
        assert first.hexdigest() == again.hexdigest()
    assert json.loads((tmp_path / "thirdparty" / "ledger.json").read_text())


def test_rows_are_made_once(rows: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in rows.iterdir()}
    assert environment.rows(ROOT / ".cache" / "thirdparty", seed=SEED, households=HOUSEHOLDS) == rows
    assert {path: path.stat().st_mtime_ns for path in rows.iterdir()} == before
