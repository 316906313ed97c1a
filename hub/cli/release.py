"""`hub release`: a county's first load leaves shadow."""

from __future__ import annotations

import click

from hub.settings import settings


@click.command(name="release")
@click.option("--region", help="GB/T 2260 code, as 331102; a city's code covers its counties")
@click.option("--all", "everywhere", is_flag=True, help="every region, instead of --region")
@click.option("--rule", default="", help="one rule, as dibao  [default: all]")
@click.option("--township", default="", help="code of one township, as 331102001  [default: all]")
@click.option(
    "--per-minute",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="alerts of the first load that leave in a minute; 0: all at once",
)
def command(region: str | None, everywhere: bool, rule: str, township: str, per_minute: int) -> None:
    """Release alerts from shadow: those that wait leave at the given rate, later ones at once.

    A first load is found and counted in shadow and nothing leaves. Look at the counts on the operator's page, then
    release place by place and rule by rule. Releasing the same again changes its rate.

    \b
    Example:
      hub release --region 331102 --rule dibao --township 331102001 --per-minute 20
      hub release --all
    """
    from hub.delivery.holds import add_release, shadow_count
    from hub.divisions import county_codes, division_name
    from hub.ops.clock import Clock
    from hub.policy.catalogue import RULES
    from hub.store.db import migrate, open_store, session
    from hub.store.models import Release

    if everywhere == bool(region):
        raise click.UsageError("name a --region, or say --all")
    if region and not (region in county_codes() or region.endswith("00")):
        raise click.BadParameter("use a county's six digits, or those of its city or province", param_hint="--region")
    if rule and rule not in RULES:
        raise click.BadParameter(f"use one of {', '.join(sorted(RULES))}", param_hint="--rule")
    if township and division_name(township) is None:
        raise click.BadParameter("there is no such township in the list of divisions", param_hint="--township")
    chosen = settings()
    migrate(chosen.store)
    now = Clock(chosen).now_ms()
    release = Release(region=region or "", rule=rule, township=township, per_minute=per_minute, released_at=now)
    with session(open_store(chosen.store)) as db:
        waiting = shadow_count(db, release, chosen.region)
        add_release(db, release.region, rule, township, per_minute, now)
    pace = f"{per_minute} a minute" if per_minute else "at once"
    click.echo(f"released; {waiting} alerts leave shadow {pace} while `hub dispatch` runs")
