"""The watchdog by its looks: what stands still ends, what moves, waits for nothing or was suspended does not."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from hub.errors import Hung
from hub.streams.watchdog import LOOK_S, RESUMED_S, Wait, Watchdog

BOUND_S = 10.0


class Clockwork:
    """A watchdog over one wait whose mark the test sets, looked at by a clock the test moves."""

    def __init__(self) -> None:
        self.mark: Hashable | None = 0
        self.now = 100.0
        self.ended: list[Hung] = []
        self.dog = Watchdog([Wait("a thing", BOUND_S, lambda: self.mark, lambda: "of a kind")], self.ended.append)

    def look(self, seconds: float) -> Hung | None:
        """Look every LOOK_S for so long; the first fault."""
        for _ in range(round(seconds / LOOK_S)):
            self.now += LOOK_S
            hung = self.dog.look(self.now)
            if hung is not None:
                return hung
        return None


@pytest.fixture
def made() -> Clockwork:
    """Looked at once."""
    made = Clockwork()
    assert made.dog.look(made.now) is None
    return made


def test_what_stands_still_is_named_once_its_bound_is_over(made: Clockwork) -> None:
    """Not before."""
    assert made.look(BOUND_S - LOOK_S) is None
    hung = made.look(LOOK_S)
    assert hung is not None
    assert "a thing (of a kind): no progress for 10 s" in str(hung)


def test_what_moves_now_and_then_does_not_hang(made: Clockwork) -> None:
    """However slowly, as long as it moves within its bound."""
    for mark in range(1, 20):
        assert made.look(BOUND_S - LOOK_S) is None
        made.mark = mark


def test_who_waits_for_nothing_does_not_hang(made: Clockwork) -> None:
    """And begins anew when it waits again, though the mark is the same."""
    assert made.look(BOUND_S - LOOK_S) is None
    made.mark = None
    assert made.look(3 * BOUND_S) is None
    made.mark = 0
    assert made.look(BOUND_S - LOOK_S) is None


@pytest.mark.parametrize("away_s", [RESUMED_S + 1, 3600.0])
def test_a_suspended_process_gets_its_whole_bound_again(made: Clockwork, away_s: float) -> None:
    """On the brink before it, and then for the first time out of breath."""
    assert made.look(BOUND_S - LOOK_S) is None
    made.now += away_s
    assert made.dog.look(made.now) is None
    assert made.look(BOUND_S - LOOK_S) is None
    assert made.look(LOOK_S) is not None


def test_a_busy_machine_neither_hides_a_hang_nor_hastens_its_end(made: Clockwork) -> None:
    """Looks come late, each counts as two at most."""
    late = RESUMED_S - LOOK_S
    looks = 0
    while True:
        made.now += late
        looks += 1
        if made.dog.look(made.now):
            break
    assert looks == BOUND_S / (2 * LOOK_S)


def test_the_first_that_hangs_is_named() -> None:
    """Where the loop stands still because a batch does, the batch says more."""
    dog = Watchdog([Wait(name, BOUND_S, lambda: 0) for name in ("a batch", "the loop")])
    found = [dog.look(float(second)) for second in range(20)]
    assert str(next(hung for hung in found if hung)).startswith("a batch: no progress")
