"""The named points of a worker's protocol, and what may happen to it there."""

from __future__ import annotations

import os
import select
import signal
from collections import Counter
from typing import Final

OF_THE_COMMIT: Final = (
    "after_begin",
    "after_outputs",
    "after_states",
    "after_produce_before_commit",
    "after_commit",
)
POINTS: Final = ("after_decode", *OF_THE_COMMIT, "mid_restore", "mid_rebalance", "after_rebalance")
"""Where a worker may be killed. `mid_restore`: at each changelog record; `mid_rebalance`: partitions were taken away;
`after_rebalance`: the new ones are open and restored but not yet owned."""


class Hook:
    """Called at every point: sleeps, and ends the process at the passing that was ordered."""

    def __init__(self, kill: str, sleep_s: float) -> None:
        self._point, _, number = kill.partition(":")
        self._number = int(number or 0)
        self._sleep_s = sleep_s
        self._seen: Counter[str] = Counter()

    def __call__(self, here: str) -> None:
        """Pass a point."""
        self._seen[here] += 1
        if here == self._point and self._seen[here] == self._number:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._sleep_s and here != "mid_restore":
            select.select((), (), (), self._sleep_s)  # as time.sleep, which libfaketime makes fail
