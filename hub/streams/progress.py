"""How far a restore has come: written by the thread that restores, read by pages, /ready, metrics and the log.

What is left is counted in offsets between where a reader stands and the end of its partition. Compaction leaves gaps
and every commit a marker, so there are at most that many records; the number of records read is exact.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from hub.streams import metrics

LOG_EVERY_S: Final = 5.0
"""A restore that takes longer than this says so in the log, this often."""

SETTLED_S: Final = 1.0
"""No estimate of the time left before this much of it was seen: connecting takes a while and reads nothing."""


class StageProgress(Struct, frozen=True, kw_only=True):
    """One stage. `records_left` is an upper bound, `keys` how many states are there so far."""

    stage: str
    partitions: int
    partitions_done: int
    records_read: int
    records_left: int
    keys: int
    seconds_left: float | None


class Snapshot(Struct, frozen=True, kw_only=True):
    """A restore as it stands, or as the last one ended (`active` False). `started_at` is in UTC ms, None before any.

    `seconds_left` is an estimate from the speed so far; None where nothing can be said yet. The stages are read side
    by side, so the whole takes as long as what is left of all of them.
    """

    active: bool = False
    started_at: int | None = None
    seconds: float = 0.0
    records_read: int = 0
    records_left: int = 0
    keys: int = 0
    seconds_left: float | None = None
    stages: tuple[StageProgress, ...] = ()

    @property
    def share(self) -> float:
        """Part done, 0 to 1."""
        whole = self.records_read + self.records_left
        if whole and (self.active or self.records_left):
            return self.records_read / whole
        return 0.0 if self.started_at is None else 1.0

    def text(self) -> str:
        """A line for people, in English: /ready and the log. Pages word it themselves."""
        if not self.active:
            return "no restore is under way"
        left = "time left not known yet" if self.seconds_left is None else f"about {self.seconds_left:.0f} s left"
        return f"restoring state: {self.records_read} records read, at most {self.records_left} left, {left}"


class _Partition:
    """One partition under restore: offsets passed and left, records read, states held."""

    __slots__ = ("done", "keys", "left", "passed", "read")

    def __init__(self, left: int) -> None:
        self.left = left
        self.passed = self.read = self.keys = 0
        self.done = False


class RestoreProgress:
    """Progress of this process's restores, one after the other. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[tuple[str, int], _Partition] = {}
        self._active = False
        self._started_at: int | None = None
        self._began = self._ended = 0.0

    def begin(self, left: Mapping[tuple[str, int], int]) -> None:
        """A restore starts: offsets to pass, by (stage, partition)."""
        with self._lock:
            self._parts = {place: _Partition(count) for place, count in left.items()}
            self._active = True
            self._started_at = time.time_ns() // 1_000_000
            self._began = time.monotonic()

    def moved(self, stage: str, partition: int, *, read: int, left: int, keys: int) -> None:
        """`read` more records came; `left` offsets remain and `keys` states are held now."""
        with self._lock:
            part = self._parts[stage, partition]
            part.read += read
            part.passed += max(0, part.left - left)
            part.left = left
            part.keys = keys

    def done(self, stage: str, partition: int) -> None:
        """A partition was read to its end."""
        with self._lock:
            part = self._parts[stage, partition]
            part.passed += part.left
            part.left = 0
            part.done = True

    def end(self) -> None:
        """The restore is over, or was given up."""
        with self._lock:
            self._active = False
            self._ended = time.monotonic()
        self.show()

    def snapshot(self) -> Snapshot:
        """How it stands now."""
        with self._lock:
            if self._started_at is None:
                return Snapshot()
            seconds = (time.monotonic() if self._active else self._ended) - self._began
            by_stage: dict[str, list[_Partition]] = {}
            for (stage, _), part in sorted(self._parts.items()):
                by_stage.setdefault(stage, []).append(part)
            every = list(self._parts.values())
            return Snapshot(
                active=self._active,
                started_at=self._started_at,
                seconds=seconds,
                records_read=sum(part.read for part in every),
                records_left=sum(part.left for part in every),
                keys=sum(part.keys for part in every),
                seconds_left=_seconds_left(every, seconds) if self._active else 0.0,
                stages=tuple(
                    StageProgress(
                        stage=stage,
                        partitions=len(parts),
                        partitions_done=sum(part.done for part in parts),
                        records_read=sum(part.read for part in parts),
                        records_left=sum(part.left for part in parts),
                        keys=sum(part.keys for part in parts),
                        seconds_left=_seconds_left(parts, seconds) if self._active else 0.0,
                    )
                    for stage, parts in by_stage.items()
                ),
            )

    def show(self) -> None:
        """Set the gauges."""
        now = self.snapshot()
        for stage in now.stages:
            metrics.RESTORE_LEFT.labels(stage.stage).set(stage.records_left if now.active else 0)
            metrics.RESTORE_SECONDS_LEFT.labels(stage.stage).set(stage.seconds_left or 0.0)


def _seconds_left(parts: list[_Partition], seconds: float) -> float | None:
    left, passed = sum(part.left for part in parts), sum(part.passed for part in parts)
    if not left:
        return 0.0
    if not passed or seconds < SETTLED_S:
        return None
    return left * seconds / passed
