"""Which records of a person have fallen below their horizon: a function of the record and the day alone.

It asks nothing of other records, so that order cannot matter: whatever came in between, a record lies below on the same
days. A pruned record leaves a floor, lest an older version, or the same again, be taken for something new. The floor
ends with the period in which a source may send again what it sent before (`REDELIVERY_MONTHS`). After it any older
version is below the horizon by its own day, since it was recorded no later: it is superseded without a floor.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import date
from hashlib import blake2b

from hub.discovery.state import Floor, RecordKey
from hub.domain.messages import Fact
from hub.domain.times import local_date
from hub.policy.horizon import REDELIVERY_MONTHS, anchor, falls_on, reaches_back_to


class Horizon:
    """How far back the facts of one person reach on a day. `months` by topic; a topic that is not there is kept."""

    def __init__(self, person: str, today: date, months: Mapping[str, int]) -> None:
        self.months = months
        self._person = person
        self._today = today
        self._reach: dict[int, date] = {}

    def below(self, fact: Fact) -> bool:
        """Whether no rule reads a record any more."""
        months = self.months.get(fact.topic)
        if months is None or fact.payload is None:
            return False
        return anchor(fact.topic, fact.payload) < self._back_to(months)

    def forgotten(self, floor: Floor) -> bool:
        """Whether what a floor says of its record, beyond the version, is of no more use."""
        months = self.months.get(floor.topic)
        return months is not None and floor.last is not None and floor.last < self._back_to(months)

    def ended(self, floor: Floor) -> bool:
        """Whether a floor need not be kept."""
        months = self.months.get(floor.topic)
        if months is None or floor.last is None:
            return False
        return floor.last < self._back_to(months + REDELIVERY_MONTHS)

    def floor_of(self, fact: Fact) -> Floor:
        """What stays of a pruned record."""
        last = local_date(fact.record_time)
        if fact.payload is not None:
            last = max(last, anchor(fact.topic, fact.payload))
        return Floor(fact.topic, fact.source, fact.record_id, fact.version, False, last, True)

    def last_of(self, topic: str, record_time: int) -> date | None:
        """The last day of the floor of a record that was taken back; None where it stays for ever."""
        return local_date(record_time) if topic in self.months else None

    def next_review(
        self, facts: Iterable[Fact], floors: Iterable[Floor], collided: Container[RecordKey]
    ) -> date | None:
        """The day on which something falls below, or ends, if nothing comes before."""
        oldest: dict[int, date] = {}
        for fact in facts:
            months = self.months.get(fact.topic)
            if months is not None and fact.payload is not None:
                day = anchor(fact.topic, fact.payload)
                oldest[months] = min(oldest.get(months, day), day)
        for floor in floors:
            months = self.months.get(floor.topic)
            if months is not None and floor.last is not None:
                if (floor.topic, floor.source, floor.record_id) not in collided:
                    months += REDELIVERY_MONTHS
                oldest[months] = min(oldest.get(months, floor.last), floor.last)
        return min((falls_on(self._person, day, months) for months, day in oldest.items()), default=None)

    def _back_to(self, months: int) -> date:
        reach = self._reach.get(months)
        if reach is None:
            reach = self._reach[months] = reaches_back_to(self._person, self._today, months)
        return reach


def fingerprint(horizons: Mapping[str, int]) -> str:
    """Tells horizons apart; empty for none."""
    return blake2b(repr(sorted(horizons.items())).encode(), digest_size=4).hexdigest() if horizons else ""
