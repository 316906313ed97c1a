"""`hub quality`: the quality process, and a suite on a plain file."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from hub.settings import settings


@click.group(name="quality")
def command() -> None:
    """Expectation suites (数源提升): run them on what arrives, or on a file before it is sent."""


@command.command()
def serve() -> None:
    """Run the quality process: suites on micro-batches of every topic, findings and conflicts into the store.

    \b
    Example:
      HUB_BROKERS=kafka:9092 hub quality serve
    """
    from hub.divisions import county_codes
    from hub.ops.announce import announce
    from hub.ops.health import HealthServer
    from hub.ops.logs import configure
    from hub.ops.shutdown import stop_event
    from hub.quality.service import Quality
    from hub.store.db import migrate, open_store

    configure("quality")
    chosen = settings()
    migrate(chosen.store)
    stop = stop_event()
    quality = Quality(chosen, open_store(chosen.store), county_codes())
    health = HealthServer(
        chosen.bind, chosen.quality_port, ready=lambda: (quality.ready, "reading" if quality.ready else "waiting")
    )
    heartbeat = announce(chosen.store, "quality", health.url)
    try:
        quality.run(stop)
    finally:
        heartbeat.close()
        health.close()


@command.command(name="run")
@click.argument("suite")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--encoding", default="utf-8-sig", show_default=True, help="encoding of a CSV, as gb18030")
def run_file(suite: str, file: Path, encoding: str) -> None:
    """Run SUITE on a CSV or Parquet FILE with no broker; list each failing row and field.

    The file's columns must be named as the suite's fields. The exit code is 1 when something fails.

    \b
    Example:
      hub quality run medical.settlement drop.csv --encoding gb18030
    """
    from hub.quality.files import read_frame
    from hub.quality.runner import SuiteRunner, failing

    results = SuiteRunner(settings().expectations).run(suite, read_frame(suite, file, encoding))
    table = Table(title=f"{suite}: {file.name}")
    for heading in ("expectation 期望", "field 字段", "outcome 结果", "failed 不符", "rows 行号", "说明"):
        table.add_column(heading)
    for one in results:
        rows = ", ".join(str(row + 2) for row in one.rows)  # row 1 is the header, and people count from one
        table.add_row(
            one.expectation, one.field or "—", one.outcome, f"{one.failed}/{one.checked}", rows or "—", one.sentence
        )
    Console().print(table)
    if failing(results):
        sys.exit(1)
