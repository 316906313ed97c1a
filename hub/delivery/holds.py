"""Letting out what waits: the shadow of a first load, at its rate, and what a budget or a refusal holds back.

`hub release` and `hub hold` call these; the dispatcher lets released shadow rows out a few at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from hub.delivery.dispositions import locked_case
from hub.delivery.outbox import add_history, covers, follow, region_prefix
from hub.domain.messages import Alert
from hub.store.db import upsert
from hub.store.models import Case, Endpoint, Outbox, Release


class Held(Struct, frozen=True, kw_only=True):
    """Rows that wait, counted. `state` is held or refused; `last_error` says why a refused one was."""

    state: str
    rule: str
    line: str
    alert_state: str
    last_error: str | None
    count: int
    oldest_at: int


# --- shadow -----------------------------------------------------------------------------------------------------------


def add_release(db: Session, region: str, rule: str, township: str, per_minute: int, now_ms: int) -> None:
    """Release a place and rule from shadow (empty rule or township: all); again: another rate."""
    row = {"region": region, "rule": rule, "township": township, "per_minute": per_minute, "released_at": now_ms}
    upsert(db, Release, [row])


def shadow_count(db: Session, release: Release, home_region: str) -> int:
    """How many alerts wait in shadow under a release."""
    return db.scalar(select(func.count()).select_from(Outbox).where(*_in_shadow(release, home_region))) or 0


def let_out(db: Session, release: Release, home_region: str, limit: int, now_ms: int) -> int:
    """Make up to `limit` shadow rows pending, oldest first, and show their cases; returns how many."""
    oldest = select(Outbox.alert_id).where(*_in_shadow(release, home_region)).order_by(Outbox.created_at).limit(limit)
    released = 0
    for alert_id in sorted(set(db.scalars(oldest))):
        case = locked_case(db, alert_id)
        rows = db.scalars(select(Outbox).where(Outbox.alert_id == alert_id, Outbox.state == "shadow")).all()
        for row in rows:  # one, since a newer revision supersedes the older
            row.state, row.next_attempt_at = "pending", now_ms
            add_history(db, row, "released", "operator", now_ms, {})
            released += 1
        if case is not None and rows:
            case.released, case.updated_at, case.lock = True, now_ms, case.lock + 1
    return released


def _in_shadow(release: Release, home_region: str) -> list[ColumnElement[bool]]:
    where = [Outbox.state == "shadow"]
    place = Outbox.region.like(f"{region_prefix(release.region)}%")
    if covers(release, home_region, release.rule, release.township):
        where.append(or_(place, Outbox.region.is_(None)))
    else:
        where.append(place)
    if release.rule:
        where.append(Outbox.rule == release.rule)
    if release.township:
        where.append(Outbox.township == release.township)
    return where


class Rates:
    """How many rows each release may let out now: `per_minute` of them a minute, 0 for all at once.

    Kept in memory: a restart forgets less than one row's share.
    """

    def __init__(self) -> None:
        self._share: dict[tuple[str, str, str], float] = {}
        self._at_ms: int | None = None

    def allowance(self, releases: Sequence[Release], now_ms: int) -> list[tuple[Release, int]]:
        """Releases that may let rows out now, each with how many. What is not used is not saved up."""
        passed_ms = 0 if self._at_ms is None else max(0, now_ms - self._at_ms)
        self._at_ms = now_ms
        allowed = []
        for release in releases:
            key = (release.region, release.rule, release.township)
            if release.per_minute == 0:
                allowed.append((release, _ALL))
                continue
            share = min(self._share.get(key, 1.0) + release.per_minute * passed_ms / 60_000, max(1, release.per_minute))
            whole = int(share)
            self._share[key] = share - whole
            if whole:
                allowed.append((release, whole))
        return allowed


_ALL = 500
"""Rows let out in one transaction when the rate has no limit: the dispatcher comes round several times a second."""


# --- held and refused -------------------------------------------------------------------------------------------------


def held(db: Session) -> list[Held]:
    """What is held or refused, by rule, line and kind."""
    counted: dict[tuple[str, str, str, str, str | None], list[int]] = {}
    waiting = select(Outbox).where(Outbox.state.in_(("held", "refused"))).execution_options(yield_per=500)
    for row in db.scalars(waiting):
        key = (row.state, row.rule, row.line, str(row.body["state"]), row.last_error)
        counted.setdefault(key, []).append(row.created_at)
    return [
        Held(
            state=state,
            rule=rule,
            line=line,
            alert_state=alert_state,
            last_error=last_error,
            count=len(created),
            oldest_at=min(created),
        )
        for (state, rule, line, alert_state, last_error), created in sorted(
            counted.items(), key=lambda item: tuple(part or "" for part in item[0])
        )
    ]


def release_held(db: Session, rule: str, limit: int | None, now_ms: int) -> int:
    """Let held rows of a rule leave, oldest first; their cases follow now. Returns how many."""
    rows = _held_rows(db, rule, limit)
    for row in rows:
        alert = msgspec.convert(row.body, Alert)
        row.state, row.next_attempt_at = "pending", now_ms
        case = locked_case(db, row.alert_id)
        if alert.state == "WITHDRAWN":
            follow(db, case, alert, now_ms, released=True)
        elif case is not None:
            case.released, case.updated_at, case.lock = True, now_ms, case.lock + 1
        add_history(db, row, "released", "operator", now_ms, {})
    return len(rows)


def drop_held(db: Session, rule: str, limit: int | None) -> int:
    """Never send held rows of a rule. A dropped opening stays unseen; a dropped withdrawal leaves its case open."""
    rows = _held_rows(db, rule, limit)
    for row in rows:
        row.state = "dropped"
    return len(rows)


def retry_refused(db: Session, line: str, now_ms: int) -> int:
    """Send again what a line refused, from the start of the schedule."""
    refused = update(Outbox).where(Outbox.line == line, Outbox.state == "refused")
    result = db.execute(refused.values(state="pending", attempts=0, next_attempt_at=now_ms))
    return int(getattr(result, "rowcount", 0))


def set_endpoint(db: Session, line: str, state: str, now_ms: int) -> None:
    """Open or pause a line's endpoint; opening forgets its failures."""
    row = {"line": line, "state": state, "failures": 0, "not_before": 0, "changed_at": now_ms}
    upsert(db, Endpoint, [row])


def _held_rows(db: Session, rule: str, limit: int | None) -> list[Outbox]:
    """Held rows, each with its case locked first, so that intake and this command take turns on an alert."""
    ids = sorted(
        set(
            db.scalars(
                select(Outbox.alert_id)
                .where(Outbox.state == "held", Outbox.rule == rule)
                .order_by(Outbox.created_at, Outbox.alert_id)
                .limit(limit)
            )
        )
    )
    rows: list[Outbox] = []
    for alert_id in ids:
        db.scalars(select(Case.alert_id).where(Case.alert_id == alert_id).with_for_update()).one_or_none()
        rows.extend(db.scalars(select(Outbox).where(Outbox.alert_id == alert_id, Outbox.state == "held")))
    return rows
