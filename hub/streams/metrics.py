"""What the worker tells Prometheus. Labels are names of stages, topics, rules and reasons, never of people."""

from __future__ import annotations

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
REVIEWED: Final = Gauge(
    "hub_worker_last_review_seconds", "When a look at the reviews began that left none due, Unix time"
)
TRANSACTIONS: Final = Counter("hub_worker_transactions", "Transactions by how they ended", ("stage", "outcome"))
STEP: Final = Histogram("hub_worker_step_seconds", "Seconds the pure step took on a batch", ("stage",))
COMMIT: Final = Histogram("hub_worker_commit_seconds", "Seconds a commit took", ("stage",))
END_TO_END: Final = Histogram(
    "hub_worker_event_to_alert_seconds",
    "Seconds from the receipt of the newest record behind an alert to its decision",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86400),
)
LAG_RECORDS: Final = Gauge("hub_worker_lag_records", "Records not yet taken in", ("topic", "partition"))
LAG_SECONDS: Final = Gauge(
    "hub_worker_lag_seconds", "Age of the newest record taken in while others wait, else 0", ("topic", "partition")
)
STATES: Final = Gauge("hub_worker_states", "States held", ("stage",))
WAITING: Final = Gauge("hub_worker_reviews_waiting", "States that wait for a day", ("stage",))
FINDINGS: Final = Gauge("hub_worker_findings", "Findings that stand", ("rule", "truth"))
STAGES: Final = Gauge("hub_worker_findings_by_stage", "Findings by how far they came", ("rule", "stage"))
RESTORING: Final = Gauge("hub_worker_restoring_partitions", "Partitions still being restored", ("stage",))
RESTORED: Final = Counter("hub_worker_restored_records", "Changelog records read by restores", ("stage",))
PARTITIONS: Final = Gauge("hub_worker_partitions", "Partitions owned and restored", ("stage",))


def standing(name: str, change: int) -> None:
    """Move the gauge a standing number belongs to: `truth:<rule>:<truth>` or `stage:<rule>:<stage>`."""
    kind, _, rest = name.partition(":")
    rule, _, value = rest.partition(":")
    if kind == "truth":
        FINDINGS.labels(rule, value).inc(change)
    elif kind == "stage":
        STAGES.labels(rule, value).inc(change)
