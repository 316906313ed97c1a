"""A worker that runs one ledger: `python -m tests.integration.streams.ledger_worker NAME GROUP`.

LEDGER_KILL="point:n" ends it by SIGKILL at the nth passing of a point of the commit protocol. LEDGER_MUTANT plants one
of the two easy orders that are wrong, so that the check is seen to fail. LEDGER_BUDGET: reviews fired in one look;
LEDGER_SLEEP: seconds slept after each commit, so that what is under way stays under way on a quick machine too.
LEDGER_FLUSH has a store on disk flushed at every write, so that a kill leaves on disk what was written before it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hub.ops.health import HealthServer
from hub.ops.logs import configure
from hub.ops.shutdown import stop_event
from hub.settings import Settings
from hub.streams import disk, engine, rounds, transport
from hub.streams.commit import Outgoing, Passing, Writer
from hub.streams.worker import leave, prepare, run, standing
from tests.benchmarks import state_first
from tests.integration.streams.ledger import stage


class OutputsFirst(Writer):
    """Publishes what a batch says before it keeps what it knows."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.kept: dict[str, int] = {}

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> None:
        """In two transactions."""
        super().commit(outputs, {}, self.kept)
        super().commit([], states, offsets)
        self.kept = dict(offsets)


class StateFirst(Writer):
    """Keeps what it knows before it publishes what it says."""

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> None:
        """In two transactions."""
        super().commit([], states, offsets)
        super().commit(outputs, {}, offsets)


def killing(order: str, sleep_s: float = 0.0) -> Passing:
    """Ends the process at the nth passing of a point, and sleeps after each commit."""
    point, _, number = order.partition(":")
    seen: Counter[str] = Counter()

    def passing(here: str) -> None:
        seen[here] += 1
        if here == point and seen[here] == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        if here == "after_commit":
            time.sleep(sleep_s)

    return passing


def main() -> None:
    """Run until told to stop."""
    name, group = sys.argv[1:]
    configure("ledger")
    stop = stop_event()
    if "LEDGER_FLUSH" in os.environ:
        disk.FLUSH_EVERY_S = 0.0  # type: ignore[misc]
    mutant = os.environ.get("LEDGER_MUTANT")
    if mutant == "marker":
        state_first.install()
    elif mutant:
        setattr(engine, "Writer", {"outputs_first": OutputsFirst, "state_first": StateFirst}[mutant])  # noqa: B010 - mypy
    setattr(rounds, "FETCH_RECORDS", int(os.environ.get("LEDGER_FETCH", rounds.FETCH_RECORDS)))  # noqa: B010 - mypy
    setattr(transport, "BATCH_BYTES", int(os.environ.get("LEDGER_BYTES", transport.BATCH_BYTES)))  # noqa: B010 - mypy
    setattr(engine, "REVIEW_BUDGET", int(os.environ.get("LEDGER_BUDGET", engine.REVIEW_BUDGET)))  # noqa: B010 - mypy
    hook = killing(os.environ.get("LEDGER_KILL", "never:0"), float(os.environ.get("LEDGER_SLEEP", "0")))
    settings = Settings()
    try:
        app = prepare(settings, [stage(name)], group, hook)
    except Exception as error:
        leave(error)
    HealthServer(settings.bind, settings.worker_port, ready=lambda: standing(app))
    run(app, stop)


if __name__ == "__main__":
    main()
