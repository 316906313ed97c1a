"""Tokens: one person one token, whatever the way of writing; two things two tokens."""

from __future__ import annotations

import re
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.citizen_id import check_character
from hub.errors import VaultError
from hub.vault.keys import generate
from hub.vault.tokens import Tokens

KEYS = msgspec.structs.replace(generate(), token_secret=bytes(range(32)))
TOKENS = Tokens(KEYS)
NUMBER = "11010519491231002X"  # example of GB 11643-1999

parts = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() == text)


def test_golden_tokens() -> None:
    """Another token for the same number would make everybody a stranger. Figured by `openssl dgst -hmac` apart."""
    assert TOKENS.person_token(NUMBER) == "5afc6c58a9e69d123c4333226132e389"
    assert TOKENS.scoped_token("gongan", "hukou", "丽A-1") == "0c48bbb467d430f39b7b0b8129fed043"


@given(
    st.sampled_from(["332522", "331121", "330726"]),
    st.dates(date(1900, 1, 1), date(1999, 12, 31)),
    st.integers(0, 999).map("{:03}".format),
)
def test_old_and_new_number_of_one_person(prefix: str, birth: date, serial: str) -> None:
    """15 and 18 digits, spaces, full-width digits and small x give one token of 32 hex digits."""
    body = prefix + birth.strftime("%Y%m%d") + serial
    number = body + check_character(body)
    wide = number.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789X"})
    written = [prefix + birth.strftime("%y%m%d") + serial, number, number.lower(), f" {number}\t", wide]
    found = {TOKENS.person_token(text) for text in written}
    assert len(found) == 1
    assert re.fullmatch("[0-9a-f]{32}", found.pop())


@given(st.tuples(parts, parts, parts), st.tuples(parts, parts, parts))
def test_scopes_do_not_meet(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Tokens are equal exactly when source, kind and value are."""
    assert (TOKENS.scoped_token(*one) == TOKENS.scoped_token(*other)) == (one == other)


def test_borders_between_parts_count() -> None:
    """The same letters cut elsewhere are another value; a number as a record id is not the person."""
    assert TOKENS.scoped_token("a", "bc", "d") != TOKENS.scoped_token("ab", "c", "d")
    assert TOKENS.scoped_token("a", "b", "cd") != TOKENS.scoped_token("a", "bc", "d")
    assert TOKENS.person_token(NUMBER) not in {
        TOKENS.scoped_token("citizen", "citizen", NUMBER),
        TOKENS.scoped_token("", "citizen", NUMBER),
        TOKENS.scoped_token("", "", NUMBER),
    }
    assert TOKENS.scoped_token("a", "b", " c ") == TOKENS.scoped_token("a", "b", "c")


def test_another_secret_other_tokens() -> None:
    """Tokens of two deployments do not meet."""
    assert Tokens(generate()).person_token(NUMBER) != TOKENS.person_token(NUMBER)


@pytest.mark.parametrize("text", ["", "123", "11010519491231002Y", "张三", "110105194912310021X"])
def test_what_is_no_number_gets_no_token(text: str) -> None:
    """And the text is not repeated."""
    with pytest.raises(VaultError) as caught:
        TOKENS.person_token(text)
    assert not text or text not in str(caught.value)


def test_an_empty_value_gets_no_token() -> None:
    """Else everybody without a value would be one."""
    with pytest.raises(VaultError, match="empty"):
        TOKENS.scoped_token("gongan", "hukou", "  ")
