"""Tables of the store. Times are UTC milliseconds (BigInteger), money 分, bodies JSON; no name, number or address.

Consumers keep their Kafka offsets in `consumer_offset`, in the same transaction as what they wrote.
"""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Boolean, Date, Index, Integer, LargeBinary, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

TOKEN, CODE, LONG = 64, 64, 200


class Base(DeclarativeBase):
    """Base of all tables; constraint names are stable so that migrations work on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        str: String(LONG),
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


class ConsumerOffset(Base):
    """Next offset a consumer of the store will read, by partition."""

    __tablename__ = "consumer_offset"
    consumer: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    topic: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    next_offset: Mapped[int]


class Case(Base):
    """An alert in somebody's queue: the newest revision and the work done on it."""

    __tablename__ = "service_case"
    __table_args__ = (Index("ix_service_case_queue", "line", "work_state", "due_on"),)
    alert_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    rule: Mapped[str] = mapped_column(String(CODE))
    subject: Mapped[str]
    home: Mapped[str]
    line: Mapped[str] = mapped_column(String(CODE))
    region: Mapped[str | None] = mapped_column(String(12))
    township: Mapped[str | None] = mapped_column(String(12))
    grade: Mapped[str] = mapped_column(String(8))
    alert_state: Mapped[str] = mapped_column(String(12))  # OPEN, AMENDED, WITHDRAWN: the newest revision's
    revision: Mapped[int]
    title: Mapped[str]
    amount_fen: Mapped[int | None]
    body: Mapped[dict[str, Any]]  # the newest alert, as schemas/alerts.v1.avsc
    opened_on: Mapped[date] = mapped_column(Date)
    due_on: Mapped[date | None] = mapped_column(Date)
    work_state: Mapped[str] = mapped_column(String(12))  # new, working, closed, withdrawn
    outcome: Mapped[str | None] = mapped_column(String(CODE))
    released: Mapped[bool] = mapped_column(Boolean)  # False while its county's first load is in shadow
    updated_at: Mapped[int]
    lock: Mapped[int]  # optimistic lock, raised by every change


class CaseHistory(Base):
    """What happened to a case, in order: revisions, deliveries, receipts, dispositions, openings of identity."""

    __tablename__ = "case_history"
    __table_args__ = (Index("ix_case_history_alert", "alert_id", "at"),)
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    alert_id: Mapped[str] = mapped_column(String(TOKEN))
    revision: Mapped[int]
    at: Mapped[int]
    kind: Mapped[str] = mapped_column(
        String(CODE)
    )  # opened, amended, withdrawn, delivered, receipt, disposition, revealed
    actor: Mapped[str] = mapped_column(String(CODE))
    detail: Mapped[dict[str, Any]]


class Outbox(Base):
    """One alert revision to deliver to its line; its payload is fixed, identity is opened at sending."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_due", "state", "next_attempt_at"),)
    alert_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    line: Mapped[str] = mapped_column(String(CODE))
    rule: Mapped[str] = mapped_column(String(CODE))
    region: Mapped[str | None] = mapped_column(String(12))
    township: Mapped[str | None] = mapped_column(String(12))
    state: Mapped[str] = mapped_column(String(12))  # shadow, held, pending, accepted, refused, superseded, dropped
    body: Mapped[dict[str, Any]]
    webhook_id: Mapped[str] = mapped_column(String(TOKEN))  # the idempotency key, the same over all retries
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt_at: Mapped[int]
    last_error: Mapped[str | None] = mapped_column(String(CODE))  # error code, never a text from outside
    created_at: Mapped[int]
    accepted_at: Mapped[int | None]


class Endpoint(Base):
    """Delivery state of a line's endpoint: open, or disabled after a 410 until somebody enables it."""

    __tablename__ = "endpoint"
    line: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    state: Mapped[str] = mapped_column(String(12))  # open, paused, disabled
    failures: Mapped[int] = mapped_column(Integer)
    not_before: Mapped[int]
    changed_at: Mapped[int]


class Release(Base):
    """A released part of a county's first load: by rule and township, empty string for all."""

    __tablename__ = "shadow_release"
    region: Mapped[str] = mapped_column(String(12), primary_key=True)
    rule: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    township: Mapped[str] = mapped_column(String(12), primary_key=True)
    per_minute: Mapped[int] = mapped_column(Integer)
    released_at: Mapped[int]


class DeliveryCount(Base):
    """Alerts of a rule that were to leave on a day: what the daily budgets are measured against."""

    __tablename__ = "delivery_count"
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    rule: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    kind: Mapped[str] = mapped_column(String(12), primary_key=True)  # open, withdraw
    count: Mapped[int] = mapped_column(Integer)


class DispositionRow(Base):
    """A disposition made on a page or received from a line; `published` once Kafka has acknowledged it."""

    __tablename__ = "disposition"
    disposition_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    alert_id: Mapped[str] = mapped_column(String(TOKEN), index=True)
    body: Mapped[dict[str, Any]]  # as schemas/dispositions.v1.avsc
    note: Mapped[str | None] = mapped_column(Text)  # stays here: free text may hold personal data
    made_at: Mapped[int]
    published: Mapped[bool] = mapped_column(Boolean, index=True)


class ReceiptRow(Base):
    """A line's receipt; `published` once Kafka has acknowledged it."""

    __tablename__ = "receipt"
    receipt_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    alert_id: Mapped[str] = mapped_column(String(TOKEN), index=True)
    revision: Mapped[int]
    line: Mapped[str] = mapped_column(String(CODE))
    status: Mapped[str] = mapped_column(String(12))
    body: Mapped[dict[str, Any]]
    made_at: Mapped[int]
    published: Mapped[bool] = mapped_column(Boolean, index=True)


