"""A small department: one SQLite file that its own connection writes, and the mapping that reads it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.unit.connectors.samples import KINSHIP, RESIDENTS, number

__all__ = ["COLUMNS", "KINSHIP", "PEOPLE", "Department", "describe"]

PEOPLE = [number(f"331102{1950 + n}0101{n:03}") for n in range(1, 60)]
COLUMNS = ("rybh", "bbh", "sfzh", "zjlx", "xm", "dz", "xzqh", "gxsj", "scbz", "hh", "hklx", "csrq", "xb")
DELTA = 'delivery: delta\n    watermark: {column: gxsj, format: "%Y-%m-%d %H:%M:%S", overlap: 10m, reconcile_every: 1d}'


def describe(source: str, *, delivery: str = "delta", version: str = "{column: bbh}", kinship: bool = False) -> str:
    """Mapping of the department's residents, and of their ties."""
    from tests.unit.connectors import samples

    residents = RESIDENTS.replace("{column: bbh}", version)
    if delivery == "delta":
        residents = residents.replace("delivery: snapshot", DELTA)
    else:
        residents = residents.replace("delivery: snapshot", delivery)
    streams = [residents, KINSHIP] if kinship else [residents]
    text = samples.source(*streams, kind=f"url: sqlite:///{source}.db")
    return text.replace("source: test", f"source: {source}")


class Department:
    """A department's database."""

    def __init__(self, folder: Path, source: str) -> None:
        self.path = folder / f"{source}.db"
        with self._open() as connection:
            connection.execute(f"CREATE TABLE czrk ({', '.join(COLUMNS)}, PRIMARY KEY (rybh))")
            connection.execute("CREATE TABLE qsgx (a, b, bxm, gx)")

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None)

    def run(self, statement: str, *values: Any) -> None:
        """Any statement."""
        connection = self._open()
        connection.execute(statement, values)
        connection.close()

    def put(self, n: int, **cells: Any) -> None:
        """Write resident number `n`, changed columns by name."""
        person = PEOPLE[n]
        row = {
            "rybh": f"R{n}",
            "bbh": 1,
            "sfzh": person,
            "zjlx": "111",
            "xm": f"居民{n}",
            "dz": f"紫金街道{n}号",
            "xzqh": "331102",
            "gxsj": "2026-05-01 12:00:00",
            "scbz": "0",
            "hh": f"33110200{n:04}",
            "hklx": "1",
            "csrq": person[6:14],
            "xb": "1" if int(person[16]) % 2 else "2",
        } | cells
        marks = ", ".join("?" for _ in COLUMNS)
        self.run(f"INSERT OR REPLACE INTO czrk VALUES ({marks})", *(row[name] for name in COLUMNS))  # noqa: S608  # our own column names

    def tie(self, a: int, b: int, relation: str) -> None:
        """Write that `b` is the `relation` of `a`."""
        self.run("INSERT INTO qsgx VALUES (?, ?, ?, ?)", PEOPLE[a], PEOPLE[b], f"居民{b}", relation)
