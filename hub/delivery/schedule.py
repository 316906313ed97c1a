"""When to try again: the schedule, `Retry-After` in both its forms, and the pause of an endpoint that fails."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT_S: Final = 7 * 24 * 3600.0
"""A `Retry-After` beyond a week is taken as a week: a line's clock may be wrong by years."""

LONGEST_PAUSE_S: Final = 300.0
"""An endpoint that fails is asked again after five minutes at the latest, so that a healed line fills at once."""


def delay_s(failed: int, schedule: Sequence[float]) -> float | None:
    """Seconds until the next attempt after `failed` failed ones (1 or more); None when none is left."""
    return schedule[failed - 1] if failed <= len(schedule) else None


def pause_s(failures: int, schedule: Sequence[float]) -> float:
    """Seconds for which a line is left alone after `failures` failed deliveries in a row (1 or more).

    The first delay of the schedule, doubled with each failure: shorter than the schedule's own steps, since a pause
    holds back what was never tried.
    """
    first = schedule[0] if schedule else LONGEST_PAUSE_S
    return min(first * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE_S)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds asked for by a `Retry-After` header (RFC 9110 10.2.3: seconds, or an HTTP date), from 0 to a week.

    `now` is aware. None where the header is absent or says nothing that can be understood.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)  # "-0000" in the header
    return min(max(0.0, (until - now).total_seconds()), LONGEST_WAIT_S)
