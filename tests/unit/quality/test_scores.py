"""Scores against figures worked out by hand."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.messages import QualityResult
from hub.quality.scores import SMALL_SAMPLE, Score, score
from tests.unit.quality.samples import ARRIVAL, DAY

Severity = Literal["info", "warning", "critical"]
Outcome = Literal["pass", "fail", "errored", "no_data"]


def result(
    expectation: str,
    severity: Severity,
    outcome: Outcome,
    checked: int,
    failed: int,
    dimension: str = "conformity",
    **more: Any,
) -> QualityResult:
    """One expectation on one micro-batch."""
    values: dict[str, Any] = {
        "run_id": "r",
        "source": "yibao",
        "topic": "medical.settlement",
        "suite": "medical.settlement",
        "expectation": expectation,
        "dimension": dimension,
        "severity": severity,
        "outcome": outcome,
        "checked": checked,
        "failed": failed,
        "day": DAY,
        "made_at": ARRIVAL,
    }
    return QualityResult(**values | more)


def test_shares_are_weighted_by_severity() -> None:
    """critical 5 × 10 %, warning 2 × 50 %, info 1 × 0 % of 8: 1.5 of 8 is lost, 81.25 left."""
    results = [
        result("a", "critical", "fail", 100, 10),
        result("b", "warning", "fail", 40, 20, "timeliness"),
        result("c", "info", "pass", 100, 0, "completeness"),
    ]
    found = score(results, accepted=0, quarantined=0)
    assert found.score == 81.25
    assert found.by_dimension == {"completeness": 100.0, "conformity": 90.0, "timeliness": 50.0}
    assert found.failing == ("medical.settlement/a", "medical.settlement/b")


def test_micro_batches_count_by_their_records() -> None:
    """9 of 10 and 0 of 90 are 9 of 100, not the mean of 90 % and 0 %; an expectation has its weight once."""
    batches = [
        result("a", "critical", "fail", 10, 9, run_id="1"),
        result("a", "critical", "pass", 90, 0, run_id="2"),
        result("b", "critical", "pass", 100, 0),
    ]
    assert score(batches, accepted=0, quarantined=0).score == 95.5


def test_a_quarantined_record_was_received_and_failed() -> None:
    """2 of 10 not accepted: critical like the expectation beside it, in the dimension conformity."""
    found = score([result("a", "critical", "pass", 8, 0, "accuracy")], accepted=8, quarantined=2)
    assert found.score == 90.0
    assert found.by_dimension == {"accuracy": 100.0, "conformity": 80.0}
    assert (found.received, found.failing) == (10, ("record.accepted",))
    assert score([], accepted=10, quarantined=0).failing == ()


def test_what_could_not_be_checked_has_no_share() -> None:
    """Errored and no data lower nothing and are named; data in another batch takes an expectation out of no data."""
    results = [
        result("a", "critical", "pass", 10, 0),
        result("b", "critical", "errored", 0, 0),
        result("c", "critical", "no_data", 0, 0),
        result("d", "critical", "no_data", 0, 0, run_id="1"),
        result("d", "critical", "pass", 5, 0, run_id="2"),
    ]
    found = score(results, accepted=0, quarantined=0)
    assert found.score == 100.0
    assert (found.errored, found.no_data) == (("medical.settlement/b",), ("medical.settlement/c",))


def test_nothing_checked_is_no_score() -> None:
    """None, and not 100."""
    assert score([], accepted=0, quarantined=0) == Score(
        score=None, by_dimension={}, received=0, failing=(), errored=(), no_data=(), small_sample=True
    )
    assert score([result("a", "info", "no_data", 0, 0)], accepted=0, quarantined=0).score is None


@pytest.mark.parametrize(("received", "small"), [(SMALL_SAMPLE - 1, True), (SMALL_SAMPLE, False)])
def test_a_small_sample_is_marked(received: int, small: bool) -> None:
    """By the records received, quarantined ones with them."""
    assert score([], accepted=received - 1, quarantined=1).small_sample is small


outcomes = st.builds(
    lambda name, severity, checked, share: result(
        name, severity, "fail" if checked * share // 100 else "pass", checked, checked * share // 100
    ),
    st.sampled_from("abcd"),
    st.sampled_from(["info", "warning", "critical"]),
    st.integers(1, 10_000),
    st.integers(0, 100),
)


@given(st.lists(outcomes, max_size=12), st.integers(0, 1000), st.integers(0, 50), st.randoms(use_true_random=False))
def test_a_score_is_bounded_and_the_order_does_not_matter(
    results: list[QualityResult], accepted: int, quarantined: int, random: Any
) -> None:
    """0 to 100 in any order of one severity a name; one more quarantined record never makes it better."""
    severity = {one.expectation: one.severity for one in results}
    results = [one for one in results if one.severity == severity[one.expectation]]
    found = score(results, accepted=accepted, quarantined=quarantined)
    shuffled = list(results)
    random.shuffle(shuffled)
    assert score(shuffled, accepted=accepted, quarantined=quarantined) == found
    if found.score is not None:
        assert 0 <= found.score <= 100
    worse = score(results, accepted=accepted, quarantined=quarantined + 1)
    if accepted + quarantined and found.score is not None:
        assert worse.score is not None and worse.score <= found.score
