"""Which Kafka clients of this process still run."""

from __future__ import annotations

from pathlib import Path


def client_threads() -> list[str]:
    """Names of librdkafka's threads in this process."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except OSError:  # it has just ended
            continue
        if name.startswith("rdk:"):
            names.append(name)
    return sorted(names)
