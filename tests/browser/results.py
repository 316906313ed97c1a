"""Quality results of three sources: two runs each, with failing, errored and empty expectations of real suites."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from hub.domain.messages import QualityResult, RecordReference
from hub.domain.times import at_noon_ms
from tests.browser.alerts import digest
from tests.browser.days import TODAY, ago

Severity = Literal["info", "warning", "critical"]
Outcome = Literal["pass", "fail", "errored", "no_data"]


class _Row(NamedTuple):
    source: str
    topic: str
    expectation: str
    field: str | None
    dimension: str
    severity: Severity
    outcome: Outcome
    checked: int
    failed: int
    value_class: str = ""


_ROWS: Final = (
    _Row("ga-huji", "registration.resident", "region.present", "region", "completeness", "warning", "pass", 18204, 0),
    _Row(
        "ga-huji",
        "registration.resident",
        "birth_date.present",
        "birth_date",
        "completeness",
        "critical",
        "fail",
        18204,
        6,
        "empty",
    ),
    _Row(
        "ga-huji",
        "registration.resident",
        "township.present",
        "township",
        "completeness",
        "warning",
        "fail",
        18204,
        231,
        "empty",
    ),
    _Row("ga-huji", "registration.resident", "id_check.code", "id_check", "accuracy", "critical", "pass", 18204, 0),
    _Row("yibao", "medical.settlement", "kind.code", "kind", "conformity", "critical", "pass", 92118, 0),
    _Row(
        "yibao",
        "medical.settlement",
        "amounts_add_up.holds",
        None,
        "consistency",
        "critical",
        "fail",
        92118,
        47,
        "several columns",
    ),
    _Row(
        "yibao",
        "medical.settlement",
        "arrival_lag_hours.fresh",
        "arrival_lag_hours",
        "timeliness",
        "warning",
        "fail",
        1,
        1,
    ),
    _Row(
        "yibao",
        "medical.settlement",
        "compliant_self_paid_fen.present",
        "compliant_self_paid_fen",
        "completeness",
        "info",
        "no_data",
        0,
        0,
    ),
    _Row("minzheng", "assistance.benefit", "type.code", "type", "conformity", "critical", "pass", 4120, 0),
    _Row(
        "minzheng",
        "assistance.benefit",
        "ended_has_date.holds",
        None,
        "consistency",
        "critical",
        "fail",
        118,
        9,
        "several columns",
    ),
    _Row(
        "minzheng",
        "assistance.benefit",
        "paying_region.form",
        "paying_region",
        "conformity",
        "critical",
        "errored",
        0,
        0,
    ),
)

RESULTS: Final[tuple[QualityResult, ...]] = tuple(
    QualityResult(
        run_id=digest(row.source, row.topic, day),
        source=row.source,
        topic=row.topic,
        suite=row.topic,
        expectation=row.expectation,
        field=row.field,
        dimension=row.dimension,
        severity=row.severity,
        outcome=row.outcome,
        checked=row.checked,
        failed=row.failed,
        day=day,
        examples=tuple(
            RecordReference(f"{row.source.upper()}-{20260310 + number}", 1, row.value_class)
            for number in range(min(row.failed, 3))
            if row.value_class
        ),
        made_at=at_noon_ms(day),
    )
    for day in (ago(1), TODAY)
    for row in _ROWS
)
