"""Single values: from a cell to text, date, 分, code or region. Pure; a value that does not fit raises Misfit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from connectors.source import Raw
from hub.divisions import county_codes, division_name, successors
from hub.domain.citizen_id import PROVINCES
from hub.domain.times import SHANGHAI, at_noon_ms, instant_ms

ZONES: Final = {"Asia/Shanghai": SHANGHAI, "UTC": UTC}
TRUTHS: Final[dict[str, bool]] = {
    **dict.fromkeys(("1", "是", "Y", "y", "true", "True", "TRUE", "T", "t", "有"), True),
    **dict.fromkeys(("0", "否", "N", "n", "false", "False", "FALSE", "F", "f", "无"), False),
}
_NARROW: Final = str.maketrans("０１２３４５６７８９．，－＋￥", "0123456789.,-+¥")
_NUMBER: Final = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?")
_PLAIN_YUAN: Final = re.compile(r"-?[0-9]+\.[0-9]{2}")  # how nearly all systems write an amount; the quick way
_WHOLE: Final = re.compile(r"[+-]?\d{1,18}")
_NEAR: Final = Decimal("0.000001")  # what a binary fraction may be off from the decimal that was meant
_REGION_DIGITS: Final = {"county": 6, "township": 9, "village": 12}
_COVERED_CITIES: Final = ("3311", "3325", "330726")
"""Beginnings of codes the vendored list holds in full; outside only the province can be checked."""


class Misfit(ValueError):
    """A value does not fit. `reason` is a quarantine reason, `value_class` says what was there without saying it."""

    def __init__(self, reason: str, value_class: str) -> None:
        super().__init__(f"{reason}: {value_class}")
        self.reason = reason
        self.value_class = value_class


def text_of(raw: Raw) -> str:
    """A cell as stripped text; nothing is the empty text. Whole floats (a workbook's numbers) lose their `.0`."""
    if raw is None:
        return ""
    if isinstance(raw, str):
        return raw.strip()
    if isinstance(raw, bool):
        return "1" if raw else "0"
    if isinstance(raw, float) and raw.is_integer():
        return str(int(raw))
    if isinstance(raw, datetime):
        return raw.isoformat(sep=" ")
    return str(raw)


def describe(raw: Raw) -> str:
    """Class of a value, never the value: `8 digits`, `5 characters`, `number`, `moment`, `empty`."""
    if raw is None or raw == "":
        return "empty"
    if isinstance(raw, str):
        text = raw.strip()
        kind = "digits" if text.isascii() and text.isdigit() else "characters"
        return f"{len(text)} {kind}"
    if isinstance(raw, bool):
        return "truth value"
    if isinstance(raw, int | float | Decimal):
        return "number"
    return "moment" if isinstance(raw, datetime) else "date"


@lru_cache(maxsize=65536)
def _date(text: str, formats: tuple[str, ...]) -> date:
    for pattern in formats:
        try:
            return datetime.strptime(text, pattern).date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
    if not formats:
        try:
            return date.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError


def date_of(raw: Raw, formats: Sequence[str] = ()) -> date:
    """A day. Without formats: ISO or YYYYMMDD, with a midnight after it or not."""
    if isinstance(raw, datetime):
        return raw.date()
    if isinstance(raw, date):
        return raw
    text = text_of(raw)
    if not formats and len(text) > 10 and text[10:].strip(" T0:.") == "":
        text = text[:10]
    try:
        return _date(text, tuple(formats))
    except ValueError:
        raise Misfit("impossible_date", f"{describe(raw)}, no day in the format expected") from None


def instant_of(raw: Raw, formats: Sequence[str], zone: str) -> int:
    """UTC milliseconds of a moment; one without a zone is in the source's, a day alone counts as its noon."""
    if isinstance(raw, datetime):
        return instant_ms(raw if raw.tzinfo else raw.replace(tzinfo=ZONES[zone]))
    if isinstance(raw, date):
        return at_noon_ms(raw)
    text = text_of(raw)
    moment: datetime | None = None
    for pattern in formats:
        try:
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007  # its zone follows
            break
        except ValueError:
            continue
    if moment is None and not formats:
        try:
            if len(text) == 14 and text.isdigit():
                moment = datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007  # its zone follows
            elif len(text) <= 10:
                return at_noon_ms(date.fromisoformat(text))
            else:
                moment = datetime.fromisoformat(text)
        except ValueError:
            pass
    if moment is None:
        raise Misfit("impossible_date", f"{describe(raw)}, no moment in the format expected")
    if moment.time() == time() and formats and not any(sign in "".join(formats) for sign in ("%H", "%I", "%s")):
        return at_noon_ms(moment.date())
    return instant_ms(moment if moment.tzinfo else moment.replace(tzinfo=ZONES[zone]))


def month_of(raw: Raw, formats: Sequence[str]) -> str:
    """`YYYY-MM`."""
    if isinstance(raw, date):
        return f"{raw:%Y-%m}"
    text = text_of(raw)
    for pattern in formats:
        try:
            return f"{datetime.strptime(text, pattern):%Y-%m}"  # noqa: DTZ007  # a month has no zone
        except ValueError:
            continue
    raise Misfit("impossible_date", f"{describe(raw)}, no month in the format expected")


def money_of(raw: Raw, unit: str) -> int:
    """分. `1,234.50`, `-12`, `￥3`, full-width digits; exact to the 分, or it is no amount."""
    if isinstance(raw, (bool, date)):
        raise Misfit("not_a_number", describe(raw))
    if isinstance(raw, str) and unit == "yuan" and _PLAIN_YUAN.fullmatch(raw):
        return int(raw.replace(".", ""))
    if isinstance(raw, str) or raw is None:
        text = text_of(raw).translate(_NARROW).removesuffix("元").removeprefix("¥").strip()
        if not _NUMBER.fullmatch(text):
            raise Misfit("not_a_number", f"{describe(raw)}, no amount")
        amount = Decimal(text.replace(",", ""))
    else:
        try:
            amount = Decimal(repr(raw)) if isinstance(raw, float) else Decimal(raw)
        except InvalidOperation:  # nan and inf of a float
            raise Misfit("not_a_number", "number, not finite") from None
    if not amount.is_finite():
        raise Misfit("not_a_number", "number, not finite")
    fen = amount * 100 if unit == "yuan" else amount
    whole = fen.to_integral_value()
    if abs(fen - whole) > (_NEAR if isinstance(raw, float) else 0):
        raise Misfit("not_a_number", "amount with parts of a 分")
    return int(whole)


def whole_of(raw: Raw) -> int:
    """A whole number."""
    if isinstance(raw, int):
        return int(raw)
    text = text_of(raw).translate(_NARROW)
    if isinstance(raw, Decimal) and raw == raw.to_integral_value():
        return int(raw)
    if not _WHOLE.fullmatch(text):
        raise Misfit("not_a_number", f"{describe(raw)}, no whole number")
    return int(text)


def truth_of(raw: Raw) -> bool:
    """是 or 否."""
    if isinstance(raw, bool):
        return raw
    truth = TRUTHS.get(text_of(raw))
    if truth is None:
        raise Misfit("unknown_code", f"{describe(raw)}, neither 是 nor 否")
    return truth


def region_of(raw: Raw, level: str, retired: Mapping[str, str]) -> str:
    """A division code of the level (`any`: as long as it is), a retired one replaced by its successor.

    `retired` holds what the mapping adds to the known successors.
    """
    text = text_of(raw)
    if not (text.isascii() and text.isdigit() and 6 <= len(text) <= 12):
        raise Misfit("unknown_region", f"{describe(raw)}, no division code")
    code = text[: _REGION_DIGITS.get(level, 12)]
    if len(code) < _REGION_DIGITS.get(level, 6):
        raise Misfit("unknown_region", f"{len(text)} digits, too short for a {level}")
    code = retired.get(code, code)
    if len(code) == 6:
        code = successors().get(code, code)
    if not _exists(code):
        raise Misfit("unknown_region", f"{len(text)} digits, no division is or was called so")
    return code


@lru_cache(maxsize=65536)
def _exists(code: str) -> bool:
    county = code[:6]
    if county in county_codes() or county.startswith(_COVERED_CITIES):
        known = county in county_codes() or code == "331100"
        return known and (len(code) not in (6, 9, 12) or division_name(code) is not None)
    return code[:2] in PROVINCES and county[2:] != "0000"
