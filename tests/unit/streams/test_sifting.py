"""Records that defeat a step are found, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import BrokerUnavailable, StateUnreadable
from hub.streams.sifting import BEARABLE, sift


def total(values: Sequence[Any]) -> int:
    """Folds whole numbers; a text defeats it."""
    return sum(value + 0 for value in values)


@given(st.lists(st.integers() | st.just("x"), max_size=40))
def test_exactly_the_bad_ones_are_left_out(values: list[Any]) -> None:
    """And the fold is that of the others."""
    bad = [place for place, value in enumerate(values) if value == "x"]
    if len(bad) > BEARABLE or (len(values) > 1 and len(bad) == len(values)):
        with pytest.raises(TypeError):
            sift(total, values)
        return
    result, found = sift(total, values)
    assert sorted(place for place, _ in found) == bad
    assert result == total([value for value in values if value != "x"])
    assert all(isinstance(error, TypeError) for _, error in found)


def test_a_record_that_only_fails_behind_another_is_found() -> None:
    """A state that one record made may be what the next one cannot be folded into."""

    def fold(values: Sequence[int]) -> list[int]:
        if 1 in values and 2 in values[values.index(1) :]:
            raise ValueError("two behind one")
        return list(values)

    result, found = sift(fold, [5, 1, 7, 2, 9])
    assert result == [5, 1, 7, 9]
    assert [place for place, _ in found] == [3]


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), StateUnreadable("damaged")])
def test_what_is_no_records_fault_is_raised(error: Exception) -> None:
    """Nothing is put aside because a part is away or a state cannot be read."""

    def fold(values: Sequence[Any]) -> None:
        raise error

    with pytest.raises(type(error)):
        sift(fold, [1, 2, 3])
