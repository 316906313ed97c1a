"""The worker: a Faust app with one agent a stage around the engine, run until it is told to stop or must end.

A fault of the infrastructure, a bug or a fencing ends the process at once, before anything further is committed; who
started it starts it again, and it reads on from the last commit. Trying to go on inside would need every layer to be
sure of what the others still hold.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import faust
import msgspec
from faust.app.base import BootStrategy

from hub.errors import Fenced, HubError, Transient
from hub.ops.clock import Clock
from hub.ops.logs import logger
from hub.settings import Settings
from hub.streams.activation import Gate
from hub.streams.admin import check_topics
from hub.streams.codec import Codec
from hub.streams.commit import Passing, unhindered
from hub.streams.engine import Batch, Engine
from hub.streams.placement import check_placement
from hub.streams.stage import Stage
from hub.streams.topics import POLICY, QUARANTINE
from hub.streams.transport import FAUST_LOG, SCHEME, BatchSchema
from hub.streams.watchdog import Wait, Watchdog
from hub.vault.keys import load_keys
from hub.vault.sealed import Sealer

GROUP: Final = "hub-worker"
TICK_S: Final = 1.0
"""How often due reviews and lag are looked at."""

TELL_GROUP_S: Final = 5.0
"""How often the consumer group is told where the worker stands."""

STOP_S: Final = 10.0
"""Longest orderly stop. Faust's may hang; leaving by force loses nothing, since only commits count."""

COLLECT: Final = (100_000, 10, 10)
"""Thresholds of Python's search for cycles. A batch makes some ten thousand objects, none of them in a cycle; by the
default of 700 the search took a fifth of all processor time (docs/decisions/0013-where-the-floor-is.md)."""

_log = logger("streams")


class _Boot(BootStrategy):  # type: ignore[misc]  # Faust ships no types
    """No web server and no producer of Faust's own: health and transactions are the hub's."""

    enable_web = False
    enable_kafka_producer = False


class WorkerApp(faust.App):  # type: ignore[misc]  # Faust ships no types
    """Faust's app, knowing the engine. Restores at the end of each rebalance, before the flow resumes."""

    BootStrategy = _Boot
    logger = FAUST_LOG
    engine: Engine

    def __init__(self, settings: Settings, group: str, engine: Engine, gate: Gate | None = None) -> None:
        self.engine = engine
        self.gate = gate
        self.chosen = settings
        self.beats = 0
        """Rounds of the event loop, a tenth of a second apart."""
        self.ticks = 0
        """Looks at reviews and lag that ended."""
        self.lag = 0
        """Records not yet read when last looked."""
        self.restoring = 0
        """Restores under way; the next may begin while one that was cancelled ends."""
        self.stopping = False
        self._restore_cancelled = threading.Event()
        super().__init__(
            group,
            broker=[f"{SCHEME}://{broker.strip()}" for broker in settings.brokers.split(",")],
            broker_client_id=settings.client_id,
            datadir=settings.data_dir / "faust",  # Faust makes it; nothing is kept there
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.heartbeat,
            broker_commit_interval=TELL_GROUP_S,
            topic_allow_declare=False,  # topics are made by `hub topics create`
            topic_disable_leader=True,
            stream_wait_empty=False,
            loghandlers=[],
            autodiscover=False,
        )
        self.on_rebalance_complete.connect(self._restore, weak=False)

    def on_assignment_ends(self) -> None:
        """Partitions are being handed round anew."""
        try:
            self.engine.suspend()
        except Exception as error:
            leave(error)
        self._restore_cancelled.set()

    async def _restore(self, *_sender: Any, **_details: Any) -> None:
        """Own the slots of the new assignment."""
        self.restoring += 1
        try:
            epoch = self.engine.epoch
            cancelled = self._restore_cancelled = threading.Event()
            wanted = self.engine.slots_of(self.consumer.assignment())
            self.engine.release(kept=wanted)
            _log.info("assigned; restoring", slots=len(wanted))
            fresh = await asyncio.get_running_loop().run_in_executor(None, self.engine.prepare, wanted, cancelled)
            if fresh is None:
                return
            if epoch != self.engine.epoch:
                for owned in fresh.values():
                    owned.close()
                return
            self.engine.adopt(fresh)
            _log.info("restored", slots=len(wanted), states=sum(len(owned.state) for owned in fresh.values()))
        except Exception as error:
            leave(error)
        finally:
            self.restoring -= 1


def build(settings: Settings, engine: Engine, group: str, gate: Gate | None = None) -> WorkerApp:
    """The app with an agent for each stage and a timer for reviews and lag."""
    app = WorkerApp(settings, group, engine, gate)
    for stage in engine.stages.values():
        topic = app.topic(*sorted(stage.input_names), schema=BatchSchema())
        app.agent(topic, name=stage.name)(_agent(app))
    app.timer(interval=TICK_S)(_tick(app))
    return app


def _agent(app: WorkerApp) -> Any:
    async def work(stream: Any) -> None:
        async for event in stream.noack().events():
            batch: Batch = event.value
            try:
                with app.consumer.pace.folding(len(batch.records)):
                    app.engine.process(batch)
                if app.consumer.folded(batch):
                    app.engine.settle()
            except Exception as error:
                leave(error)

    return work


def _tick(app: WorkerApp) -> Any:
    async def tick() -> None:
        try:
            if app.gate is not None:
                app.gate.look()
            idle_until = time.monotonic() + TICK_S
            while app.engine.review():
                if app.lag or time.monotonic() > idle_until:
                    break
                await asyncio.sleep(0)  # with nothing else to do, what is left need not wait for the next tick
            if app.engine.ready:
                behind = await app.consumer.behind()
                app.lag = sum(behind.values())
                app.engine.observe(behind)
            app.ticks += 1
        except Exception as error:
            leave(error)

    return tick


