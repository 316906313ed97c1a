"""Tables by watermark: overlap, late commits, reconciliation, snapshots, children; on a real SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connectors import sql
from connectors.mapping import SourceMapping
from connectors.source import Batch
from connectors.sql import SqlSource
from hub.domain.times import instant_ms
from hub.errors import ConfigurationError, SourceUnavailable
from tests.unit.connectors.samples import mapping, source
from tests.unit.connectors.test_files import Known

DELTA = """
    id: cremations
    topic: funeral.cremation
    table: hh
    record_id: id
    version: {column: v}
    delivery: delta
    watermark: {column: w, format: "%Y-%m-%d %H:%M:%S", overlap: 10m, reconcile_every: 1d}
    person: sfzh
    fields:
      cremated_on: d
"""
NOW = instant_ms(datetime.fromisoformat("2026-05-01T12:00:00+08:00"))
HOUR = 3600 * 1000


class Table:
    """A source's table, written by its own connection."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path / "source.db")
        self._connection.execute("CREATE TABLE hh (id TEXT, v INTEGER, w, sfzh TEXT, d TEXT)")

    def add(self, name: str, written: Any) -> None:
        self._connection.execute("INSERT INTO hh VALUES (?, 1, ?, 'x', '2026-01-01')", (name, written))
        self._connection.commit()

    def run(self, statement: str) -> None:
        self._connection.executescript(statement)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    """An empty table hh."""
    made = Table(tmp_path)
    yield made
    made.close()


def poll(described: SourceMapping, folder: Path, known: Known, now: int = NOW) -> list[str]:
    """Ids of the rows one poll gives; positions are stored as the ingest would."""
    return [str(row.cells["id"]) for batch in batches(described, folder, known, now) for row in batch.rows]


def batches(described: SourceMapping, folder: Path, known: Known, now: int = NOW) -> list[Batch]:
    reader = SqlSource(described, folder)
    found = []
    for batch in reader.poll(described.streams[0], known, now):
        for key, position in batch.positions.items():
            known.stored[key] = {**known.position(key), **position}
        found.append(batch)
    reader.close()
    return found


def test_only_the_overlap_is_read_again(table: Table, tmp_path: Path) -> None:
    described, known = mapping(tmp_path, source(DELTA)), Known()
    table.add("old", "2026-05-01 10:00:00")
    table.add("late", "2026-05-01 10:55:00")
    table.add("new", "2026-05-01 11:00:00")
    assert poll(described, tmp_path, known) == ["old", "late", "new"]
    assert poll(described, tmp_path, known) == ["late", "new"]
    table.add("newer", "2026-05-01 11:30:00")
    assert poll(described, tmp_path, known) == ["late", "new", "newer"]
    assert poll(described, tmp_path, known) == ["newer"]


def test_late_commits_are_found(table: Table, tmp_path: Path) -> None:
    """Within the overlap at once; beyond it, or without a watermark at all, at the reconciliation."""
    described, known = mapping(tmp_path, source(DELTA)), Known()
    table.add("first", "2026-05-01 11:00:00")
    poll(described, tmp_path, known)
    table.add("within", "2026-05-01 10:52:00")
    assert poll(described, tmp_path, known) == ["within", "first"]
    table.add("beyond", "2026-05-01 09:00:00")
    table.add("without", None)
    assert poll(described, tmp_path, known, NOW + HOUR) == ["within", "first"]
    assert set(poll(described, tmp_path, known, NOW + 24 * HOUR)) == {"within", "first", "beyond", "without"}
    assert poll(described, tmp_path, known, NOW + 25 * HOUR) == ["within", "first"]


def test_a_mended_mapping_reads_everything_again(table: Table, tmp_path: Path) -> None:
    known = Known()
    table.add("first", "2026-05-01 09:00:00")
    table.add("second", "2026-05-01 11:00:00")
    poll(mapping(tmp_path, source(DELTA)), tmp_path, known)
    mended = mapping(tmp_path, source(DELTA.replace("cremated_on: d", "cremated_on: {column: d, empty: ['x']}")))
    assert poll(mended, tmp_path, known) == ["first", "second"]
    assert poll(mended, tmp_path, known) == ["second"]


def test_a_row_from_the_future_hides_nothing(table: Table, tmp_path: Path) -> None:
    described, known = mapping(tmp_path, source(DELTA)), Known()
    table.add("typo", "2126-05-01 11:00:00")
    poll(described, tmp_path, known)
    table.add("next", "2026-05-01 12:01:00")
    assert poll(described, tmp_path, known, NOW + HOUR) == ["next", "typo"]


def test_an_interrupted_first_reading_starts_anew(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "BATCH_ROWS", 1)
    described, known = mapping(tmp_path, source(DELTA)), Known()
    for hour in range(8, 12):
        table.add(f"h{hour}", f"2026-05-01 {hour:02}:00:00")
    reader = SqlSource(described, tmp_path)
    reading = reader.poll(described.streams[0], known, NOW)
    known.stored.update(next(reading).positions)
    del reading
    reader.close()
    assert poll(described, tmp_path, known) == ["h8", "h9", "h10", "h11"]


