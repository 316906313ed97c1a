"""Turns pseudopeople's rows into what three departments of 丽水 would hold, and lists every corrupted cell.

Persons get valid numbers of 丽水 and a village each; years are shifted so that the last simulated one is the year of
`as_of`; household income becomes 核对报告 of the households on the benefit (WIC stands in for 低保), wages become
insurance years. What pseudopeople corrupted in a cell is corrupted in the same cell here, and in no other.
"""

from __future__ import annotations

import csv
import re
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from hub.simulate.columns import Cell, dashed, moment
from hub.simulate.drops import csv_bytes, place
from hub.simulate.people import FEMALE, MALE, People, Person
from hub.simulate.places import COUNTIES, villages

LAST_YEAR: Final = 2041  # last year pseudopeople simulates
SPOUSES: Final = {"Opposite-sex spouse", "Same-sex spouse"}
CHILDREN: Final = {"Biological child": "blood", "Adopted child": "adopted", "Stepchild": "step"}
Pair = tuple[dict[str, str], dict[str, str]]
"""A row as it was and as it is sent."""


class Corrupted(msgspec.Struct, frozen=True):
    """One cell that was corrupted; `clean` and `sent` as the department writes them."""

    source: str
    record: str
    column: str
    clean: str
    sent: str


class Shift:
    """Moves pseudopeople's years to ours; a corrupted date stays corrupted in the same way."""

    def __init__(self, as_of: date) -> None:
        self.years = as_of.year - LAST_YEAR

    def compact(self, clean: str) -> date:
        """The day a clean YYYYMMDD means; 29 February of a leap year that is none becomes the 28th."""
        year, month, day = int(clean[:4]) + self.years, int(clean[4:6]), int(clean[6:])
        return date(year, month, min(day, 28) if month == 2 else day)

    def american(self, clean: str) -> date:
        """The day a clean MM/DD/YYYY means."""
        return self.compact(clean[6:] + clean[:2] + clean[3:5])

    def sent(self, clean: str, sent: str, written: str) -> str:
        """What is sent of a date whose clean form is `written` here: the same when nothing was corrupted."""
        if clean == sent:
            return written
        year = re.search(r"(?<!\d)\d{4}(?!\d)|^\d{4}(?=\d{4}$)", sent)
        return sent if not year else sent[: year.start()] + f"{int(year[0]) + self.years:04d}" + sent[year.end() :]


