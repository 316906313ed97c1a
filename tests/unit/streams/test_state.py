"""A partition's state: taken over from a changelog record by record, changed by commits, asked for what is due."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import msgspec
import pytest

from hub.discovery.state import (
    HomeState,
    PersonState,
    RuleState,
    decode_home,
    decode_person,
    encode_home,
    encode_person,
    outline_home,
    outline_person,
)
from hub.discovery.subject import standing
from hub.domain.messages import Contribution, Fact
from hub.errors import StateFromTheFuture, StateUnreadable
from hub.streams.disk import DiskStore, Limits
from hub.streams.stage import Stage
from hub.streams.state import LOADED, LOOKED_THROUGH, OFFSETS, PartitionState, Sweep, encode_offsets
from tests.integration.streams.ledger import Held, decoded, stage

STAGE = stage("unit")
REGISTERED = Held(sequence=1, registered=1, next_review=date(2026, 3, 10))
ABSENT = Held(sequence=2)
LAW = msgspec.structs.replace(STAGE, stale=lambda held: held.sequence != 2, law="two")
"""Under this law a state whose sequence is not 2 was made by another."""

Open = Callable[..., PartitionState]


@pytest.fixture(params=["memory", "disk"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens an empty state, in memory or on disk."""
    made: list[PartitionState] = []
    limits = Limits(8, 1)

    def open_(of: Stage = STAGE) -> PartitionState:
        store = DiskStore(tmp_path / str(len(made)), limits) if request.param == "disk" else None
        made.append(PartitionState(of, 0, store))
        return made[-1]

    yield open_
    for state in made:
        state.close()


def loaded(state: PartitionState, **held: Held) -> PartitionState:
    """A state as a restore leaves it."""
    for key, value in held.items():
        state.load(key.encode(), STAGE.encode(value))
    state.load(OFFSETS, encode_offsets({"t": 7}))
    state.loaded(len(held) + 1)
    state.settle()
    return state


def test_a_restore_takes_the_last_value_of_each_key_and_forgets_the_dead(opened: Open) -> None:
    """Values, tombstones and offsets come in any order of keys."""
    state = opened()
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


def test_what_is_derived_is_rebuilt(opened: Open) -> None:
    """Review days and standing numbers."""
    state = loaded(opened(), a=REGISTERED, b=ABSENT)
    assert state.standing == {"truth:ledger:yes": 1, "truth:ledger:no": 1}
    assert [review.home for review in state.reviews.due(date(2026, 3, 10))] == ["a"]
    assert state.reviews.due(date(2026, 3, 9)) == []
    assert len(state.reviews) == 1


def test_what_is_loaded_behind_takes_the_place_of_what_was_held(opened: Open) -> None:
    """Numbers and days of the old values go with them, whether there was one batch of records or several."""
    state = loaded(opened(), a=REGISTERED, b=ABSENT, c=REGISTERED)
    state.load(b"a", STAGE.encode(ABSENT))
    state.load(b"c", None)
    for number in range(LOADED):
        state.load(f"d{number}".encode(), STAGE.encode(REGISTERED))
    state.loaded(100)
    state.load(b"d0", STAGE.encode(ABSENT))
    state.loaded(101)
    state.settle()
    assert state.standing == {"truth:ledger:yes": LOADED - 1, "truth:ledger:no": 3}
    assert len(state) == LOADED + 2
    assert len(state.reviews) == LOADED - 1
    assert [review.home for review in state.reviews.due(date(2026, 3, 10), 2)] == ["d1", "d10"]
    assert state.position == 101


def test_a_commit_moves_values_days_offsets_and_numbers_together(opened: Open) -> None:
    """What was committed, and only that."""
    state = loaded(opened(), a=REGISTERED)
    changes = {"a": ABSENT, "c": REGISTERED}
    encoded = {key: STAGE.encode(value) for key, value in changes.items()}
    counts = Counter({"record:new": 5, "truth:ledger:no": 1})
    state.apply(changes, encoded, {"u": 3}, counts, 9)
    assert dict(decoded(state)) == changes
    assert state.offsets == {"t": 7, "u": 3}
    assert state.standing == {"truth:ledger:yes": 1, "truth:ledger:no": 1}
    assert [review.home for review in state.reviews.due(date(2030, 1, 1))] == ["c"]
    assert state.position == 9


def test_reviews_come_due_earliest_first_and_stay_due_until_they_move(opened: Open) -> None:
    """Also an earlier one that comes after a look found nothing, and within a budget."""
    state = loaded(opened(), a=ABSENT, b=ABSENT, c=ABSENT)

    def move(**days: date | None) -> None:
        changes = {key: Held(next_review=day) for key, day in days.items()}
        state.apply(changes, {key: STAGE.encode(value) for key, value in changes.items()}, {}, {})

    def due(day: date, budget: int | None = None) -> list[str]:
        return [review.home for review in state.reviews.due(day, budget)]

    move(a=date(2026, 5, 1), b=date(2026, 4, 1))
    assert due(date(2026, 3, 31)) == []
    move(c=date(2026, 1, 1))
    assert due(date(2026, 4, 30)) == ["c", "b"]
    assert due(date(2026, 4, 30), 1) == ["c"]
    assert due(date(2026, 4, 30), 0) == []
    move(c=None, b=date(2026, 5, 1))
    assert due(date(2026, 4, 30)) == []
    assert due(date(2026, 5, 1)) == ["a", "b"]
    assert len(state.reviews) == 2


