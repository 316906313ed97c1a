"""A file that a department checks before it sends: encodings, types, and what cannot be converted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli.quality import command
from hub.errors import ConfigurationError
from hub.quality.files import read_frame

HEADER = "record_id,service_from,settled_on,kind,total_fen,cash_fen,reverses\n"


def test_values_become_what_the_payload_says(tmp_path: Path) -> None:
    """Dates, integers and truths; an empty field is empty, never the text 'nan' or 0."""
    file = tmp_path / "drop.csv"
    file.write_bytes((HEADER + "JS1,2026-03-01,2026-03-02,inpatient,120000,,\n").encode("gb18030"))
    row = read_frame("medical.settlement", file, "gb18030").iloc[0]
    assert row["service_from"] == date(2026, 3, 1)
    assert (row["total_fen"], type(row["total_fen"])) == (120000, int)
    assert (row["cash_fen"], row["reverses"], row["record_id"]) == (None, None, "JS1")
    deaths = tmp_path / "deaths.csv"
    deaths.write_text("revoked,certifier\nTRUE,1\n0,二院\nperhaps,NA\n", encoding="utf-8-sig")
    frame = read_frame("registration.death", deaths, "utf-8-sig")
    assert list(frame["revoked"]) == [True, False, "perhaps"]
    assert list(frame["certifier"]) == ["1", "二院", "NA"]


def test_what_cannot_be_converted_is_left_for_the_suite(tmp_path: Path) -> None:
    """An impossible date and an amount that is no number stay as they were written."""
    file = tmp_path / "drop.csv"
    file.write_text(HEADER + "JS1,2026-02-30,2026-03-02,inpatient,twelve,1,\n", encoding="utf-8")
    row = read_frame("medical.settlement", file, "utf-8").iloc[0]
    assert (row["service_from"], row["total_fen"], row["cash_fen"]) == ("2026-02-30", "twelve", 1)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """With the file's name and what to do, not with its content."""
    file = tmp_path / "drop.csv"
    file.write_bytes("certifier,revoked\n丽水市中心医院,false\n".encode("gb18030"))
    with pytest.raises(ConfigurationError, match=r"drop\.csv cannot be read as utf-8 .*--encoding gb18030"):
        read_frame("registration.death", file, "utf-8")
    with pytest.raises(ConfigurationError, match="there is no topic"):
        read_frame("medical.wishes", file, "utf-8")


def test_the_command_lists_what_fails(tmp_path: Path) -> None:
    """Row numbers as people count them, and an exit code that a script can read."""
    file = tmp_path / "drop.csv"
    columns = "record_id,version,event_id,region,region_in_force,event_not_after_arrival,arrival_lag_hours,person_known"
    columns += ",benefit,period,paid_on,amount_fen,returned_on,paying_region,account_holder_differs"
    good = "P1,1,e1,331102,true,true,1,true,dibao,2026-03,2026-03-05,85000,,331102,false"
    bad = good.replace("P1", "P2").replace("e1", "e2").replace("dibao", "lottery")
    file.write_text(f"{columns}\n{good}\n{bad}\n", encoding="utf-8")
    runner = CliRunner()
    failed = runner.invoke(command, ["run", "assistance.payment", str(file)], env={"COLUMNS": "220"})
    assert failed.exit_code == 1, failed.output
    [line] = [line for line in failed.output.splitlines() if "benefit.code" in line]
    assert "1/2" in line and "│ 3 " in line
    assert "lottery" not in failed.output
