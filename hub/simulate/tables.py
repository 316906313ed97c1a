"""What all departments hold, before it is written out in their own columns and codes: tables of plain rows.

A row has the hub's own field names and values (codes of `hub.domain.codes`, 分, dates); `hub.simulate.departments`
turns it into what a department would hold. The second wave alters rows; which ones is remembered, so that it can be
written as changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any, Final, Literal

from msgspec import Struct

from hub.simulate.people import People, Person

Outcome = Literal["yes", "no", "unknown", "not_applicable"]
PARENT: Final = {
    "check_income": "check",
    "visit_income": "investigation",
    "deduction": "investigation",
    "spending": "investigation",
}
"""Table of lines → table of the reports they belong to."""
WAVE_GAP: Final = timedelta(hours=2)  # the second wave is written two hours after the first, both the evening before


class Planted(Struct, frozen=True, kw_only=True):
    """One subject whose outcome is known: `wave1` before and `wave2` after the second wave.

    `record` is a natural id: of the register entry (person) or of the certified household, as the department writes
    it; `number` is the (invented) citizen number of a person. `changes_on` is the day on which it changes by time.
    """

    rule: str
    kind: Literal["person", "household"]
    record: str
    number: str | None
    county: str
    wave1: Outcome
    wave2: Outcome
    amended: bool = False
    changes_on: date | None = None
    why: str


@dataclass(slots=True)
class Row:
    """One row of one table. `changed` is when its department wrote it last; `version` counts how often."""

    id: str
    values: dict[str, Any]
    changed: datetime
    version: int = 1
    parent: str = ""


@dataclass
class Tables:
    """Rows by table and id, the truth planted in them, and what the second wave touched."""

    as_of: date
    rng: Random
    tables: dict[str, dict[str, Row]] = field(default_factory=dict)
    truth: list[Planted] = field(default_factory=list)
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    touched: set[tuple[str, str]] = field(default_factory=set)
    removed: dict[tuple[str, str], Row] = field(default_factory=dict)
    wave: int = 1

    def __post_init__(self) -> None:
        self.people = People(self.rng)
        self.written = datetime.combine(self.as_of - timedelta(days=1), time(20))
        self._count: Counter[str] = Counter()
        self._later: list[Callable[[], object]] = []

    def later(self, happening: Callable[[], object]) -> None:
        """What the second wave will do; a scenario tells its whole story in one place."""
        self._later.append(happening)

    def second_wave(self) -> None:
        """Let all that was put off happen."""
        self.wave = 2
        for happening in self._later:
            happening()

    def put(self, table: str, prefix: str = "", *, row_id: str = "", ago: int = 0, **values: Any) -> str:
        """Add a row and return its id; `ago` days before the first wave it was last written."""
        rows = self.tables.setdefault(table, {})
        row_id = row_id or f"{prefix}{self._next(table):06d}"
        rows[row_id] = Row(row_id, values, self._now() if self.wave > 1 else self.written - timedelta(days=ago))
        if self.wave > 1:
            self.touched.add((table, row_id))
        return row_id

    def alter(self, table: str, row_id: str, **values: Any) -> None:
        """Change values of a row; in the second wave that is a correction, with a version of its own."""
        row = self.tables[table][row_id]
        row.values |= values
        if self.wave == 1:
            return
        row.changed = self._now()
        row.version += 1
        self.touched.add((table, row_id))
        if row.parent:  # a line of a report: the report is written anew with it
            self.alter(PARENT[table], row.parent)

    def remove(self, table: str, row_id: str) -> None:
        """Take a row away; how its department shows that (a mark, or nothing at all) is the department's matter."""
        row = self.tables[table].pop(row_id)
        row.changed = self._now()
        row.version += 1
        self.removed[(table, row_id)] = row

    def find(self, table: str, **values: Any) -> list[str]:
        """Ids of the rows that hold all these values, in order of entry."""
        rows = self.tables.get(table, {})
        return [row.id for row in rows.values() if all(row.values.get(key) == want for key, want in values.items())]

    def day(self, ago: int) -> date:
        """The day `ago` days before `as_of`."""
        return self.as_of - timedelta(days=ago)

    def _now(self) -> datetime:
        return self.written + (self.wave - 1) * WAVE_GAP

    def _next(self, what: str) -> int:
        self._count[what] += 1
        return self._count[what]

    def plant(self, rule: str, who: Person | str, wave1: Outcome, why: str, **values: Any) -> None:
        """Note the outcome meant for a person, or for a certified household given by its id."""
        person = who if isinstance(who, Person) else None
        self.truth.append(
            Planted(
                rule=rule,
                kind="person" if person else "household",
                record=person.record if person else str(who),
                number=person.number if person else None,
                county=person.county if person else str(who)[2:8],
                wave1=wave1,
                why=why,
                **{"wave2": wave1, **values},
            )
        )
