"""Days and instants. A day is a day in Lishui (Asia/Shanghai); an instant is UTC milliseconds."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

# China keeps one zone without summer time since 1991; no deadline of the hub reaches further back.
SHANGHAI: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
DAY_MS: Final = 24 * 60 * 60 * 1000
_EPOCH: Final = date(1970, 1, 1)
_OFFSET_MS: Final = 8 * 60 * 60 * 1000


def local_date(instant_ms: int) -> date:
    """Day in Asia/Shanghai on which an instant (UTC milliseconds) falls."""
    return _EPOCH + timedelta(days=(instant_ms + _OFFSET_MS) // DAY_MS)


def day_start_ms(day: date) -> int:
    """First instant of a day in Asia/Shanghai, UTC milliseconds."""
    return (day - _EPOCH).days * DAY_MS - _OFFSET_MS


def instant_ms(moment: datetime) -> int:
    """UTC milliseconds of a moment; one without a zone is taken as Asia/Shanghai, as department systems write it."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)
    return int(aware.timestamp() * 1000)


def local_moment(instant: int) -> datetime:
    """The moment in Asia/Shanghai, for people to read."""
    return datetime.fromtimestamp(instant / 1000, tz=UTC).astimezone(SHANGHAI)


def at_noon_ms(day: date) -> int:
    """Noon of a day in Asia/Shanghai: the instant used for what is dated by the day alone."""
    return instant_ms(datetime.combine(day, time(12), SHANGHAI))
