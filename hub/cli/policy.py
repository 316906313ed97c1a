"""`hub policy`: which policy pack is in force, and putting this release's one in force."""

from __future__ import annotations

import click

from hub.settings import settings


@click.group(name="policy")
def command() -> None:
    """Policy packs 政策包: what is in force here, and putting another pack in force.

    Workers decide only under the active pack, so that a rolling restart cannot decide the same home back and forth.
    A worker with another pack waits unready and says so. After an activation every home is decided again from its
    state, and what is told differs in decision, amount or due date, or is not told at all.

    \b
    Example:
      hub policy status
      hub policy activate
    """


@command.command()
def show() -> None:
    """The pack that this release holds (with HUB_OVERLAY laid over it): hash, regions, and what will change when.

    \b
    Example:
      HUB_OVERLAY=demo hub policy show
    """
    from hub.domain.times import local_date
    from hub.ops.clock import Clock
    from hub.packs import load_book
    from hub.policy.parameters import KEYS
    from hub.streams.activation import held_by
    from hub.streams.stages import law_of

    chosen = settings()
    book = load_book(overlay=chosen.overlay or None)
    held = held_by(law_of(chosen), chosen.generation)
    today = local_date(Clock(chosen).now_ms())
    policy = book.for_region(chosen.region)
    click.echo(f"policy   {held.policy_hash}")
    click.echo(f"reads    {held.reads}")
    click.echo(f"overlay  {chosen.overlay or '—'}")
    click.echo(f"region   {chosen.region}: {len(policy.entries)} of {len(KEYS)} parameters given")
    coming = sorted((day, key) for key in policy.entries if (day := policy.next_change(key, today)) is not None)
    for day, key in coming:
        click.echo(f"from {day}: {key} {KEYS[key].label}")


@command.command()
def status() -> None:
    """What is active, and whether it is what this release holds. Exit code 1 when it is not.

    \b
    Example:
      hub policy status
    """
    from hub.domain.times import local_moment
    from hub.streams.activation import current, held_by, refusal
    from hub.streams.stages import law_of

    chosen = settings()
    active = current(chosen)
    held = held_by(law_of(chosen), chosen.generation)
    if active is None:
        click.echo("nothing was activated yet — the first worker activates what it holds")
        click.echo(f"held here   policy {held.policy_hash}, reads {held.reads}, generation {held.generation}")
        return
    click.echo(f"active      policy {active.policy_hash}, reads {active.reads}, generation {active.generation}")
    click.echo(f"since       {local_moment(active.activated_at):%Y-%m-%d %H:%M:%S} by {active.by}")
    click.echo(f"held here   policy {held.policy_hash}, reads {held.reads}, generation {held.generation}")
    refused = refusal(held, active)
    click.echo("a worker started here works" if refused is None else f"a worker started here waits: {refused}")
    if refused is not None:
        click.get_current_context().exit(1)


@command.command()
def activate() -> None:
    """Put this release's pack (with HUB_OVERLAY) in force. Activating what is active changes nothing.

    Workers with another pack end within seconds, and wait; those with this pack take their partitions over, decide
    every home again, some hundred a second and partition, and tell what differs, with the cause 政策变化.

    \b
    Example:
      HUB_OVERLAY=demo hub policy activate
    """
    from hub.streams.activation import activate_policy, held_by
    from hub.streams.codec import Codec
    from hub.streams.stages import law_of

    chosen = settings()
    codec = Codec(chosen.registry_url)
    try:
        before, after = activate_policy(chosen, codec, held_by(law_of(chosen), chosen.generation))
    finally:
        codec.close()
    if before == after:
        click.echo(f"policy {after.policy_hash} is the active one already")
    else:
        click.echo(f"policy {after.policy_hash} is active, was {before.policy_hash if before else 'none'}")
