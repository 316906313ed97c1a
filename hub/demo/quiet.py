"""Waiting until everything that was sent has been worked through: nothing moves any more, and nobody is behind."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
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

POLL_S: Final = 1
"""How often sources are looked at here; the mappings' own interval is for departments that change once a minute."""

STILL_S: Final = 1.0
"""Nothing has moved for so long, beside every source read and every review looked at since: longer than the dispatcher,
the sender and the receiver rest between two looks."""

LOOK_S: Final = 0.4
ANSWER_S: Final = 15.0
"""Longest wait for the broker or a process to answer on a busy machine."""

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
    """Looks at the topics' ends, the store's counts, and what the processes themselves say is left to do."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._admin = AdminClient({"bootstrap.servers": settings.brokers})
        described = self._admin.list_topics(timeout=ANSWER_S).topics
        names = [topic.name for topic in TOPICS if topic.name in described]
        self._newest = {
            TopicPartition(name, partition): OffsetSpec.latest()
            for name in names
            for partition in described[name].partitions
        }

    def look(self) -> Standing:
        """Where everything stands now."""
        found = self._admin.list_offsets(self._newest, request_timeout=ANSWER_S)
        ends = {(at.topic, at.partition): int(end.result().offset) for at, end in found.items()}
        left = _sum(self._said("worker"), "hub_worker_lag_records") + _sum(
            self._said("receiver"), "hub_receiver_owed_receipts"
        )
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
                behind=_not_stored(db, ends) + left,
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
        """Wait until all that was there before the last change is worked through. StackError when time is up.

        Over means: nothing moves for STILL_S, nothing waits to be delivered or read, and since the last change
        every source was read from its beginning to its end and no review was due. So a slow machine waits longer.
        """
        deadline = time.monotonic() + timeout_s
        last, since = self.look(), time.time()
        shown = 0.0
        while time.time() - since < STILL_S or last.waiting or last.behind or self._looked() < since:
            if not alive():
                raise StackError(f"a process ended while {what}", "read the logs named above")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{what} is not over after {timeout_s:.0f} s", "read the logs, and try again when idle"
                )
            time.sleep(LOOK_S)
            now = self.look()
            if now != last:
                last, since = now, time.time()
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                progress(
                    f"{what}: {last.records} records, {last.alerts} alert revisions, {last.quarantined} quarantined,"
                    f" {last.receipts} receipts, {last.waiting} to deliver, {last.behind} to read"
                )
        return last

    def _looked(self) -> float:
        """When the oldest of these began, Unix time: each source's last whole reading, the last look at reviews."""
        read = [value for name, value in self._said("connector") if name == "hub_connector_last_poll_seconds"]
        reviewed = [value for name, value in self._said("worker") if name == "hub_worker_last_review_seconds"]
        sources = len(list(self._settings.sources.glob("*.yaml")))
        return min(*read, *reviewed) if len(read) == sources and reviewed else 0.0

    def _said(self, process: str) -> list[tuple[str, float]]:
        """Names and values of a process's metrics; none while it does not answer."""
        address = f"http://{self._settings.bind}:{getattr(self._settings, f'{process}_port')}/metrics"
        try:
            with urllib.request.urlopen(address, timeout=ANSWER_S) as answer:  # a loopback address of our own
                text = answer.read().decode()
        except OSError:
            return []
        return [(one.name, one.value) for family in text_string_to_metric_families(text) for one in family.samples]


def _sum(said: Sequence[tuple[str, float]], metric: str) -> int:
    """Sum of a metric over its labels; 1 while its process does not answer."""
    return int(sum(value for name, value in said if name == metric)) if said else 1


def _not_stored(db: Session, ends: Mapping[tuple[str, int], int]) -> int:
    """Records that the readers of the store (quality, projector, dispatcher) have not come to."""
    read = {(row.consumer, row.topic, row.partition): row.next_offset for row in db.scalars(select(ConsumerOffset))}
    left = sum(max(0, ends.get((topic, part), 0) - offset) for (_, topic, part), offset in read.items())
    silent = READERS - {consumer for consumer, _topic, _partition in read}
    return left + len(silent)
