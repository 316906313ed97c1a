"""`hub decide`: decides cases written in YAML, with the rules and the policy packs of this release."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import click
import yaml
from rich.console import Console
from rich.table import Table

from hub.errors import ConfigurationError
from hub.packs import OVERLAYS, load_book
from hub.policy.cases import State, Verdict, run

MARKS: Final[dict[State, str]] = {"passed": "✓", "failed": "✗", "not_built": "–", "cannot_express": "–"}


@click.command(name="decide")
@click.option("--cases", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--rule", "only", help="decide only the cases of this rule")
@click.option("--overlay", type=click.Choice(OVERLAYS), help="figures on top of the official packs")
@click.option("--explain", is_flag=True, help="print each explanation in Chinese")
def command(file: Path, only: str | None, overlay: str | None, explain: bool) -> None:
    """Decide cases and compare with what they expect.

    A case states its own figures; what it does not state comes from the policy packs. Rules that are not built yet
    are counted apart. The exit code is 0 only if no case failed.

    \b
    Example:
      hub decide --cases tests/rules/dibao.yaml --explain
    """
    book = load_book(overlay=overlay)
    verdicts = [verdict for case in read_cases(file) if only in (None, case["rule"]) for verdict in run(case, book)]
    console = Console()
    table = Table(title=f"{file.name}: {len(verdicts)} decisions 判定")
    for heading in ("", "case 案例", "rule 规则", "expected 预期", "got 结果", "notes 说明"):
        table.add_column(heading, overflow="fold")
    for verdict in verdicts:
        table.add_row(MARKS[verdict.state], verdict.id, verdict.rule, verdict.expected, verdict.got, _notes(verdict))
    console.print(table)
    if explain:
        for verdict in verdicts:
            if verdict.finding is not None:
                console.print(f"[bold]{verdict.id}[/bold] {verdict.finding.explanation}")
    counts = Counter(verdict.state for verdict in verdicts)
    console.print(", ".join(f"{state.replace('_', ' ')} {counts[state]}" for state in MARKS if counts[state]))
    sys.exit(1 if counts["failed"] else 0)


def read_cases(file: Path) -> list[dict[str, Any]]:
    """The cases of a file. ConfigurationError where it is no list of cases."""
    with file.open(encoding="utf-8") as text:
        try:
            cases = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{file}: cannot be read as YAML: {error} — mend the file") from error
    if not isinstance(cases, list):
        raise ConfigurationError(f"{file}: a list of cases is expected — begin each with `- id:`")
    needed = ("id", "rule", "as_of", "region", "household", "expect")
    for position, case in enumerate(cases, start=1):
        absent = [name for name in needed if not isinstance(case, dict) or name not in case]
        if absent:
            raise ConfigurationError(f"{file}: case {position} lacks `{absent[0]}` — add it")
    return cases


def _notes(verdict: Verdict) -> str:
    if verdict.state == "not_built":
        return "rule not built yet"
    return "; ".join(verdict.notes)
