"""Versions: whatever order, repetition and interruption, a reader of the log ends where the source stands."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.decide import Held, annul, upsert

Log = dict[tuple[str, int], tuple[str, str]]  # (person, version) → (change, digest)


def held(
    version: int, *, source: int | None = None, digest: str = "a", live: bool = True, settled: bool = True
) -> Held:
    """What the store holds."""
    return Held(
        version=version,
        source_version=version if source is None else source,
        digest=digest,
        live=live,
        received_at=1,
        settled=settled,
    )


def said(result: tuple[str, list[Any]]) -> tuple[str, list[tuple[str, str | None, int]]]:
    """Outcome and what is published."""
    outcome, steps = result
    return outcome, [(step.person, step.change, step.version) for step in steps]


def test_the_first_row_has_the_sources_version() -> None:
    assert said(upsert({}, {"p": "a"}, 7, 5, read_once=False)) == ("published", [("p", "UPSERT", 7)])
    assert said(upsert({}, {"p": "a"}, None, 5, read_once=False)) == ("published", [("p", "UPSERT", 1)])


def test_an_unchanged_row_says_nothing() -> None:
    assert said(upsert({"p": held(7)}, {"p": "a"}, 7, 5, read_once=False)) == ("unchanged", [])


def test_a_touched_row_says_nothing_but_is_noted() -> None:
    outcome, steps = upsert({"p": held(7)}, {"p": "a"}, 9, 5, read_once=False)
    assert outcome == "unchanged"
    assert [(step.change, step.held and (step.held.version, step.held.source_version)) for step in steps] == [
        (None, (7, 9))
    ]


def test_a_changed_person_leaves_one_key_and_enters_another() -> None:
    result = upsert({"old": held(7)}, {"new": "a"}, 8, 5, read_once=False)
    assert said(result) == ("published", [("old", "ANNUL", 8), ("new", "UPSERT", 8)])


def test_content_that_changes_without_a_version_gets_the_next() -> None:
    assert said(upsert({"p": held(7)}, {"p": "b"}, 7, 5, read_once=False)) == ("published", [("p", "UPSERT", 8)])


def test_the_source_goes_above_what_the_hub_said() -> None:
    """The hub annulled with 8; the source's own 8 must win over it."""
    after = {"p": held(8, source=7, live=False)}
    assert said(upsert(after, {"p": "a"}, 8, 5, read_once=False)) == ("published", [("p", "UPSERT", 9)])


def test_an_older_version_changes_nothing() -> None:
    assert said(upsert({"p": held(7)}, {"p": "b"}, 5, 5, read_once=False)) == ("superseded", [])
    late = said(upsert({"p": held(7)}, {"p": "b"}, 5, 5, read_once=True))
    assert late == ("superseded", [("p", "UPSERT", 5)]), "a file is read once, so the log gets it all the same"
    other = said(upsert({"p": held(7)}, {"q": "b"}, 5, 5, read_once=True))
    assert other == ("superseded", []), "under a key that knows nothing newer it would stand for ever"
    touched = said(upsert({"p": held(3, source=9)}, {"p": "b"}, 5, 5, read_once=True))
    assert touched == ("superseded", []), "5 is above what was published, though older than what was seen"


def test_a_late_version_is_no_version_of_the_hubs() -> None:
    """The hub annulled a vanished row as 1; the source's own late 1 would be the same version with other content."""
    _outcome, (gone,) = annul({"p": held(0)}, (), None, 5)
    assert (gone.change, gone.version, gone.held and gone.held.own_from) == ("ANNUL", 1, 1)
    assert gone.held is not None
    _outcome, (back,) = upsert({"p": gone.held}, {"p": "b"}, 4, 6, read_once=True)
    assert back.held is not None
    assert (back.version, back.held.own_from) == (4, 1)
    assert said(upsert({"p": back.held}, {"p": "c"}, 1, 7, read_once=True)) == ("superseded", [])
    assert said(upsert({"p": back.held}, {"p": "c"}, 0, 7, read_once=True)) == ("superseded", [("p", "UPSERT", 0)])


