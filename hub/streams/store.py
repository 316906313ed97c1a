"""Where the values of one partition live: what a store must do, and the store in memory.

Values are bytes by key; what they mean is not known here. A store is written to only after the Kafka transaction that
holds the same values, and each write is whole or not there: values, days of review and the mark beside them, which
says up to where they go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Protocol

from msgspec import Struct

from hub.discovery.timers import ReviewIndex
from hub.domain.messages import Review


class Mark(Struct):
    """What is written beside the values, in the same write.

    `position` is where the changelog is to be read on; 0: nothing of it is here. `offsets` are the next offsets of the
    inputs, `standing` the standing numbers. `law` is the one under which every state here was last gone through.
    `written_at` is the system clock, UTC ms.
    """

    position: int = 0
    offsets: dict[str, int] = {}
    standing: dict[str, int] = {}
    law: str = ""
    written_at: int = 0


class Reviews(Protocol):
    """The days on which keys ask to be reviewed."""

    def __len__(self) -> int: ...

    def due(self, today: date, budget: int | None = None) -> list[Review]:
        """Reviews due by a day, earliest first, at most `budget`. They stay due until a write says otherwise."""
        ...


class Store(Protocol):
    """Values by key, and the mark. Used by one thread at a time."""

    lasting: bool
    """Whether it outlives the process, so that a restore need only read on from its mark."""

    mark: Mark
    """The mark as it was last written."""

    @property
    def reviews(self) -> Reviews:
        """The index over the days that were written."""
        ...

    def get(self, key: str, /) -> bytes | None:
        """The value under a key, None where there is none."""
        ...

    def many(self, keys: Sequence[str], /) -> Iterable[bytes | None]:
        """The values under some keys, in their order."""
        ...

    def keys(self) -> Iterable[str]:
        """Every key that has a value. Not to be used across a write."""
        ...

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every key with its value. May be used across writes: what is written meanwhile may be seen or not."""
        ...

    def __contains__(self, key: str, /) -> bool: ...

    def __len__(self) -> int: ...

    def write(self, values: Mapping[str, bytes | None], days: Mapping[str, date | None], mark: Mark) -> None:
        """Take values over (None: the key goes), the days of review of some of those keys, and the mark."""
        ...

    def clear(self) -> None:
        """Forget everything, the mark too."""
        ...

    def close(self) -> None:
        """Let go; nothing is used after it. What was written stays where the store is a lasting one."""
        ...


class MemoryStore:
    """Values in a dict: for a county, and for tests. Restored whole from the changelog at every start."""

    lasting = False

    def __init__(self) -> None:
        self.mark = Mark()
        self.reviews = ReviewIndex()
        self._values: dict[str, bytes] = {}

    def get(self, key: str, /) -> bytes | None:
        """The value under a key, None where there is none."""
        return self._values.get(key)

    def many(self, keys: Sequence[str], /) -> Iterable[bytes | None]:
        """The values under some keys, in their order."""
        return map(self._values.get, keys)

    def keys(self) -> Iterable[str]:
        """Every key that has a value."""
        return self._values.keys()

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every key with its value, as far as it is still there when its turn comes."""
        for key in list(self._values):
            value = self._values.get(key)
            if value is not None:
                yield key, value

    def __contains__(self, key: str, /) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def write(self, values: Mapping[str, bytes | None], days: Mapping[str, date | None], mark: Mark) -> None:
        """Take over values, days of review, and the mark."""
        for key, value in values.items():
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value
        self.reviews.move(days)
        self.mark = mark

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self.reviews = ReviewIndex()
        self.mark = Mark()

    def close(self) -> None:
        """Nothing to let go of."""
