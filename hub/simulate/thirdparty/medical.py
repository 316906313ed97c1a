"""Writes Synthea's care and insurance out as a 医保 office of 丽水 would hold them, for persons of the register.

Synthea knows no households, so each of its patients becomes a living person of `offices`' register of the same sex and
year of birth, each person at most one patient. All its days are moved by the same number, so that its world ends on
`as_of`. What is left over (patients for whom nobody is free, persons for whom no patient is) is counted, not invented.
"""

from __future__ import annotations

import csv
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from hub.domain.citizen_id import check
from hub.errors import ConfigurationError
from hub.simulate.columns import Cell, moment
from hub.simulate.drops import csv_bytes, place
from hub.simulate.people import FEMALE, MALE
from hub.simulate.thirdparty.synthea import END

WINDOW: Final = timedelta(days=730)
"""Care settled in so long a time before `as_of` is written: twice what bills are added up over."""

INSURED_YEARS: Final = 3
DEATH_CERTIFICATION: Final = "308646001"  # SNOMED CT; no care, and its day lies after the death
NO_INSURANCE: Final = "NO_INSURANCE"
SEX: Final = {"M": MALE, "F": FEMALE}
Row = dict[str, str]


class Written(Struct, frozen=True, kw_only=True):
    """Counts: patients alive in the window, those of them joined with a person, and the rows written for these."""

    patients: int
    joined: int
    settlements: int
    enrolments: int

    @property
    def text(self) -> str:
        """The counts as one line for people."""
        return (
            f"Synthea: {self.joined} of {self.patients} patients joined with a person of the register, "
            f"{self.settlements} settlements, {self.enrolments} insured years"
        )


class _Insured(NamedTuple):
    """Number and county of a person of the register."""

    number: str
    county: str


COLUMNS: Final = {
    "settlements": "id revision citizen_number start stop class total fund cash county updated_at",
    "enrolments": "id revision citizen_number payer year county updated_at",
}
"""Columns of each drop, as this department writes them."""


def write(tables: Path, root: Path, *, as_of: date) -> Written:
    """Write two drops into `root/thirdparty/medical` and say how much; `tables` is the folder of Synthea's CSV.

    The same tables and register give the same bytes. ConfigurationError when `root` holds no third-party register.
    """
    shift = as_of - END
    patients = [row for row in _rows(tables, "patients") if _lives_in_window(row)]
    insured = _join(patients, _register(root), shift)
    updated = moment(datetime.combine(as_of - timedelta(days=1), time(20)))
    drops = {
        "settlements": list(_settlements(tables, insured, shift, updated)),
        "enrolments": list(_enrolments(tables, insured, shift, as_of.year, updated)),
    }
    for name, body in drops.items():
        content = csv_bytes(COLUMNS[name].split(), body, "utf-8")
        place(root / "thirdparty" / "medical" / f"{name}_001.csv", content, ".done")
    return Written(
        patients=len(patients),
        joined=len(insured),
        settlements=len(drops["settlements"]),
        enrolments=len(drops["enrolments"]),
    )


def _rows(tables: Path, name: str) -> Iterator[Row]:
    with (tables / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _day(text: str) -> date:
    """The day of a date or of a moment in UTC, as Synthea writes them."""
    return date.fromisoformat(text[:10])


def _lives_in_window(patient: Row) -> bool:
    return not patient["DEATHDATE"] or _day(patient["DEATHDATE"]) >= END - WINDOW


def _register(root: Path) -> dict[tuple[str, int], list[_Insured]]:
    """Living persons by sex and year of birth, both read off their numbers, since other columns may be corrupted."""
    file = root / "thirdparty" / "registration.db"
    if not file.exists():
        raise ConfigurationError(f"no register at {file} — write the third-party offices into this folder first")
    living = "SELECT citizen_number, county FROM people WHERE 'D' || id NOT IN (SELECT id FROM deaths) ORDER BY id"
    found: dict[tuple[str, int], list[_Insured]] = defaultdict(list)
    with closing(sqlite3.connect(file)) as database:
        for number, county in database.execute(living):
            told = check(number)
            if told.birth_date is not None and told.sex is not None:
                found[told.sex, told.birth_date.year].append(_Insured(number, county))
    return found


def _join(
    patients: list[Row], register: dict[tuple[str, int], list[_Insured]], shift: timedelta
) -> dict[str, _Insured]:
    """Patient id → person. Those who live to the end come first: they have care in the whole window."""
    free = {key: iter(persons) for key, persons in register.items()}
    joined = {}
    for patient in sorted(patients, key=lambda row: (bool(row["DEATHDATE"]), row["Id"])):
        key = SEX[patient["GENDER"]], (_day(patient["BIRTHDATE"]) + shift).year
        person = next(free.get(key, iter(())), None)
        if person is not None:
            joined[patient["Id"]] = person
    return joined


def _settlements(
    tables: Path, insured: dict[str, _Insured], shift: timedelta, updated: str
) -> Iterator[tuple[Cell, ...]]:
    """One for each encounter that ended in the window.

    A dollar is written as one 元, as `offices` writes wages: a rate would change income and bills alike, and what
    matters is the share of the one that the other takes.
    """
    for row in _rows(tables, "encounters"):
        person, stop = insured.get(row["PATIENT"]), _day(row["STOP"])
        if person is None or row["CODE"] == DEATH_CERTIFICATION or not END - WINDOW <= stop < END:
            continue
        total = Decimal(row["TOTAL_CLAIM_COST"])
        fund = min(total, Decimal(row["PAYER_COVERAGE"]))
        days = str(_day(row["START"]) + shift), str(stop + shift)
        money = str(total), str(fund), str(total - fund)
        yield (row["Id"], "1", person.number, *days, row["ENCOUNTERCLASS"], *money, person.county, updated)


def _enrolments(
    tables: Path, insured: dict[str, _Insured], shift: timedelta, last: int, updated: str
) -> Iterator[tuple[Cell, ...]]:
    """One for each person and year in which somebody insured the person; who did so latest counts."""
    ownership = {row["Id"]: row["OWNERSHIP"] for row in _rows(tables, "payers")}
    found: dict[tuple[str, int], str] = {}
    for row in sorted(_rows(tables, "payer_transitions"), key=lambda row: (row["PATIENT"], row["START_DATE"])):
        payer = ownership[row["PAYER"]]
        if row["PATIENT"] not in insured or payer == NO_INSURANCE:
            continue
        since, until = ((_day(row[name]) + shift).year for name in ("START_DATE", "END_DATE"))
        for year in range(max(since, last - INSURED_YEARS + 1), min(until, last) + 1):
            found[row["PATIENT"], year] = payer
    for (patient, year), payer in found.items():
        person = insured[patient]
        yield (f"{patient}-{year}", "1", person.number, payer, str(year), person.county, updated)