def test_what_may_not_have_left_is_said_again_as_it_was() -> None:
    outcome, (step,) = upsert({"p": held(7, settled=False)}, {"p": "a"}, 7, 99, read_once=False)
    assert (outcome, step.change, step.version, step.received_at) == ("published", "UPSERT", 7, 1)
    outcome, (step,) = annul({"p": held(8, source=7, live=False, settled=False)}, (), None, 99)
    assert (outcome, step.change, step.version, step.received_at) == ("published", "ANNUL", 8, 1)


def test_a_void_row_leaves_a_floor() -> None:
    outcome, steps = annul({}, ("p",), 4, 5)
    assert said((outcome, steps)) == ("published", [("p", "ANNUL", 4)])
    kept = {step.person: step.held for step in steps if step.held is not None}
    assert said(upsert(kept, {"p": "a"}, 3, 5, read_once=False)) == ("superseded", [])


class Consumer:
    """A reader of the log that keeps the highest version of a record under each key, as the hub's person step does."""

    def __init__(self) -> None:
        self.log: Log = {}

    def hear(self, person: str, change: str, version: int, digest: str) -> None:
        """Take a message; the same version must never say two things."""
        known = self.log.setdefault((person, version), (change, digest))
        assert known == (change, digest), "one version, two contents"

    def stands(self) -> dict[str, str]:
        """Person → content that stands."""
        newest: dict[str, int] = {}
        for person, version in self.log:
            newest[person] = max(version, newest.get(person, -1))
        live = {person: self.log[person, version] for person, version in newest.items()}
        return {person: digest for person, (change, digest) in live.items() if change == "UPSERT"}


GONE: Final = ("gone", None, False)
LATE_ZERO, LATE_TWO, LATE_ONE = (("row", None, False, version, "p", "a") for version in (0, 2, 1))


@st.composite
def histories(draw: st.DrawFn) -> tuple[bool, list[tuple[Any, ...]]]:
    """A record's life: rows (by source version, whose content is fixed), vanishings, and interruptions."""
    counted = draw(st.booleans())
    contents = [(draw(st.sampled_from("pq")), draw(st.sampled_from("ab"))) for _ in range(6)]
    steps: list[tuple[Any, ...]] = []
    for _ in range(draw(st.integers(1, 10))):
        # None: nothing fails. Otherwise the batch fails after so many of its messages left, and is read again.
        # With "moves on", the source has changed before it is read again (told apart only where the hub counts).
        fails = draw(st.none() | st.integers(0, 2))
        moves_on = counted and fails is not None and draw(st.booleans())
        if draw(st.integers(0, 3)) == 0:
            steps.append(("gone", fails, moves_on))
        else:
            version = draw(st.integers(0, 5))
            steps.append(("row", fails, moves_on, version, *contents[version]))
    steps[-1] = (steps[-1][0], steps[-1][1], False, *steps[-1][3:])  # the last reading succeeds
    return counted, steps


@given(histories(), st.booleans())
@example((False, [LATE_ZERO, GONE, LATE_TWO, GONE, LATE_ONE]), True)
def test_the_log_ends_where_the_source_stands(history: tuple[bool, list[tuple[Any, ...]]], read_once: bool) -> None:
    """Replays, late versions, changed people, vanishings and crashes between writing down and settling."""
    counted, steps = history
    consumer = Consumer()
    store: dict[str, Held] = {}
    seen = -1
    stands: dict[str, str] = {}
    clock = 0
    for step in steps:
        kind, fails, moves_on, *rest = step
        attempts = (None,) if fails is None else (fails,) if moves_on else (fails, None)
        for attempt_fails in attempts:
            clock += 1
            if kind == "gone":
                _outcome, said_steps = annul(store, (), None, clock)
                digests: dict[str, str] = {}
            else:
                version, person, digest = rest
                digests = {person: digest}
                _outcome, said_steps = upsert(store, digests, None if counted else version, clock, read_once=read_once)
            left = 0
            for one in said_steps:
                if one.held is not None:
                    store[one.person] = replace(one.held, settled=attempt_fails is None)
                if one.change is not None and (attempt_fails is None or left < attempt_fails):
                    left += 1
                    consumer.hear(one.person, one.change, one.version, digests.get(one.person, ""))
        if kind == "gone":
            stands = {}
        elif counted or rest[0] >= seen:
            seen, stands = rest[0], {rest[1]: rest[2]}
    assert consumer.stands() == stands
