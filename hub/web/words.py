"""The templates with every word they use: one filter for each code list, so that no page prints a bare code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from hub.domain import codes
from hub.quality.reports import Failing
from hub.web import present, values
from hub.web.sentences import sentence_of


def templates(
    *, lines: Mapping[str, str], rules: Mapping[str, str], sources: Mapping[str, str], expectations: Path
) -> Environment:
    """The page templates. `lines`, `rules`, `sources`: id → Chinese name."""

    def labels(table: Mapping[str, str]) -> Callable[[str | None], str]:
        return lambda code: present.label(table, code)

    def sentence(failing: Failing) -> str:
        return sentence_of(expectations, failing.suite, failing.expectation)

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "day": present.day,
        "moment": present.moment,
        "money": present.money,
        "count": present.count,
        "place": present.place,
        "field_name": present.field_name,
        "topic_name": present.topic_name,
        "value_class": values.value_class,
        "told": values.told,
        "evidence_value": lambda item: values.value(item["topic"], item["field"], item["value"]),
        "sentence": sentence,
        "actor": lambda actor: present.actor_name(actor, lines),
        "line_name": labels(lines),
        "rule_name": labels(rules),
        "source_name": labels(sources),
        "grade_name": labels(present.GRADE),
        "work_state": labels(present.WORK_STATE),
        "alert_state": labels(present.ALERT_STATE),
        "truth": labels(present.TRUTH),
        "sign": labels(present.SIGN),
        "due": labels(present.DUE),
        "severity": labels(present.SEVERITY),
        "dimension": labels(codes.DIMENSION),
        "conflict": labels(codes.CONFLICT),
        "outcome": labels(codes.OUTCOME),
        "outcome_reason": labels(codes.OUTCOME_REASON),
        "quarantine_reason": labels(codes.QUARANTINE_REASONS),
        "quarantine_state": labels(present.QUARANTINE_STATE),
        "quality_outcome": labels(present.QUALITY_OUTCOME),
        "outbox_state": labels(present.OUTBOX_STATE),
        "history_kind": labels(present.HISTORY),
        "figure": labels(present.FIGURE),
        "ingest_kind": labels(present.INGEST_KIND),
        "process_detail": present.process_detail,
        "restoring": present.restoring,
        "process_name": labels(present.PROCESS),
    }
    environment.filters.update(filters)
    return environment
