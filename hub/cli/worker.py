"""`hub worker`: the stream worker, a process of any number that share the partitions."""

from __future__ import annotations

import click

from hub.settings import settings


@click.command(name="worker")
def command() -> None:
    """Join what departments report per person and home, decide by law, and publish alerts.

    Start as many as there are partitions to share (HUB_PARTITIONS); they divide the work among themselves, and when
    one ends the others take its part over within seconds. State lies in Kafka, so nothing needs to be kept on disk.

    Before the first start: `hub keys init`, `hub topics create`, `hub schemas register`. Health and metrics are
    served on HUB_WORKER_PORT: /live, /ready (partitions owned and restored), /metrics.

    A worker decides only under the active policy pack and generation (`hub policy`, `hub generation`); the first one
    ever activates its own. Otherwise it waits, not ready, and says for what.

    The process ends by itself when Kafka or the registry is gone (exit code 75: start it again) and when another
    worker took its partitions over or something must be mended first (exit code 1). It may be killed at any moment:
    outputs, state and position move together, so nothing is lost or invented.

    \b
    Example:
      HUB_BROKERS=kafka:9092 HUB_REGISTRY_URL=http://registry:8080/apis/ccompat/v7 hub worker
    """
    from hub.discovery.law import catalogue_law
    from hub.ops.announce import announce
    from hub.ops.health import HealthServer
    from hub.ops.logs import configure
    from hub.ops.shutdown import stop_event
    from hub.packs import load_book
    from hub.store.db import migrate
    from hub.streams.activation import Gate, held_by
    from hub.streams.generations import group_of
    from hub.streams.stages import stages_taking_over
    from hub.streams.worker import prepare, restoring, run, standing

    configure("worker")
    stop = stop_event()
    chosen = settings()
    law = catalogue_law(load_book(overlay=chosen.overlay or None))
    gate = Gate(chosen, held_by(law, chosen.generation))
    stages = stages_taking_over(chosen, law, chosen.generation)
    app = prepare(chosen, stages, group_of(chosen.generation), gate=gate)
    migrate(chosen.store)
    health = HealthServer(chosen.bind, chosen.worker_port, ready=lambda: standing(app), more=lambda: restoring(app))
    heartbeat = announce(chosen.store, "worker", health.url)

    def at_end() -> None:
        heartbeat.close()
        health.close()

    run(app, stop, at_end)
