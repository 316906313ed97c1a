"""Bad input among the good: one record for each fault a connector can meet, and the list of what to expect of it.

Each bad row is a good row of its table with a fresh citizen number and one column spoilt, so that nothing but that
column is wrong. The second wave adds a record older than the one held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from hub.simulate.columns import Cell, Office, Table
from hub.simulate.drops import csv_bytes, header, lines, place
from hub.simulate.offices import BINZANG, CANLIAN, GA_HUJI, SIFA, WEIJIAN, YIBAO
from hub.simulate.people import MALE
from hub.simulate.world import World

OVERSIZE: Final = 1_100_000  # characters of three bytes each: above any message size a broker is set up with here
CITIZEN_ID: Final = {"GMSFHM", "公民身份号码", "身份证号", "死者身份证号", "逝者身份证号"}
Happens = Literal["quarantined", "mapped", "superseded"]
NEVER_EXISTED: Final = "331199"
RETIRED: Final = "332528"


class Fault(Struct, frozen=True, kw_only=True):
    """One bad record or file. `reason` is of hub.domain.codes.QUARANTINE_REASONS, or None where nothing is refused."""

    source: str
    where: str
    record: str | None
    column: str | None
    outcome: Happens
    reason: str | None = None
    wave: int = 1


@dataclass
class Bad:
    """Bad rows by source and table, bad files by path, and what is expected of each."""

    rows: dict[tuple[str, str], list[Sequence[Cell]]] = field(default_factory=dict)
    files: list[tuple[Office, str, bytes]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


Spoil = Callable[[Cell], Cell]


def _bad_check_digit(cell: Cell) -> Cell:
    text = str(cell)
    return text[:17] + next(mark for mark in "0123456789X" if mark != text[17])


SPOILT: Final[tuple[tuple[Office, str, str, Spoil, str | None], ...]] = (
    (GA_HUJI, "CZRK_JBXX", "GMSFHM", _bad_check_digit, "citizen_id_check"),
    (GA_HUJI, "CZRK_JBXX", "GMSFHM", lambda cell: str(cell)[:17], "citizen_id_form"),
    (GA_HUJI, "CZRK_JBXX", "CSRQ", lambda _: "19900231", "impossible_date"),
    (GA_HUJI, "CZRK_JBXX", "XZQH", lambda _: NEVER_EXISTED, "unknown_region"),
    (GA_HUJI, "SWZX", "ZMDW", lambda _: "证" * OVERSIZE, "oversize"),
    (YIBAO, "jiesuan", "医疗费总额", lambda _: "一千二百", "not_a_number"),
    (YIBAO, "canbao", "参保区划", lambda _: RETIRED, None),
    (WEIJIAN, "siwang", "死者身份证号", lambda _: None, "missing_field"),
    (CANLIAN, "canjizheng", "残疾类别", lambda _: "其他", "unknown_code"),
)
"""Office, table, column, how it is spoilt, expected reason (None: mapped, not refused)."""


def first(world: World) -> Bad:
    """What is wrong with the first wave."""
    bad = Bad()
    for number, (office, name, column, spoil, reason) in enumerate(SPOILT, 1):
        table = _table(office, name)
        line = _fresh(world, table, f"BAD{number:03d}")
        at = header(table).index(column)
        line[at] = spoil(line[at])
        bad.rows.setdefault((office.source, name), []).append(line)
        outcome: Happens = "quarantined" if reason else "mapped"
        bad.faults.append(
            Fault(source=office.source, where=name, record=str(line[0]), column=column, outcome=outcome, reason=reason)
        )
    short = _fresh(world, _table(SIFA, "zhuangtai"), "BAD100")[:-3]
    bad.rows.setdefault((SIFA.source, "zhuangtai"), []).append(short)
    _expect(bad, SIFA, "zhuangtai", "broken_row", str(short[0]))
    _whole_files(world, bad)
    return bad


def second(world: World) -> Bad:
    """What is odd in the second wave: an older version of a record arrives after the newer one."""
    table = _table(YIBAO, "jiesuan")
    ordinary = next(row for row in world.tables["settlement"].values() if row.values["kind"] == "outpatient")
    old = lines(table, [ordinary])[0]
    world.later(lambda: world.alter("settlement", ordinary.id, kind="chronic"))
    bad = Bad()
    name = f"jiesuan_{world.written:%Y%m%d}_290.csv"
    bad.files.append((YIBAO, name, csv_bytes(header(table), [old], YIBAO.encoding)))
    bad.faults.append(Fault(source="yibao", where=name, record=ordinary.id, column=None, outcome="superseded", wave=2))
    return bad


def drop(root: Path, bad: Bad) -> None:
    """Put the bad files beside the good ones."""
    for office, name, content in bad.files:
        place(root / office.store / name, content, office.marker)


def _whole_files(world: World, bad: Bad) -> None:
    day = f"{world.written:%Y%m%d}"
    enrolments = _table(YIBAO, "canbao")
    head = header(enrolments)
    head[head.index("参保年度")] = "参保区划"
    body = [_fresh(world, enrolments, "BAD101")]
    bad.files.append((YIBAO, f"canbao_{day}_190.csv", csv_bytes(head, body, YIBAO.encoding)))
    _expect(bad, YIBAO, f"canbao_{day}_190.csv", "duplicate_header")
    cremations = _table(BINZANG, "huohua")
    content = csv_bytes(header(cremations), [_fresh(world, cremations, "BAD102")], "gbk")
    bad.files.append((BINZANG, f"huohua_{day}_190.csv", content))
    _expect(bad, BINZANG, f"huohua_{day}_190.csv", "wrong_encoding")
    bad.files.append((WEIJIAN, f"siwang_{day}_190.xlsx", b"not a workbook\n"))
    _expect(bad, WEIJIAN, f"siwang_{day}_190.xlsx", "unreadable_file")


def _expect(bad: Bad, office: Office, where: str, reason: str, record: str | None = None) -> None:
    bad.faults.append(
        Fault(source=office.source, where=where, record=record, column=None, outcome="quarantined", reason=reason)
    )


def _table(office: Office, name: str) -> Table:
    return next(table for table in office.tables if table.name == name)


def _fresh(world: World, table: Table, record: str) -> list[Cell]:
    """A good line of the table under a new id and for a new person."""
    row = next(iter(world.tables[table.rows].values()))
    line = list(lines(table, [row])[0])
    person = world.people.new(birth=date(1970, 5, 4), sex=MALE, county="331102")
    for at, name in enumerate(header(table)):
        if at == 0:
            line[at] = record
        elif name in CITIZEN_ID:
            line[at] = person.number
    return line
