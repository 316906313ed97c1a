"""What the demonstration shows at its end: the figures of its table, and whether every step did its work."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub.delivery.lines import load_lines
from hub.policy.catalogue import RULES
from hub.quality.reports import source_reports
from hub.store.models import (
    Case,
    CaseHistory,
    DispositionRow,
    FindingRow,
    IngestCount,
    Outbox,
    QuarantineRow,
    ReceiptRow,
)

POISON: Final = ("bad_magic", "truncated", "unknown_schema", "null_key")
"""Reasons that the worker finds in raw messages; the demo puts one of each on a topic."""


class Figures(Struct, kw_only=True):
    """The figures of build/demo.json."""

    sources: dict[str, dict[str, int]]
    joined: dict[str, int]
    rules: dict[str, dict[str, int]]
    lines: dict[str, dict[str, int]]
    quality: dict[str, float | None]
    quarantine: dict[str, int]
    dispositions: dict[str, int]
    superseded: int
    oracle: dict[str, int]
    seconds: dict[str, float]
    pages: dict[str, str]
    failed: list[str]


def sources(db: Session) -> dict[str, dict[str, int]]:
    """Source → records by what became of them."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in db.scalars(select(IngestCount)):
        counts[row.source][row.kind] += row.count
    refused = select(QuarantineRow.source, func.count()).where(QuarantineRow.stage == "connector")
    for source, count in db.execute(refused.group_by(QuarantineRow.source)):
        counts[source]["quarantined"] = count
    return {source: dict(kinds) for source, kinds in sorted(counts.items())}


def rules(db: Session) -> dict[str, dict[str, int]]:
    """Rule → findings by truth, and alerts by state."""
    table: dict[str, Counter[str]] = {rule: Counter() for rule in RULES}
    for rule, truth, count in db.execute(
        select(FindingRow.rule, FindingRow.truth, func.count()).group_by(FindingRow.rule, FindingRow.truth)
    ):
        table[rule][truth] = count
    for rule, state, count in db.execute(
        select(Case.rule, Case.alert_state, func.count()).group_by(Case.rule, Case.alert_state)
    ):
        table[rule][state.lower()] = count
    for rule, count in db.execute(
        select(Case.rule, func.count(CaseHistory.id))
        .join(CaseHistory, CaseHistory.alert_id == Case.alert_id)
        .where(CaseHistory.kind == "amended")
        .group_by(Case.rule)
    ):
        table[rule]["amendments"] = count
    return {rule: dict(counts) for rule, counts in table.items()}


def lines(db: Session) -> dict[str, dict[str, int]]:
    """Line → revisions by delivery state, and receipts."""
    table: dict[str, Counter[str]] = {line.id: Counter() for line in load_lines()}
    for line, state, count in db.execute(
        select(Outbox.line, Outbox.state, func.count()).group_by(Outbox.line, Outbox.state)
    ):
        table[line][state] = count
    for line, count in db.execute(select(ReceiptRow.line, func.count()).group_by(ReceiptRow.line)):
        table[line]["receipts"] = count
    return {line: dict(counts) for line, counts in table.items() if counts}


def quarantine(db: Session) -> dict[str, int]:
    """Reason → quarantined records."""
    rows = db.execute(select(QuarantineRow.reason, func.count()).group_by(QuarantineRow.reason))
    return {reason: count for reason, count in sorted(rows)}  # noqa: C416  # rows are Row objects, not pairs


def dispositions(db: Session) -> dict[str, int]:
    """Outcome → dispositions that Kafka has acknowledged."""
    rows = db.scalars(select(DispositionRow).where(DispositionRow.published.is_(True)))
    return dict(Counter(row.body["outcome"] for row in rows))


def quality(db: Session) -> dict[str, float | None]:
    """Source → score."""
    return {report.source: report.score.score for report in source_reports(db)}


def shortcomings(figures: Figures, expected_reasons: Sequence[str]) -> list[str]:
    """What is missing for the demonstration to count, in words; empty when every step did its work."""
    missing = []
    for rule, counts in figures.rules.items():
        for truth in ("yes", "no", "unknown"):
            if not counts.get(truth):
                missing.append(f"rule {rule} shows no {truth}")
        if not counts.get("withdrawn"):
            missing.append(f"rule {rule} shows no withdrawal")
    for reason in sorted({*expected_reasons, *POISON} - set(figures.quarantine)):
        missing.append(f"no record in quarantine for {reason}")
    for line, counts in figures.lines.items():
        left = {state: count for state, count in counts.items() if state in ("pending", "held", "shadow", "refused")}
        if left:
            missing.append(f"line {line} has undelivered revisions: {left}")
        if not counts.get("accepted"):
            missing.append(f"line {line} acknowledged nothing")
    if not figures.lines:
        missing.append("no line received anything")
    if not figures.dispositions:
        missing.append("no disposition came back")
    for source, counts in figures.sources.items():
        if not counts.get("published"):
            missing.append(f"source {source} published nothing")
        if figures.quality.get(source) is None:
            missing.append(f"source {source} has no quality score")
    if figures.oracle.get("only_hub", 0) or figures.oracle.get("only_oracle", 0) or not figures.oracle.get("open"):
        missing.append(f"open alerts differ from the oracle's: {figures.oracle}")
    if not figures.joined.get("persons") or not figures.joined.get("households"):
        missing.append("nothing was joined")
    return missing


def write(figures: Figures, path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


def show(console: Console, figures: Figures) -> None:
    """Print the tables."""
    _table(
        console,
        "数源 sources",
        ("source", "published 已发布", "annulled 已撤销", "unchanged 未变", "quarantined 已隔离", "score 质量得分"),
        [
            (
                source,
                *(counts.get(kind, 0) for kind in ("published", "annulled", "unchanged", "quarantined")),
                _score(figures.quality.get(source)),
            )
            for source, counts in figures.sources.items()
        ],
    )
    columns = ("yes", "no", "unknown", "open", "amended", "withdrawn")
    _table(
        console,
        "事项 rules: findings 判定 and alerts 提示",
        ("rule", "yes 成立", "no 不成立", "unknown 不明", "open 新提示", "amended 更新", "withdrawn 撤回"),
        [(rule, *(counts.get(name, 0) for name in columns)) for rule, counts in figures.rules.items()],
    )
    _table(
        console,
        "业务线 lines: deliveries 派送",
        ("line", "accepted 签收", "other 其他", "receipts 回执"),
        [
            (
                line,
                counts.get("accepted", 0),
                sum(count for state, count in counts.items() if state not in ("accepted", "receipts")),
                counts.get("receipts", 0),
            )
            for line, counts in figures.lines.items()
        ],
    )
    joined = "，".join(f"{kind} {count}" for kind, count in figures.joined.items())
    console.print(f"关联 joined: {joined}")
    console.print(f"隔离 quarantine: {figures.quarantine}")
    console.print(f"处置 dispositions: {figures.dispositions}；旧版本 superseded: {figures.superseded}")
    console.print(f"对照 oracle: {figures.oracle}")
    console.print("用时 seconds: " + "，".join(f"{step} {taken:.1f}" for step, taken in figures.seconds.items()))
    for name, address in figures.pages.items():
        console.print(f"{name}: {address}")


def _score(score: float | None) -> str:
    return "—" if score is None else f"{score:.2f}"


def _table(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console.print(table)