def test_states_of_another_law_are_found_a_piece_at_a_time(opened: Open) -> None:
    """Each of them once, though what they become is written in between."""
    state = opened(LAW)
    stale = {f"k{number}": Held(sequence=3 if number % 500 == 0 else 2) for number in range(3 * LOOKED_THROUGH)}
    loaded(state, **stale)
    found: list[str] = []
    looks = 0
    while not state.stale.done:
        looks += 1
        now = list(state.stale)
        for key in now:
            state.apply({key: ABSENT}, {key: STAGE.encode(ABSENT)}, {}, {})
            assert state.stale.popleft() == key
        found += now
    assert sorted(found) == sorted(key for key, held in stale.items() if held.sequence == 3)
    assert looks >= 3


def test_a_sweep_gives_again_what_was_not_taken() -> None:
    """A review that was not committed is handed out again."""
    sweep = Sweep(iter([("a", b""), ("b", b"x"), ("c", b"")]), lambda _key, data: not data)
    assert list(sweep) == ["a", "c"]
    assert list(sweep) == ["a", "c"]
    assert sweep.popleft() == "a"
    assert not sweep.done
    assert sweep.popleft() == "c"
    assert sweep.done


def test_damaged_offsets_end_the_process() -> None:
    """To start at zero instead would be safe for facts and would still be a lie."""
    with pytest.raises(StateUnreadable):
        PartitionState(STAGE, 0).load(OFFSETS, b"\xc1")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"\xc1", StateUnreadable),
        (bytes((9, 1)) + b"\x90", StateFromTheFuture),
        (encode_person(PersonState(0, 1, "x"))[:4], StateUnreadable),
    ],
)
def test_a_value_that_cannot_be_read_ends_a_restore(opened: Open, value: bytes, kind: type[Exception]) -> None:
    """Where its head is read, and where only its version is looked at; the key is kept out of the text."""
    reading = msgspec.structs.replace(
        STAGE, decode=decode_person, outline=outline_person, prefix=encode_person(PersonState(0, 1, "x"))[:2]
    )
    passing = msgspec.structs.replace(reading, reviews=False, standing=PLAIN.standing)
    for of in (reading, passing) if value[:1] != encode_person(PersonState(0, 1, "x"))[:1] else (reading,):
        state = opened(of)
        state.load(b"secret", value)
        with pytest.raises(kind) as caught:
            state.settle()
        assert "secret" not in str(caught.value)
        assert state.misread == "secret"


PLAIN = Stage(
    name="plain",
    inputs=STAGE.inputs,
    state_topic=STAGE.state_topic,
    step=STAGE.step,
    encode=encode_person,
    decode=decode_person,
)


def test_a_stage_that_derives_nothing_has_nothing_read_at_a_restore(opened: Open) -> None:
    """Reading is most of what a restore costs."""

    def never(_data: bytes) -> PersonState:
        raise AssertionError("nothing needs to be read")

    state = opened(msgspec.structs.replace(PLAIN, decode=never))
    state.load(b"a", encode_person(PersonState(0, 1, "x")))
    state.settle()
    assert list(state.keys()) == ["a"]


def test_a_value_that_fails_later_names_its_partition(opened: Open) -> None:
    """Damage behind what a restore looks at."""
    state = opened(msgspec.structs.replace(PLAIN, prefix=b"\x01"))
    state.load(b"secret", b"\x01\x01\xc1")
    state.settle()
    with pytest.raises(StateUnreadable, match=f"{PLAIN.state_topic.name}, partition 0") as caught:
        state.get("secret")
    assert "secret" not in str(caught.value)


def test_outlines_say_what_the_whole_says() -> None:
    """Of a home and of a person, with everything that is passed over filled in."""
    fact = Fact("medical.settlement", "s", "r", 1, "331102", 1, 1, 1, None, None, None)
    home = HomeState(
        contributions={"p": Contribution("h", "p", ("self",), "LIVE", 0, 1, (fact,))},
        rules={"dibao": RuleState("yes", "open"), "tekun": RuleState("unknown")},
        next_review=date(2026, 3, 10),
        policy_hash="h",
        region="331102",
        township="t",
    )
    for one in (home, HomeState()):
        outline, whole = outline_home(encode_home(one)), decode_home(encode_home(one))
        assert standing(outline) == standing(whole)
        for name in ("next_review", "policy_hash", "region"):
            assert getattr(outline, name) == getattr(whole, name)
    person = PersonState(2, 7, "reads", facts=(fact,), sent={"h": ("self",)})
    assert outline_person(encode_person(person)).reads == "reads"


def test_an_outline_refuses_what_the_whole_refuses() -> None:
    """A newer version, and damage in what it reads."""
    for outline in (outline_home, outline_person):
        with pytest.raises(StateFromTheFuture):
            outline(bytes((9, 1)) + b"\x90")
        with pytest.raises(StateUnreadable):
            outline(encode_home(HomeState())[:2] + b"\xc1")
        with pytest.raises(StateUnreadable):
            partial(outline, b"")()
