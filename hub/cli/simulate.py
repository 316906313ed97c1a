"""`hub simulate`: make departments with a known population, third-party records, and check what came of them."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click

from hub.domain.times import SHANGHAI
from hub.settings import settings
from hub.simulate.population import DEFAULT_HOUSEHOLDS, DEFAULT_SEED
from hub.simulate.thirdparty.departments import CACHE, HOUSEHOLDS

FOLDER = click.Path(file_okay=False, path_type=Path)
SHOWN: Final = 20  # differences printed; the counts are always whole


@click.group()
def command() -> None:
    """A population with known truth, and the oracle that says what ought to be open. 仿真

    \b
    Example:
      hub simulate departments --out build/departments
      HUB_SOURCE_ROOT=build/departments hub connect --once
      hub simulate second-wave --out build/departments
      hub simulate oracle --compare
    """


@command.command()
@click.option("--out", type=FOLDER, required=True, help="folder to write to; a simulated world there is replaced")
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="the same seed gives the same world")
@click.option("--households", type=int, default=DEFAULT_HOUSEHOLDS, show_default=True, help="besides the planted ones")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="day the world is seen from; default: today")
@click.option("--faults/--no-faults", default=True, show_default=True, help="put bad input among the good")
def departments(out: Path, seed: int, households: int, as_of: datetime | None, faults: bool) -> None:
    """Write what nine departments hold: databases and drops, with truth.json and faults.json beside them.

    \b
    Example: hub simulate departments --out build/departments --households 500 --as-of 2026-03-15
    """
    from hub.simulate.departments import Manifest, first

    day = (as_of or datetime.now(SHANGHAI)).date()
    world = first(out, Manifest(seed=seed, households=households, as_of=day, with_faults=faults))
    rows = sum(len(table) for table in world.tables.values())
    click.echo(f"{out}: {len(world.tables['resident'])} persons, {rows} rows, {len(world.truth)} outcomes planted")


@command.command("second-wave")
@click.option("--out", type=FOLDER, required=True, help="folder that `hub simulate departments` has written")
def second_wave(out: Path) -> None:
    """Let time pass at the departments: corrections, annulments, late and vanished records.

    \b
    Example: hub simulate second-wave --out build/departments
    """
    from hub.simulate.departments import second

    world = second(out)
    click.echo(f"{out}: {len(world.touched)} rows changed or added, {len(world.removed)} taken back")


@command.command()
@click.option("--out", type=FOLDER, required=True, help="folder of the departments; records go to its thirdparty/")
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True)
@click.option("--households", type=int, default=HOUSEHOLDS, show_default=True)
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="day the records are seen from; default: today")
@click.option("--cache", type=FOLDER, default=CACHE, show_default=True, help="environment and generated rows")
@click.option(
    "--synthea/--no-synthea",
    "with_synthea",
    default=False,
    show_default=True,
    help="also medical bills and insurance by Synthea: 200 MB by Maven, then minutes, the first time",
)
def thirdparty(out: Path, seed: int, households: int, as_of: datetime | None, cache: Path, with_synthea: bool) -> None:
    """Write records of pseudopeople (BSD-3) as three departments' files, with the ledger of corrupted cells.

    The generator has an environment of its own, made from requirements-thirdparty.lock the first time.
    With --synthea a fourth department holds the care of Synthea's (Apache-2.0) patients, each joined with a person
    of the same sex and year of birth. Both generators run once; what they made is kept in the cache.

    \b
    Example:
      hub simulate thirdparty --out build/departments --households 300
      hub simulate thirdparty --out build/departments --synthea
    """
    from hub.simulate.thirdparty.departments import write

    write(
        out,
        seed=seed,
        as_of=(as_of or datetime.now(SHANGHAI)).date(),
        households=households,
        with_synthea=with_synthea,
        cache=cache,
        progress=click.echo,
    )


@command.command()
@click.option("--departments", "root", type=FOLDER, required=True, help="folder of `hub simulate departments`")
@click.option("--overlay", default="demo", show_default=True, help="policy pack on top of the official ones")
def truth(root: Path, overlay: str) -> None:
    """Decide the departments' records in memory and compare with what was planted, both waves; no broker is needed.

    Works on a copy. Exit code 1 when an outcome differs.

    \b
    Example: hub simulate truth --departments build/departments
    """
    from hub.simulate import check

    with TemporaryDirectory() as folder:
        copy = Path(folder) / "departments"
        shutil.copytree(root, copy)
        report = check.planted(copy, settings().sources, overlay)
    for line in report.wrong[:SHOWN]:
        click.echo(line)
    click.echo(f"{report.checked} outcomes checked in two waves, {len(report.wrong)} differ")
    if report.wrong:
        raise click.ClickException("planted truth and decisions differ — read the lines above, then rule or scenario")


@command.command()
@click.option("--compare", "comparing", is_flag=True, help="compare with what is open on alerts.v1; exit code 1 if not")
def oracle(comparing: bool) -> None:
    """Judge everything that lies in Kafka from scratch, apart from the worker's code.

    \b
    Example: hub simulate oracle --compare
    """
    from hub.simulate.oracle import live

    if not comparing:
        judged = live.judge(settings())
        click.echo(f"{len(judged.opened)} alerts ought to be open, {len(judged.conflicts)} conflicts")
        return
    agreement = live.compare(settings())
    for name, count in agreement.counts.items():
        click.echo(f"{name}: {count}")
    for side, found in (("hub only", agreement.only_hub), ("oracle only", agreement.only_oracle)):
        for item in sorted(found, key=str)[:SHOWN]:
            click.echo(f"{side}: {item[0]} {item[1]}")
    if not agreement.agrees:
        raise click.ClickException("the deployment differs from the oracle — wait until nothing moves, compare again")
