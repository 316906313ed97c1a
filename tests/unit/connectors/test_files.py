"""Dropped files: which are whole, what is read of them, and what cannot be read."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from connectors import files
from connectors.files import FileSource, file_key
from connectors.mapping import SourceMapping
from connectors.source import Batch, Position
from hub.errors import SourceUnavailable
from tests.unit.connectors.samples import mapping, source

DROPS = """
    id: cremations
    topic: funeral.cremation
    files: "hh_*.csv"
    complete: {rename: true}
    record_id: 编号
    version: {file_sequence: 'hh_([0-9]+)'}
    delivery: delta
    person: 身份证号
    fields:
      cremated_on: 火化日期
"""
HEADER = "编号,身份证号,火化日期,备注\r\n"
ROW = "{n},330000000000000000,2026-01-02,好\r\n"


class Known:
    """Positions kept in memory."""

    def __init__(self, stored: Mapping[str, Position] | None = None) -> None:
        self.stored: dict[str, Position] = dict(stored or {})

    def position(self, key: str) -> Position:
        return self.stored.get(key, {})


@pytest.fixture
def drops(tmp_path: Path) -> Path:
    """An empty drop folder."""
    folder = tmp_path / "drops"
    folder.mkdir()
    return folder


def made(folder: Path, stream: str = DROPS) -> SourceMapping:
    return mapping(folder.parent, source(stream, kind="folder: drops"))


def poll(folder: Path, known: Known, stream: str = DROPS) -> list[Batch]:
    """One poll; positions are stored as the ingest would, after each batch."""
    described = made(folder, stream)
    reader = FileSource(described, folder.parent)
    batches = []
    for batch in reader.poll(described.streams[0], known, 0):
        known.stored.update(batch.positions)
        batches.append(batch)
    return batches


def cells(batches: list[Batch]) -> list[Any]:
    return [row.cells.get("编号") for batch in batches for row in batch.rows]


def write(path: Path, rows: int = 2, encoding: str = "utf-8", first: int = 1) -> None:
    text = HEADER + "".join(ROW.format(n=n) for n in range(first, first + rows))
    path.write_bytes(text.encode(encoding))


def test_a_file_is_read_once(drops: Path) -> None:
    known = Known()
    write(drops / "hh_2.csv", first=10)
    write(drops / "hh_1.csv")
    write(drops / "other.csv", first=90)
    found = poll(drops, known)
    assert cells(found) == ["1", "2", "10", "11"]
    assert [row.locator for batch in found for row in batch.rows][:2] == ["hh_1.csv:2", "hh_1.csv:3"]
    assert {row.sequence for batch in found for row in batch.rows} == {1, 2}
    assert poll(drops, known) == []
    write(drops / "hh_3.csv", first=20)
    assert cells(poll(drops, known)) == ["20", "21"]


def test_a_file_that_changed_is_read_again(drops: Path) -> None:
    known = Known()
    write(drops / "hh_1.csv")
    poll(drops, known)
    write(drops / "hh_1.csv", rows=3)
    assert cells(poll(drops, known)) == ["1", "2", "3"]


def test_a_reading_goes_on_where_it_stopped(drops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BATCH_ROWS", 4)
    write(drops / "hh_1.csv", rows=10)
    described, known = made(drops), Known()
    batches = FileSource(described, drops.parent).poll(described.streams[0], known, 0)
    known.stored.update(next(batches).positions)
    del batches
    assert cells(poll(drops, known)) == [str(n) for n in range(5, 11)]
    assert known.stored[file_key(described.streams[0], "hh_1.csv")]["state"] == "done"


@pytest.mark.parametrize("name", ["hh_1.csv.part", "hh_1.csv.tmp", ".hh_1.csv", ".hh_1.csv.x7f", "hh_1.csv~"])
def test_what_transfer_programs_have_in_hand_is_left_alone(drops: Path, name: str) -> None:
    write(drops / name)
    loose = DROPS.replace('"hh_*.csv"', '"*hh_*"')
    assert poll(drops, Known(), loose) == []
    (drops / name).rename(drops / "hh_1.csv")
    assert cells(poll(drops, Known(), loose)) == ["1", "2"]


def test_a_marker_says_that_a_file_is_whole(drops: Path) -> None:
    stream = DROPS.replace("{rename: true}", "{marker: .done}")
    known = Known()
    path = drops / "hh_1.csv"
    path.write_bytes(HEADER.encode())  # half written
    assert poll(drops, known, stream) == []
    write(path)
    assert poll(drops, known, stream) == []
    (drops / "hh_1.csv.done").touch()
    assert cells(poll(drops, known, stream)) == ["1", "2"]


def test_a_marker_of_before_does_not_count(drops: Path) -> None:
    """The sender writes the same name again: the old marker must not let the half-written file in."""
    stream = DROPS.replace("{rename: true}", "{marker: .done}")
    known = Known()
    path, marker = drops / "hh_1.csv", drops / "hh_1.csv.done"
    write(path)
    marker.touch()
    poll(drops, known, stream)
    path.write_bytes(HEADER.encode())
    os.utime(path, ns=(marker.stat().st_mtime_ns + 1_000_000,) * 2)
    assert poll(drops, known, stream) == []
    write(path, rows=3)
    os.utime(marker, ns=(path.stat().st_mtime_ns + 1_000_000,) * 2)
    assert cells(poll(drops, known, stream)) == ["1", "2", "3"]


def test_a_file_is_whole_when_it_has_not_changed_for_a_while(drops: Path) -> None:
    stream = DROPS.replace("{rename: true}", "{stable_for: 1h}")
    path = drops / "hh_1.csv"
    write(path)
    assert poll(drops, Known(), stream) == []
    os.utime(path, (time.time() - 3700,) * 2)
    assert cells(poll(drops, Known(), stream)) == ["1", "2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_encodings(drops: Path, encoding: str) -> None:
    write(drops / "hh_1.csv", encoding=encoding)
    (batch,) = poll(drops, Known(), DROPS.replace("complete:", f"encoding: {encoding}\n    complete:"))
    assert [row.cells["备注"] for row in batch.rows] == ["好", "好"]


def test_gb18030_holds_what_gbk_does_not(drops: Path) -> None:
    """Rare characters of names: four bytes in GB18030."""
    (drops / "hh_1.csv").write_bytes((HEADER + "1,2,3,𠮷\r\n").encode("gb18030"))
    (batch,) = poll(drops, Known(), DROPS.replace("complete:", "encoding: gb18030\n    complete:"))
    assert batch.rows[0].cells["备注"] == "𠮷"


def bad(batches: list[Batch]) -> tuple[str, str]:
    """Reason and value class of the one bad file."""
    (file,) = [batch.bad_file for batch in batches if batch.bad_file is not None]
    return file.unreadable.reason, file.unreadable.value_class


@pytest.mark.parametrize(
    ("declared", "real"), [("utf-8", "gbk"), ("gbk", "utf-8"), ("gb18030", "utf-16"), ("gb18030", "utf-8-sig")]
)
def test_a_wrong_encoding_refuses_the_file(drops: Path, declared: str, real: str) -> None:
    write(drops / "hh_1.csv", encoding=real)
    known = Known()
    stream = DROPS.replace("complete:", f"encoding: {declared}\n    complete:")
    found = poll(drops, known, stream)
    assert bad(found)[0] == "wrong_encoding"
    assert cells(found) == []
    assert (drops / "hh_1.csv").exists()
    assert poll(drops, known, stream) == [], "it is said once"


def test_a_wrong_byte_at_the_end_refuses_the_file_before_its_first_row(drops: Path) -> None:
    path = drops / "hh_1.csv"
    write(path, rows=9000)
    path.write_bytes(path.read_bytes() + b"9,\xff\xff,x,y\r\n")
    found = poll(drops, Known())
    assert (bad(found)[0], cells(found)) == ("wrong_encoding", [])


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("编号,身份证号,火化日期,编号\r\n", "duplicate_header"),
        ("编号,身份证号\r\n", "unreadable_file"),
        ("", "unreadable_file"),
        ('编号,"身份证号\r\n', "unreadable_file"),
    ],
)
def test_a_header_that_does_not_fit_refuses_the_file(drops: Path, header: str, reason: str) -> None:
    (drops / "hh_1.csv").write_bytes(header.encode())
    assert bad(poll(drops, Known()))[0] == reason


def test_a_name_without_its_sequence_refuses_the_file(drops: Path) -> None:
    write(drops / "hh_x.csv")
    assert bad(poll(drops, Known())) == ("unreadable_file", "file name without the sequence of version.file_sequence")


def test_broken_rows_stop_nothing(drops: Path) -> None:
    lines = ["1,a,2026-01-02,x", "2,b,2026-01-02", "3,c,2026-01-02,x,y", '4,"d"e,2026-01-02,x', "", "5,f,2026-01-02,x"]
    (drops / "hh_1.csv").write_bytes((HEADER + "\r\n".join(lines) + "\r\n").encode())
    (batch,) = poll(drops, Known())
    assert [(row.locator, None if row.unreadable is None else row.unreadable.value_class) for row in batch.rows] == [
        ("hh_1.csv:2", None),
        ("hh_1.csv:3", "3 cells under 4 columns"),
        ("hh_1.csv:4", "5 cells under 4 columns"),
        ("hh_1.csv:5", "quotes do not match"),
        ("hh_1.csv:7", None),
    ]
    assert batch.rows[3].cells == {"line": '4,"d"e,2026-01-02,x\r\n'}, "the original is kept"


def test_a_quote_that_is_never_closed_loses_nothing(drops: Path) -> None:
    (drops / "hh_1.csv").write_bytes((HEADER + '1,"a,2026-01-02,x\r\n2,b,2026-01-02,x\r\n').encode())
    (batch,) = poll(drops, Known())
    assert "".join(str(row.cells.get("line")) for row in batch.rows) == '1,"a,2026-01-02,x\r\n2,b,2026-01-02,x\r\n'
    assert all(row.unreadable is not None for row in batch.rows)


def workbook(rows: list[list[Any]], sheet: str = "Sheet") -> bytes:
    book = Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


BOOKS = DROPS.replace("hh_*.csv", "hh_*.xlsx").replace("complete:", "sheet: 火化\n    complete:")


def test_workbooks(drops: Path) -> None:
    day = datetime.fromisoformat("2026-01-02")
    rows: list[list[Any]] = [
        ["编号", "身份证号", "火化日期"],
        [1, "a", day],
        [None, None, None],
        [2, "b", day, "more"],
        [3, "c"],
    ]
    (drops / "hh_1.xlsx").write_bytes(workbook(rows, "火化"))
    (batch,) = poll(drops, Known(), BOOKS)
    first, second, third = batch.rows
    assert first.cells == {"编号": 1, "身份证号": "a", "火化日期": day}
    assert second.unreadable is not None
    assert third.cells == {"编号": 3, "身份证号": "c", "火化日期": None}


@pytest.mark.parametrize(
    ("content", "reason", "value_class"),
    [
        (b"no workbook at all", "unreadable_file", "no workbook"),
        (workbook([["编号", "身份证号", "火化日期"]]), "unreadable_file", "no sheet 火化"),
        (workbook([["编号", "编号", "火化日期"]], "火化"), "duplicate_header", "1 names stand twice: 编号"),
        (workbook([["编号", "身份证号", "火化日期"], [1, "a", "x"]], "火化")[:-200], "unreadable_file", "no workbook"),
    ],
)
def test_workbooks_that_cannot_be_read(drops: Path, content: bytes, reason: str, value_class: str) -> None:
    (drops / "hh_1.xlsx").write_bytes(content)
    assert bad(poll(drops, Known(), BOOKS)) == (reason, value_class)


SNAPSHOTS = DROPS.replace("delivery: delta", "delivery: snapshot")


def test_a_snapshot_that_comes_late_says_nothing(drops: Path) -> None:
    known = Known()
    write(drops / "hh_2.csv")
    (batch,) = poll(drops, known, SNAPSHOTS)
    assert (batch.first, batch.last) == (True, True)
    write(drops / "hh_1.csv")
    assert cells(poll(drops, known, SNAPSHOTS)) == []
    write(drops / "hh_3.csv", rows=1)
    assert cells(poll(drops, known, SNAPSHOTS)) == ["1"]


def test_a_bad_file_is_kept_unless_it_is_too_large(drops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "编号\r\n".encode()
    (drops / "hh_1.csv").write_bytes(content)
    (batch,) = poll(drops, Known())
    assert batch.bad_file is not None
    assert batch.bad_file.content == content
    monkeypatch.setattr(files, "KEPT_BYTES", 3)
    (batch,) = poll(drops, Known())
    assert batch.bad_file is not None
    assert batch.bad_file.content is None


def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"drop folder drops cannot be read .* make it under HUB_SOURCE_ROOT"):
        poll(tmp_path / "drops", Known())