def leave(error: BaseException) -> NoReturn:
    """End the process now: 75 where starting again may help, else 1. Nothing uncommitted becomes visible.

    Who was fenced may start again: it joins the group anew and takes over nothing but what it is assigned.
    """
    code = 75 if isinstance(error, Transient | Fenced) else 1
    if isinstance(error, HubError):
        _log.error("stopping", reason=error.code, detail=str(error))
    else:
        _log.error("stopping on a fault of the program", exc_info=error)
    sys.stderr.flush()
    os._exit(code)


def prepare(
    settings: Settings,
    stages: Sequence[Stage],
    group: str = GROUP,
    passing: Passing = unhindered,
    gate: Gate | None = None,
) -> WorkerApp:
    """Check that topics, keys and registry are as they must be, then build the app. ConfigurationError, Transient.

    With a `gate` the worker works only while what it holds is the active policy and generation.
    """
    needed = {topic.name: topic for stage in stages for topic in (*stage.inputs, stage.state_topic, QUARANTINE)}
    if gate is not None:
        needed[POLICY.name] = POLICY
    check_topics(settings, needed.values())
    check_placement(settings, {topic.name: topic for stage in stages for topic in stage.inputs}.values())
    engine = Engine(
        settings,
        stages,
        Codec(settings.registry_url),
        Sealer(load_keys(settings.keys)),
        Clock(settings),
        passing,
        admitted=gate.check if gate is not None else lambda: None,
    )
    return build(settings, engine, group, gate)


def run(app: WorkerApp, stop: threading.Event, at_end: Callable[[], None] = lambda: None) -> NoReturn:
    """Work until `stop` is set, then stop in order within STOP_S seconds, call `at_end`, and leave the process.

    It never returns: threads of Faust that hang would keep a process that has nothing left to do.
    """
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        if app.gate is not None and not app.gate.wait(stop):
            at_end()
            os._exit(0)
    except Exception as error:
        leave(error)
    Watchdog(waits_of(app)).start()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    try:
        asyncio.run(_work(app, stop, at_end))
    finally:
        os._exit(1)


async def _work(app: WorkerApp, stop: threading.Event, at_end: Callable[[], None]) -> NoReturn:
    starting = asyncio.ensure_future(app.start())
    while not stop.is_set():
        app.beats += 1
        if app.crashed:
            leave(app.crash_reason or RuntimeError("Faust ended without a reason"))
        if starting.done() and starting.exception() is not None:
            leave(starting.exception() or RuntimeError("Faust did not start"))
        await asyncio.sleep(0.1)
    _log.info("stopping in order")
    app.stopping = True
    app.engine.suspend()
    app.engine.release()
    try:
        await asyncio.wait_for(app.stop(), STOP_S)
    except (TimeoutError, asyncio.CancelledError):
        _log.info("Faust did not stop in time; leaving without it, which loses nothing")
    at_end()
    sys.stderr.flush()
    os._exit(0)


def waits_of(app: WorkerApp) -> list[Wait]:
    """What a worker waits for, and how long at most: the watchdog's work list. Read from the watchdog's thread."""
    engine, bounds = app.engine, app.chosen

    def works() -> bool:
        return engine.ready and not app.stopping

    def doing() -> str:
        now = engine.doing
        return "" if now is None else f"{now[0]} of {now[1].stage}, partition {now[1].partition}"

    def handed_out() -> int:
        return app.consumer.handed_out if works() else 0

    return [
        Wait("a batch", bounds.hang_batch_s, lambda: engine.doing and (engine.doing, engine.folds), doing),
        Wait("the event loop", bounds.hang_loop_s, lambda: None if engine.doing else app.beats),
        Wait(
            "the restore of state",
            bounds.hang_restore_s,
            lambda: _restored(engine) if app.restoring else None,
            lambda: engine.progress.snapshot().text(),
        ),
        Wait(
            "an assignment by the group",
            bounds.hang_assignment_s,
            lambda: None if engine.ready or app.restoring or app.stopping else "away",
        ),
        Wait(
            "batches, with records waiting",
            bounds.hang_lag_s,
            lambda: engine.batches if works() and (app.lag or handed_out()) else None,
            lambda: f"{app.lag} records not read, {handed_out()} batches handed out",
        ),
        Wait("the look at reviews and lag", bounds.hang_lag_s, lambda: app.ticks if works() else None),
        Wait(
            "Kafka's answer to a fetch",
            bounds.hang_lag_s,
            lambda: app.consumer.answered or 0 if works() and engine.slots else None,
        ),
    ]


def _restored(engine: Engine) -> tuple[int, ...]:
    now = engine.progress.snapshot()
    return engine.epoch, now.records_read, now.records_left, now.keys


def standing(app: WorkerApp) -> tuple[bool, str]:
    """Whether this worker works, and a word for people: what /ready answers."""
    engine = app.engine
    waits_for = app.gate.standing() if app.gate is not None else None
    if waits_for is not None:
        return False, waits_for
    if app.stopping:
        return False, "stopping"
    if app.restoring:
        return False, engine.progress.snapshot().text()
    if not engine.ready:
        return False, "waiting for partitions"
    return True, f"{len(engine.slots)} slots"


def restoring(app: WorkerApp) -> dict[str, Any]:
    """How far a restore has come, for /ready: `restore` with counts of the whole and of each stage; empty else."""
    now = app.engine.progress.snapshot()
    return {"restore": msgspec.to_builtins(now)} if app.restoring and now.active else {}
