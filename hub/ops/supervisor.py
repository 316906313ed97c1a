"""Runs N copies of one command on one machine: starts them, starts again what ended for a passing reason, ends all.

The copies share nothing but the machine, so each may end at any moment without the others noticing more than that its
part of the work comes to them. The supervisor holds no state either: killed, it takes its children with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hub.ops.logs import logger

PARENT: Final = "HUB_PARENT_PID"
"""In a child's environment: the supervisor, with which it ends."""

LOOK_S: Final = 0.2
"""How often children are looked at."""

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""Pauses before a start double from the first to the longest: a broker that is away for an hour is not hammered."""

SOUND_S: Final = 60.0
"""A child that ran this long was sound: its next pause is the first again."""

STOP_S: Final = 30.0
"""Longest orderly stop of all children; after it they are killed, which loses nothing."""

AGAIN: Final = 75
"""EX_TEMPFAIL of sysexits.h: started again it may do."""

_log = logger("ops")


class Child:
    """One copy: its process, and when it may start next."""

    def __init__(self, index: int, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.index = index
        self._command = list(command)
        self._env = {**os.environ, **env, PARENT: str(os.getpid())}
        self._pause_s = FIRST_PAUSE_S
        self._started_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.starts_at: float | None = 0.0
        """Monotonic seconds from which it may start; None while it runs, or when it has ended for good."""

    def start(self) -> None:
        """Start it now, with the supervisor's own output."""
        self.process = subprocess.Popen(self._command, env=self._env, stdin=subprocess.DEVNULL)  # noqa: S603 - our own program
        self._started_at, self.starts_at = time.monotonic(), None

    def again(self) -> float:
        """Have it started again after a pause; the pause in seconds."""
        now = time.monotonic()
        if now - self._started_at >= SOUND_S:
            self._pause_s = FIRST_PAUSE_S
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        self.starts_at = now + pause_s
        return pause_s

    def tell(self, signum: signal.Signals) -> None:
        """Send it a signal if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)


def supervise(
    count: int, command: Sequence[str], env_of: Callable[[int], Mapping[str, str]], stop: threading.Event
) -> int:
    """Run `count` copies until `stop`; the exit code to end with.

    A copy that ends with 75, or by a signal, is started again after a pause. One that ends with 0 was stopped by
    somebody and stays away. Any other code needs something mended, and ends all: the others would meet it too.
    Call it from the main thread.
    """
    children = [Child(index, command, env_of(index)) for index in range(count)]
    code = 0
    while not stop.wait(LOOK_S):
        for child in children:
            if child.starts_at is not None and time.monotonic() >= child.starts_at:
                child.start()
                continue
            ended = child.process.poll() if child.process is not None else None
            if child.starts_at is not None or ended is None:
                continue
            if ended == AGAIN or ended < 0:
                _log.warning("ended; starting again", copy=child.index, code=ended, pause_s=child.again())
            elif ended:
                _log.error("ended and needs mending; ending all", copy=child.index, code=ended)
                code = ended
        if code or all(child.starts_at is None and child.process and child.process.poll() == 0 for child in children):
            break
    _end(children)
    return code


def _end(children: Sequence[Child]) -> None:
    for child in children:
        child.tell(signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline and any(child.process and child.process.poll() is None for child in children):
        time.sleep(LOOK_S)
    for child in children:
        child.tell(signal.SIGKILL)
        if child.process is not None:
            child.process.wait()


def end_with_parent() -> None:
    """In a child: end when its supervisor is gone, in order at first, then by force. Does nothing without one."""
    parent = int(os.environ.get(PARENT, 0))
    if parent:
        threading.Thread(target=_follow, args=(parent,), name="parent", daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    _log.warning("the supervisor is gone; stopping")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_S)
    sys.stderr.flush()
    os._exit(AGAIN)
