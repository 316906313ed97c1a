"""The state of one partition of one stage, as the changelog holds it: what the values in its store mean.

Values stay encoded: a partition holds many more states than a batch touches. The changelog's record under `OFFSETS`
says up to where the inputs are folded in; it was written in the same transaction as the states beside it.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec

from hub.domain.homes import COVERAGE_HOME
from hub.errors import HubError, StateFromTheFuture, StateUnreadable
from hub.streams.stage import Stage, never, nothing
from hub.streams.store import Mark, MemoryStore, Reviews, Store

OFFSETS: Final = b"\x00offsets"
"""Key of the record of source offsets; no person or home begins with a zero byte."""

RESTATED: Final = "restated"
"""Key in the record of source offsets while every state is to be reviewed, as what is said of whole regions changed;
0 when the last one was. No topic may be named so."""

LOADED: Final = 5_000
"""Changelog records a lasting store takes over in one write: some megabytes, and some milliseconds."""

LOOKED_THROUGH: Final = 1_000
"""States that one look for stale ones goes through, some milliseconds: records wait no longer than that."""

_offsets: Final = msgspec.msgpack.Decoder(dict[str, int])


def encode_offsets(offsets: Mapping[str, int]) -> bytes:
    """Bytes of {topic: next offset}."""
    return msgspec.msgpack.encode(offsets)


class Slot(NamedTuple):
    """One partition of one stage: what one owner works on at a time."""

    stage: str
    partition: int


class Sweep:
    """Keys whose state was made under another law, found a piece at a time and in no order.

    Iterate over it for those found, taking `popleft` for each one that was handed a review: iterating goes through
    some more states (LOOKED_THROUGH) when it runs out, so it may end early though more would be found next time.
    """

    def __init__(self, states: Iterator[tuple[str, bytes]], stale: Callable[[str, bytes], bool]) -> None:
        self._states = states
        self._stale = stale
        self._found: deque[str] = deque()
        self._through = False

    def __iter__(self) -> Iterator[str]:
        given, looked = 0, 0
        while True:
            if given < len(self._found):
                yield self._found[given]
                given += 1
            elif looked < LOOKED_THROUGH and not self._through:
                looked += 1
                self._look()
            else:
                return

    def popleft(self) -> str:
        """Take the first one found away."""
        return self._found.popleft()

    @property
    def done(self) -> bool:
        """Whether every state was looked at, and every stale one taken."""
        return self._through and not self._found

    def _look(self) -> None:
        found = next(self._states, None)
        if found is None:
            self._through = True
        elif self._stale(*found):
            self._found.append(found[0])


class PartitionState:
    """State values by key, next offsets by topic, the days on which states ask to be reviewed, standing numbers.

    `stale` are keys whose state was made under another law and that were not handed a review since. `position` is
    where the changelog is to be read on. Reading is by the shape that steps see (`hub.discovery.shapes.States`).
    Without a `store`, values are held in memory.
    """

    def __init__(self, stage: Stage, partition: int, store: Store | None = None) -> None:
        self.stage = stage
        self.partition = partition
        self.misread: str | None = None
        """Key of the value over which a restore ended, so that its record can be looked for. Never to be shown."""
        self._store: Store = MemoryStore() if store is None else store
        self._outline = stage.outline or stage.decode
        self._loading: dict[str, bytes | None] = {}
        self._take_mark()

    def get(self, key: str, /) -> Any:
        """The decoded state under a key, None where there is none. StateUnreadable, StateFromTheFuture."""
        data = self._store.get(key)
        if data is None:
            return None
        try:
            return self.stage.decode(data)
        except (StateUnreadable, StateFromTheFuture) as error:
            raise type(error)(f"{self.stage.state_topic.name}, partition {self.partition}: {error}") from error

    def keys(self) -> Iterable[str]:
        """Every key that has a state."""
        return self._store.keys()

    @property
    def reviews(self) -> Reviews:
        """The days on which states ask to be reviewed."""
        return self._store.reviews

    @property
    def restated(self) -> bool:
        """Whether every state is being reviewed; a restart begins with the first one again."""
        return bool(self.offsets.get(RESTATED))

    @property
    def lasting(self) -> bool:
        """Whether the store outlives this process."""
        return self._store.lasting

    @property
    def written_at(self) -> int:
        """When the store was last written to, UTC ms by the system clock; 0: never."""
        return self._store.mark.written_at

    @property
    def so_far(self) -> int:
        """States held and loaded: during a restore, at most how many there are."""
        return len(self._store) + len(self._loading)

    def __contains__(self, key: str) -> bool:
        return key in self._store

    def __len__(self) -> int:
        return len(self._store)

    # --- restore --------------------------------------------------------------------------------------------------

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record over, as it comes; `settle` follows after the last one."""
        if key == OFFSETS:
            if value is not None:
                self.offsets = _decode_offsets(value)
        else:
            self._loading[key.decode()] = value

    def loaded(self, position: int) -> None:
        """Every record before a position was loaded."""
        self.position = position
        if self._store.lasting and len(self._loading) >= LOADED:
            self._absorb()

    def settle(self) -> None:
        """After a restore: write what was loaded and what follows from it. StateUnreadable, StateFromTheFuture."""
        if self._loading or self.position != self._store.mark.position:
            self._absorb()
        self.stale = self._sweep()

    def rebuild(self) -> None:
        """Forget everything: the changelog is to be loaded from its start."""
        self._store.clear()
        self._loading.clear()
        self._take_mark()

    # --- work -----------------------------------------------------------------------------------------------------

    def apply(
        self,
        changes: Mapping[str, Any],
        encoded: Mapping[str, bytes],
        offsets: Mapping[str, int],
        counts: Mapping[str, int],
        position: int | None = None,
    ) -> None:
        """Take over what was committed: `changes`, the same `encoded`, next offsets, changes of standing numbers.

        `position` is the changelog's behind that commit; None: not known, and what the store has not noted as its own
        is loaded again at the next restore. StateUnavailable when a store on disk cannot take it.
        """
        self.offsets.update(offsets)
        if offsets.get(RESTATED):
            self.stale = self._sweep()
        for name, change in counts.items():
            if not name.startswith("record:"):
                self.standing[name] += change
        if position is not None:
            self.position = position
        days = {key: state.next_review for key, state in changes.items()} if self.stage.reviews else {}
        self._store.write(encoded, days, self._mark())

    def close(self) -> None:
        """Let the store go; what a lasting one holds stays."""
        self._store.close()

    # --------------------------------------------------------------------------------------------------------------

    def _take_mark(self) -> None:
        mark = self._store.mark
        self.offsets = dict(mark.offsets)
        self.standing: Counter[str] = Counter(mark.standing)
        self.position = mark.position
        self._law = mark.law
        self.stale = Sweep(iter(()), self._is_stale)

    def _mark(self) -> Mark:
        if self.stale.done:
            self._law = self.stage.law
        return Mark(self.position, self.offsets, self.standing, self._law, time.time_ns() // 1_000_000)

    def _absorb(self) -> None:
        """Write what was loaded, with the days and numbers that follow from it."""
        pending, self._loading = self._loading, {}
        stage = self.stage
        counted, reviewed, prefix = stage.standing is not nothing, stage.reviews, stage.prefix
        judged = self._store.lasting and bool(self._law) and stage.stale is not never
        days: dict[str, date | None] = {}
        names: list[str] = []
        if counted and len(self._store):
            for key, held in zip(pending, self._store.many(list(pending)), strict=True):
                if held is not None:
                    self.standing.subtract(stage.standing(self._read(key, held)))
        for key, data in pending.items():
            if data is None:
                days[key] = None
            elif counted or reviewed or judged or not data.startswith(prefix):
                state = self._read(key, data)
                if counted:
                    names.extend(stage.standing(state))
                    if len(names) > LOADED:
                        self.standing.update(names)
                        names.clear()
                if reviewed:
                    days[key] = state.next_review
                if judged and stage.stale(state):
                    self._law = ""  # another worker, under another law, had this partition meanwhile
        self.standing.update(names)
        for name in [name for name, number in self.standing.items() if not number]:
            del self.standing[name]
        self._store.write(pending, days, self._mark())

    def _sweep(self) -> Sweep:
        if self.restated:
            return Sweep(self._store.items(), lambda key, _data: key != COVERAGE_HOME)
        gone_through = self._store.lasting and self.stage.law and self._law == self.stage.law
        if self.stage.stale is never or gone_through:
            return Sweep(iter(()), self._is_stale)
        return Sweep(self._store.items(), self._is_stale)

    def _is_stale(self, key: str, data: bytes) -> bool:
        return self.stage.stale(self._read(key, data))

    def _read(self, key: str, data: bytes) -> Any:
        try:
            return self._outline(data)
        except HubError:
            self.misread = key
            raise
        except msgspec.MsgspecError as error:
            self.misread = key
            raise StateUnreadable("a state value is damaged — rebuild this partition's state") from error


def _decode_offsets(data: bytes) -> dict[str, int]:
    try:
        return _offsets.decode(data)
    except msgspec.MsgspecError as error:
        raise StateUnreadable("the record of source offsets is damaged — rebuild this partition's state") from error
