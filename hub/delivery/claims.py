"""The sender's transactions: which revisions are due, and what became of one. Nothing here knows HTTP."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import Engine, exists, select, update
from sqlalchemy.orm import Session, aliased

from hub.delivery.outbox import add_history
from hub.delivery.schedule import delay_s, pause_s
from hub.store.db import session, upsert
from hub.store.models import Endpoint, Outbox

Key = tuple[str, int]
"""Alert id and revision."""

PROBES: Final = 1
"""Requests at a time to an endpoint that failed last: one is enough to see that it is back."""


class Claims:
    """Reads and writes delivery state; every method is one transaction."""

    def __init__(self, engine: Engine, schedule_s: Sequence[float], concurrency: int) -> None:
        self._engine = engine
        self._schedule_s = schedule_s
        self._concurrency = concurrency

    def due(self, lines: Collection[str], in_flight: Mapping[Key, str], now_ms: int) -> list[Outbox]:
        """Revisions to send now, oldest due first, within each line's room; `in_flight` is key → line.

        A revision waits while an earlier one of its alert is pending. A line that is paused, disabled, or within its
        pause after a failure gets nothing.
        """
        found: list[Outbox] = []
        with session(self._engine, writes=False) as db:
            is_due = (Outbox.state == "pending") & (Outbox.next_attempt_at <= now_ms)
            waiting = set(db.scalars(select(Outbox.line).where(is_due).distinct())) & set(lines)
            endpoints = {row.line: row for row in db.scalars(select(Endpoint))} if waiting else {}
            for line in sorted(waiting):
                endpoint = endpoints.get(line)
                if endpoint is not None and (endpoint.state != "open" or endpoint.not_before > now_ms):
                    continue
                flying = [key for key, its_line in in_flight.items() if its_line == line]
                room = (PROBES if endpoint is not None and endpoint.failures else self._concurrency) - len(flying)
                if room <= 0:
                    continue
                earlier = aliased(Outbox)
                first = ~exists().where(
                    earlier.alert_id == Outbox.alert_id,
                    earlier.revision < Outbox.revision,
                    earlier.state == "pending",
                )
                rows = db.scalars(
                    select(Outbox)
                    .where(is_due, Outbox.line == line, first)
                    .order_by(Outbox.next_attempt_at, Outbox.created_at, Outbox.alert_id)
                    .limit(room + len(flying))
                ).all()
                found += [row for row in rows if (row.alert_id, row.revision) not in in_flight][:room]
        return found

    def accepted(self, row: Outbox, now_ms: int) -> None:
        """The line has it."""
        with session(self._engine) as db:
            if self._settle(db, row, "accepted", None, accepted_at=now_ms):
                add_history(db, row, "delivered", f"line:{row.line}", now_ms, {"attempts": row.attempts + 1})
            db.execute(
                update(Endpoint)
                .where(Endpoint.line == row.line, Endpoint.failures > 0)
                .values(failures=0, not_before=0, changed_at=now_ms)
            )

    def refused(self, row: Outbox, answer: str) -> None:
        """The line will never take it as it is."""
        with session(self._engine) as db:
            self._settle(db, row, "refused", answer)

    def failed(self, row: Outbox, answer: str, retry_after_s: float | None, now_ms: int) -> bool:
        """Not now: the row waits by the schedule, the whole line by its pause, or for as long as it asked.

        False when the schedule is used up.
        """
        failed = row.attempts + 1
        delay = delay_s(failed, self._schedule_s)
        with session(self._engine) as db:
            self._pause(db, row.line, retry_after_s, now_ms)
            if delay is None:
                self._settle(db, row, "refused", answer)
                return False
            self._settle(db, row, "pending", answer, next_attempt_at=now_ms + int(delay * 1000))
        return True

    def gone(self, row: Outbox, answer: str, now_ms: int) -> None:
        """Nobody listens there any more: the line's rows wait until somebody enables it."""
        with session(self._engine) as db:
            self._settle(db, row, "pending", answer)
            disabled = {"line": row.line, "state": "disabled", "failures": 0, "not_before": 0, "changed_at": now_ms}
            upsert(db, Endpoint, [disabled])

    @staticmethod
    def _settle(db: Session, row: Outbox, state: str, answer: str | None, **more: int) -> bool:
        """Write what became of a row; False when it was settled before."""
        settled = db.execute(
            update(Outbox)
            .where(Outbox.alert_id == row.alert_id, Outbox.revision == row.revision, Outbox.state == "pending")
            .values(state=state, last_error=answer, attempts=row.attempts + 1, **more)
        )
        return bool(getattr(settled, "rowcount", 0))

    def _pause(self, db: Session, line: str, retry_after_s: float | None, now_ms: int) -> None:
        held = db.scalars(select(Endpoint).where(Endpoint.line == line).with_for_update()).one_or_none()
        failures, not_before = (held.failures, held.not_before) if held else (0, 0)
        if not_before <= now_ms:
            failures += 1  # those that were on the wire together fail together, and count once
        wait_s = max(pause_s(failures, self._schedule_s), retry_after_s or 0.0)
        paused = {
            "line": line,
            "state": held.state if held else "open",
            "failures": failures,
            "not_before": max(not_before, now_ms + int(wait_s * 1000)),
            "changed_at": now_ms,
        }
        upsert(db, Endpoint, [paused])
