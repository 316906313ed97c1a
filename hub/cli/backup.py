"""`hub backup`: a running deployment into a folder."""

from __future__ import annotations

from pathlib import Path

import click

from hub.settings import settings


@click.command(name="backup")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--topics",
    "with_topics",
    is_flag=True,
    help="also what lies in Kafka: sources, dispositions, states, what was told",
)
@click.option("--with-keys", is_flag=True, help="also the key file and the webhook secrets, into FOLDER/keys")
def command(folder: Path, with_topics: bool, with_keys: bool) -> None:
    """Write the store, the vault and the schema registry into FOLDER, which must be new or empty.

    \b
    Nothing needs to be stopped. Source topics are the truth from which everything can be rebuilt. On a broker that
    keeps three copies they stay where they are; --topics writes them, the states and what was told into files too,
    so that a restore into an empty Kafka goes on exactly where the backup was made.

    \b
    The vault's rows are sealed; the key file that opens them is not written unless --with-keys says so. Keep it
    apart from the backups, and its copies in a safe place: who has both has every identity, who loses it has none.

    \b
    The folder is whole when it holds manifest.json, with a hash of each file. Files are Avro, packed by zstandard.

    \b
    Example:
      hub backup /srv/backup/2026-03-16
      hub backup --topics /srv/backup/2026-03-16-full
    """
    from hub.backup.run import backup

    chosen = settings()
    made = backup(chosen, folder, with_topics=with_topics, with_keys=with_keys, say=_say)
    size = sum(file.size for file in made.files.values())
    click.echo(f"wrote {folder}: {', '.join(made.parts)}; {len(made.files)} files, {size / 1_000_000:.1f} MB")
    if with_keys:
        click.secho(f"{folder / 'keys'} holds the keys in plain: move it away from this backup now", fg="red", err=True)
    else:
        click.echo(f"not in it: the key file {chosen.keys} — keep a copy apart; ids {made.keys['wrapping']}")


def _say(text: str) -> None:
    click.echo(f"  {text}", err=True)
