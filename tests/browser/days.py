"""The day on which the page tests play: the pages run on a rehearsal clock, so that due dates are what they are."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from hub.domain.times import at_noon_ms

TODAY: Final = date(2026, 3, 16)
NOW_TEXT: Final = "2026-03-16T12:00:00+08:00"
NOW_MS: Final = at_noon_ms(TODAY)


def ago(days: int) -> date:
    """A day in the past; a negative number is one to come."""
    return TODAY - timedelta(days=days)
