"""`hub unknowns`: which missing fields block the most decisions."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from hub.quality.reports import unknowns
from hub.settings import settings
from hub.store.db import open_store, session


@click.command(name="unknowns")
@click.option("--limit", default=20, show_default=True, help="fields to list")
def command(limit: int) -> None:
    """Rank missing fields by how many decisions they would settle: the data owners' work list.

    \b
    Example:
      hub unknowns --limit 5
    """
    with session(open_store(settings().store), writes=False) as db:
        ranked = unknowns(db)
    table = Table(title=f"未知项 unknowns: {len(ranked)} fields")
    for heading in ("decisions 件", "field 字段", "source 数源", "rules 规则"):
        table.add_column(heading)
    for unknown in ranked[:limit]:
        rules = ", ".join(f"{rule} {count}" for rule, count in unknown.rules)
        table.add_row(str(unknown.decisions), unknown.field, unknown.source or "—", rules)
    Console().print(table)
