"""What was planted is what the law decides: before, after the second wave, and on the days that time alone changes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from hub.packs import load_book
from hub.simulate import check, departments
from hub.simulate.oracle.judge import Disagreement, outcome
from tests.unit.simulate.worlds import MANIFEST, NOW, SOURCES, Read


@pytest.mark.parametrize(
    "as_of",
    [date(2026, 1, 1), date(2026, 3, 15), date(2026, 10, 31), date(2028, 2, 29)],
    ids=["new year", "mid month", "month's end", "leap day"],
)
def test_planted_outcomes_are_decided(as_of: date, tmp_path: Path) -> None:
    departments.first(tmp_path / "departments", replace(MANIFEST, as_of=as_of))
    report = check.planted(tmp_path / "departments", SOURCES, "demo")
    assert report.wrong == []
    assert report.checked > 250


def test_a_wrong_outcome_is_told(tmp_path: Path) -> None:
    root = tmp_path / "departments"
    departments.first(root, MANIFEST)
    text = (root / "truth.json").read_text()
    (root / "truth.json").write_text(text.replace('"wave1": "unknown"', '"wave1": "no"', 1))
    (wrong,) = check.planted(root, SOURCES, "demo").wrong
    assert wrong.endswith("wave 1: meant no, decided unknown")


def test_planted_conflicts_are_found(world: Read) -> None:
    found = outcome((*world.first, *world.second), (), load_book(overlay="demo"), NOW).conflicts
    planted = {Disagreement(kind, world.tokens.person_token(number)) for kind, number in world.truth.conflicts}
    assert len(planted) == 4
    assert planted <= found
