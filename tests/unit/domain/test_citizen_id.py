"""GB 11643: the standard's own examples, and PyPI id-validator as an oracle.

Where the oracle is not followed: it names the place of a 3325xx prefix by the year of birth (金华 before 1982; we ask
only whether the prefix was ever issued in 丽水), takes 3325xx for births after 2000, and knows every county of the
country, where we know those of 丽水 and the provinces.
"""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from id_validator import validator

from hub.domain.citizen_id import LISHUI, LISHUI_BEFORE_2000, check, check_character, is_number, normalise

WOMAN = "11010519491231002X"  # both from GB 11643-1999, appendix
MAN = "440524188001010014"

prefixes = st.sampled_from(
    sorted(LISHUI) + sorted(LISHUI_BEFORE_2000) + ["330726", "110105", "440524", "990102", "000000"]
)
births = st.one_of(
    st.dates(date(1900, 1, 1), date(2000, 12, 31)).map(lambda day: day.strftime("%Y%m%d")),
    st.builds("{:04}{:02}{:02}".format, st.integers(1900, 2000), st.integers(0, 14), st.integers(0, 33)),
)
serials = st.integers(0, 999).map("{:03}".format)


def test_examples_of_the_standard() -> None:
    """Check digit, birth and sex as the standard states them."""
    woman, man = check(WOMAN), check(MAN)
    assert (woman.ok, woman.birth_date, woman.sex, woman.prefix_era) == (True, date(1949, 12, 31), "2", "elsewhere")
    assert (man.ok, man.birth_date, man.sex) == (True, date(1880, 1, 1), "1")


@settings(max_examples=80)
@given(prefixes, births, serials, st.sampled_from("0123456789X"), st.booleans())
def test_agrees_with_the_oracle(prefix: str, birth: str, serial: str, other: str, honest: bool) -> None:
    """Valid, bad check digit, impossible date, unknown province: the same verdict."""
    body = prefix + birth + serial
    number = body + (check_character(body) if honest else other)
    assert check(number).ok == validator.is_valid(number)


@settings(max_examples=40)
@given(prefixes, st.dates(date(1900, 1, 1), date(1999, 12, 31)), serials)
def test_widens_as_the_oracle_does(prefix: str, birth: date, serial: str) -> None:
    """15 digits become the number that the oracle makes of them; where it makes none, neither is ok."""
    old = prefix + birth.strftime("%y%m%d") + serial
    widened = validator.upgrade_id(old)
    assert check(old).ok == bool(widened)
    if widened:
        assert normalise(old) == widened
        assert check(old).widened and not check(widened).widened


@given(st.text(max_size=20) | st.text("0123456789Xx ０１９Ｘｘ²①", max_size=20))
def test_any_text_is_judged_and_normalising_is_final(text: str) -> None:
    """Nothing raises; a normal form stays as it is; what is ok has the form of a number."""
    assert normalise(normalise(text)) == normalise(text)
    if check(text).ok:
        assert is_number(normalise(text))


@given(prefixes, births, serials)
def test_one_wrong_digit_is_always_found(prefix: str, birth: str, serial: str) -> None:
    """MOD 11-2 finds every single wrong digit of the body."""
    body = prefix + birth + serial
    number = body + check_character(body)
    for place in range(17):
        wrong = str((int(number[place]) + 1) % 10)
        assert check(number[:place] + wrong + number[place + 1 :]).reason == "check_digit"


def numbered(body: str) -> str:
    """A body with its check character."""
    return body + check_character(body)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("", "length"),
        ("1101051949123100", "length"),
        ("11010519491231002Y", "characters"),
        ("X1010519491231002X", "characters"),
        ("1101051949123100²X", "characters"),
        ("110105194912310021", "check_digit"),
        (numbered("11010519490231002"), "birth_date"),
        (numbered("11010518491231002"), "birth_date"),
        (numbered("99010519491231002"), "region"),
        (numbered("11000019491231002"), "region"),
        (numbered("33119919491231002"), "region"),
        (numbered("33259919491231002"), "region"),
        (numbered("33252220010101002"), "region"),
        ("991231491231002", "region"),
        ("330726490231002", "birth_date"),
    ],
)
def test_each_fault_has_its_reason(number: str, reason: str) -> None:
    """One faulty number a reason."""
    found = check(number)
    assert (found.reason, found.outcome, found.ok, found.birth_date, found.sex) == (reason, reason, False, None, None)


@pytest.mark.parametrize(
    ("prefix", "birth", "era"),
    [
        ("331121", "19980101", "current"),  # born before, first registered after
        ("331121", "20240101", "current"),
        ("332522", "19550101", "before_2000"),
        ("332522", "20000301", "before_2000"),  # the 地区 was dissolved in the course of 2000
        ("330726", "20240101", "elsewhere"),
    ],
)
def test_the_prefix_says_when_it_was_issued(prefix: str, birth: str, era: str) -> None:
    """Eras of 丽水's prefixes."""
    assert check(numbered(f"{prefix}{birth}002")).prefix_era == era


def test_a_birth_after_today_is_a_fault() -> None:
    """Only where the caller says what day it is."""
    number = numbered("33112120240102002")
    assert check(number).ok
    assert check(number, today=date(2024, 1, 2)).ok
    assert check(number, today=date(2024, 1, 1)).reason == "birth_date"


@pytest.mark.parametrize(
    "written", [" 11010519491231002x\n", "１１０１０５１９４９１２３１００２Ｘ", "11010519491231002ｘ"]
)
def test_ways_of_writing_one_number(written: str) -> None:
    """Spaces, small x and full-width digits are one number."""
    assert normalise(written) == WOMAN
    assert check(written).ok
