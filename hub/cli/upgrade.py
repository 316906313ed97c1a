"""`hub upgrade`: how far an upgrade has come, and the word that nobody will go back to the release before."""

from __future__ import annotations

import click

from hub.settings import settings


@click.group(name="upgrade")
def command() -> None:
    """Upgrade 升级: from one release to the next, with a way back until it is finalised.

    A release reads the states that it and the one before it wrote, and writes as the one before did. So as long as
    nothing is finalised, the release before may be started again. After that it ends itself at its start.

    \b
    Example:
      hub topics create && hub schemas register     # what the new release has more
      hub worker                                    # one after the other, from the new release
      hub upgrade status
      hub upgrade finalise                          # days later; then start the workers again
    """


@command.command()
@click.option("--states", is_flag=True, help="also count how many states lie in which layout: reads all of them")
def status(states: bool) -> None:
    """What is read and written here, where the store stands, and what speaks against finalising.

    Exit code 1 while something does; a deployment that is finalised has nothing to be done and exits with 0.
    """
    import sys

    from hub.store.db import open_store
    from hub.streams.upgrade import layouts, standing

    chosen = settings()
    store = open_store(chosen.store)
    try:
        found = standing(chosen, store)
    finally:
        store.dispose()
    click.echo(f"reads     state layouts {' and '.join(map(str, found.reads))}")
    click.echo(
        f"writes    state layout {found.writes}{' (finalised)' if found.finalised else ' (the way back is open)'}"
    )
    click.echo(f"store     at {found.store[0] or 'nothing'}, this release's is {found.store[1]}")
    if states:
        for topic, counted in layouts(chosen, _progress).items():
            said = ", ".join(f"{number} of layout {codec}.{fold}" for (codec, fold), number in sorted(counted.items()))
            click.echo(f"states    {topic}: {said or 'none'}")
    for obstacle in found.obstacles:
        click.secho(f"open      {obstacle}", fg="yellow")
    if found.obstacles and not found.finalised:
        sys.exit(1)


@command.command()
def finalise() -> None:
    """Let workers write this release's layout from their next start on. There is no way back after it.

    Refused while a worker of the release before runs, while the store or the registry are not at this release, and
    before a worker of this release has worked. Restart the workers afterwards, one after the other: each goes on
    writing the former layout until then, which does no harm. From then on records below the horizon are pruned.

    \b
    Example:
      hub backup /srv/backup/before-finalise && hub upgrade finalise
    """
    from hub.store.db import open_store
    from hub.streams.upgrade import finalise as say

    chosen = settings()
    store = open_store(chosen.store)
    try:
        said = say(chosen, store)
    finally:
        store.dispose()
    click.echo("finalised: start the workers again, one after the other" if said else "was finalised already")


def _progress(passed: int, total: int) -> None:
    click.echo(f"  {passed} of {total} offsets", err=True)
