"""Every case under tests/rules, as `hub decide` runs it; and that each rule has enough of them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from hub.cli.decide import read_cases
from hub.packs import load_book
from hub.policy.cases import run
from hub.policy.catalogue import RULES

FOLDER = Path(__file__).parents[2] / "rules"
CASES = [case for file in sorted(FOLDER.glob("*.yaml")) for case in read_cases(file)]
FEWEST = 6


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case(case: dict[str, Any]) -> None:
    """The decision, what is missing, the amount and who counts are as the case says, at each of its steps."""
    for verdict in run(case, load_book()):
        assert verdict.state == "passed", verdict.notes


def test_each_rule_has_cases_of_every_kind() -> None:
    """At least six a rule, with a yes, a no, an unknown, and one that changes over time or by a correction."""
    decisions: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for case in CASES:
        counts[case["rule"]] += 1
        decisions[case["rule"]].add(case["expect"]["decision"])
        for step in case.get("sequence") or []:
            decisions[case["rule"]] |= {step["expect"]["decision"], "steps"}
    assert {rule: {"yes", "no", "unknown", "steps"} for rule in RULES} == dict(decisions)
    assert all(counts[rule] >= FEWEST for rule in RULES), dict(counts)


def test_case_ids_are_unique() -> None:
    """A failing id names one case."""
    ids = [case["id"] for case in CASES]
    assert sorted(set(ids)) == sorted(ids)


def test_a_wrong_expectation_is_reported() -> None:
    """The comparison sees decision, missing, amount, article and effect."""
    case = next(case for case in CASES if case["id"] == "dibao-gap")
    wrong = {"decision": "no", "because": ["某法 Art 1"], "missing": ["p1.income"], "amount": 1, "counted": ["p1"]}
    (verdict,) = run({**case, "expect": wrong}, load_book())
    assert verdict.state == "failed"
    assert [note.split()[0] for note in verdict.notes] == ["decision", "cites", "missing", "amount", "counted"]
