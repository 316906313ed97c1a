"""What was planted is what the law decides: before, after the second wave, and on the days that time alone changes."""

from __future__ import annotations

from pathlib import Path

from hub.packs import load_book
from hub.simulate import check, departments
from hub.simulate.oracle.judge import Disagreement, outcome
from tests.unit.simulate.worlds import MANIFEST, NOW, SOURCES, Read


def test_planted_outcomes_are_decided(tmp_path: Path) -> None:
    departments.first(tmp_path / "departments", MANIFEST)
    report = check.planted(tmp_path / "departments", SOURCES, "demo")
    assert report.wrong == []
    assert report.checked > 250


def test_planted_conflicts_are_found(world: Read) -> None:
    found = outcome((*world.first, *world.second), (), load_book(overlay="demo"), NOW).conflicts
    planted = {Disagreement(kind, world.tokens.person_token(number)) for kind, number in world.truth.conflicts}
    assert len(planted) == 4
    assert planted <= found
