"""Days of the law: birthdays, whole months, and working days by the State Council's calendar.

Pure: the calendar is data (packs/calendar.yaml). Beyond its last published year Monday to Friday is assumed and the
result says it is provisional.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from typing import NamedTuple

from msgspec import Struct

_DAY = timedelta(days=1)


def add_months(day: date, months: int) -> date:
    """The same day some months later (or earlier); the last day of the month where it does not exist (民法典 202)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def birthday(born: date, age: int) -> date:
    """Day on which an age in full years is reached; born on 29 February: 28 February in common years (民法典 202)."""
    return add_months(born, age * 12)


def month_of(day: date) -> str:
    """`YYYY-MM`."""
    return f"{day.year:04d}-{day.month:02d}"


def first_of_next_month(day: date) -> date:
    """First day of the following month."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def after(day: date) -> date:
    """The next day."""
    return day + _DAY


class Due(NamedTuple):
    """A due date; `provisional` when it reaches beyond the published holidays."""

    day: date
    provisional: bool


class WorkCalendar(Struct, frozen=True):
    """Public holidays on weekdays and working days on weekends, up to `last_year` inclusive."""

    holidays: frozenset[date]
    workdays: frozenset[date]
    last_year: int

    def is_working_day(self, day: date) -> bool:
        """Whether offices work on this day."""
        return day in self.workdays or (day.weekday() < 5 and day not in self.holidays)

    def add_working_days(self, start: date, days: int) -> Due:
        """Last day of a term of `days` working days; the term starts the next working day."""
        if days < 0:
            raise ValueError("a term cannot be negative")
        day, left = start, days
        while left:
            day += _DAY
            if self.is_working_day(day):
                left -= 1
        return Due(day, day.year > self.last_year)