class Writer:
    """Builds the departments' tables and the ledger."""

    def __init__(self, rows: Path, as_of: date, seed: int) -> None:
        self._rows = rows
        self.as_of = as_of
        self.shift = Shift(as_of)
        self.rng = Random(seed)  # noqa: S311 — a repeatable population, not a secret
        self.people: dict[str, Person] = {}
        self.households: dict[str, list[str]] = defaultdict(list)
        self.relation: dict[str, str] = {}
        self.ledger: list[Corrupted] = []
        self.tables: dict[str, list[tuple[Cell, ...]]] = defaultdict(list)
        self.updated = moment(datetime.combine(as_of - timedelta(days=1), time(20)))

    def pairs(self, name: str) -> Iterable[Pair]:
        """Rows of one table, clean and sent."""
        with (
            (self._rows / f"{name}.clean.csv").open(encoding="utf-8", newline="") as clean,
            (self._rows / f"{name}.sent.csv").open(encoding="utf-8", newline="") as sent,
        ):
            yield from zip(csv.DictReader(clean), csv.DictReader(sent), strict=True)

    def cell(self, source: str, record: str, column: str, clean: str, sent: str) -> str:
        """The sent value, noted in the ledger if it is another than the clean one."""
        if clean != sent:
            self.ledger.append(Corrupted(source, record, column, clean, sent))
        return sent

    def number(self, source: str, record: str, column: str, person: Person, pair: Pair) -> str:
        """The citizen number, corrupted where the social security number was."""
        clean, sent = pair[0]["ssn"], pair[1]["ssn"]
        return self.cell(source, record, column, person.number, _like(person.number, clean, sent))

    def registration(self) -> None:
        """Residents, kinship and deaths."""
        people = People(self.rng)
        source = "tp-registration"
        for clean, sent in self.pairs("census"):
            simulant, home = clean["simulant_id"], clean["household_id"]
            born = self.shift.american(clean["date_of_birth"])
            sex = MALE if clean["sex"] == "Male" else FEMALE
            if home not in self.households:
                self._village = self.rng.choice(villages(self.rng.choice(COUNTIES)))
            household = self.households[home]
            village = self.people[household[0]].village if household else self._village
            person = people.new(birth=born, sex=sex, county=village.county, village=village)
            self.people[simulant] = person
            self.relation[simulant] = clean["relationship_to_reference_person"]
            household.append(simulant)
            person.record = f"TP{simulant}"
            written = f"{born:%m/%d/%Y}"
            birth = self.shift.sent(clean["date_of_birth"], sent["date_of_birth"], written)
            name = f"{clean['first_name']} {clean['last_name']}"
            self.tables["people"].append(
                (
                    person.record,
                    person.number,
                    self.cell(source, person.record, "name", name, f"{sent['first_name']} {sent['last_name']}"),
                    self.cell(source, person.record, "date_of_birth", written, birth),
                    self.cell(source, person.record, "sex", clean["sex"], sent["sex"]),
                    f"TP{home}",
                    self.cell(
                        source,
                        person.record,
                        "relationship",
                        clean["relationship_to_reference_person"],
                        sent["relationship_to_reference_person"],
                    ),
                    village.county,
                    village.township,
                    village.code,
                    self.updated,
                )
            )
        for home, members in self.households.items():
            self._kinship(home, members)
        for clean, sent in self.pairs("deaths"):
            died = self.shift.compact(clean["event_date"])
            if died >= self.as_of:
                continue
            person = self.people[clean["simulant_id"]]
            record, written = f"D{person.record}", f"{died:%Y%m%d}"
            day = self.shift.sent(clean["event_date"], sent["event_date"], written)
            self.tables["deaths"].append(
                (
                    record,
                    self.number(source, record, "citizen_number", person, (clean, sent)),
                    self.cell(source, record, "event_date", written, day),
                    person.county,
                    self.updated,
                )
            )

    def _kinship(self, home: str, members: list[str]) -> None:
        heads = [one for one in members if self.relation[one] == "Reference person"]
        if len(heads) != 1:
            return  # without one reference person the relations say nothing
        head = self.people[heads[0]]
        for simulant in members:
            kind, other = self.relation[simulant], self.people[simulant]
            if kind in SPOUSES:
                relation, nature = "spouse", "marriage"
            elif kind in CHILDREN and other.birth > head.birth:
                relation, nature = ("son" if other.sex == MALE else "daughter"), CHILDREN[kind]
            else:
                continue
            row = (f"K{other.record}", head.number, other.number, relation, nature, head.county, self.updated)
            self.tables["kinship"].append(row)

    def insurance(self) -> None:
        """One insurance year for each wage statement."""
        source = "tp-insurance"
        for number, (clean, sent) in enumerate(self.pairs("wages"), 1):
            person = self.people[clean["simulant_id"]]
            record = f"W{number:06d}"
            self.tables["wages"].append(
                (
                    record,
                    "1",
                    self.number(source, record, "citizen_number", person, (clean, sent)),
                    str(int(clean["tax_year"]) + self.shift.years),
                    person.county,
                    self.updated,
                )
            )

    def assistance(self) -> None:
        """Households on the benefit: certified members, benefit years, a report on income."""
        years: dict[str, set[int]] = defaultdict(set)
        for clean, _ in self.pairs("benefits"):
            years[clean["simulant_id"]].add(int(clean["year"]) + self.shift.years)
        wages: dict[str, list[Pair]] = defaultdict(list)
        for pair in self.pairs("wages"):
            if int(pair[0]["tax_year"]) == LAST_YEAR - 1:
                wages[pair[0]["simulant_id"]].append(pair)
        for home, members in self.households.items():
            if not any(member in years for member in members):
                continue
            self._certified(home, members)
            for member in members:
                if member in years:
                    self._benefit(home, self.people[member], years[member])
            self._report(home, members, wages)

    def _certified(self, home: str, members: list[str]) -> None:
        since = date(self.as_of.year - 3, 1, 1)
        for position, member in enumerate(members):
            person = self.people[member]
            row = (f"M{person.record}", person.number, f"TP{home}", "self" if position == 0 else "other")
            self.tables["members"].append((*row, dashed(since), str(len(members)), person.county, self.updated))

    def _benefit(self, home: str, person: Person, years: set[int]) -> None:
        last = max(years)
        ended = last < self.as_of.year
        row = (f"B{person.record}", person.number, f"TP{home}", dashed(date(min(years), 1, 1)))
        until = dashed(date(last, 12, 31)) if ended else None
        self.tables["benefits"].append((*row, until, "ended" if ended else "active", person.county, self.updated))

    def _report(self, home: str, members: list[str], wages: dict[str, list[Pair]]) -> None:
        source, record, head = "tp-assistance", f"TP{home}", self.people[members[0]]
        year = self.as_of.year - 1
        self.tables["reports"].append(
            (record, head.number, f"TP{home}", f"{year}-01-01", f"{year}-12-31", head.county, self.updated)
        )
        for member in members:
            person = self.people[member]
            self.tables["covered"].append((record, person.number))
            for number, pair in enumerate(wages[member]):
                amount = self.cell(
                    source, record, f"wages of {person.record}/{number}", *(row["wages"] for row in pair)
                )
                self.tables["income"].append((f"{record}-{person.record}-{number}", record, person.number, amount))


