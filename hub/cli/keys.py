"""`hub keys`: make the vault's key file, and show the ids of its keys."""

from __future__ import annotations

import click

from hub.settings import settings
from hub.vault.keys import init_keys, load_keys


@click.group("keys")
def command() -> None:
    """Make and inspect the key file of the identity vault.

    \b
    The file stands at HUB_KEY_FILE, by default HUB_DATA_DIR/keys.json. Keep a copy of it in a safe place,
    apart from the backups of the databases: without it no identity card opens, and with it all do.

    \b
    Example:
      HUB_DATA_DIR=/srv/hub hub keys init
    """


@command.command()
def init() -> None:
    """Make a new key file, readable by its owner only. Refuses where one exists."""
    path = settings().keys
    keys = init_keys(path)
    click.echo(f"made {path} (mode 0600)")
    _show(keys.ids())


@command.command()
def show() -> None:
    """Show the ids of the keys, never a key."""
    _show(load_keys(settings().keys).ids())


def _show(ids: dict[str, str]) -> None:
    for use, key_ids in ids.items():
        click.echo(f"{use:<12}{key_ids}")
