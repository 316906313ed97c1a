"""`hub bench`: the hub's engine beside its peers, in one run, on a real broker. Needs a checkout."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from hub.errors import ConfigurationError

_events: Final[Callable[..., Any]] = click.option(
    "--events", type=click.IntRange(min=1_000), default=200_000, show_default=True, help="input records"
)
_engines: Final[Callable[..., Any]] = click.option(
    "--engines",
    default="",
    metavar="NAMES",
    help="comma separated; default: hub,bare,kafka-streams,quixstreams,idiomatic",
)


@click.group()
def command() -> None:
    """How fast the stream engine is, side by side with what else could do the work. 性能对比

    Every run starts its own Kafka, gives each engine the same seeded records one after another, compares the alerts
    that are open in the end with an oracle's, and prints ratios: figures of different runs or machines mean little.
    A run in which an engine has another answer, or a peer is far slower than it should be, ends with exit code 1.
    Tables are printed; build/bench.json keeps them. The first run makes the peers' environments (minutes).

    \b
    Example:
      hub bench engine --events 100000
      hub bench latency --events 200000
      make bench
    """


@command.command()
@_events
@_engines
def engine(events: int, engines: str) -> None:
    """Events/s, CPU µs an event, memory and restore of each engine.

    Add hub-disk, kafka-streams-eos or quixstreams-eos to --engines for state on disk and exactly-once peers.
    """
    scenarios, report = _rooms()
    rows = scenarios.engine(_names(scenarios, engines, scenarios.ENGINES), events, click.echo)
    report.show(f"两级关联 two-stage join, {events:,} events, one worker", rows)
    report.keep("engines", rows, events=events, at=scenarios.now())
    _judge(scenarios.failures(rows))


@command.command()
@_events
@click.option("--people", type=click.IntRange(min=100), default=None, help="persons; default: a quarter of the events")
@_engines
def restore(events: int, people: int | None, engines: str) -> None:
    """Seconds until an engine works again when only its changelog is left."""
    scenarios, report = _rooms()
    names = _names(scenarios, engines, (scenarios.HUB, scenarios.BARE))
    rows = scenarios.restore(names, events, people or events // 4, click.echo)
    report.show("恢复 restore from the changelog", rows)
    report.keep("restore", rows, events=events, at=scenarios.now())


@command.command()
@_events
@click.option("--seconds", type=click.FloatRange(min=1), default=20.0, show_default=True, help="of half load")
@_engines
def latency(events: int, seconds: float, engines: str) -> None:
    """From record to alert, as a downstream sees it, at half of each engine's own sustained rate."""
    scenarios, report = _rooms()
    rows = scenarios.latency(_names(scenarios, engines, (scenarios.HUB, scenarios.BARE)), events, seconds, click.echo)
    report.show("时延 record to alert at half load", rows)
    report.keep("latency", rows, events=events, seconds=seconds, at=scenarios.now())
    _judge(scenarios.failures(rows))


@command.command()
@_events
@click.option(
    "--people", type=click.IntRange(min=1_000), default=1_000_000, show_default=True, help="of the largest run"
)
def scale(events: int, people: int) -> None:
    """The hub's worker with 1 and 8 partitions, 1 and 2 workers, and as persons grow to a million."""
    scenarios, report = _rooms()
    rows = scenarios.scale(events, people, click.echo)
    report.show("规模 growth", rows)
    report.keep("scale", rows, events=events, at=scenarios.now())
    _judge(scenarios.failures(rows))


@command.command()
@click.option("--records", type=click.IntRange(min=1_000), default=100_000, show_default=True, help="of each measure")
def commit(records: int) -> None:
    """The two commit protocols that neither lose nor invent, and none, by the size of a batch."""
    scenarios, report = _rooms()
    rows = scenarios.commit(records, click.echo)
    report.show("提交协议 commit protocols", rows)
    report.keep("commit", rows, records=records, at=scenarios.now())


def _rooms() -> tuple[Any, Any]:
    root = Path(__file__).parents[2]
    if not (root / "tests" / "benchmarks").is_dir():
        raise ConfigurationError(
            "benchmarks come with the source, not with the package — check the project out and run `make setup` there"
        )
    sys.path.insert(0, str(root))  # a console script does not look there
    scenarios, report = (importlib.import_module(f"tests.benchmarks.{name}") for name in ("scenarios", "report"))
    return scenarios, report


def _names(scenarios: Any, given: str, default: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in given.split(",") if name.strip()) or default
    try:
        scenarios.check(names)
    except KeyError as error:
        raise click.UsageError(f"there is no engine {error.args[0]} — see `hub bench engine --help`") from error
    return names


def _judge(failures: list[str]) -> None:
    if failures:
        raise click.ClickException("this run does not count: " + "; ".join(failures))
