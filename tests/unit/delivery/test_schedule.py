"""When deliveries are tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.delivery.lines import load_register
from hub.delivery.schedule import LONGEST_PAUSE_S, LONGEST_WAIT_S, delay_s, pause_s, retry_after_s
from hub.settings import Settings

NOW = datetime(2026, 5, 28, 9, 0, tzinfo=UTC)
SHIPPED = load_register(Settings()).delivery.schedule_s


def test_the_shipped_schedule_is_the_standards_and_reaches_over_a_long_holiday() -> None:
    """0, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h and on, for more than five days in all."""
    assert SHIPPED[:6] == (5, 300, 1800, 7200, 18000, 36000)
    assert sum(SHIPPED) > 5 * 24 * 3600
    assert list(SHIPPED) == sorted(SHIPPED)


def test_each_failure_takes_the_next_delay_and_the_last_one_gives_up() -> None:
    """The first failure takes the first delay; one failure more than there are delays ends it."""
    assert [delay_s(failed, (5, 300)) for failed in (1, 2, 3)] == [5, 300, None]
    assert delay_s(1, ()) is None


def test_a_pause_doubles_and_stays_short() -> None:
    """What was never tried must not wait as long as what failed often."""
    assert [pause_s(failures, SHIPPED) for failures in (1, 2, 3)] == [5, 10, 20]
    assert pause_s(10_000, SHIPPED) == LONGEST_PAUSE_S


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 0 ", 0),
        ("9" * 30, LONGEST_WAIT_S),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=400), usegmt=True), LONGEST_WAIT_S),
        ("Thu, 28 May 2026 09:01:00 -0000", 60),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    """Seconds or a date; a past date means now; anything else says nothing."""
    assert retry_after_s(header, NOW) == seconds


@given(st.text())
def test_no_header_breaks_the_sender(header: str) -> None:
    """Whatever a line writes there, it is a wait within bounds or none."""
    wait = retry_after_s(header, NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT_S
