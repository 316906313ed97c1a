"""Waiting until everything that was sent has been worked through: nothing moves any more, and nobody is behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, TopicPartition
from msgspec import Struct
from sqlalchemy import Engine, func, select

from hub.errors import StackError
from hub.settings import Settings
from hub.store.db import session
from hub.store.models import (
    Case,
    DispositionRow,
    IngestCount,
    Outbox,
    QualityResultRow,
    QuarantineRow,
    ReceiptRow,
)
from hub.streams.topics import TOPICS

POLL_S: Final = 2
"""How often sources are looked at here; the mappings' own interval is for departments that change once a minute."""

QUIET_S: Final = POLL_S + 2.0
"""Nothing has moved for so long: longer than any source or process rests between two looks."""

LOOK_S: Final = 0.5


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


class Watcher:
    """Looks at the topics' ends and the store's counts."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._consumer = Consumer({"bootstrap.servers": settings.brokers, "group.id": "hub-demo-watcher"})
        described = self._consumer.list_topics(timeout=15).topics
        names = [topic.name for topic in TOPICS if topic.name in described]
        self._partitions = [
            TopicPartition(name, partition) for name in names for partition in described[name].partitions
        ]

    def look(self) -> Standing:
        """Where everything stands now."""
        ends = {"alerts.v1": 0, "": 0}
        for partition in self._partitions:
            _low, high = self._consumer.get_watermark_offsets(partition, timeout=10)
            ends["alerts.v1" if partition.topic == "alerts.v1" else ""] += high
        with session(self._engine, writes=False) as db:

            def count(model: type, *where: object) -> int:
                return int(db.scalar(select(func.count()).select_from(model).where(*where)) or 0)  # type: ignore[arg-type]

            return Standing(
                records=ends[""],
                alerts=ends["alerts.v1"],
                cases=int(db.scalar(select(func.coalesce(func.sum(Case.lock), 0))) or 0),
                quarantined=count(QuarantineRow),
                results=count(QualityResultRow),
                receipts=count(ReceiptRow),
                dispositions=count(DispositionRow),
                waiting=count(Outbox, Outbox.state == "pending") + count(DispositionRow, ~DispositionRow.published),
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
        while time.monotonic() - since < QUIET_S or last.waiting:
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
                    f" {last.receipts} receipts, {last.waiting} to deliver"
                )
        return last

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()
