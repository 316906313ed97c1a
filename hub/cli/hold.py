"""`hub hold`: what does not leave, and why; release, drop, retry; pause and enable a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click
from sqlalchemy.orm import Session

from hub.settings import settings

Result = TypeVar("Result")


@click.group(name="hold")
def command() -> None:
    """Alerts that are held back: beyond a rule's daily budget, refused by a line, or bound for a closed endpoint."""


@command.command(name="list")
def list_held() -> None:
    """List what is held or refused, and the endpoints that are not open.

    \b
    Example:
      hub hold list
    """
    from rich.console import Console
    from rich.table import Table
    from sqlalchemy import or_, select

    from hub.delivery.holds import held
    from hub.domain.times import local_moment
    from hub.store.db import migrate, open_store, session
    from hub.store.models import Endpoint

    chosen = settings()
    migrate(chosen.store)
    with session(open_store(chosen.store), writes=False) as db:
        rows = held(db)
        endpoints = db.scalars(
            select(Endpoint).where(or_(Endpoint.state != "open", Endpoint.failures > 0)).order_by(Endpoint.line)
        ).all()
    table = Table(title=f"暂缓 held back: {sum(row.count for row in rows)}")
    for heading in ("state 状态", "rule 事项", "line 业务线", "alert 提示", "why 原因", "count 件", "oldest 最早"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        why = row.last_error or ("daily budget 超过当日限额" if row.state == "held" else "—")
        oldest = f"{local_moment(row.oldest_at):%Y-%m-%d %H:%M}"
        table.add_row(row.state, row.rule, row.line, row.alert_state, why, str(row.count), oldest)
    console = Console()
    console.print(table)
    for endpoint in endpoints:
        console.print(f"line {endpoint.line}: {endpoint.state}, {endpoint.failures} failures in a row")


@command.command()
@click.argument("rule")
@click.option("--limit", type=click.IntRange(min=1), help="at most so many alerts, oldest first  [default: all]")
def release(rule: str, limit: int | None) -> None:
    """Let held alerts of RULE leave.

    \b
    Example:
      hub hold release dibao --limit 50
    """
    from hub.delivery.holds import release_held

    count = _write(lambda db, now: release_held(db, rule, limit, now))
    click.echo(f"{count} alerts released")


@command.command()
@click.argument("rule")
@click.option("--limit", type=click.IntRange(min=1), help="at most so many alerts, oldest first  [default: all]")
@click.confirmation_option(prompt="Dropped alerts are never sent. Go on?")
def drop(rule: str, limit: int | None) -> None:
    """Never send held alerts of RULE. An opening stays unseen; a withdrawal leaves its case as it is.

    \b
    Example:
      hub hold drop dibao --yes
    """
    from hub.delivery.holds import drop_held

    count = _write(lambda db, _now: drop_held(db, rule, limit))
    click.echo(f"{count} alerts dropped")


@command.command()
@click.argument("line")
def retry(line: str) -> None:
    """Send again what LINE refused, or what was given up, from the start of the schedule.

    \b
    Example:
      hub hold retry funeral
    """
    from hub.delivery.holds import retry_refused

    count = _write(lambda db, now: retry_refused(db, _known(line), now))
    click.echo(f"{count} alerts wait for delivery again")


@command.command()
@click.argument("line")
def pause(line: str) -> None:
    """Send nothing to LINE until it is enabled; its alerts wait.

    \b
    Example:
      hub hold pause funeral
    """
    from hub.delivery.holds import set_endpoint

    _write(lambda db, now: set_endpoint(db, _known(line), "paused", now))
    click.echo(f"line {line} is paused")


@command.command()
@click.argument("line")
def enable(line: str) -> None:
    """Send to LINE again: after a pause, or after its endpoint answered 410 and was put right.

    \b
    Example:
      hub hold enable funeral
    """
    from hub.delivery.holds import set_endpoint

    _write(lambda db, now: set_endpoint(db, _known(line), "open", now))
    click.echo(f"line {line} is open")


def _known(line: str) -> str:
    from hub.delivery.lines import load_register

    known = load_register(settings()).by_id()
    if line not in known:
        raise click.BadParameter(f"use one of {', '.join(known)}", param_hint="LINE")
    return line


def _write(work: Callable[[Session, int], Result]) -> Result:
    from hub.ops.clock import Clock
    from hub.store.db import migrate, open_store, session

    chosen = settings()
    migrate(chosen.store)
    with session(open_store(chosen.store)) as db:
        return work(db, Clock(chosen).now_ms())
