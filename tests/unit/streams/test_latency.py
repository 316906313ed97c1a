"""The latency sensors: the oldest record of a batch waited longest, clocks that disagree never make a wait negative."""

from __future__ import annotations

from prometheus_client import REGISTRY

from hub.streams import metrics


def sample(name: str, **labels: str) -> float:
    """A value as Prometheus would read it."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_oldest_and_newest_are_told_apart() -> None:
    """Whatever the order they come in."""
    metrics.waited("unit-latency", 10_000, [9_900, 7_000, 9_760])
    seconds = {
        record: sample("hub_worker_waited_seconds_sum", stage="unit-latency", record=record)
        for record in ("oldest", "newest")
    }
    assert seconds == {"oldest": 3.0, "newest": 0.1}


def test_a_clock_ahead_is_no_negative_wait() -> None:
    """Receipt by a clock that runs ahead of this one."""
    metrics.waited("unit-ahead", 10_000, [10_500])
    assert sample("hub_worker_waited_seconds_sum", stage="unit-ahead", record="oldest") == 0.0


def test_a_quarter_of_a_second_can_be_read() -> None:
    """As a bound of a bucket, with others close on both sides."""
    at = metrics.LATENCY_BUCKETS.index(0.25)
    assert metrics.LATENCY_BUCKETS[at - 1 : at + 2] == (0.2, 0.25, 0.3)
