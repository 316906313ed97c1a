"""State values: what is written is what is read, dates included; what this release cannot know ends it."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.discovery.person import PersonStep
from hub.discovery.state import (
    CODEC,
    FOLD,
    Answer,
    HomeState,
    PersonState,
    RuleState,
    decode_home,
    decode_person,
    encode_home,
    encode_person,
)
from hub.domain.messages import Contribution, Missing
from hub.errors import StateFromTheFuture, StateUnreadable
from tests.topology.records import NOON, A, B, annul, event, kin, registered_death, resident, settlement
from tests.topology.small_law import law

DAYS = st.none() | st.dates(date(1900, 1, 1), date(2200, 1, 1))


class Empty:
    """No states."""

    def get(self, key: str, /) -> None:
        """Nothing."""

    def keys(self) -> list[str]:
        """Nothing."""
        return []


def person_state(*days: date) -> PersonState:
    """A state with facts, a floor, a collision, ties and a conflict, made by the step itself."""
    gone = event(A, settlement(days[0], 100), "gone")
    events = [
        event(A, resident(birth_date=days[0], id_birth_agrees=False), recorded=days[1]),
        event(A, kin(B, "son", since=days[0], until=days[1])),
        event(A, registered_death(days[1])),
        event(A, registered_death(days[0])),
        gone,
        annul(gone),
    ]
    return PersonStep(law()).step(Empty(), events, NOON).changes[A]


@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)), st.dates(date(1990, 1, 1), date(2200, 1, 1)))
def test_a_person_survives_the_round_trip(first: date, second: date) -> None:
    state = person_state(first, second)
    assert state.facts and state.floors and state.sent and state.conflicts
    assert decode_person(encode_person(state)) == state


@given(DAYS, DAYS, DAYS)
def test_a_home_survives_the_round_trip(review: date | None, opened: date | None, due: date | None) -> None:
    facts = person_state(date(1980, 1, 1), date(2026, 1, 1)).facts
    state = HomeState(
        contributions={A: Contribution("person:" + A, A, ("self",), "LIVE", 1, 7, facts)},
        rules={"poor": RuleState("unknown", missing=(Missing(field="x.y.z", person=A),), opened_on=opened, due_on=due)},
        answers={"poor": (Answer("hash", True, 5, "d1"),)},
        next_review=review,
        policy_hash="p",
    )
    assert decode_home(encode_home(state)) == state


@pytest.mark.parametrize("prefix", [(CODEC + 1, FOLD), (CODEC, FOLD + 1), (255, 0)])
def test_state_of_a_newer_release_ends_the_process(prefix: tuple[int, int]) -> None:
    body = encode_home(HomeState())[2:]
    with pytest.raises(StateFromTheFuture, match="start the newer release"):
        decode_home(bytes(prefix) + body)
    with pytest.raises(StateFromTheFuture):
        decode_person(bytes(prefix) + body)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x00\x01\x90", bytes((CODEC, FOLD)), bytes((CODEC, FOLD, 0xC1))])
def test_damaged_state_is_told_from_newer_state(data: bytes) -> None:
    with pytest.raises(StateUnreadable):
        decode_person(data)


def test_a_field_added_later_reads_older_values() -> None:
    """The rule of the layout: positional, added at the end, with a default. Dropping the last is what N - 1 wrote."""
    state = HomeState(policy_hash="p", region="331102", township="331102001")
    shorter = msgspec.msgpack.encode(msgspec.msgpack.decode(encode_home(state)[2:])[:-1])
    assert decode_home(bytes((CODEC, FOLD)) + shorter) == HomeState(policy_hash="p", region="331102")
