"""One person's records being folded: which version of each counts, and what is too old to be kept."""

from __future__ import annotations

from datetime import date
from hashlib import blake2b
from typing import Final

import msgspec

from hub.discovery.pruning import Horizon
from hub.discovery.state import Floor, PersonState, RecordKey
from hub.domain.messages import Event, Fact

_encode: Final = msgspec.msgpack.Encoder().encode


class Folding:
    """One state being folded. Records are applied one by one, then what is too old is pruned; `state()` is the rest."""

    def __init__(self, before: PersonState, horizon: Horizon) -> None:
        self._before = before
        self._horizon = horizon
        self._facts: dict[RecordKey, Fact] = {(f.topic, f.source, f.record_id): f for f in before.facts}
        self._floors: dict[RecordKey, Floor] = {(f.topic, f.source, f.record_id): f for f in before.floors}
        self._collided = set(before.collided)
        self._touched: dict[RecordKey, Fact | None] = {}
        self.changed = False

    def apply(self, event: Event) -> str:
        """Fold one event; says what became of it: new, updated, taken_back, replayed, superseded, collided, erased."""
        header = event.header
        key = (event.topic, header.source, header.record_id)
        held: Fact | Floor | None = self._facts.get(key) or self._floors.get(key)
        if held is not None and header.version < held.version:
            return "erased" if isinstance(held, Floor) and held.erased else "superseded"
        new: Fact | Floor
        if header.change == "UPSERT" and event.payload is not None:
            new = Fact(
                event.topic,
                header.source,
                header.record_id,
                header.version,
                header.region,
                header.event_time,
                header.record_time,
                header.received_at,
                header.valid_from,
                header.valid_to,
                event.payload,
            )
        else:
            last = self._horizon.last_of(event.topic, header.record_time)
            new = Floor(*key, header.version, header.change == "ERASED", last)
        if held is not None and header.version == held.version:
            return self._same_version(key, held, new)
        if held is None and self._past(new):
            return "superseded"
        self._collided.discard(key)
        self._put(key, new)
        if isinstance(new, Floor):
            return "taken_back"
        return "new" if held is None else "updated"

    def _same_version(self, key: RecordKey, held: Fact | Floor, new: Fact | Floor) -> str:
        if held == new or (isinstance(held, Floor) and held.pruned and isinstance(new, Fact)):
            return "replayed"
        order = sorted((held, new), key=_precedence)
        if order[0] is not held:
            self._put(key, order[0])
        if _content(held) == _content(new):
            return "replayed"  # the same content, only received or recorded at another time: the earliest stays
        if key not in self._collided:
            self._collided.add(key)
            self.changed = True
        return "collided"

    def _put(self, key: RecordKey, value: Fact | Floor) -> None:
        self.changed = True
        self._touched.setdefault(key, self._facts.get(key))
        if isinstance(value, Floor):
            self._facts.pop(key, None)
            self._floors[key] = value
        else:
            self._floors.pop(key, None)
            self._facts[key] = value

    def prune(self) -> None:
        """Leave a floor of each record that lies below the horizon, and drop the floors that have ended."""
        horizon = self._horizon
        if not horizon.months:
            return
        for key, fact in list(self._facts.items()):
            if horizon.below(fact):
                self._put(key, horizon.floor_of(fact))
                self._collided.discard(key)
        for key, floor in list(self._floors.items()):
            if key in self._collided and horizon.forgotten(floor):
                self._collided.discard(key)
                self.changed = True
            if horizon.ended(floor):
                del self._floors[key]
                self.changed = True

    def next_review(self) -> date | None:
        """The day on which more is to be pruned."""
        return self._horizon.next_review(self._facts.values(), self._floors.values(), self._collided)

    def _past(self, new: Fact | Floor) -> bool:
        """Whether a record comes so late that it would leave nothing behind."""
        horizon = self._horizon
        if isinstance(new, Floor):
            return horizon.ended(new)
        return horizon.below(new) and horizon.ended(horizon.floor_of(new))

    def moved_topics(self) -> set[str]:
        """Topics of which a live fact is another than before the batch."""
        return {key[0] for key, before in self._touched.items() if self._facts.get(key) != before}

    def versions(self) -> dict[RecordKey, int]:
        """Newest version of each record of which two contents came."""
        return {key: (self._facts.get(key) or self._floors[key]).version for key in self._collided}

    def state(self) -> PersonState:
        """The folded state; what was sent and said stays as it was."""
        return msgspec.structs.replace(
            self._before,
            facts=tuple(self._facts[key] for key in sorted(self._facts)),
            floors=tuple(self._floors[key] for key in sorted(self._floors)),
            collided=tuple(sorted(self._collided)),
        )


def _content(value: Fact | Floor) -> object:
    """What a version says, without when it was recorded or received. All takings back say the same."""
    if isinstance(value, Floor):
        return "pruned" if value.pruned else None
    return (value.region, value.valid_from, value.valid_to, value.payload)


def _precedence(value: Fact | Floor) -> tuple[int, bytes, int, int, int]:
    """Which of two values of one version wins (the least): erasure, annulment, smallest digest, earliest received."""
    if isinstance(value, Floor):
        last = value.last.toordinal() if value.last is not None else 0
        return (2 if value.pruned else 0 if value.erased else 1, b"", last, 0, 0)
    digest = blake2b(_encode(_content(value)), digest_size=16).digest()
    return (2, digest, value.received_at, value.record_time, value.event_time)
