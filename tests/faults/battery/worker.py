"""The hub's worker with windows in it: `python -m tests.faults.battery.worker GROUP`, or forked by the nursery.

It runs the two real stages as `hub worker` does. What differs is read from the environment:

    BATTERY_KILL     point:n, SIGKILL to itself at the nth passing of a point; POINTS names them
    BATTERY_SLEEP    seconds to sleep at each point, so that whatever may happen between two steps has time to
    BATTERY_FETCH    records of one fetch
    BATTERY_MUTANT   a planted fault of hub's program (tests.faults.battery.mutants)
    BATTERY_MEMTABLE bytes after which state on disk is written out: a full disk is to be met within a case
    BATTERY_FSIZE    largest size of a file, where no small file system can be mounted
    BATTERY_STORE    file into which SIGUSR1 makes it write what it holds
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from hub.discovery.law import catalogue_law
from hub.ops.health import HealthServer
from hub.ops.logs import configure
from hub.ops.shutdown import stop_event
from hub.packs import load_book
from hub.settings import Settings
from hub.streams import disk, rounds
from hub.streams import worker as hub_worker
from hub.streams.activation import Gate, held_by
from hub.streams.commit import Passing
from hub.streams.engine import Engine, Owned
from hub.streams.stages import stages_taking_over
from hub.streams.state import PartitionState, Slot
from hub.streams.worker import WorkerApp, leave, prepare, run, standing
from tests.faults.battery.mutants import MUTANTS
from tests.faults.battery.points import Hook
from tests.faults.battery.readback import digest


class PointedEngine(Engine):
    """The engine with points in its rebalance too."""

    def suspend(self) -> None:
        """Partitions are being taken away."""
        super().suspend()
        self._passing("mid_rebalance")

    def prepare(self, wanted: Iterable[Slot], cancelled: threading.Event) -> dict[Slot, Owned] | None:
        """The new partitions are restored, and nobody owns them yet."""
        made = super().prepare(wanted, cancelled)
        self._passing("after_rebalance")
        return made


def point_restores(passing: Passing) -> None:
    """A point at each changelog record that a restore reads."""
    load = PartitionState.load

    def pointed(self: PartitionState, key: bytes, value: bytes | None, *more: Any) -> Any:
        passing("mid_restore")
        return load(self, key, value, *more)

    setattr(PartitionState, "load", pointed)  # noqa: B010 - mypy


def tell_store(app: WorkerApp, file: Path) -> None:
    """Let SIGUSR1 write what each owned slot holds. The handler runs between two batches or not at all times alike:
    a batch under way shows in the offsets."""

    def write(_signal: int, _frame: FrameType | None) -> None:
        held: Mapping[str, Any] = {
            f"{slot.stage}-{slot.partition}": digest(app.engine.state(slot)) for slot in app.engine.slots
        }
        fresh = file.with_suffix(".partial")
        fresh.write_bytes(msgspec.json.encode({"ready": app.engine.ready, "slots": held}))
        fresh.rename(file)

    signal.signal(signal.SIGUSR1, write)


def main(group: str) -> None:
    """Run until told to stop, or to die."""
    configure("worker")
    stop = stop_event()
    hook = Hook(os.environ.get("BATTERY_KILL", ""), float(os.environ.get("BATTERY_SLEEP", "0")))
    setattr(rounds, "FETCH_RECORDS", int(os.environ.get("BATTERY_FETCH", "20")))  # noqa: B010 - mypy
    setattr(hub_worker, "Engine", PointedEngine)  # noqa: B010 - mypy
    point_restores(hook)
    if os.environ.get("BATTERY_MEMTABLE"):
        setattr(disk, "MEMTABLE_BYTES", int(os.environ["BATTERY_MEMTABLE"]))  # noqa: B010 - mypy
    if os.environ.get("BATTERY_FSIZE"):
        limit = int(os.environ["BATTERY_FSIZE"])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    mutant = os.environ.get("BATTERY_MUTANT")
    if mutant:
        MUTANTS[mutant]()
    chosen = Settings()
    try:
        law = catalogue_law(load_book(overlay=chosen.overlay or None))
        gate = Gate(chosen, held_by(law, chosen.generation))
        app = prepare(chosen, stages_taking_over(chosen, law, chosen.generation), group, hook, gate)
    except Exception as error:
        leave(error)
    HealthServer(chosen.bind, chosen.worker_port, ready=lambda: standing(app))
    tell_store(app, Path(os.environ["BATTERY_STORE"]))
    run(app, stop)


if __name__ == "__main__":
    main(sys.argv[1])
