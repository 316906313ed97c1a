"""Taking alerts in: each revision becomes one outbox row, and its case follows, in the transaction of its offset.

Where a revision goes:

    nobody outside knows the alert yet      known outside (an earlier row is pending, accepted or refused)
    OPEN, AMENDED → shadow, held, pending   OPEN, AMENDED → pending
    WITHDRAWN     → superseded              WITHDRAWN     → held, pending

`shadow` until its place and rule are released, `held` beyond the rule's budget of the day. A row that still waits in
shadow or hold is superseded by a newer revision, which takes its place: nobody needs the older one. A pending row may
be on the wire, so it is never superseded: a newer revision waits for it, and revisions arrive in order. A withdrawal of
what nobody outside knows is not sent. A revision older than the newest one held is kept as superseded.

The case shows what left: it is released with its first pending row, and a held withdrawal leaves it as it was.
A case that is closed stays closed when its alert is withdrawn; an amendment opens it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.orm import Session

from hub.delivery.envelope import webhook_id
from hub.delivery.lines import Budgets
from hub.domain.messages import Alert
from hub.domain.times import local_date
from hub.store.db import in_lists, upsert
from hub.store.models import Case, CaseHistory, DeliveryCount, Outbox, Release

KNOWN_OUTSIDE: Final = frozenset({"pending", "accepted", "refused"})
WAITING: Final = frozenset({"shadow", "held"})
Kind = Literal["open", "withdraw"]

_HISTORY: Final = {"OPEN": "opened", "AMENDED": "amended", "WITHDRAWN": "withdrawn"}


class Gate(Struct, frozen=True, kw_only=True):
    """What decides whether an alert may leave. `region` is taken for alerts that name none."""

    region: str
    releases: tuple[Release, ...]
    budgets: Budgets


def covers(release: Release, region: str, rule: str, township: str | None) -> bool:
    """Whether a release covers a place and rule. A city's code covers its counties, a province's its cities."""
    return (
        region.startswith(region_prefix(release.region))
        and release.rule in ("", rule)
        and release.township in ("", township)
    )


def region_prefix(region: str) -> str:
    """The digits of a GB/T 2260 code that say something: `331100` → `3311`, `330000` → `33`."""
    return region[:2] if region.endswith("0000") else region[:4] if region.endswith("00") else region


def take(db: Session, alerts: Sequence[Alert], gate: Gate, now_ms: int) -> list[tuple[Alert, str]]:
    """Write alerts into outbox and cases, in their order; returns the new ones with their outbox state.

    A revision that is there already changes nothing, so a topic may be read again from its start.
    """
    ids = {alert.alert_id for alert in alerts}
    rows: dict[str, dict[int, Outbox]] = defaultdict(dict)
    cases: dict[str, Case] = {}
    for chunk in in_lists(ids):
        # Cases first and locked: whoever else changes a case or its rows (pages, `hub hold`) locks the case too.
        for case in db.scalars(select(Case).where(Case.alert_id.in_(chunk)).order_by(Case.alert_id).with_for_update()):
            cases[case.alert_id] = case
        for row in db.scalars(select(Outbox).where(Outbox.alert_id.in_(chunk))):
            rows[row.alert_id][row.revision] = row
    counts = _Counts(db, gate.budgets, now_ms)
    taken = []
    for alert in alerts:
        held = rows[alert.alert_id]
        if alert.revision in held:
            continue
        state = _state(alert, held, gate, counts)
        row = _row(alert, state, now_ms)
        db.add(row)
        held[alert.revision] = row
        taken.append((alert, state))
        if alert.revision < max(held) or (alert.state == "WITHDRAWN" and state == "held"):
            continue
        cases[alert.alert_id] = follow(db, cases.get(alert.alert_id), alert, now_ms, released=state == "pending")
    counts.write()
    return taken


def follow(db: Session, case: Case | None, alert: Alert, now_ms: int, *, released: bool) -> Case:
    """Bring a case to a revision, or make it; the history says what happened. A released case stays released."""
    body: dict[str, Any] = msgspec.to_builtins(alert)
    if case is None:
        case = Case(alert_id=alert.alert_id, work_state="new", outcome=None, released=False, lock=0)
        db.add(case)
    reopened = case.work_state == "closed" and alert.state != "WITHDRAWN"
    if reopened:
        case.work_state, case.outcome = "new", None
    if alert.state == "WITHDRAWN" and case.work_state != "closed":
        case.work_state = "withdrawn"
    for name in ("rule", "subject", "home", "line", "region", "township", "grade", "title", "amount_fen", "opened_on"):
        setattr(case, name, getattr(alert, name))
    case.due_on, case.revision, case.alert_state = alert.due_on, alert.revision, alert.state
    case.body = body
    case.released = case.released or released
    case.updated_at = now_ms
    case.lock += 1
    add_history(db, alert, _HISTORY[alert.state], "hub", alert.decided_at, {"cause": alert.cause})
    if reopened:
        add_history(db, alert, "reopened", "hub", alert.decided_at, {"cause": alert.cause})
    return case


def add_history(db: Session, alert: Alert | Outbox, kind: str, actor: str, at: int, detail: dict[str, Any]) -> None:
    """One line of a case's history."""
    db.add(CaseHistory(alert_id=alert.alert_id, revision=alert.revision, at=at, kind=kind, actor=actor, detail=detail))