@pytest.mark.parametrize(("overlap", "written", "again"), [("5", [1, 6, 11], ["1", "2"]), ("0", [1, 6, 11], ["2"])])
def test_a_number_as_watermark(
    table: Table, tmp_path: Path, overlap: str, written: list[int], again: list[str]
) -> None:
    stream = DELTA.replace('format: "%Y-%m-%d %H:%M:%S", overlap: 10m', f"overlap: {overlap}")
    described, known = mapping(tmp_path, source(stream)), Known()
    for name, value in enumerate(written):
        table.add(str(name), value)
    assert poll(described, tmp_path, known) == ["0", "1", "2"]
    assert poll(described, tmp_path, known) == again


def test_an_overlap_that_does_not_fit_is_told(table: Table, tmp_path: Path) -> None:
    described, known = mapping(tmp_path, source(DELTA)), Known()
    table.add("a", 5)
    poll(described, tmp_path, known)
    with pytest.raises(ConfigurationError, match="overlap does not fit the column"):
        poll(described, tmp_path, known)


SNAPSHOT = """
    id: cremations
    topic: funeral.cremation
    table: hh
    record_id: id
    version: counter
    delivery: snapshot
    person: sfzh
    fields:
      cremated_on: d
"""


def test_a_snapshot_is_read_whole_and_has_two_ends(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "BATCH_ROWS", 2)
    described = mapping(tmp_path, source(SNAPSHOT))
    ends = [(batch.first, batch.last, len(batch.rows)) for batch in batches(described, tmp_path, Known())]
    assert ends == [(True, True, 0)], "an empty table is a statement too"
    for name in "abcde":
        table.add(name, None)
    ends = [(batch.first, batch.last, len(batch.rows)) for batch in batches(described, tmp_path, Known())]
    assert ends == [(True, False, 2), (False, False, 2), (False, True, 1)]


def test_a_query_is_as_good_as_a_table(table: Table, tmp_path: Path) -> None:
    query = "SELECT id, sfzh, d FROM hh WHERE id <> 'b'"
    described = mapping(tmp_path, source(SNAPSHOT.replace("table: hh", f'query: "{query}"')))
    for name in "abc":
        table.add(name, None)
    assert poll(described, tmp_path, Known()) == ["a", "c"]


CHILDREN = """
    id: certificates
    topic: disability.certificate
    table: hh
    record_id: id
    version: counter
    delivery: snapshot
    person: sfzh
    children:
      parts: {table: lb, key: zh, of: id, order_by: xh}
    fields:
      components: {each: parts, fields: {category: lx, level: dj}}
      issued_on: d
      status: {const: valid}
"""


def test_children_come_with_their_parent_in_order(table: Table, tmp_path: Path) -> None:
    table.run("CREATE TABLE lb (zh TEXT, xh INTEGER, lx TEXT, dj INTEGER)")
    table.run("INSERT INTO lb VALUES ('1', 2, 'limb', 3), ('1', 1, 'sight', 2), ('3', 1, 'mental', 1)")
    for name in range(1, 1200):
        table.add(str(name), None)
    (batch,) = batches(mapping(tmp_path, source(CHILDREN)), tmp_path, Known())
    by_id = {row.cells["id"]: [child["lx"] for child in row.children["parts"]] for row in batch.rows}
    assert (by_id["1"], by_id["2"], by_id["3"]) == (["sight", "limb"], [], ["mental"])


def test_what_the_table_lacks_is_named(table: Table, tmp_path: Path) -> None:
    described = mapping(tmp_path, source(SNAPSHOT.replace("cremated_on: d", "cremated_on: riqi")))
    with pytest.raises(ConfigurationError, match="hh has no column riqi — mend the mapping"):
        poll(described, tmp_path, Known())
    table.run("CREATE TABLE lb (zh TEXT, xh INTEGER, lx TEXT)")
    table.add("1", None)
    with pytest.raises(ConfigurationError, match="lb has no column dj"):
        poll(mapping(tmp_path, source(CHILDREN)), tmp_path, Known())


def test_a_database_that_is_away_is_waited_for(table: Table, tmp_path: Path) -> None:
    for text in (
        source(SNAPSHOT).replace("source.db", "nowhere.db"),
        source(SNAPSHOT).replace("table: hh", "table: xx"),
    ):
        with pytest.raises(SourceUnavailable, match="cannot be read now"):
            poll(mapping(tmp_path, text), tmp_path, Known())
    assert not (tmp_path / "nowhere.db").exists(), "a source is never made by reading it"


def test_a_source_is_never_written(table: Table, tmp_path: Path) -> None:
    """Even a query that would write."""
    described = mapping(tmp_path, source(SNAPSHOT))
    table.add("a", None)
    reader = SqlSource(described, tmp_path)
    with pytest.raises(Exception, match="readonly"), reader._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM hh")
    reader.close()
    assert poll(described, tmp_path, Known()) == ["a"]
