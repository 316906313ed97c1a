"""A partition's state: taken over from a changelog record by record, changed by commits, asked for what is due."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from hub.errors import StateUnreadable
from hub.streams.state import OFFSETS, PartitionState, encode_offsets
from tests.integration.streams.ledger import Held, decoded, stage

STAGE = stage("unit")
REGISTERED = Held(sequence=1, registered=1, next_review=date(2026, 3, 10))
ABSENT = Held(sequence=2)


def loaded(**held: Held) -> PartitionState:
    """A state as a restore leaves it."""
    state = PartitionState(STAGE, 0)
    for key, value in held.items():
        state.load(key.encode(), STAGE.encode(value))
    state.load(OFFSETS, encode_offsets({"t": 7}))
    state.settle()
    return state


def test_a_restore_takes_the_last_value_of_each_key_and_forgets_the_dead() -> None:
    """Values, tombstones and offsets come in any order of keys."""
    state = PartitionState(STAGE, 0)
    state.load(b"a", STAGE.encode(REGISTERED))
    state.load(b"b", STAGE.encode(REGISTERED))
    state.load(OFFSETS, encode_offsets({"t": 1}))
    state.load(b"a", STAGE.encode(ABSENT))
    state.load(b"b", None)
    state.load(b"never", None)
    state.load(OFFSETS, encode_offsets({"t": 2, "u": 1}))
    state.settle()
    assert dict(decoded(state)) == {"a": ABSENT}
    assert state.get("b") is None
    assert "b" not in state
    assert len(state) == 1
    assert state.offsets == {"t": 2, "u": 1}


def test_what_is_derived_is_rebuilt() -> None:
    """Review days and standing numbers."""
    state = loaded(a=REGISTERED, b=ABSENT)
    assert state.standing == {"truth:ledger:yes": 1, "truth:ledger:no": 1}
    assert [review.home for review in state.reviews.due(date(2026, 3, 10))] == ["a"]
    assert state.reviews.due(date(2026, 3, 9)) == []


def test_a_commit_moves_values_days_offsets_and_numbers_together() -> None:
    """What was committed, and only that."""
    state = loaded(a=REGISTERED)
    changes = {"a": ABSENT, "c": REGISTERED}
    encoded = {key: STAGE.encode(value) for key, value in changes.items()}
    counts = Counter({"record:new": 5, "truth:ledger:no": 1})
    state.apply(changes, encoded, {"u": 3}, counts)
    assert dict(decoded(state)) == changes
    assert state.offsets == {"t": 7, "u": 3}
    assert state.standing == {"truth:ledger:yes": 1, "truth:ledger:no": 1}
    assert [review.home for review in state.reviews.due(date(2030, 1, 1))] == ["c"]


def test_damaged_offsets_end_the_process() -> None:
    """To start at zero instead would be safe for facts and would still be a lie."""
    with pytest.raises(StateUnreadable):
        PartitionState(STAGE, 0).load(OFFSETS, b"\xc1")
