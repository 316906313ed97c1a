"""Writes the world out as the offices hold it: SQLite databases, CSV and XLSX drops with their markers.

`first` writes everything, `second` what the second wave touched: rows changed or marked in the databases, another drop
of each kind that changed. Beside them lie `manifest.json` (how to make the same world again), `truth.json` (what is
planted) and `faults.json` (which bad input is among it).
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from hub.errors import ConfigurationError
from hub.simulate import faults
from hub.simulate.columns import Office
from hub.simulate.drops import Line, csv_bytes, header, lines, place, xlsx_bytes
from hub.simulate.office_minzheng import COVERED_BY
from hub.simulate.offices import OFFICES
from hub.simulate.population import build
from hub.simulate.world import World

DROP_ROWS: Final = 1500  # rows of one drop: so that the larger kinds come in several files


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a world was made of; the same figures make it again."""

    seed: int
    households: int
    as_of: date
    with_faults: bool = True

    def world(self) -> World:
        """The world before its second wave."""
        return build(as_of=self.as_of, seed=self.seed, households=self.households)


def first(root: Path, manifest: Manifest) -> World:
    """Write all offices into an empty or new folder, truth and faults beside them; an older world there is removed."""
    if root.exists():
        if any(root.iterdir()) and not (root / "manifest.json").exists():
            raise ConfigurationError(f"{root} is not empty and holds no simulated world — give another folder")
        shutil.rmtree(root)
    root.mkdir(parents=True)
    world = manifest.world()
    bad = faults.first(world) if manifest.with_faults else faults.Bad()
    for office in OFFICES:
        _write(root, world, office, wave=1, bad=bad)
    faults.drop(root, bad)
    _dump(root / "truth.json", {"planted": world.truth, "conflicts": world.conflicts})
    _dump(root / "faults.json", bad.faults)
    _dump(root / "manifest.json", manifest)
    return world


def second(root: Path) -> World:
    """Write the second wave into a folder that `first` has filled."""
    try:
        manifest = msgspec.json.decode((root / "manifest.json").read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ConfigurationError(f"{root} holds no simulated world — run `hub simulate departments` first") from None
    world = manifest.world()
    if manifest.with_faults:
        faults.first(world)  # takes the same numbers as before, so that the second wave's are the same too
    late = faults.second(world) if manifest.with_faults else faults.Bad()
    world.second_wave()
    for office in OFFICES:
        _write(root, world, office, wave=2, bad=faults.Bad())
    faults.drop(root, late)
    known = msgspec.json.decode((root / "faults.json").read_bytes(), type=list[faults.Fault])
    _dump(root / "faults.json", [*(fault for fault in known if fault.wave == 1), *late.faults])
    return world


def _write(root: Path, world: World, office: Office, *, wave: int, bad: faults.Bad) -> None:
    if office.kind == "sqlite":
        _database(root / office.store, world, office, wave=wave, bad=bad)
        return
    for table in office.tables:
        rows = list(world.tables.get(table.rows, {}).values())
        changed = [row for row in rows if (table.rows, row.id) in world.touched]
        removed = [row for (name, _), row in world.removed.items() if name == table.rows]
        if wave == 1 or (office.snapshot and (changed or removed)):
            body = lines(table, rows)
        else:
            body = lines(table, changed) + (lines(table, removed, deleted=True) if table.deleted else [])
        body += bad.rows.get((office.source, table.name), [])
        size = max(len(body), 1) if office.snapshot else DROP_ROWS
        for number, start in enumerate(range(0, len(body), size), 1):
            some = body[start : start + size]
            stem = f"{table.name}_{world.written:%Y%m%d}_{wave}{number:02d}"
            if office.kind == "xlsx":
                place(root / office.store / f"{stem}.xlsx", xlsx_bytes(header(table), some), office.marker)
            else:
                content = csv_bytes(header(table), some, office.encoding)
                place(root / office.store / f"{stem}.csv", content, office.marker)


def _database(path: Path, world: World, office: Office, *, wave: int, bad: faults.Bad) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        for table in office.tables:
            rows = list(world.tables.get(table.rows, {}).values())
            removed = [row for (name, _), row in world.removed.items() if name == table.rows]
            if wave == 1:
                body = lines(table, rows) + bad.rows.get((office.source, table.name), [])
                _create(database, table.name, header(table))
            else:
                body = lines(table, (row for row in rows if (table.rows, row.id) in world.touched))
                body += lines(table, removed, deleted=True) if table.deleted else []
            _put(database, table.name, len(header(table)), body)
        for name, reports in COVERED_BY.items():
            if any(table.rows == reports for table in office.tables):
                if wave == 1:
                    _create(database, name, ["明细编号", "编号", "身份证号"])
                _put(database, name, 3, _covered(world, reports, wave))
    database.close()


def _create(database: sqlite3.Connection, table: str, head: Sequence[str]) -> None:
    columns = ", ".join(f'"{name}" TEXT' + (" PRIMARY KEY" if index == 0 else "") for index, name in enumerate(head))
    database.execute(f'CREATE TABLE "{table}" ({columns})')


def _put(database: sqlite3.Connection, table: str, width: int, body: Iterable[Line]) -> None:
    holders = ", ".join("?" * width)
    database.executemany(f'INSERT OR REPLACE INTO "{table}" VALUES ({holders})', body)  # noqa: S608 — our own names


def _covered(world: World, reports: str, wave: int) -> list[Line]:
    rows = world.tables.get(reports, {}).values()
    return [
        (f"{row.id}-{index}", row.id, number)
        for row in rows
        if wave == 1 or (reports, row.id) in world.touched
        for index, number in enumerate(row.values["covered"], 1)
    ]


def _dump(path: Path, value: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
