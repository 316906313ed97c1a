"""What a worker takes from Kafka at a time: how much, and whose."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

from hub.streams.state import Slot

FETCH_RECORDS = 10_000
"""Most records of one round, all slots together. Larger transactions cost hardly less a record."""

ROUND_S: Final = 0.25
"""A round takes as many records as were lately worked on in this time: timers and health wait no longer."""

LEAST_RECORDS: Final = 256
"""A round takes at least so many, since a commit for each slot has its own price."""

SMOOTH: Final = 0.3
"""Weight of the newest round in what a record costs."""

PATIENCE_S: Final = 1.0
"""While others have more than a round bears, a slot with few records waits so long for a batch worth its commit."""

T = TypeVar("T")


class Pace:
    """How many records the next round may take, by the processor time that folding one took lately.

    Neither the wait for commits counts nor what other programs take: both cost a round, not its records, and a limit
    that shrank with them would make them dearer still.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._record_s = ROUND_S / FETCH_RECORDS * 8  # a careful guess: the first round is small
        self._spent = 0.0
        self._records = 0

    @property
    def limit(self) -> int:
        """Records of the next round."""
        return max(min(LEAST_RECORDS, FETCH_RECORDS), min(FETCH_RECORDS, int(ROUND_S / self._record_s)))

    @contextmanager
    def folding(self, records: int) -> Iterator[None]:
        """Around the folding of a batch."""
        began = self._clock()
        yield
        self._spent += self._clock() - began
        self._records += records

    def end(self) -> None:
        """The round is over."""
        if self._records >= LEAST_RECORDS:  # of a small round, the batches' own cost is the larger part
            self._record_s += SMOOTH * (self._spent / self._records - self._record_s)
        self._spent, self._records = 0.0, 0


class Turns:
    """Whose records a round takes. Knows only how many wait."""

    def __init__(self) -> None:
        self._served: dict[Slot, float] = {}

    def plan(self, waiting: Mapping[Slot, Mapping[T, int]], limit: int, now: float) -> list[tuple[T, int]]:
        """How many records to take of each partition: `limit` in all, or one of each at least. `now` in seconds.

        Where a round bears all that waits, it takes all. Where it does not, slots take turns, the one served longest
        ago first and as much as is left: a large batch folds several records of a home at once and costs one commit.
        A slot with few records then waits for PATIENCE_S, so that its batch grows too, and is served whole before the
        others. Within a slot all topics get the same share.
        """
        wanted = {slot: sum(topics.values()) for slot, topics in waiting.items()}
        behind = sum(wanted.values()) > limit
        few = limit // len(waiting)
        planned: list[tuple[T, int]] = []
        left, many = limit, []
        for slot in sorted(waiting, key=lambda slot: self._served.get(slot, 0.0)):
            if behind and wanted[slot] > few:
                many.append(slot)
            elif not behind or now - self._served.get(slot, 0.0) >= PATIENCE_S:
                planned += waiting[slot].items()
                left -= wanted[slot]
                self._served[slot] = now
        for slot in many:
            if left <= 0:
                break
            taken = _shares(waiting[slot], left)
            planned += taken
            left -= sum(number for _, number in taken)
            self._served[slot] = now
        return planned


def _shares(waiting: Mapping[T, int], limit: int) -> list[tuple[T, int]]:
    """The same for each, and what one does not need for the others; one at least."""
    shares, left = [], limit
    for number, (place, wanted) in enumerate(sorted(waiting.items(), key=lambda item: item[1])):
        share = max(1, min(wanted, left // (len(waiting) - number)))
        shares.append((place, share))
        left -= share
    return shares
