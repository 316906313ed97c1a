"""`hub demo`: everything on this machine, and what comes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console


@click.command(name="demo")
@click.option("--once", is_flag=False, flag_value="1", default="", envvar="ONCE", help="end after the table (ONCE=1)")
@click.option(
    "--size",
    default="",
    envvar="DEMO",
    help="small (default) or full: ten times the people, and Synthea's bills (DEMO=full)",
)
@click.option("--store-url", default="", envvar="HUB_STORE_URL", help="PostgreSQL instead of SQLite")
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path("var/demo"), show_default=True)
@click.option("--report", type=click.Path(path_type=Path), default=Path("build/demo.json"), show_default=True)
def command(once: str, size: str, store_url: str, data_dir: Path, report: Path) -> None:
    """Start Kafka, the registry and every process here; load departments' records; show alerts acknowledged.

    The exit code is 0 only if every step did its work; the figures are in build/demo.json.

    \b
    Example:
      make demo              stays up until Ctrl-C
      make demo ONCE=1       ends after the table
    """
    from hub.demo.run import HOUSEHOLDS, Demo

    chosen = size or "small"
    if chosen not in HOUSEHOLDS:
        raise click.BadParameter(f"choose one of {', '.join(HOUSEHOLDS)}", param_hint="DEMO")
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=120)  # a log file has no width of its own
    demo = Demo(data_dir, chosen, store_url, console)
    if not demo.run(once=once not in ("", "0"), report=report):
        sys.exit(1)
