"""What the worker tells Prometheus. Labels are names of stages, topics, rules and reasons, never of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

RECORDS: Final = Counter("hub_worker_records", "Records taken in", ("stage", "topic"))
OUTCOMES: Final = Counter("hub_worker_record_outcomes", "What became of records in the fold", ("stage", "outcome"))
BATCHES: Final = Counter("hub_worker_batches", "Batches processed", ("stage",))
REPEATED: Final = Counter("hub_worker_repeated_records", "Records read again and already folded in", ("stage",))
QUARANTINED: Final = Counter("hub_worker_quarantined", "Records put into quarantine", ("topic", "reason"))
OUTPUTS: Final = Counter("hub_worker_outputs", "Messages published", ("stage", "topic"))
ALERTS: Final = Counter("hub_worker_alerts", "Alert revisions published", ("rule", "state"))
REVIEWS: Final = Counter("hub_worker_reviews", "Reviews fired: their day came, or the law changed", ("stage", "cause"))
UNREVIEWED: Final = Counter(
    "hub_worker_failed_reviews", "Reviews that could not be folded and wait for the next start", ("stage",)
)
REVIEWED: Final = Gauge(
    "hub_worker_last_review_seconds", "When a look at the reviews began that left none due, Unix time"
)
TRANSACTIONS: Final = Counter("hub_worker_transactions", "Transactions by how they ended", ("stage", "outcome"))
STEP: Final = Histogram("hub_worker_step_seconds", "Seconds the pure step took on a batch", ("stage",))
COMMIT: Final = Histogram("hub_worker_commit_seconds", "Seconds a commit took", ("stage",))
LATENCY_BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1, 2, 5, 10, 30, 60, 300, 3600, 86400),
)
"""Close together around the 250 ms that an event may take to its alert, and up to a day for a backlog."""

WAITED: Final = Histogram(
    "hub_worker_waited_seconds",
    "Seconds the oldest and the newest record of a batch waited until it was begun: a source event since its receipt "
    "by the hub, a contribution or disposition since it was published",
    ("stage", "record"),
    buckets=LATENCY_BUCKETS,
)
BATCH: Final = Histogram(
    "hub_worker_batch_seconds", "Seconds from the begin of a batch to its commit", ("stage",), buckets=LATENCY_BUCKETS
)
END_TO_END: Final = Histogram(
    "hub_worker_event_to_alert_seconds",
    "Seconds from the receipt of the newest record behind an alert to the commit of the alert",
    buckets=LATENCY_BUCKETS,
)
LAG_RECORDS: Final = Gauge("hub_worker_lag_records", "Records not yet taken in", ("topic", "partition"))
LAG_SECONDS: Final = Gauge(
    "hub_worker_lag_seconds", "Age of the newest record taken in while others wait, else 0", ("topic", "partition")
)
STATE_LAYOUT: Final = Gauge(
    "hub_worker_state_layout", "Newest layout of states this worker reads, and the one it writes", ("kind",)
)
STATES: Final = Gauge("hub_worker_states", "States held", ("stage",))
WAITING: Final = Gauge("hub_worker_reviews_waiting", "States that wait for a day", ("stage",))
FINDINGS: Final = Gauge("hub_worker_findings", "Findings that stand", ("rule", "truth"))
STAGES: Final = Gauge("hub_worker_findings_by_stage", "Findings by how far they came", ("rule", "stage"))
RESTORING: Final = Gauge("hub_worker_restoring_partitions", "Partitions still being restored", ("stage",))
RESTORED: Final = Counter("hub_worker_restored_records", "Changelog records read by restores", ("stage",))
RESTORE_LEFT: Final = Gauge(
    "hub_worker_restore_records_left", "Changelog records the restore under way has still to read", ("stage",)
)
RESTORE_SECONDS_LEFT: Final = Gauge(
    "hub_worker_restore_seconds_left", "Seconds the restore under way will still take, at the speed so far", ("stage",)
)
PARTITIONS: Final = Gauge("hub_worker_partitions", "Partitions owned and restored", ("stage",))


def standing(name: str, change: int) -> None:
    """Move the gauge a standing number belongs to: `truth:<rule>:<truth>` or `stage:<rule>:<stage>`."""
    kind, _, rest = name.partition(":")
    rule, _, value = rest.partition(":")
    if kind == "truth":
        FINDINGS.labels(rule, value).inc(change)
    elif kind == "stage":
        STAGES.labels(rule, value).inc(change)


def waited(stage: str, now: int, since: Sequence[int]) -> None:
    """Tell how long a batch's records waited: `now` and `since` in UTC ms, one entry a record, at least one."""
    WAITED.labels(stage, "oldest").observe(max(0, now - min(since)) / 1000)
    WAITED.labels(stage, "newest").observe(max(0, now - max(since)) / 1000)
