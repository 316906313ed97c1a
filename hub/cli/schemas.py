"""`hub schemas`: the event schemas, registered in the registry and held to full compatibility."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hub.settings import settings
from hub.streams import schemas


@click.group(name="schemas")
def command() -> None:
    """Event schemas 模式: register them, and refuse a change that old records or old readers cannot follow.

    \b
    Example:
      hub schemas check && hub schemas register
    """


@command.command()
def register() -> None:
    """Register every schema under <topic>-value with FULL_TRANSITIVE. Doing it again changes nothing.

    No other command registers: a process that meets a schema nobody registered says so and stops.
    """
    ids = schemas.register(settings().registry_url)
    for topic, number in sorted(ids.items()):
        click.echo(f"{number:>6}  {topic}")
    click.echo(f"{len(ids)} schemas registered, {schemas.COMPATIBILITY}")


@command.command()
@click.option(
    "--against",
    default="released",
    show_default=True,
    help="`released` (schemas/released), `registry` (the one of HUB_REGISTRY_URL), or a folder of frozen releases",
)
def check(against: str) -> None:
    """Fail when a schema changed so that an old reader or an old record could not follow.

    A new field needs a default; no field may be renamed, retyped or removed without one; no topic may vanish.

    \b
    Example:
      hub schemas check --against registry
    """
    if against == "registry":
        found = schemas.check_registry(settings().registry_url)
    else:
        folder = schemas.RELEASED if against == "released" else Path(against)
        if not folder.is_dir():
            raise click.BadParameter(f"{folder} is no folder", param_hint="--against")
        found = schemas.check_released(released=folder)
    for text in found:
        click.secho(text, fg="red", err=True)
    if found:
        sys.exit(1)
    click.echo(f"{len(schemas.load_schemas())} schemas agree with {against}")


@command.command()
@click.argument("version")
def freeze(version: str) -> None:
    """Write the schemas of release VERSION down, to be checked against for ever after.

    \b
    Example:
      hub schemas freeze 0.2.0
    """
    click.echo(f"wrote {schemas.freeze(version)}")
