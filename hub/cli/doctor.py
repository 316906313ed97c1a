"""`hub doctor`: what is wrong with this deployment."""

from __future__ import annotations

import sys

import click
from sqlalchemy.engine import make_url

from hub.doctor import examine
from hub.settings import settings


@click.command(name="doctor")
@click.option("--no-processes", is_flag=True, help="do not expect the hub's processes to run yet")
@click.option("--settings", "show_settings", is_flag=True, help="print the settings in force as well")
def command(no_processes: bool, show_settings: bool) -> None:
    """Look at keys, store, vault, broker, topics, registry, mappings, disk and processes; say what to do.

    The exit code is 1 when something is wrong.

    \b
    Example:
      hub doctor --no-processes
    """
    chosen = settings()
    if show_settings:
        for name, value in chosen.model_dump().items():
            shown = make_url(value).render_as_string(hide_password=True) if name.endswith("_url") and value else value
            click.echo(f"HUB_{name.upper()}={shown if shown is not None else ''}")
    wrong = 0
    for check in examine(chosen, processes=not no_processes):
        click.secho(f"{'✓' if check.good else '✗'} {check.name}: {check.said}", fg="green" if check.good else "red")
        wrong += not check.good
    sys.exit(1 if wrong else 0)
