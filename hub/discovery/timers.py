"""Which homes are to be decided again, and which persons pruned, and when: an index over `next_review` of states.

The date itself lives in the state; the index is rebuilt from states on restore and dropped on revocation. A
driver takes what is due, feeds it to the subject step as `Review` records, and puts the changed states back here, in
the same commit as any other batch. A review that fires twice, or late, changes nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from heapq import heapify, heappop, heappush

from hub.discovery.state import HomeState, PersonState
from hub.domain.messages import Review


class ReviewIndex:
    """Review dates of one partition's homes, or persons, earliest first."""

    def __init__(self, states: Iterable[tuple[str, HomeState | PersonState]] = ()) -> None:
        self._dates = {home: state.next_review for home, state in states if state.next_review is not None}
        self._heap = [(day, home) for home, day in self._dates.items()]
        heapify(self._heap)

    def __len__(self) -> int:
        return len(self._dates)

    def update(self, changes: Mapping[str, HomeState] | Mapping[str, PersonState]) -> None:
        """Take over the review dates of changed homes."""
        self.move({home: state.next_review for home, state in changes.items()})

    def move(self, days: Mapping[str, date | None]) -> None:
        """The same, given the dates alone; None where a home waits for nothing."""
        for home, day in days.items():
            if day == self._dates.get(home):
                continue
            if day is None:
                del self._dates[home]
            else:
                self._dates[home] = day
                heappush(self._heap, (day, home))

    def due(self, today: date, budget: int | None = None) -> list[Review]:
        """Reviews due by a day, earliest first, at most `budget`. They stay due until `update` says otherwise."""
        fired: dict[str, Review] = {}
        while self._heap and self._heap[0][0] <= today and (budget is None or len(fired) < budget):
            day, home = heappop(self._heap)
            if self._dates.get(home) == day:  # else the home got another date since
                fired[home] = Review(home, day)
        for review in fired.values():
            heappush(self._heap, (review.review_on, review.home))
        return list(fired.values())

    def next(self) -> date | None:
        """Earliest review date."""
        while self._heap and self._dates.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None
