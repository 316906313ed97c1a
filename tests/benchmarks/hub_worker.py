"""The hub's worker on the workload: its transport, engine, state and commit as they are, with other stages.

`python -m tests.benchmarks.hub_worker`; see tests.benchmarks.process for what its environment says.
"""

from __future__ import annotations

import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hub.ops.clock import Clock
from hub.ops.logs import configure
from hub.ops.shutdown import stop_event
from hub.settings import Settings
from hub.streams.engine import Engine
from hub.streams.worker import build, leave, run
from hub.vault.keys import generate
from hub.vault.sealed import Sealer
from tests.benchmarks.process import Given, given
from tests.benchmarks.stages import KEYS, stages
from tests.benchmarks.workload import WorkCodec


class Timed(Engine):
    """Tells how long the first restore took."""

    told: Given

    def prepare(self, *args: Any) -> Any:
        """Restore, and remember how long it took."""
        began = time.monotonic()
        fresh = super().prepare(*args)
        if fresh:
            keys = sum(len(owned.state) for owned in fresh.values())
            self.told.tell("restored", seconds=time.monotonic() - began, keys=keys)
        return fresh

    def adopt(self, *args: Any) -> None:
        """Own the slots, and say so."""
        super().adopt(*args)
        self.told.tell("ready")


def main() -> None:
    """Run until told to stop."""
    told = given()
    configure("bench")
    stop = stop_event()
    told.tell("started", engine="hub", version=version("civil-affairs-hub"))
    settings = Settings(
        data_dir=Path(told.state_dir), brokers=told.bootstrap, partitions=told.partitions, registry_url="http://none"
    )
    try:
        engine = Timed(
            settings, stages(told.prefix), WorkCodec(), Sealer(generate()), Clock(settings), keys=KEYS
        )  # fmt: skip
        engine.told = told
        app = build(settings, engine, told.prefix)
    except Exception as error:
        leave(error)
    if "BENCH_PROFILE" in os.environ:
        _profiled(app, stop, Path(os.environ["BENCH_PROFILE"]))
    run(app, stop)


def _profiled(app: Any, stop: Any, out: Path) -> None:
    import cProfile

    profile = cProfile.Profile()
    profile.enable()

    def at_end() -> None:
        profile.disable()
        profile.dump_stats(out)

    run(app, stop, at_end)


if __name__ == "__main__":
    main()
