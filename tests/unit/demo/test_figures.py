"""The demonstration must fail when a step did not do its work: each planted shortcoming is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hub.demo.figures import POISON, Figures, shortcomings, write


def whole() -> Figures:
    """Figures of a demonstration in which every step did its work."""
    return Figures(
        sources={"yibao": {"published": 10, "quarantined": 1}},
        joined={"persons": 9, "households": 3},
        rules={"dibao": {"yes": 1, "no": 2, "unknown": 3, "open": 1, "withdrawn": 1}},
        lines={"social_assistance": {"accepted": 4, "receipts": 4}},
        quality={"yibao": 98.5},
        quarantine=dict.fromkeys((*POISON, "not_a_number"), 1),
        dispositions={"helped": 1},
        superseded=1,
        oracle={"open": 1, "only_hub": 0, "only_oracle": 0},
        seconds={},
        pages={},
        failed=[],
    )


def test_a_whole_demonstration_lacks_nothing() -> None:
    """The base of the mutants below."""
    assert shortcomings(whole(), ["not_a_number"]) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: f.sources["yibao"].clear(), "yibao published nothing"),
        (lambda f: f.quality.clear(), "yibao has no quality score"),
        (lambda f: f.joined.update(households=0), "nothing was joined"),
        (lambda f: f.rules["dibao"].pop("yes"), "dibao shows no yes"),
        (lambda f: f.rules["dibao"].pop("no"), "dibao shows no no"),
        (lambda f: f.rules["dibao"].pop("unknown"), "dibao shows no unknown"),
        (lambda f: f.rules["dibao"].pop("withdrawn"), "dibao shows no withdrawal"),
        (lambda f: f.lines["social_assistance"].update(pending=1), "undelivered revisions"),
        (lambda f: f.lines["social_assistance"].pop("accepted"), "acknowledged nothing"),
        (lambda f: f.lines.clear(), "no line received anything"),
        (lambda f: f.quarantine.pop("bad_magic"), "quarantine for bad_magic"),
        (lambda f: f.quarantine.pop("not_a_number"), "quarantine for not_a_number"),
        (lambda f: f.dispositions.clear(), "no disposition came back"),
        (lambda f: f.oracle.update(only_hub=1), "differ from the oracle's"),
        (lambda f: f.oracle.update(only_oracle=1), "differ from the oracle's"),
        (lambda f: f.oracle.update(open=0), "differ from the oracle's"),
    ],
)
def test_each_shortcoming_is_named(spoil: Callable[[Figures], object], said: str) -> None:
    """One step at a time left undone."""
    figures = whole()
    spoil(figures)
    assert any(said in failure for failure in shortcomings(figures, ["not_a_number"])), said


def test_the_report_holds_the_figures(tmp_path: Path) -> None:
    """build/demo.json is read by other programs."""
    write(whole(), tmp_path / "build" / "demo.json")
    assert json.loads((tmp_path / "build" / "demo.json").read_text()) == msgspec.to_builtins(whole())
