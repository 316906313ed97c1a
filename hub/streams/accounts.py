"""What the engine's work comes to in metrics: a batch that was committed, a slot that came or went, what waits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hub.discovery.shapes import StepResult
from hub.domain.messages import Alert
from hub.streams import metrics
from hub.streams.state import PartitionState

Place = tuple[str, int]
"""(topic, partition)."""


def tell_result(stage: str, result: StepResult[Any], now: int) -> None:
    """Count what a committed batch led to; `now` in UTC ms by the clock that stamps records as received."""
    for name, change in result.counts.items():
        if name.startswith("record:"):
            metrics.OUTCOMES.labels(stage, name.removeprefix("record:")).inc(change)
        else:
            metrics.standing(name, change)
    for output in result.outputs:
        value = output.value
        if isinstance(value, Alert):
            metrics.ALERTS.labels(value.rule, value.state).inc()
            if value.caused_at is not None:
                metrics.END_TO_END.observe(max(0, now - value.caused_at) / 1000)
    for topic, number in Counter(output.topic for output in result.outputs).items():
        metrics.OUTPUTS.labels(stage, topic).inc(number)


def count_in(stage: str, state: PartitionState, sign: int) -> None:
    """Count a slot in (1) or out (-1)."""
    metrics.PARTITIONS.labels(stage).inc(sign)
    metrics.STATES.labels(stage).inc(sign * len(state))
    for name, number in state.standing.items():
        metrics.standing(name, sign * number)


def show_waiting(reviews: Mapping[str, int], behind: Mapping[Place, int], newest: Mapping[Place, int]) -> None:
    """States that wait for a day, by stage; records not yet read, and the time of the newest taken in, by place."""
    for stage, number in reviews.items():
        metrics.WAITING.labels(stage).set(number)
    now = time.time_ns() // 1_000_000  # record timestamps are the producers' system clocks, rehearsal or not
    for (topic, partition), waiting in behind.items():
        age = max(0, now - newest.get((topic, partition), now)) if waiting else 0
        metrics.LAG_RECORDS.labels(topic, partition).set(waiting)
        metrics.LAG_SECONDS.labels(topic, partition).set(age / 1000)
