"""What pages read from the store: each function takes a session and returns rows or plain values, writing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from msgspec import Struct
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from hub.store.models import (
    Case,
    CaseHistory,
    DispositionRow,
    IngestCount,
    Outbox,
    Process,
    QuarantineRow,
    Release,
)

PAGE: Final = 25
"""Cases on one page of the queue: what fits a screen or two."""

OPEN_STATES: Final = ("new", "working")

WAITING: Final = ("pending", "held")
"""States of the outbox in which somebody waits for a delivery."""


class QueueFilter(Struct, frozen=True, kw_only=True):
    """What the queue is narrowed to; empty strings mean all."""

    line: str = ""
    rule: str = ""
    region: str = ""
    grade: str = ""
    state: str = "open"
    overdue: bool = False
    page: int = 1


class Queue(Struct, frozen=True, kw_only=True):
    """One page of the queue."""

    cases: Sequence[Case]
    total: int
    pages: int


def queue(db: Session, wanted: QueueFilter, today: date) -> Queue:
    """Released cases, the earliest due first; those without a due date last."""
    where: list[ColumnElement[bool]] = [Case.released.is_(True)]
    for column, value in ((Case.line, wanted.line), (Case.rule, wanted.rule), (Case.region, wanted.region)):
        if value:
            where.append(column == value)
    if wanted.grade:
        where.append(Case.grade == wanted.grade)
    if wanted.state == "open":
        where.append(Case.work_state.in_(OPEN_STATES))
    elif wanted.state:
        where.append(Case.work_state == wanted.state)
    if wanted.overdue:
        where.append(_overdue(today))
    total = db.scalar(select(func.count()).select_from(Case).where(*where)) or 0
    pages = max(1, -(-total // PAGE))
    page = min(max(1, wanted.page), pages)
    cases = db.scalars(
        select(Case)
        .where(*where)
        .order_by(Case.due_on.is_(None), Case.due_on, Case.opened_on, Case.alert_id)
        .limit(PAGE)
        .offset((page - 1) * PAGE)
    ).all()
    return Queue(cases=cases, total=total, pages=pages)


def _overdue(today: date) -> ColumnElement[bool]:
    """Overdue means after the due day, and still open."""
    return (Case.due_on < today) & Case.work_state.in_(OPEN_STATES)


class LineCount(Struct, frozen=True, kw_only=True):
    """Cases of one line, as the home page counts them."""

    line: str
    new: int
    working: int
    closed: int
    withdrawn: int
    overdue: int


def lines(db: Session, today: date) -> list[LineCount]:
    """Released cases by line and state."""
    counts: dict[str, dict[str, int]] = {}
    for line, state, count in db.execute(
        select(Case.line, Case.work_state, func.count())
        .where(Case.released.is_(True))
        .group_by(Case.line, Case.work_state)
    ):
        counts.setdefault(line, {})[state] = count
    for line, count in db.execute(
        select(Case.line, func.count()).where(Case.released.is_(True), _overdue(today)).group_by(Case.line)
    ):
        counts[line]["overdue"] = count
    names = ("new", "working", "closed", "withdrawn", "overdue")
    return [LineCount(line=line, **{name: by.get(name, 0) for name in names}) for line, by in sorted(counts.items())]


def choices(db: Session) -> tuple[list[str], list[str], list[str]]:
    """Lines, rules and regions that have released cases: what the filter offers."""
    columns = (Case.line, Case.rule, Case.region)
    found = [db.scalars(select(column).where(Case.released.is_(True)).distinct()).all() for column in columns]
    lines_, rules, regions = (sorted(value for value in values if value) for values in found)
    return lines_, rules, regions


def case(db: Session, alert_id: str) -> Case | None:
    """One released case."""
    found = db.get(Case, alert_id)
    return found if found is not None and found.released else None


def history(db: Session, alert_id: str) -> Sequence[CaseHistory]:
    """What happened to a case, oldest first."""
    return db.scalars(
        select(CaseHistory).where(CaseHistory.alert_id == alert_id).order_by(CaseHistory.at, CaseHistory.id)
    ).all()


def notes(db: Session, alert_id: str) -> Sequence[DispositionRow]:
    """Dispositions of a case, oldest first."""
    return db.scalars(
        select(DispositionRow).where(DispositionRow.alert_id == alert_id).order_by(DispositionRow.made_at)
    ).all()


def processes(db: Session) -> Sequence[Process]:
    """Processes that announced themselves."""
    return db.scalars(select(Process).order_by(Process.name, Process.instance)).all()


class Outgoing(Struct, frozen=True, kw_only=True):
    """Revisions of one line in the outbox, by state; `oldest` is when the oldest that still waits came in."""

    line: str
    states: dict[str, int]
    oldest: int | None


def outbox(db: Session) -> list[Outgoing]:
    """The outbox by line."""
    states: dict[str, dict[str, int]] = {}
    oldest: dict[str, int] = {}
    rows = db.execute(
        select(Outbox.line, Outbox.state, func.count(), func.min(Outbox.created_at)).group_by(Outbox.line, Outbox.state)
    )
    for line, state, count, since in rows:
        states.setdefault(line, {})[state] = count
        if state in WAITING:
            oldest[line] = min(since, oldest.get(line, since))
    return [Outgoing(line=line, states=by, oldest=oldest.get(line)) for line, by in sorted(states.items())]


def shadow(db: Session) -> list[tuple[str, str | None, int]]:
    """(rule, region, cases) that wait in shadow."""
    rows = db.execute(
        select(Case.rule, Case.region, func.count())
        .where(Case.released.is_(False), or_(Case.work_state.in_(OPEN_STATES), Case.work_state == "closed"))
        .group_by(Case.rule, Case.region)
        .order_by(Case.rule, Case.region)
    )
    return [(rule, region, count) for rule, region, count in rows]


def releases(db: Session) -> Sequence[Release]:
    """What was released from shadow."""
    return db.scalars(select(Release).order_by(Release.released_at)).all()


def quarantine(db: Session) -> list[tuple[str, str, str, int]]:
    """(source, reason, state, records) of quarantine."""
    rows = db.execute(
        select(QuarantineRow.source, QuarantineRow.reason, QuarantineRow.state, func.count())
        .group_by(QuarantineRow.source, QuarantineRow.reason, QuarantineRow.state)
        .order_by(QuarantineRow.source, QuarantineRow.reason, QuarantineRow.state)
    )
    return [(source, reason, state, count) for source, reason, state, count in rows]


def ingest(db: Session) -> list[tuple[str, str, dict[str, int]]]:
    """(source, topic, kind → records) of the connectors."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in db.scalars(select(IngestCount).order_by(IngestCount.source, IngestCount.topic)):
        counts.setdefault((row.source, row.topic), {})[row.kind] = row.count
    return [(source, topic, by) for (source, topic), by in counts.items()]
