"""Rows as files: the lines of a table, CSV in an office's encoding, a workbook, and how a drop is put down."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from openpyxl import Workbook

from hub.simulate.columns import Cell, Table
from hub.simulate.tables import Row

Line = Sequence[Cell]


def lines(table: Table, rows: Iterable[Row], *, deleted: bool = False) -> list[Line]:
    """Cells of rows in the table's order of columns, the mark of a deleted row last."""
    mark: tuple[Cell, ...] = (("1" if deleted else "0"),) if table.deleted else ()
    return [(*(column.cell(row) for column in table.columns), *mark) for row in rows]


def header(table: Table) -> list[str]:
    """Column names of a table."""
    return [column.name for column in table.columns] + ([table.deleted] if table.deleted else [])


def csv_bytes(head: Sequence[str], body: Iterable[Line], encoding: str) -> bytes:
    """A CSV file as an office's export writes it: CRLF, empty cells for what is missing."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows(["" if cell is None else cell for cell in line] for line in body)
    return text.getvalue().encode(encoding)


def xlsx_bytes(head: Sequence[str], body: Iterable[Line]) -> bytes:
    """A workbook of one sheet."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.append(list(head))
    for line in body:
        sheet.append(list(line))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def place(path: Path, content: bytes, marker: str | None) -> None:
    """Put a drop into its folder as a careful sender does: under another name, renamed, then the marker."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.rename(path)
    if marker:
        path.with_name(path.name + marker).touch()
