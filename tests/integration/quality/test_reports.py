"""What the quality page reads, worked out by hand, on both databases."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Engine

from hub.domain.messages import Missing, QualityResult, RecordReference
from hub.quality.projector import project_conflicts, project_findings, project_quarantine
from hub.quality.reports import LAST_RUNS, SourceReport, open_conflicts, source_reports, unknowns
from hub.quality.service import store_results
from hub.store.db import session
from hub.store.models import IngestCount, QuarantineRow
from tests.integration.quality.test_projector import BAD, CONFLICT, FINDING
from tests.unit.quality.samples import ARRIVAL
from tests.unit.quality.test_scores import result


def reports(engine: Engine) -> dict[str, SourceReport]:
    """Reports by source."""
    with session(engine, writes=False) as db:
        return {report.source: report for report in source_reports(db)}


def keep(engine: Engine, *results: QualityResult) -> None:
    """Store results."""
    with session(engine) as db:
        store_results(db, results)


def run(number: int, *found: QualityResult) -> list[QualityResult]:
    """Results of one micro-batch, each later than the one before."""
    return [msgspec.structs.replace(one, run_id=f"{one.source}-{number}", made_at=ARRIVAL + number) for one in found]


def test_a_source_is_scored_over_all_its_batches(engine: Engine) -> None:
    """critical 2 of 20, warning 10 of 10, and 1 of 40 records quarantined: 5·0.1 + 2·1 + 5·0.025 lost of 12."""
    keep(
        engine,
        *run(1, result("a", "critical", "fail", 10, 2), result("b", "warning", "no_data", 0, 0, "timeliness")),
        *run(2, result("a", "critical", "pass", 10, 0), result("b", "warning", "fail", 10, 10, "timeliness")),
        *run(3, result("a", "critical", "errored", 0, 0, source="renshe")),
    )
    with session(engine) as db:
        db.add(IngestCount(source="yibao", topic="medical.settlement", kind="published", count=30, updated_at=1))
        db.add(IngestCount(source="yibao", topic="insurance.enrolment", kind="published", count=9, updated_at=1))
        db.add(IngestCount(source="yibao", topic="insurance.enrolment", kind="unchanged", count=500, updated_at=1))
        project_quarantine(db, [BAD])
    found = reports(engine)
    assert list(found) == ["renshe", "yibao"]
    yibao = found["yibao"]
    assert (yibao.score.score, yibao.score.received) == (78.12, 40)
    assert yibao.score.by_dimension == {"conformity": 93.75, "timeliness": 0.0}
    assert (yibao.runs, yibao.last_run_at, yibao.quarantined) == (2, ARRIVAL + 2, {"not_a_number": 1})
    assert found["renshe"].score.score is None
    assert found["renshe"].score.errored == ("medical.settlement/a",)


def test_failing_is_what_fails_now(engine: Engine) -> None:
    """An expectation that failed and then held is not listed; one without data since it failed still is."""
    example = RecordReference("JS1", 2, "empty")
    keep(
        engine,
        *run(1, result("held", "critical", "fail", 5, 1), result("quiet", "info", "fail", 5, 3, examples=(example,))),
        *run(2, result("held", "critical", "pass", 5, 0), result("quiet", "info", "no_data", 0, 0)),
        *run(2, result("broken", "warning", "errored", 0, 0)),
        *run(1, result("held", "critical", "fail", 7, 7, source="renshe")),
    )
    failing = reports(engine)["yibao"].failing
    assert [(one.expectation, one.outcome, one.checked, one.failed) for one in failing] == [
        ("broken", "errored", 0, 0),
        ("quiet", "fail", 5, 3),
    ]
    assert failing[1].examples == ({"record_id": "JS1", "version": 2, "value_class": "empty"},)
    assert [one.expectation for one in reports(engine)["renshe"].failing] == ["held"]


def test_the_last_runs_come_first(engine: Engine) -> None:
    """As many as the page lists, newest first, each with its outcomes; other sources do not push them out."""
    for number in range(LAST_RUNS + 2):
        keep(engine, *run(number, result("a", "info", "pass", 10 + number, 0), result("b", "info", "no_data", 0, 0)))
    keep(engine, *run(99, result("a", "info", "fail", 3, 1, source="renshe")))
    listed = reports(engine)["yibao"].last_runs
    assert [one.made_at - ARRIVAL for one in listed] == [6, 5, 4, 3, 2]
    assert (listed[0].records, listed[0].outcomes) == (16, {"pass": 1, "no_data": 1})


def test_quarantine_counts_what_still_waits(engine: Engine) -> None:
    """A replayed or dropped record has left; one that failed again has not."""
    states = ("waiting", "failed_again", "replayed", "dropped")
    with session(engine) as db:
        project_quarantine(db, [msgspec.structs.replace(BAD, quarantine_id=state) for state in states])
    with session(engine) as db:
        for state in states:
            row = db.get(QuarantineRow, state)
            assert row is not None
            row.state = state
    assert reports(engine)["yibao"].quarantined == {"not_a_number": 2}
    assert reports(engine)["yibao"].score.received == 2


def test_unknowns_are_ranked_by_the_decisions_they_block(engine: Engine) -> None:
    """A field counts once a decision, however many people lack it; yes and no are no unknowns."""
    income = Missing("assistance.check.income", None, "member", "minzheng")
    again = Missing("assistance.check.income", "b" * 32, "self", "minzheng")
    ratio = Missing("parameter.rigid_ratio")
    findings: list[Any] = [
        ("dibao", "household:1", "unknown", (income, again)),
        ("dibao", "household:2", "unknown", (income, ratio)),
        ("tekun", "person:1", "unknown", (income,)),
        ("tekun", "person:2", "no", (ratio,)),
        ("tekun", "person:3", "unknown", (ratio,)),
    ]
    with session(engine) as db:
        project_findings(
            db,
            [
                msgspec.structs.replace(FINDING, rule=rule, subject=subject, truth=truth, missing=missing)
                for rule, subject, truth, missing in findings
            ],
        )
    with session(engine, writes=False) as db:
        found = unknowns(db)
    assert [(one.decisions, one.field, one.source, one.rules) for one in found] == [
        (3, "assistance.check.income", "minzheng", (("dibao", 2), ("tekun", 1))),
        (2, "parameter.rigid_ratio", None, (("dibao", 1), ("tekun", 1))),
    ]


def test_open_conflicts_by_kind_and_sources(engine: Engine) -> None:
    """Most first; a closed one is gone."""
    kinds = [
        ("dead_and_alive", "OPEN"),
        ("deaths_differ", "OPEN"),
        ("deaths_differ", "OPEN"),
        ("deaths_differ", "CLOSED"),
    ]
    with session(engine) as db:
        project_conflicts(
            db,
            [
                msgspec.structs.replace(CONFLICT, conflict_id=str(number), kind=kind, state=state)
                for number, (kind, state) in enumerate(kinds)
            ],
        )
    with session(engine, writes=False) as db:
        assert open_conflicts(db) == [("deaths_differ", "ga-huji,yibao", 2), ("dead_and_alive", "ga-huji,yibao", 1)]
