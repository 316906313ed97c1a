"""The watchdog: a thread of its own that ends the process where it would hang, and says which wait it was.

Faust swallows some faults, a rebalance may never end, and a stuck callback leaves a member whose heartbeats go on from
another thread: it keeps its partitions and does nothing. So each kind of progress has a mark that moves while there is
any; one that stands still longer than its bound ends the process, and who started it starts it again.

Time is what this thread saw pass: each look counts at most `LOOK_S` twice, and after a pause longer than `RESUMED_S`
(a suspended machine, SIGSTOP) every bound begins anew, since whatever stood still then was not hanging.

Out of its reach: native code that never gives the interpreter's lock back stops this thread too. Then /live does not
answer either, which is what an orchestrator's liveness probe is for.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Sequence
from typing import Final, NamedTuple

from hub.errors import Hung
from hub.ops.logs import logger

LOOK_S: Final = 1.0
"""How often the marks are looked at."""

RESUMED_S: Final = 5.0
"""A longer pause between two looks means that the process was suspended; a busy machine does not starve a thread so."""

LAST_WORDS_S: Final = 2.0
"""How long the log may take: the thread that hangs may hold its lock."""

FRAMES: Final = 12
"""Innermost frames of the main thread that the log shows."""

EXIT: Final = 75
"""Start it again: EX_TEMPFAIL of sysexits.h, as for every transient fault."""

_log = logger("streams")


class Wait(NamedTuple):
    """One kind of progress.

    `mark` is called from the watchdog's thread, so it only reads: None while nothing is waited for, else a value that
    changes as there is progress. `name` says what is waited for; the mark itself is never shown. `about` gives more
    for the log, without personal data.
    """

    name: str
    bound_s: float
    mark: Callable[[], Hashable | None]
    about: Callable[[], str] = str


class Watchdog:
    """Looks at waits until `stop`. `end` is given the fault; by default it logs it and ends the process."""

    def __init__(self, waits: Sequence[Wait], end: Callable[[Hung], None] | None = None) -> None:
        self._waits = waits
        self._end = end or end_process
        self._still: dict[str, tuple[Hashable, float]] = {}  # name → (mark, seconds it was seen standing still)
        self._looked: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def look(self, now: float) -> Hung | None:
        """One look at all waits; `now` in monotonic seconds. The fault of the first wait that hangs, if one does."""
        passed = 0.0 if self._looked is None else now - self._looked
        self._looked = now
        if passed > RESUMED_S:
            self._still.clear()
            passed = 0.0
        for wait in self._waits:
            mark = wait.mark()
            if mark is None:
                self._still.pop(wait.name, None)
                continue
            held, still = self._still.get(wait.name, (mark, 0.0))
            still = still + min(passed, 2 * LOOK_S) if held == mark else 0.0
            self._still[wait.name] = mark, still
            if still >= wait.bound_s:
                about = wait.about()
                return Hung(
                    f"{wait.name}{f' ({about})' if about else ''}: no progress for {still:.0f} s — start it again; if "
                    "it comes back, see the stack beside this line, and Kafka's log"
                )
        return None

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            hung = self.look(time.monotonic())
            if hung is not None:
                self._end(hung)
                return


def end_process(hung: Hung) -> None:
    """Log what hung and where the main thread stands, then end the process with EXIT, whoever holds which lock."""
    words = threading.Thread(target=_say, args=(hung,), daemon=True)
    words.start()
    words.join(LAST_WORDS_S)
    os._exit(EXIT)


def _say(hung: Hung) -> None:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    stack = [] if frame is None else traceback.extract_stack(frame)[-FRAMES:]  # places only, no values
    _log.error(
        "stopping, something hangs",
        reason=hung.code,
        detail=str(hung),
        stack=[f"{place.filename}:{place.lineno} {place.name}" for place in stack],
    )
    sys.stderr.flush()
