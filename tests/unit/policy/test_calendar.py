"""Birthdays, months and working days."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.packs import load_book
from hub.policy.bills import leaving_day, window_start
from hub.policy.calendar import add_months, birthday, first_of_next_month, month_of


@pytest.mark.parametrize(
    ("born", "age", "expected"),
    [
        (date(1946, 5, 20), 80, date(2026, 5, 20)),
        (date(1944, 2, 29), 80, date(2024, 2, 29)),
        (date(2008, 2, 29), 18, date(2026, 2, 28)),  # no such day in a common year: 民法典 202
    ],
)
def test_birthday(born: date, age: int, expected: date) -> None:
    """An age is reached on the birthday."""
    assert expected == birthday(born, age)


def test_months() -> None:
    """Clamped to the month's last day, over year ends, backwards too."""
    assert date(2026, 2, 28) == add_months(date(2025, 8, 31), 6)
    assert date(2025, 12, 31) == add_months(date(2026, 1, 31), -1)
    assert (date(2027, 1, 1), "2026-03") == (first_of_next_month(date(2026, 12, 31)), month_of(date(2026, 3, 9)))


def test_working_days() -> None:
    """The term starts the next working day; holidays are skipped and working weekends count."""
    calendar = load_book().calendar
    # 国庆 2025: 1 to 8 October are holidays (with 中秋), Saturday 11 October is worked.
    assert (date(2025, 10, 9), False) == calendar.add_working_days(date(2025, 9, 30), 1)
    assert (date(2025, 10, 11), False) == calendar.add_working_days(date(2025, 9, 30), 3)
    assert (date(2025, 9, 30), False) == calendar.add_working_days(date(2025, 9, 30), 0)
    with pytest.raises(ValueError, match="negative"):
        calendar.add_working_days(date(2025, 9, 30), -1)


def test_beyond_the_last_published_year() -> None:
    """Monday to Friday is assumed and marked."""
    calendar = load_book().calendar
    friday = date(calendar.last_year + 1, 6, 1)
    while friday.weekday() != 4:
        friday += timedelta(days=1)
    assert (friday + timedelta(days=3), True) == calendar.add_working_days(friday, 1)


@given(st.dates(date(2019, 1, 1), date(2032, 12, 31)))
def test_a_bill_leaves_on_the_first_day_whose_window_lacks_it(day: date) -> None:
    """In on the day before it leaves, out from then on."""
    leaves = leaving_day(day)
    assert window_start(leaves) > day >= window_start(leaves - timedelta(days=1))