class FindingRow(Base):
    """Newest outcome of a rule on a subject; unknowns are the data owners' work list."""

    __tablename__ = "finding"
    __table_args__ = (Index("ix_finding_truth", "truth", "rule"),)
    rule: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    subject: Mapped[str] = mapped_column(String(LONG), primary_key=True)
    truth: Mapped[str] = mapped_column(String(16))
    region: Mapped[str | None] = mapped_column(String(12))
    township: Mapped[str | None] = mapped_column(String(12))
    missing: Mapped[list[Any]]
    sequence: Mapped[int]
    decided_at: Mapped[int]


class ConflictRow(Base):
    """Newest state of a cross-source conflict."""

    __tablename__ = "quality_conflict"
    conflict_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    kind: Mapped[str] = mapped_column(String(CODE), index=True)
    person: Mapped[str] = mapped_column(String(TOKEN))
    state: Mapped[str] = mapped_column(String(8))
    field: Mapped[str]
    region: Mapped[str | None] = mapped_column(String(12))
    sources: Mapped[str]  # comma separated, ordered
    body: Mapped[dict[str, Any]]
    sequence: Mapped[int]
    first_seen_at: Mapped[int]
    seen_at: Mapped[int]


class QualityResultRow(Base):
    """One expectation on one micro-batch of one source."""

    __tablename__ = "quality_result"
    __table_args__ = (Index("ix_quality_result_source", "source", "made_at"),)
    run_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    expectation: Mapped[str] = mapped_column(String(LONG), primary_key=True)
    source: Mapped[str] = mapped_column(String(CODE))
    topic: Mapped[str] = mapped_column(String(CODE))
    suite: Mapped[str] = mapped_column(String(CODE))
    field: Mapped[str | None]
    dimension: Mapped[str] = mapped_column(String(CODE))
    severity: Mapped[str] = mapped_column(String(12))
    outcome: Mapped[str] = mapped_column(String(12))
    checked: Mapped[int]
    failed: Mapped[int]
    day: Mapped[date] = mapped_column(Date)
    examples: Mapped[list[Any]]
    made_at: Mapped[int]
    published: Mapped[bool] = mapped_column(Boolean, index=True)  # once Kafka has acknowledged it


class QuarantineRow(Base):
    """One quarantined record; the original stays sealed."""

    __tablename__ = "quarantine"
    __table_args__ = (Index("ix_quarantine_state", "state", "source"),)
    quarantine_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    stage: Mapped[str] = mapped_column(String(12))
    source: Mapped[str] = mapped_column(String(CODE))
    topic: Mapped[str | None] = mapped_column(String(CODE))
    locator: Mapped[str]
    record_id: Mapped[str | None]
    field: Mapped[str | None]
    reason: Mapped[str] = mapped_column(String(CODE))
    value_class: Mapped[str]
    message: Mapped[str] = mapped_column(Text)
    original: Mapped[bytes] = mapped_column(LargeBinary)
    mapping_hash: Mapped[str | None] = mapped_column(String(TOKEN))
    attempt: Mapped[int]
    received_at: Mapped[int]
    state: Mapped[str] = mapped_column(String(12))  # waiting, replayed, failed_again, dropped
    changed_at: Mapped[int]


class IngestPosition(Base):
    """How far a connector has read one stream of a source: its watermark, file name or page, as JSON."""

    __tablename__ = "ingest_position"
    source: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    stream: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    position: Mapped[dict[str, Any]]
    updated_at: Mapped[int]


class IngestRecord(Base):
    """The last version published of a record, and under which key: what a change of person or a vanished row needs.

    Written before it is published; `batch` above the last one done (in `ingest_position`) says that it may not have
    left yet and is to be published again as it stands.
    """

    __tablename__ = "ingest_record"
    source: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    topic: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    record_id: Mapped[str] = mapped_column(String(LONG), primary_key=True)
    person: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)  # a tie is published once for each end
    version: Mapped[int]  # as published
    source_version: Mapped[int]  # the highest the source has shown; the hub's own annulments do not count here
    own_from: Mapped[int | None]  # the lowest version the hub took by itself
    digest: Mapped[str] = mapped_column(String(TOKEN))  # of the content, to see an unchanged row
    live: Mapped[bool] = mapped_column(Boolean)
    batch: Mapped[int]
    received_at: Mapped[int]


class IngestCount(Base):
    """Records by source, topic and what became of them; the demo's table and the operator's page read it."""

    __tablename__ = "ingest_count"
    source: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    topic: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)  # published, annulled, quarantined, unchanged
    count: Mapped[int]
    updated_at: Mapped[int]


class Process(Base):
    """A running process, as it announces itself every few seconds."""

    __tablename__ = "process"
    name: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    instance: Mapped[str] = mapped_column(String(CODE), primary_key=True)
    url: Mapped[str]
    started_at: Mapped[int]
    heartbeat_at: Mapped[int]


class Received(Base):
    """Reference receiver only: what a line accepted, once a webhook id."""

    __tablename__ = "receiver_received"
    webhook_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    alert_id: Mapped[str] = mapped_column(String(TOKEN), index=True)
    revision: Mapped[int]
    line: Mapped[str] = mapped_column(String(CODE))
    payload_hash: Mapped[str] = mapped_column(String(TOKEN))
    accepted_at: Mapped[int]
    times_seen: Mapped[int] = mapped_column(Integer)


class Owed(Base):
    """Reference receiver only: a receipt it owes the hub, until the hub has taken it."""

    __tablename__ = "receiver_owed"
    receipt_id: Mapped[str] = mapped_column(String(TOKEN), primary_key=True)
    body: Mapped[dict[str, Any]]
    sent: Mapped[bool] = mapped_column(Boolean, index=True)
