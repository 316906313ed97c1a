"""Running Synthea: its tables are made once, and a failure leaves nothing that looks like them. Java is a script."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hub.errors import StackError
from hub.simulate.thirdparty import synthea

WRITES_TABLES = """
for word in "$@"; do case $word in --exporter.baseDirectory=*) out="${word#*=}csv";; esac; done
mkdir -p "$out"
for table in patients encounters payer_transitions payers; do echo Id > "$out/$table.csv"; done
echo "1 -- Somebody"
echo run >> "$(dirname "$0")/runs"
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache whose Synthea is in place; nothing is downloaded."""
    monkeypatch.setattr(synthea, "bring", lambda _parts, _progress: tmp_path / "jars")
    monkeypatch.setattr(synthea, "java", lambda: tmp_path / "java")
    return tmp_path / "cache"


def java(cache: Path, script: str) -> Path:
    program = cache.with_name("java")
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_tables_are_made_once_for_each_size_and_seed(cache: Path) -> None:
    java(cache, WRITES_TABLES)
    said: list[str] = []
    first = synthea.tables(cache, seed=1, patients=3, progress=said.append)
    assert {path.name for path in first.iterdir()} == {f"{table}.csv" for table in synthea.TABLES}
    assert said[0] == "Synthea makes 3 patients (seed 1)"
    assert synthea.tables(cache, seed=1, patients=3) == first
    others = {synthea.tables(cache, seed=2, patients=3), synthea.tables(cache, seed=1, patients=4)}
    assert len(others - {first}) == 2
    assert cache.with_name("runs").read_text().count("run") == 3


@pytest.mark.parametrize("script", ["echo usage", "echo broken; exit 3"])
def test_a_run_without_tables_is_a_failure_and_is_done_again(cache: Path, script: str) -> None:
    java(cache, script)
    with pytest.raises(StackError, match=r"(?s)without its tables — read .*synthea\.log; .*(usage|broken)"):
        synthea.tables(cache, seed=1, patients=3)
    java(cache, WRITES_TABLES)
    assert synthea.tables(cache, seed=1, patients=3).is_dir()


def test_a_run_that_takes_too_long_is_ended(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthea, "PATIENCE_S", 0.5)
    monkeypatch.setattr(synthea, "SAY_EVERY_S", 0.2)
    java(cache, "echo '7 -- Somebody'; exec sleep 60")
    said: list[str] = []
    began = time.monotonic()
    with pytest.raises(StackError, match="Synthea is not done after"):
        synthea.tables(cache, seed=1, patients=9, progress=said.append)
    assert time.monotonic() - began < 20
    assert "Synthea: 7 of 9 patients in 0 s" in said
    assert not [path for path in cache.iterdir() if path.is_dir() and not path.name.endswith(".part")]
