"""Waiting until everything that was sent has been worked through: nothing moves any more, and nobody is behind."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hub.errors import StackError
from hub.settings import Settings
from hub.store.db import session
from hub.store.models import (
    Case,
    ConsumerOffset,
    DispositionRow,
    IngestCount,
    Outbox,
    QualityResultRow,
    QuarantineRow,
    ReceiptRow,
)
from hub.streams.topics import ALERTS, TOPICS

POLL_S: Final = 2
"""How often sources are looked at here; the mappings' own interval is for departments that change once a minute."""

QUIET_S: Final = POLL_S + 2.0
"""Nothing has moved for so long: longer than any source or process rests between two looks."""

LOOK_S: Final = 0.5

READERS: Final = frozenset({"quality", "quality-projector", "dispatcher"})
"""Names under which processes keep their offsets in the store."""


class Standing(Struct, frozen=True, kw_only=True):
    """Where everything stands; two equal ones mean that nothing moved between them."""

    records: int
    alerts: int
    cases: int
    quarantined: int
    results: int
    receipts: int
    dispositions: int
    waiting: int
    ingested: int
    behind: int


class Watcher:
    """Looks at the topics' ends and the store's counts."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._worker = f"http://{settings.bind}:{settings.worker_port}/metrics"
        self._consumer = Consumer({"bootstrap.servers": settings.brokers, "group.id": "hub-demo-watcher"})
        described = self._consumer.list_topics(timeout=15).topics
        names = [topic.name for topic in TOPICS if topic.name in described]
        self._partitions = [
            TopicPartition(name, partition) for name in names for partition in described[name].partitions
        ]

    def look(self) -> Standing:
        """Where everything stands now."""
        ends: dict[tuple[str, int], int] = {}
        for partition in self._partitions:
            _low, high = self._consumer.get_watermark_offsets(partition, timeout=10)
            ends[partition.topic, partition.partition] = high
        with session(self._engine, writes=False) as db:

            def count(model: type, *where: object) -> int:
                return int(db.scalar(select(func.count()).select_from(model).where(*where)) or 0)  # type: ignore[arg-type]

            return Standing(
                records=sum(high for (topic, _), high in ends.items() if topic != ALERTS.name),
                alerts=sum(high for (topic, _), high in ends.items() if topic == ALERTS.name),
                cases=int(db.scalar(select(func.coalesce(func.sum(Case.lock), 0))) or 0),
                quarantined=count(QuarantineRow),
                results=count(QualityResultRow),
                receipts=count(ReceiptRow),
                dispositions=count(DispositionRow),
                waiting=count(Outbox, Outbox.state == "pending") + count(DispositionRow, ~DispositionRow.published),
                behind=_not_stored(db, ends) + _worker_lag(self._worker),
                # Unchanged rows are counted anew at each look, though nothing has moved.
                ingested=int(
                    db.scalar(
                        select(func.coalesce(func.sum(IngestCount.count), 0)).where(IngestCount.kind != "unchanged")
                    )
                    or 0
                ),
            )

    def wait(
        self, what: str, *, alive: Callable[[], bool], progress: Callable[[str], None], timeout_s: float
    ) -> Standing:
        """Wait until nothing moves for QUIET_S and nothing waits to be delivered. StackError when time is up."""
        deadline = time.monotonic() + timeout_s
        last = self.look()
        since = time.monotonic()
        shown = 0.0
        while time.monotonic() - since < QUIET_S or last.waiting or last.behind:
            if not alive():
                raise StackError(f"a process ended while {what}", "read the logs named above")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{what} is not over after {timeout_s:.0f} s", "read the logs, and try again when idle"
                )
            time.sleep(LOOK_S)
            now = self.look()
            if now != last:
                last, since = now, time.monotonic()
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                progress(
                    f"{what}: {last.records} records, {last.alerts} alert revisions, {last.quarantined} quarantined,"
                    f" {last.receipts} receipts, {last.waiting} to deliver, {last.behind} to read"
                )
        return last

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


def _not_stored(db: Session, ends: Mapping[tuple[str, int], int]) -> int:
    """Records that the readers of the store (quality, projector, dispatcher) have not come to."""
    read = {(row.consumer, row.topic, row.partition): row.next_offset for row in db.scalars(select(ConsumerOffset))}
    left = sum(max(0, ends.get((topic, part), 0) - offset) for (_, topic, part), offset in read.items())
    silent = READERS - {consumer for consumer, _topic, _partition in read}
    return left + len(silent)


def _worker_lag(metrics: str) -> int:
    """Records that the worker has not taken in, by its own gauge; 1 while it does not answer."""
    try:
        with urllib.request.urlopen(metrics, timeout=5) as answer:  # noqa: S310  # a loopback address of our own
            families = list(text_string_to_metric_families(answer.read().decode()))
    except OSError:
        return 1
    return int(
        sum(sample.value for family in families if family.name == "hub_worker_lag_records" for sample in family.samples)
    )
