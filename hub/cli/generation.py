"""`hub generation`: build the next generation of state beside the active one, compare the two, and switch."""

from __future__ import annotations

from typing import Final

import click

from hub.settings import settings

EXAMPLES: Final = 5
"""Alert ids shown of each kind of difference; they name no person."""


@click.group(name="generation")
def command() -> None:
    """Generations of worker state 状态代: rebuild from the source log without telling anything twice.

    Needed when a release folds records in another way, or when state is damaged. The active generation goes on
    telling while the next one is built.

    \b
    Example, with generation 0 active:
      HUB_GENERATION=1 hub generation build      runs until it is stopped; start as many as workers
      HUB_GENERATION=1 hub generation compare    what would be told after a switch
      HUB_GENERATION=1 hub generation switch     then start workers with HUB_GENERATION=1
    """


@command.command()
def build() -> None:
    """Run a worker of the next generation (HUB_GENERATION) that folds and decides everything and tells nothing.

    It makes its topics where they are missing and reads the sources from their beginning. It may be killed and
    started again at any moment, and keeps up with new records until it is stopped or its generation takes over.
    """
    from hub.ops.health import HealthServer
    from hub.ops.logs import configure
    from hub.ops.shutdown import stop_event
    from hub.streams.activation import Gate, held_by
    from hub.streams.admin import create_topics
    from hub.streams.generations import group_of
    from hub.streams.stages import law_of, next_stages
    from hub.streams.topics import topics_of
    from hub.streams.upgrade import written_layout
    from hub.streams.worker import prepare, run, standing

    configure("worker")
    stop = stop_event()
    chosen = settings()
    _refuse_first(chosen.generation)
    law = law_of(chosen)
    for name in create_topics(chosen, topics_of(chosen.generation)):
        click.echo(f"made {name}", err=True)
    gate = Gate(chosen, held_by(law, chosen.generation, building=True))
    stages = next_stages(law, chosen.generation, written_layout(chosen))
    app = prepare(chosen, stages, group_of(chosen.generation), gate=gate)
    health = HealthServer(chosen.bind, chosen.worker_port, ready=lambda: standing(app))
    run(app, stop, health.close)


@command.command()
@click.option("--examples", type=click.IntRange(min=0), default=EXAMPLES, show_default=True, help="alert ids a line")
def compare(examples: int) -> None:
    """Print by rule what would be told if HUB_GENERATION took over now. Exit code 1 when anything would."""
    from collections import defaultdict

    from rich.console import Console
    from rich.table import Table

    from hub.streams.generations import compare as compare_generations
    from hub.streams.stages import law_of

    chosen = settings()
    _refuse_first(chosen.generation)
    found = compare_generations(chosen, law_of(chosen), chosen.generation)
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for alert in found.alerts:
        grouped[alert.rule, alert.state].append(alert.alert_id)
    table = Table(title=f"generation {chosen.generation}: {len(found.alerts)} differences in {found.homes} homes")
    for heading in ("rule 事项", "would be told 将发出", "count 件", "examples 提示编号"):
        table.add_column(heading, overflow="fold")
    for (rule, state), ids in sorted(grouped.items()):
        table.add_row(rule, state, str(len(ids)), " ".join(ids[:examples]))
    for (kind, state), number in sorted(found.conflicts.items()):
        table.add_row(f"conflict {kind}", state, str(number), "")
    console = Console()
    console.print(table)
    for topic, number in sorted(found.behind.items()):
        console.print(f"the build has not read {number} or more records of {topic}: what is above may change")
    if found.alerts or found.conflicts:
        click.get_current_context().exit(1)


@command.command()
@click.option("--abandon", is_flag=True, help="give an interrupted switch up; the generation before tells again")
def switch(abandon: bool) -> None:
    """Let HUB_GENERATION take over: older workers stop telling, its build catches up, and its workers may start.

    Keep `hub generation build` running until this ends; its first sweep after that tells the differences and nothing
    else. Interrupted, run it again: nobody tells in between.
    """
    from hub.streams.generations import abandon as abandon_switch
    from hub.streams.generations import switch as switch_generation
    from hub.streams.stages import law_of

    chosen = settings()
    if abandon:
        active = abandon_switch(chosen)
        click.echo(f"generation {active.generation if active else 0} is the active one")
        return
    _refuse_first(chosen.generation)
    active = switch_generation(chosen, law_of(chosen), chosen.generation, lambda text: click.echo(text, err=True))
    click.echo(f"generation {active.generation} is active: start `hub worker` with HUB_GENERATION={active.generation}")


@command.command()
def status() -> None:
    """Which generation is active, and whether another one is taking over."""
    from hub.domain.times import local_moment
    from hub.streams.activation import current

    chosen = settings()
    active = current(chosen)
    if active is None:
        click.echo("nothing was activated yet: generation 0 will be")
        return
    click.echo(
        f"generation {active.generation}, since {local_moment(active.activated_at):%Y-%m-%d %H:%M} by {active.by}"
    )
    if active.switching_to is not None:
        click.echo(f"generation {active.switching_to} is taking over, and nobody tells until it has")


def _refuse_first(generation: int) -> None:
    from hub.errors import ConfigurationError

    if generation == 0:
        raise ConfigurationError("generation 0 is the first and is not built — set HUB_GENERATION to the next one")
