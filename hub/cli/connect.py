"""`hub connect`: the connector process, and what belongs to it."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from hub.settings import Settings, settings

if TYPE_CHECKING:
    from connectors.mapping import SourceMapping, Stream

PATIENCE_S = 60.0
"""How long --once waits for Kafka and the registry to come up."""

GC_THRESHOLD = 100_000
"""Objects made between two collections: a batch makes some hundred thousand, none of them in cycles."""

KINDS = {
    "published": "发布",
    "annulled": "撤销",
    "unchanged": "未变",
    "superseded": "旧版",
    "quarantined": "隔离",
    "erased": "已删",
}
"""What became of a row, and its heading."""


@click.command(name="connect")
@click.option("--source", "only", multiple=True, metavar="ID", help="only this source (repeatable)")
@click.option("--once", is_flag=True, help="read every source to its end once, print a table, and leave")
@click.option("--validate", is_flag=True, help="check the source mappings and leave; needs no other part")
@click.option("--accept-shrink", metavar="ID", help="believe the held snapshots of this source at its next reading")
def command(only: tuple[str, ...], once: bool, validate: bool, accept_shrink: str | None) -> None:
    """Read the departments' systems (采集): every source of HUB_SOURCES, into Kafka.

    A row that does not fit goes to quarantine (`hub quarantine list`). A snapshot that shrank too much is held: nothing
    is annulled until --accept-shrink. Mappings are explained in docs/guide/connectors.md.

    \b
    Example:
      hub connect --validate
      HUB_SOURCE_ROOT=/data/drops HUB_BROKERS=kafka:9092 hub connect
      hub connect --source ga-huji --once
    """
    from connectors.loading import load_sources

    chosen = settings()
    if accept_shrink is not None:
        _accept(chosen, accept_shrink)
        return
    mappings = load_sources(chosen.sources, only)
    if validate:
        for mapping in mappings:
            streams = ", ".join(f"{stream.id} → {stream.topic}" for stream in mapping.streams)
            click.echo(f"{mapping.source} ({mapping.department}): {streams}")
        click.echo(f"{len(mappings)} mappings are valid")
        return
    _run(chosen, mappings, once)


def _accept(chosen: Settings, source: str) -> None:
    from connectors.loading import load_sources
    from connectors.service import accept_shrink
    from hub.ops.clock import Clock
    from hub.store.db import open_store

    (mapping,) = load_sources(chosen.sources, [source])
    streams = accept_shrink(open_store(chosen.store), mapping, Clock(chosen).now_ms())
    if not streams:
        click.echo(f"{source}: nothing is held")
        return
    click.echo(f"{source}: {', '.join(streams)} will be believed at the next reading")


def _run(chosen: Settings, mappings: list[SourceMapping], once: bool) -> None:
    from connectors.parts import open_parts
    from connectors.service import Connectors, hold_text
    from hub.ops.announce import announce
    from hub.ops.health import HealthServer
    from hub.ops.logs import configure, logger
    from hub.ops.shutdown import stop_event
    from hub.store.db import migrate, open_store
    from hub.vault.cards import open_vault

    configure("connector")
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    migrate(chosen.store)
    stop = stop_event()
    log = logger("connectors")
    totals: Counter[tuple[str, str, str]] = Counter()

    def report(source: str, stream: Stream, counts: Counter[tuple[str, str]]) -> None:
        told = {kind: count for (_topic, kind), count in sorted(counts.items()) if count and kind != "unchanged"}
        for (topic, kind), count in counts.items():
            totals[source, topic, kind] += count
        if told:
            log.info("read", source=source, stream=stream.id, **told)

    parts = open_parts(chosen, open_vault(chosen))
    connectors = Connectors(chosen, mappings, open_store(chosen.store), parts, report)
    health = HealthServer(chosen.bind, chosen.connector_port, ready=connectors.ready)
    heartbeat = announce(chosen.store, "connector", health.url)
    try:
        if not once:
            connectors.run(stop)
            return
        errors = connectors.run_once(stop, PATIENCE_S)
    finally:
        heartbeat.close()
        health.close()
        connectors.close()
        parts.close()
    _show(mappings, totals)
    for source, hold in connectors.holds:
        click.secho(hold_text(source, hold), fg="yellow", err=True)
    for error in errors:
        click.secho(f"hub: {error}", fg="red", err=True)
    if errors:
        sys.exit(1)


def _show(mappings: list[SourceMapping], totals: Counter[tuple[str, str, str]]) -> None:
    table = Table(title="采集 connectors: events")
    for heading in ("数源", "单位", *KINDS.values()):
        table.add_column(heading)
    for mapping in mappings:
        by_kind = {
            kind: sum(n for (source, _topic, one), n in totals.items() if source == mapping.source and one == kind)
            for kind in KINDS
        }
        table.add_row(mapping.source, mapping.department, *(str(by_kind[kind]) for kind in KINDS))
    Console().print(table)
