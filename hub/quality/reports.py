"""What the pages and the command line read of quality: sources with their scores, failing expectations, unknowns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub.domain.messages import QualityResult
from hub.quality.scores import Score, score
from hub.store.models import ConflictRow, FindingRow, IngestCount, QualityResultRow, QuarantineRow


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


class SourceReport(Struct, frozen=True, kw_only=True):
    """One source as the quality page shows it."""

    source: str
    score: Score
    runs: int
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
    """All sources that published, were checked or had records quarantined, ordered by name."""
    results: dict[str, list[QualityResultRow]] = defaultdict(list)
    for row in db.scalars(select(QualityResultRow).order_by(QualityResultRow.made_at)):
        results[row.source].append(row)
    quarantined: dict[str, dict[str, int]] = defaultdict(dict)
    waiting = (
        select(QuarantineRow.source, QuarantineRow.reason, func.count())
        .where(QuarantineRow.state.in_(("waiting", "failed_again")))
        .group_by(QuarantineRow.source, QuarantineRow.reason)
    )
    for source, reason, count in db.execute(waiting):
        quarantined[source][reason] = count
    published: Counter[str] = Counter()
    for source, count in db.execute(
        select(IngestCount.source, func.sum(IngestCount.count))
        .where(IngestCount.kind == "published")
        .group_by(IngestCount.source)
    ):
        published[source] = int(count)
    return [
        _report(source, results[source], published[source], quarantined[source])
        for source in sorted(set(results) | set(quarantined) | set(published))
    ]


def _report(source: str, rows: Sequence[QualityResultRow], published: int, quarantined: dict[str, int]) -> SourceReport:
    newest: dict[tuple[str, str], QualityResultRow] = {}
    for row in rows:
        if row.outcome != "no_data":
            newest[row.suite, row.expectation] = row
    return SourceReport(
        source=source,
        score=score(map(result_of, rows), accepted=published, quarantined=sum(quarantined.values())),
        runs=len({row.run_id for row in rows}),
        last_run_at=max((row.made_at for row in rows), default=None),
        failing=tuple(
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
            for _, row in sorted(newest.items())
            if row.outcome in ("fail", "errored")
        ),
        quarantined=quarantined,
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
