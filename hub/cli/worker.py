"""`hub worker`: the stream worker, a process of any number that share the partitions."""

from __future__ import annotations

import sys
from typing import Final

import click

from hub.settings import settings

WORKER: Final = ("-m", "hub.cli.main", "worker")
"""One copy, as the interpreter is told."""


@click.command(name="worker")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="processes on this machine; those beyond HUB_PARTITIONS find nothing to do",
)
def command(workers: int) -> None:
    """Join what departments report per person and home, decide by law, and publish alerts.

    \b
    BEFORE THE FIRST START
      hub keys init; hub topics create; hub schemas register; then `hub doctor`
    \b
    SCALING
      A worker owns whole partitions, of both stages, so HUB_PARTITIONS (fixed for ever) bounds how many can share
      the work, and nothing in one is needed by another. `--workers 4` starts four processes under one that starts
      again whatever ended for a passing reason (75, or a signal), with pauses from 1 s to 60 s, and ends all when
      one needs mending. On several machines, or in pods, start one each: deploy/kubernetes. Of several on one
      machine the first serves health on HUB_WORKER_PORT, the next on the port after it.
    \b
    STATE
      Lies in Kafka; nothing need be kept on disk. After a start or a take-over it is read back, and until then
      /ready says 503 and how far it has come. HUB_STATE=disk keeps it in HUB_STATE_DIR for states that memory does
      not hold; processes on one machine may share that folder.
    \b
    WHAT IT ANSWERS
      /live     the process runs
      /ready    200 when partitions are assigned and restored, else 503 with the reason
      /metrics  hub_worker_lag_records, _lag_seconds        how far behind
                hub_worker_event_to_alert_seconds           receipt of a record to the commit of its alert
                hub_worker_waited_seconds, _batch_seconds   the same by stage: until begun, and until committed
                hub_worker_restore_records_left, _restore_seconds_left
    \b
    HOW IT ENDS
      0    told to (SIGTERM), within 10 s
      75   start it again: Kafka, registry or store is away, it was fenced, or something hung (the log says what;
           HUB_HANG_…_S are the bounds)
      1    mend something first; the log says what
      It may be killed at any moment: outputs, state and position move together, so nothing is lost or invented.
      When it is, the others take over after HUB_SESSION_TIMEOUT_S.
    \b
    POLICY
      A worker decides only under the active policy pack and generation (`hub policy`, `hub generation`); the first
      one ever activates its own. Otherwise it waits, not ready, and says for what.
    \b
    EXAMPLE
      HUB_BROKERS=kafka:9092 HUB_REGISTRY_URL=http://registry:8080/apis/ccompat/v7 hub worker --workers 2
    """
    from hub.ops.logs import configure
    from hub.ops.shutdown import stop_event
    from hub.ops.supervisor import supervise

    if workers == 1:
        work()
        return
    configure("workers")
    stop = stop_event()
    chosen = settings()

    def env_of(index: int) -> dict[str, str]:
        return {
            "HUB_WORKER_PORT": str(chosen.worker_port + index),
            "HUB_CLIENT_ID": f"{chosen.client_id}-{index}",
        }

    sys.exit(supervise(workers, [sys.executable, *WORKER], env_of, stop))


def work() -> None:
    """Be one worker, until told to stop."""
    from hub.ops.announce import announce
    from hub.ops.health import HealthServer
    from hub.ops.logs import configure
    from hub.ops.shutdown import stop_event
    from hub.ops.supervisor import end_with_parent
    from hub.store.db import migrate
    from hub.streams.activation import Gate, held_by
    from hub.streams.generations import group_of
    from hub.streams.stages import law_of, stages_taking_over
    from hub.streams.upgrade import written_layout
    from hub.streams.worker import prepare, restoring, run, standing

    chosen = settings()
    configure(chosen.client_id.removeprefix("hub-"))
    stop = stop_event()
    end_with_parent()
    law = law_of(chosen)
    written = written_layout(chosen)
    gate = Gate(chosen, held_by(law, chosen.generation)._replace(state_codec=written))
    stages = stages_taking_over(chosen, law, chosen.generation, written)
    app = prepare(chosen, stages, group_of(chosen.generation), gate=gate)
    migrate(chosen.store)
    health = HealthServer(
        chosen.health_bind or chosen.bind,
        chosen.worker_port,
        ready=lambda: standing(app),
        more=lambda: restoring(app),
        exposed=bool(chosen.health_bind),
    )
    heartbeat = announce(chosen.store, "worker", health.url)

    def at_end() -> None:
        heartbeat.close()
        health.close()

    run(app, stop, at_end)
