"""Watching an engine from outside, the same way for all: its processor time and memory, and what it tells on Kafka."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.benchmarks import workload

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


def cpu_s(pids: Iterable[int]) -> float:
    """Processor seconds that processes have used, user and system."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def rss_mib(pids: Iterable[int]) -> float:
    """Resident memory of processes in MiB, shared pages counted once for each."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * _PAGE_KIB / 1024


class Tail:
    """Reads a topic as a downstream would (read_committed), from its beginning, keeping nothing of its own."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._codec = workload.WorkCodec()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench-tail",  # required by the client; no group is joined
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
            }
        )
        self._consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in range(partitions)])

    def read(self, timeout_s: float = 0.05) -> list[tuple[float, dict[str, Any]]]:
        """Values that came, each with the Unix time at which they were seen."""
        messages = self._consumer.consume(10_000, timeout=timeout_s)
        seen = time.time()
        return [(seen, self._codec.decode(m.topic(), m.value())) for m in messages if m.error() is None]

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()
