"""`hub vault`: the audit trail of identity openings."""

from __future__ import annotations

from contextlib import closing

import click

from hub.errors import VaultError
from hub.settings import settings
from hub.vault.cards import open_vault


@click.group("vault")
def command() -> None:
    """The identity vault: who opened what, and whether its record is whole."""


@command.group()
def audit() -> None:
    """The chain of audit rows: one for every opening, refusal and erasure."""


@audit.command()
@click.option("--anchor", metavar="LINK", help="a link this command printed earlier; it must still be in the chain")
def verify(anchor: str | None) -> None:
    """Walk the whole chain and name the first row that does not fit.

    It prints the newest link. Note it down outside this machine: given back as --anchor it proves that the trail was
    not put back to an earlier day. Exit code 1 when the trail is broken.

    \b
    Example:
      hub vault audit verify
      hub vault audit verify --anchor 5f0c…
    """
    with closing(open_vault(settings())) as vault:
        report = vault.verify_audit(anchor)
    if report.broken is not None:
        raise VaultError(
            f"the audit trail is broken at row {report.broken}: {report.why}; {report.rows} rows before it are whole — "
            "keep a copy of the database for inquiry, then restore the vault from its backup"
        )
    if report.anchor_found is False:
        raise VaultError(
            f"the audit trail is whole in itself ({report.rows} rows) but does not hold the anchor — "
            "the database was put back to an earlier state, or the anchor is another vault's"
        )
    click.echo(f"whole: {report.rows} rows")
    click.echo(f"newest link: {report.head}")
