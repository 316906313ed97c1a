"""What the environment tells an engine's process about where to work, and the file in which it tells how far it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Broker, names and folders of one engine's process."""

    bootstrap: str
    prefix: str
    """Of its own topics, and its group or application id."""
    partitions: int
    """Of every topic."""
    state_dir: Path
    """Local state; may be wiped between two runs."""
    status: Path
    """JSON lines: started, restored, ready."""

    def topic(self, name: str) -> str:
        """The engine's own topic of a name."""
        return f"{self.prefix}.{name}"

    def tell(self, event: str, **more: Any) -> None:
        """Append to the status file: `started` (engine, version), `restored` (seconds, keys), `ready`."""
        line = json.dumps({"event": event, **more})
        with self.status.open("a") as out:
            out.write(line + "\n")
        print(line, flush=True)  # noqa: T201 - into the process's log

    def assert_version(self, engine: str, wanted: str, found: str) -> None:
        """Say which engine this is, and end unless it is the version that was asked for."""
        if found != wanted:
            raise SystemExit(
                f"{engine} is {found}, not {wanted} — make its environment again: "
                f"python -m tests.benchmarks.peers.setup"
            )
        self.tell("started", engine=engine, version=found)


def place() -> Place:
    """From BENCH_BOOTSTRAP, BENCH_PREFIX, BENCH_PARTITIONS, BENCH_STATE_DIR and BENCH_STATUS."""
    env = os.environ
    return Place(
        env["BENCH_BOOTSTRAP"],
        env["BENCH_PREFIX"],
        int(env["BENCH_PARTITIONS"]),
        Path(env["BENCH_STATE_DIR"]),
        Path(env["BENCH_STATUS"]),
    )
