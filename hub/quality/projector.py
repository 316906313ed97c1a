"""Projects findings, conflicts and quarantined records from their topics into the store, for pages and commands.

Each row keeps the newest message by its own sequence, so reading a topic again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, literal_column
from sqlalchemy.orm import Session

from hub.domain.messages import Conflict, FindingChange, Message, Quarantined
from hub.store.db import upsert
from hub.store.models import ConflictRow, FindingRow, QuarantineRow
from hub.streams.topics import CONFLICTS, FINDINGS, QUARANTINE

_INCOMING: Final[ColumnElement[int]] = literal_column("excluded.sequence")
"""Sequence of the row being written; both databases call it so."""


def _newest(messages: Sequence[Any], key: Callable[[Any], object], order: Callable[[Any], int]) -> list[Any]:
    """The newest message of each key: one statement must not write a row twice."""
    newest: dict[object, Any] = {}
    for message in messages:
        held = newest.get(key(message))
        if held is None or order(message) >= order(held):
            newest[key(message)] = message
    return list(newest.values())


def project_findings(db: Session, findings: Sequence[FindingChange]) -> None:
    """Newest outcome of each (rule, subject)."""
    rows = [
        {
            "rule": finding.rule,
            "subject": finding.subject,
            "truth": finding.truth,
            "region": finding.region,
            "township": finding.township,
            "missing": [msgspec.to_builtins(missing) for missing in finding.missing],
            "sequence": finding.sequence,
            "decided_at": finding.decided_at,
        }
        for finding in _newest(findings, lambda f: (f.rule, f.subject), lambda f: f.sequence)
    ]
    upsert(db, FindingRow, rows, where=FindingRow.sequence < _INCOMING)


def project_conflicts(db: Session, conflicts: Sequence[Conflict]) -> None:
    """Newest state of each conflict; the day it was first seen is kept."""
    rows = [
        {
            "conflict_id": conflict.conflict_id,
            "kind": conflict.kind,
            "person": conflict.person,
            "state": conflict.state,
            "field": conflict.field,
            "region": conflict.region,
            "sources": ",".join(sorted({party.source for party in conflict.parties})),
            "body": msgspec.to_builtins(conflict),
            "sequence": conflict.sequence,
            "first_seen_at": conflict.seen_at,
            "seen_at": conflict.seen_at,
        }
        for conflict in _newest(conflicts, lambda c: c.conflict_id, lambda c: c.sequence)
    ]
    changed = ("state", "field", "region", "sources", "body", "sequence", "seen_at")
    upsert(db, ConflictRow, rows, update=changed, where=ConflictRow.sequence < _INCOMING)


def project_quarantine(db: Session, records: Sequence[Quarantined]) -> None:
    """One row a quarantined record. A repeat keeps the row, and what `hub quarantine` has made of it."""
    rows = [
        {
            "quarantine_id": record.quarantine_id,
            "stage": record.stage,
            "source": record.source,
            "topic": record.topic,
            "locator": record.locator,
            "record_id": record.record_id,
            "field": record.field,
            "reason": record.reason,
            "value_class": record.value_class,
            "message": record.message,
            "original": record.original,
            "mapping_hash": record.mapping_hash,
            "attempt": record.attempt,
            "received_at": record.received_at,
            "state": "waiting",
            "changed_at": record.received_at,
        }
        for record in _newest(records, lambda r: r.quarantine_id, lambda r: r.attempt)
    ]
    upsert(db, QuarantineRow, rows, update=())


PROJECTIONS: Final[Mapping[str, Callable[[Session, Sequence[Any]], None]]] = {
    FINDINGS.name: project_findings,
    CONFLICTS.name: project_conflicts,
    QUARANTINE.name: project_quarantine,
}
"""Topic → what writes its messages into the store."""


def project(db: Session, topic: str, messages: Sequence[Message]) -> None:
    """Write decoded messages of a topic, in the caller's transaction."""
    PROJECTIONS[topic](db, messages)
