"""Orderly stop: SIGTERM and SIGINT set an event that every loop looks at between two units of work."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def stop_event() -> threading.Event:
    """An event set by the first SIGTERM or SIGINT. A second one ends the process at once, as people expect."""
    event = threading.Event()

    def stop(signum: int, _frame: FrameType | None) -> None:
        if event.is_set():
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
        event.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    return event
