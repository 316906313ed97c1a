"""Single values: what fits, what does not, and that no complaint repeats the value."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.values import (
    Misfit,
    date_of,
    describe,
    instant_of,
    money_of,
    month_of,
    region_of,
    text_of,
    truth_of,
    whole_of,
)
from hub.domain.codes import QUARANTINE_REASONS
from hub.domain.times import instant_ms

ZONE = "Asia/Shanghai"


def moment(text: str) -> datetime:
    """A moment without a zone, as database drivers give it."""
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("raw", "fen"),
    [
        ("1,234.50", 123450),
        ("1234.5", 123450),
        ("0.05", 5),
        ("-0.05", -5),
        ("-12", -1200),
        ("+3.10", 310),
        ("￥3", 300),
        ("¥1,000,000.00", 100000000),
        ("１２．５０", 1250),
        ("88.10元", 8810),
        (" 7 ", 700),
        ("12.3400", 1234),
        (19.99, 1999),
        (0.1 + 0.2, 30),
        (12, 1200),
        (Decimal("12.3400"), 1234),
    ],
)
def test_money_becomes_fen(raw: Any, fen: int) -> None:
    assert fen == money_of(raw, "yuan")


@pytest.mark.parametrize(
    "raw", ["abc", "1,23.00", "12.345", "--1", "1e3", "", True, float("nan"), Decimal("Infinity"), "12 34"]
)
def test_what_is_no_amount(raw: Any) -> None:
    with pytest.raises(Misfit) as caught:
        money_of(raw, "yuan")
    assert caught.value.reason == "not_a_number"


def test_money_in_fen_stays_whole() -> None:
    assert money_of("1050", "fen") == 1050
    with pytest.raises(Misfit):
        money_of("10.5", "fen")


@given(st.integers(-(10**13), 10**13))
def test_money_is_exact(fen: int) -> None:
    """Whatever a department writes with two decimals comes back to the 分, with or without thousands."""
    sign, yuan, rest = "-" if fen < 0 else "", abs(fen) // 100, abs(fen) % 100
    assert money_of(f"{sign}{yuan}.{rest:02}", "yuan") == fen
    assert money_of(f"{sign}{yuan:,}.{rest:02}", "yuan") == fen
    assert money_of(Decimal(fen) / 100, "yuan") == fen


@pytest.mark.parametrize(
    ("raw", "formats", "day"),
    [
        ("2024-02-29", (), date(2024, 2, 29)),
        ("20240229", (), date(2024, 2, 29)),
        ("2024-02-29 00:00:00", (), date(2024, 2, 29)),
        (20240229, (), date(2024, 2, 29)),
        (20240229.0, (), date(2024, 2, 29)),
        (moment("2024-02-29 08:00"), (), date(2024, 2, 29)),
        (date(2024, 2, 29), ("%Y/%m/%d",), date(2024, 2, 29)),
        ("2024/2/9", ("%Y-%m-%d", "%Y/%m/%d"), date(2024, 2, 9)),
        ("2024年2月9日", ("%Y年%m月%d日",), date(2024, 2, 9)),
    ],
)
def test_days(raw: Any, formats: tuple[str, ...], day: date) -> None:
    assert day == date_of(raw, formats)


@pytest.mark.parametrize("raw", ["2023-02-29", "20231301", "yesterday", "2024-02-29 08:15:00", "24-02-29"])
def test_days_that_never_were(raw: str) -> None:
    with pytest.raises(Misfit) as caught:
        date_of(raw)
    assert caught.value.reason == "impossible_date"


def test_moments_keep_their_zone() -> None:
    noon = instant_ms(moment("2024-05-01 12:00"))
    assert noon == instant_of("2024-05-01 12:00:00", (), ZONE)
    assert noon == instant_of("20240501120000", (), ZONE)
    assert noon == instant_of("2024-05-01T04:00:00+00:00", (), ZONE)
    assert noon == instant_of("2024-05-01 04:00:00", (), "UTC")
    assert noon == instant_of("01/05/2024 12:00", ("%d/%m/%Y %H:%M",), ZONE)
    assert noon == instant_of("2024-05-01", (), ZONE), "a day alone counts as its noon"
    assert noon == instant_of("01/05/2024", ("%d/%m/%Y",), ZONE)
    midnight = instant_ms(moment("2024-05-01"))
    assert midnight == instant_of("2024-05-01 00:00:00", ("%Y-%m-%d %H:%M:%S",), ZONE)
    with pytest.raises(Misfit):
        instant_of("2024-05-01 25:00:00", (), ZONE)


def test_months() -> None:
    assert month_of("202405", ("%Y%m",)) == "2024-05"
    assert month_of(date(2024, 5, 9), ()) == "2024-05"
    with pytest.raises(Misfit):
        month_of("202413", ("%Y%m",))


def test_whole_numbers_and_truths() -> None:
    assert (whole_of("12"), whole_of(12.0), whole_of(Decimal("12.0")), whole_of(" -3 ")) == (12, 12, 12, -3)
    assert (truth_of("是"), truth_of("N"), truth_of(1), truth_of(False)) == (True, False, True, False)
    for bad, convert in (("1.5", whole_of), ("一", whole_of), ("maybe", truth_of)):
        with pytest.raises(Misfit):
            convert(bad)


@pytest.mark.parametrize(
    ("raw", "level", "code"),
    [
        ("331102", "county", "331102"),
        ("332501", "county", "331102"),  # 丽水市（县级）, until 2000
        ("332522000000", "county", "331121"),
        ("331102001", "county", "331102"),
        ("330102", "county", "330102"),  # outside the vendored list: its province exists
        ("331102001", "township", "331102001"),
        ("331100", "any", "331100"),
    ],
)
def test_regions(raw: str, level: str, code: str) -> None:
    assert code == region_of(raw, level, {})


@pytest.mark.parametrize(
    ("raw", "level"),
    [("331199", "county"), ("160000", "county"), ("000000", "county"), ("331102999", "township"), ("33", "county"),
     ("浙江", "county"), ("331102", "township"), ("332599", "county"), ("990102", "county")],
)  # fmt: skip
def test_regions_that_never_were(raw: str, level: str) -> None:
    with pytest.raises(Misfit) as caught:
        region_of(raw, level, {})
    assert caught.value.reason == "unknown_region"


def test_a_mapping_may_add_successors() -> None:
    assert region_of("332501001", "township", {"332501001": "331102001"}) == "331102001"


@given(st.one_of(st.text(), st.integers(), st.floats(), st.dates(), st.datetimes(), st.none(), st.booleans()))
def test_a_misfit_never_repeats_the_value(raw: Any) -> None:
    """Reason from the list, and a class that could not give a long value away."""
    converters = (
        lambda: money_of(raw, "yuan"),
        lambda: date_of(raw),
        lambda: instant_of(raw, (), ZONE),
        lambda: whole_of(raw),
        lambda: truth_of(raw),
        lambda: region_of(raw, "county", {}),
        lambda: month_of(raw, ("%Y%m",)),
    )
    for convert in converters:
        try:
            convert()
        except Misfit as misfit:
            assert misfit.reason in QUARANTINE_REASONS
            text = text_of(raw)
            assert len(text) < 5 or text not in misfit.value_class


def test_value_classes() -> None:
    found = [
        describe(raw) for raw in (None, "", "12345678", "张三", 3, 1.5, True, date(2024, 1, 1), moment("2024-01-01"))
    ]
    assert found == ["empty", "empty", "8 digits", "2 characters", "number", "number", "truth value", "date", "moment"]
