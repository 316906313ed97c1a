"""What a caseworker or a line did with an alert: recorded with its case in one transaction, published afterwards.

The dispatcher publishes rows with `published=False` to dispositions.v1, so a page answers without waiting for Kafka.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from hub.domain.codes import OUTCOME, OUTCOME_CLOSES, OUTCOME_REASON
from hub.domain.messages import Alert, Disposition
from hub.errors import StaleCase, UnknownAlert
from hub.store.models import Case, CaseHistory, DispositionRow, Outbox

__all__ = ["StaleCase", "UnknownAlert", "locked_case", "record_answer", "record_disposition"]

SUPPRESSES: Final = frozenset({"helped", "already_served", "not_eligible", "source_wrong", "declined"})
"""Outcomes after which the same evidence must not raise the alert again. Stated apart from OUTCOME_CLOSES: that an
outcome ends the case and that it silences the stream are two decisions, equal today."""


def locked_case(db: Session, alert_id: str) -> Case | None:
    """The case, locked for this transaction (SQLite: the transaction already is the only writer)."""
    return db.scalars(select(Case).where(Case.alert_id == alert_id).with_for_update()).one_or_none()


def record_disposition(
    db: Session,
    *,
    alert_id: str,
    lock: int,
    outcome: str,
    reason: str | None,
    note: str | None,
    by: str,
    now_ms: int,
) -> str:
    """Record what somebody decided on a page, in the caller's writing transaction; returns the disposition's id.

    `lock` is the case's lock as the page showed it; `by` is a role, never a name; `note` is free text and stays in
    the store. StaleCase when the case changed meanwhile, UnknownAlert when there is none, ValueError for a code
    outside hub.domain.codes. The case of a withdrawn alert stays withdrawn and keeps the outcome.
    """
    case = locked_case(db, alert_id)
    if case is None:
        raise UnknownAlert("there is no case of this alert — go back to the queue")
    if case.lock != lock:
        raise StaleCase("the case changed since it was read — look at it again, then decide")
    alert = msgspec.convert(case.body, Alert)
    disposition_id = uuid.uuid4().hex
    _record(db, case, alert, disposition_id, outcome, reason, note, by, now_ms)
    return disposition_id


def record_answer(
    db: Session,
    *,
    case: Case | None,
    sent: Outbox,
    disposition_id: str,
    outcome: str,
    reason: str | None,
    by: str,
    now_ms: int,
) -> None:
    """Record the outcome a line reports of one delivered revision.

    It answers that revision's evidence. The case follows only if the revision is still the newest, and a word like
    "accepted" that arrives after a closing one does not open it again.
    """
    alert = msgspec.convert(sent.body, Alert)
    follows = (
        case is not None
        and case.revision == sent.revision
        and (case.work_state != "closed" or outcome in OUTCOME_CLOSES)
    )
    _record(db, case if follows else None, alert, disposition_id, outcome, reason, None, by, now_ms)


def _record(
    db: Session,
    case: Case | None,
    alert: Alert,
    disposition_id: str,
    outcome: str,
    reason: str | None,
    note: str | None,
    by: str,
    now_ms: int,
) -> None:
    if outcome not in OUTCOME or (reason is not None and reason not in OUTCOME_REASON):
        raise ValueError("outcome and reason are codes of hub.domain.codes.OUTCOME and OUTCOME_REASON")
    disposition = Disposition(
        disposition_id=disposition_id,
        alert_id=alert.alert_id,
        home=alert.home,
        subject=alert.subject,
        rule=alert.rule,
        revision=alert.revision,
        evidence_hash=alert.evidence_hash,
        policy_hash=alert.policy_hash,
        outcome=outcome,
        reason=reason,
        suppress=outcome in SUPPRESSES,
        by=by,
        made_at=now_ms,
    )
    body: dict[str, Any] = msgspec.to_builtins(disposition)
    db.add(
        DispositionRow(
            disposition_id=disposition_id,
            alert_id=alert.alert_id,
            body=body,
            note=note,
            made_at=now_ms,
            published=False,
        )
    )
    db.add(
        CaseHistory(
            alert_id=alert.alert_id,
            revision=alert.revision,
            at=now_ms,
            kind="disposition",
            actor=by,
            detail={"outcome": outcome, "reason": reason},
        )
    )
    if case is None:
        return
    case.outcome = outcome
    if case.work_state != "withdrawn":
        case.work_state = "closed" if outcome in OUTCOME_CLOSES else "working"
    case.updated_at = now_ms
    case.lock += 1