COLUMNS: Final = {
    "people": "id citizen_number name date_of_birth sex household relationship county township village updated_at",
    "kinship": "id citizen_number other_number relation nature county updated_at",
    "deaths": "id citizen_number event_date county updated_at",
    "wages": "id revision citizen_number year county updated_at",
    "members": "id citizen_number household relation since member_count county updated_at",
    "benefits": "id citizen_number household since until status county updated_at",
    "reports": "id citizen_number household period_from period_to county updated_at",
    "covered": "report citizen_number",
    "income": "id report citizen_number wages",
}
"""Columns of each table, as this department writes them."""
DATABASES: Final = {
    "registration.db": ("people", "kinship", "deaths"),
    "assistance.db": ("members", "benefits", "reports", "covered", "income"),
}


def write(rows: Path, root: Path, *, as_of: date, seed: int) -> list[Corrupted]:
    """Write the three departments' files into `root/thirdparty`, and the ledger beside them; the ledger is returned.

    The folder of the fourth, which `medical` writes, is made empty.
    """
    writer = Writer(rows, as_of, seed)
    writer.registration()
    writer.insurance()
    writer.assistance()
    folder = root / "thirdparty"
    folder.mkdir(parents=True, exist_ok=True)
    for name, tables in DATABASES.items():
        (folder / name).unlink(missing_ok=True)
        with sqlite3.connect(folder / name) as database:
            for table in tables:
                columns = COLUMNS[table].split()
                database.execute(f"CREATE TABLE {table} ({', '.join(f'{column} TEXT' for column in columns)})")
                holders = ", ".join("?" * len(columns))
                database.executemany(f"INSERT INTO {table} VALUES ({holders})", writer.tables[table])  # noqa: S608 — our own names
        database.close()
    # What `medical` may have written here was about other persons; its source is read though nothing is written now.
    shutil.rmtree(folder / "medical", ignore_errors=True)
    (folder / "medical").mkdir()
    content = csv_bytes(COLUMNS["wages"].split(), writer.tables["wages"], "utf-8")
    place(folder / "insurance" / "wages_001.csv", content, ".done")
    (folder / "ledger.json").write_bytes(msgspec.json.format(msgspec.json.encode(writer.ledger), indent=1))
    return writer.ledger


def _like(number: str, clean: str, sent: str) -> str:
    """The citizen number with the same corruption in its digits 9 to 17 as the nine digits of a security number."""
    before, after = clean.replace("-", ""), sent.replace("-", "")
    if before == after:
        return number
    if len(after) != len(before):
        return number[:8] + after if after else ""
    digits = list(number)
    for at, (old, new) in enumerate(zip(before, after, strict=True), 8):
        if old != new:
            digits[at] = new if new != digits[at] else str((int(digits[at]) + 1) % 10)
    return "".join(digits)
