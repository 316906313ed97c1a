"""What an engine's process is told by its environment, and what it tells back: JSON lines in a status file."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple


class Given(NamedTuple):
    """What one engine process is to work on."""

    bootstrap: str
    prefix: str
    partitions: int
    state_dir: Path
    status: Path

    def environment(self) -> dict[str, str]:
        """As environment variables."""
        return {
            "BENCH_BOOTSTRAP": self.bootstrap,
            "BENCH_PREFIX": self.prefix,
            "BENCH_PARTITIONS": str(self.partitions),
            "BENCH_STATE_DIR": str(self.state_dir),
            "BENCH_STATUS": str(self.status),
        }

    def tell(self, event: str, **more: Any) -> None:
        """Append a line to the status file."""
        with self.status.open("a") as out:
            out.write(json.dumps({"event": event, "at": time.time(), **more}) + "\n")

    def told(self, event: str) -> dict[str, Any] | None:
        """The last line of a kind, None where there is none."""
        if not self.status.exists():
            return None
        lines = [json.loads(line) for line in self.status.read_text().splitlines()]
        return next((line for line in reversed(lines) if line["event"] == event), None)


def given() -> Given:
    """What this process was told."""
    env = os.environ
    return Given(
        env["BENCH_BOOTSTRAP"],
        env["BENCH_PREFIX"],
        int(env["BENCH_PARTITIONS"]),
        Path(env["BENCH_STATE_DIR"]),
        Path(env["BENCH_STATUS"]),
    )
