"""What the pages and the command line read of quality: sources with their scores, failing expectations, unknowns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from hub.domain.messages import QualityResult
from hub.quality.scores import Score, score
from hub.store.models import ConflictRow, FindingRow, IngestCount, QualityResultRow, QuarantineRow

LAST_RUNS: Final = 5
"""Runs of a source that the page lists: the last few show whether a fault has just begun."""


class Failing(Struct, frozen=True, kw_only=True):
    """An expectation that failed or errored in its newest run that had data."""

    suite: str
    expectation: str
    field: str | None
    dimension: str
    severity: str
    outcome: str
    checked: int
    failed: int
    examples: tuple[dict[str, Any], ...]
    made_at: int


class Run(Struct, frozen=True, kw_only=True):
    """One suite on one micro-batch: expectations by outcome, and the most records one of them looked at."""

    topic: str
    made_at: int
    records: int
    outcomes: dict[str, int]


class SourceReport(Struct, frozen=True, kw_only=True):
    """One source as the quality page shows it. `runs` counts what the store keeps, `last_runs` are the newest first."""

    source: str
    score: Score
    runs: int
    last_runs: tuple[Run, ...]
    last_run_at: int | None
    failing: tuple[Failing, ...]
    quarantined: dict[str, int]


class Unknown(Struct, frozen=True, order=True, kw_only=True):
    """A field whose absence blocks decisions: `decisions` of them, by rule."""

    decisions: int
    field: str
    source: str | None
    rules: tuple[tuple[str, int], ...]


def source_reports(db: Session) -> list[SourceReport]:
    """All sources that published, were checked or had records quarantined, ordered by name.

    Scores are over the results that the store keeps (hub.quality.retention), records received over all time. Results
    are summed in the database: a source has thousands of micro-batches and some dozens of expectations.
    """
    summed = _summed(db)
    quarantined: dict[str, dict[str, int]] = defaultdict(dict)
    waiting = (
        select(QuarantineRow.source, QuarantineRow.reason, func.count())
        # What the worker found unreadable names no source, only a topic: it is the operator's to look at.
        .where(QuarantineRow.state.in_(("waiting", "failed_again")), QuarantineRow.stage == "connector")
        .group_by(QuarantineRow.source, QuarantineRow.reason)
        .order_by(QuarantineRow.reason)
    )
    for source, reason, count in db.execute(waiting):
        quarantined[source][reason] = count
    published: dict[str, int] = {
        source: int(count)
        for source, count in db.execute(
            select(IngestCount.source, func.sum(IngestCount.count))
            .where(IngestCount.kind == "published")
            .group_by(IngestCount.source)
        )
    }
    counted: dict[str, tuple[int, int]] = {
        source: (runs, last)
        for source, runs, last in db.execute(
            select(
                QualityResultRow.source,
                func.count(QualityResultRow.run_id.distinct()),
                func.max(QualityResultRow.made_at),
            ).group_by(QualityResultRow.source)
        )
    }
    reports = []
    for source in sorted({*counted, *quarantined, *published}):
        runs, last = counted.get(source, (0, None))
        reports.append(
            SourceReport(
                source=source,
                score=score(
                    summed[source], accepted=published.get(source, 0), quarantined=sum(quarantined[source].values())
                ),
                runs=runs,
                last_runs=_last_runs(db, source),
                last_run_at=last,
                failing=_failing(db, source),
                quarantined=quarantined[source],
            )
        )
    return reports


def _summed(db: Session) -> Mapping[str, list[QualityResult]]:
    """Source → one result for each expectation and outcome, summed over its micro-batches."""
    by = (
        *(QualityResultRow.source, QualityResultRow.topic, QualityResultRow.suite, QualityResultRow.expectation),
        *(QualityResultRow.dimension, QualityResultRow.severity, QualityResultRow.outcome),
    )
    rows = db.execute(
        select(
            *by,
            func.sum(QualityResultRow.checked).label("checked"),
            func.sum(QualityResultRow.failed).label("failed"),
            func.max(QualityResultRow.day).label("day"),
            func.max(QualityResultRow.made_at).label("made_at"),
        ).group_by(*by)
    )
    found: dict[str, list[QualityResult]] = defaultdict(list)
    for row in rows.mappings():
        values = {**row, "run_id": "", "checked": int(row["checked"]), "failed": int(row["failed"])}
        found[row["source"]].append(msgspec.convert(values, QualityResult))
    return found


def newest_runs(source: str) -> Select[str, int]:
    """(run id, made at) of the runs that the page lists, newest first."""
    return (
        select(QualityResultRow.run_id, func.max(QualityResultRow.made_at).label("made_at"))
        .where(QualityResultRow.source == source)
        .group_by(QualityResultRow.run_id)
        .order_by(func.max(QualityResultRow.made_at).desc(), QualityResultRow.run_id)
        .limit(LAST_RUNS)
    )


def newest_with_data(source: str) -> Select[str, str, int]:
    """(suite, expectation, made at): when each expectation of a source last looked at data."""
    return (
        select(
            QualityResultRow.suite,
            QualityResultRow.expectation,
            func.max(QualityResultRow.made_at).label("made_at"),
        )
        .where(QualityResultRow.source == source, QualityResultRow.outcome != "no_data")
        .group_by(QualityResultRow.suite, QualityResultRow.expectation)
    )


def _last_runs(db: Session, source: str) -> tuple[Run, ...]:
    order = {run_id: place for place, (run_id, _made_at) in enumerate(db.execute(newest_runs(source)))}
    rows: dict[str, list[QualityResultRow]] = defaultdict(list)
    for row in db.scalars(select(QualityResultRow).where(QualityResultRow.run_id.in_(order))):
        rows[row.run_id].append(row)
    return tuple(
        Run(
            topic=results[0].topic,
            made_at=results[0].made_at,
            records=max(row.checked for row in results),
            outcomes=dict(Counter(row.outcome for row in results)),
        )
        for _, results in sorted(rows.items(), key=lambda pair: order[pair[0]])
    )


def _failing(db: Session, source: str) -> tuple[Failing, ...]:
    """Expectations whose newest result with data failed or errored."""
    newest = newest_with_data(source).subquery()
    rows = db.scalars(
        select(QualityResultRow)
        .join(
            newest,
            and_(
                QualityResultRow.suite == newest.c.suite,
                QualityResultRow.expectation == newest.c.expectation,
                QualityResultRow.made_at == newest.c.made_at,
            ),
        )
        .where(QualityResultRow.source == source, QualityResultRow.outcome.in_(("fail", "errored")))
        .order_by(QualityResultRow.suite, QualityResultRow.expectation, QualityResultRow.run_id)
    )
    # Two micro-batches may end in the same millisecond: one line for each expectation.
    one_each = {(row.suite, row.expectation): row for row in rows}
    return tuple(
        Failing(
            suite=row.suite,
            expectation=row.expectation,
            field=row.field,
            dimension=row.dimension,
            severity=row.severity,
            outcome=row.outcome,
            checked=row.checked,
            failed=row.failed,
            examples=tuple(row.examples),
            made_at=row.made_at,
        )
        for row in one_each.values()
    )


def result_of(row: QualityResultRow) -> QualityResult:
    """The message of a stored result."""
    columns = {name: getattr(row, name) for name in QualityResult.__struct_fields__ if name != "region"}
    return msgspec.convert(columns, QualityResult)


def unknowns(db: Session) -> list[Unknown]:
    """Missing fields by how many unknown decisions name them, most first: the data owners' work list."""
    decisions: dict[tuple[str, str | None], Counter[str]] = defaultdict(Counter)
    for finding in db.scalars(select(FindingRow).where(FindingRow.truth == "unknown")):
        for field, source in {(missing["field"], missing.get("source")) for missing in finding.missing}:
            decisions[field, source][finding.rule] += 1
    ranked = [
        Unknown(decisions=by_rule.total(), field=field, source=source, rules=tuple(sorted(by_rule.items())))
        for (field, source), by_rule in decisions.items()
    ]
    return sorted(ranked, key=lambda unknown: (-unknown.decisions, unknown.field, unknown.source or ""))


def open_conflicts(db: Session) -> list[tuple[str, str, int]]:
    """Open conflicts by kind and by the sources that disagree, most first."""
    rows = db.execute(
        select(ConflictRow.kind, ConflictRow.sources, func.count())
        .where(ConflictRow.state == "OPEN")
        .group_by(ConflictRow.kind, ConflictRow.sources)
    )
    return sorted(((kind, sources, count) for kind, sources, count in rows), key=lambda row: (-row[2], row[0], row[1]))