def _state(alert: Alert, held: dict[int, Outbox], gate: Gate, counts: _Counts) -> str:
    """Outbox state of a new revision, as the table above says; rows that it supersedes are marked."""
    if held and alert.revision < max(held):
        return "superseded"
    waiting = {row.state for row in held.values()} & WAITING
    for row in held.values():
        if row.state in WAITING:
            row.state = "superseded"
    if any(row.state in KNOWN_OUTSIDE for row in held.values()):
        if alert.state != "WITHDRAWN":
            return "pending"
        return "pending" if counts.allow(alert.rule, "withdraw") else "held"
    if alert.state == "WITHDRAWN":
        return "superseded"
    if waiting:
        # It takes the place of what waited: an amendment must not carry a held alert past its gate.
        return "held" if "held" in waiting else "shadow"
    region = alert.region or gate.region
    if not any(covers(release, region, alert.rule, alert.township) for release in gate.releases):
        return "shadow"
    return "pending" if counts.allow(alert.rule, "open") else "held"


def _row(alert: Alert, state: str, now_ms: int) -> Outbox:
    return Outbox(
        alert_id=alert.alert_id,
        revision=alert.revision,
        line=alert.line,
        rule=alert.rule,
        region=alert.region,
        township=alert.township,
        state=state,
        body=msgspec.to_builtins(alert),
        webhook_id=webhook_id(alert.alert_id, alert.revision),
        attempts=0,
        next_attempt_at=now_ms,
        last_error=None,
        created_at=now_ms,
        accepted_at=None,
    )


class _Counts:
    """What left today by rule and kind, against the budgets; read and written in the caller's transaction."""

    def __init__(self, db: Session, budgets: Budgets, now_ms: int) -> None:
        self._db = db
        self._budgets = budgets
        self._day = local_date(now_ms)
        self._counted = {
            (row.rule, row.kind): row.count
            for row in db.scalars(select(DeliveryCount).where(DeliveryCount.day == self._day))
        }
        self._changed: set[tuple[str, str]] = set()

    def allow(self, rule: str, kind: Kind) -> bool:
        """Count one more; whether it is still within the budget."""
        budget = self._budgets.of(rule)
        counted = self._counted.get((rule, kind), 0) + 1
        self._counted[rule, kind] = counted
        self._changed.add((rule, kind))
        return counted <= (budget.opens if kind == "open" else budget.withdrawals)

    def write(self) -> None:
        """Keep the counts."""
        rows = [
            {"day": self._day, "rule": rule, "kind": kind, "count": self._counted[rule, kind]}
            for rule, kind in sorted(self._changed)
        ]
        upsert(self._db, DeliveryCount, rows)
