"""`hub restore`: a backup into an empty deployment."""

from __future__ import annotations

from pathlib import Path

import click

from hub.settings import settings


@click.command(name="restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["registry", "topics", "vault", "store", "keys"]),
    help="only this part; may be given again  [default: all that the backup holds]",
)
def command(folder: Path, parts: tuple[str, ...]) -> None:
    """Bring a backup back into an empty store, vault, registry and Kafka. Start no process before it has ended.

    \b
    First the manifest is read and every file compared with its hash, then every target looked at. A damaged file,
    a backup of a newer release, another number of partitions, another key file, or a target that is not empty is
    refused before anything is written. A backup made on SQLite may be restored into PostgreSQL, and back.

    \b
    Example:
      hub restore /srv/backup/2026-03-16-full               # everything, after the loss of everything
      hub restore --part store --part vault /srv/backup/…   # the databases only; Kafka and registry are still there
    """
    from typing import cast

    from hub.backup import manifest
    from hub.backup.run import restore

    told = manifest.read(folder)
    wanted = cast(tuple[manifest.Part, ...], parts) or told.parts
    restore(settings(), folder, wanted, _say)
    click.echo(f"restored {', '.join(part for part in told.parts if part in wanted)} of release {told.release}")
    click.echo("next: start the processes; workers and readers go on where the backup was made")


def _say(text: str) -> None:
    click.echo(f"  {text}", err=True)
