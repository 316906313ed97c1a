"""`hub quarantine`: bad records, why they were refused, and bringing them back."""

from __future__ import annotations

import sys
from contextlib import closing

import click
from rich.console import Console
from rich.table import Table

from hub.domain.codes import QUARANTINE_REASONS
from hub.domain.times import local_moment
from hub.errors import ConfigurationError
from hub.settings import settings
from hub.store.db import open_store

STATES = ("waiting", "replayed", "failed_again", "dropped")


@click.group(name="quarantine")
def command() -> None:
    """Bad records (隔离区). The original of each is kept sealed; nothing here prints it.

    \b
    Example:
      hub quarantine list --source yibao
      hub quarantine replay --source yibao      once the mapping or the source is mended
    """


@command.command(name="list")
@click.option("--source", metavar="ID", help="only of this source")
@click.option("--state", type=click.Choice(STATES), multiple=True, help="only in this state (repeatable)")
@click.option("--limit", default=50, show_default=True, help="rows to print")
def list_rows(source: str | None, state: tuple[str, ...], limit: int) -> None:
    """List what is in quarantine, newest first."""
    from connectors.replay import waiting

    rows = waiting(open_store(settings().store), source=source, states=state)
    table = Table(title=f"隔离区 quarantine: {len(rows)} records")
    for heading in ("id", "state", "source 数源", "topic", "reason 原因", "field 字段", "value", "where"):
        table.add_column(heading)
    for row in rows[:limit]:
        table.add_row(
            row.quarantine_id[:12],
            row.state,
            row.source,
            row.topic or "—",
            row.reason,
            row.field or "—",
            row.value_class,
            row.locator,
        )
    Console().print(table)
    if len(rows) > limit:
        click.echo(f"{len(rows) - limit} more: raise --limit, or name a --source")


@command.command()
@click.argument("quarantine_id")
def show(quarantine_id: str) -> None:
    """Show one record, by its id or the first characters of it. The original stays sealed.

    \b
    Example:
      hub quarantine show 3f9c0a
    """
    from connectors.replay import waiting

    rows = waiting(open_store(settings().store), ids=[quarantine_id])
    if len(rows) != 1:
        raise ConfigurationError(f"{len(rows)} records begin with {quarantine_id} — give the id of one, from the list")
    row = rows[0]
    facts = {
        "id": row.quarantine_id,
        "state": f"{row.state} (attempt {row.attempt})",
        "source 数源": row.source,
        "topic": row.topic or "—",
        "stage": row.stage,
        "where": row.locator,
        "record": row.record_id or "—",
        "field 字段": row.field or "—",
        "reason 原因": f"{row.reason} {QUARANTINE_REASONS.get(row.reason, '')}",
        "value": row.value_class,
        "message": row.message,
        "received": f"{local_moment(row.received_at):%Y-%m-%d %H:%M:%S}",
        "mapping": row.mapping_hash or "—",
        "original": f"{len(row.original)} bytes, sealed",
    }
    for name, fact in facts.items():
        click.echo(f"{name:12} {fact}")


@command.command()
@click.argument("quarantine_ids", nargs=-1)
@click.option("--source", metavar="ID", help="everything of this source that waits or failed again")
@click.option("--all", "everything", is_flag=True, help="everything that waits or failed again")
def replay(quarantine_ids: tuple[str, ...], source: str | None, everything: bool) -> None:
    """Read sealed originals again by the mappings as they are now, and publish those that fit.

    A record that its source has sent again since is dropped: the later one stands. What is no source record (stage
    dispatcher: bytes on alerts.v1 that no worker wrote) is refused and says what to do instead; it stays listed. The
    exit code is 1 when something failed again or was refused.

    \b
    Example:
      hub quarantine replay 3f9c0a 77b2
      hub quarantine replay --source yibao
    """
    from connectors.loading import load_sources
    from connectors.parts import check_parts, open_parts
    from connectors.replay import Replay, waiting
    from hub.vault.cards import open_vault

    if not (quarantine_ids or source or everything):
        raise click.UsageError("name records, a --source, or --all")
    chosen = settings()
    engine = open_store(chosen.store)
    rows = waiting(engine, ids=quarantine_ids, source=source, states=("waiting", "failed_again"))
    with closing(open_vault(chosen)) as vault, closing(open_parts(chosen, vault)) as parts:
        check_parts(chosen, parts)
        results = Replay(chosen, engine, parts, load_sources(chosen.sources)).replay(rows)
    for result in results:
        click.echo(f"{result.quarantine_id[:12]} {result.state}: {result.text}")
    click.echo(f"{sum(result.state == 'replayed' for result in results)} of {len(results)} came back")
    if any(result.state in ("failed_again", "refused") for result in results):
        sys.exit(1)
