"""The shape both steps share: `step(states, records, now) -> StepResult`, driven by worker, replay and test alike."""

from __future__ import annotations

from collections import Counter
from typing import Generic, Protocol, TypeVar

from msgspec import Struct, field

from hub.domain.messages import Output

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class States(Protocol[S_co]):
    """The decoded states of one partition, as they stood before the batch. A step only reads it."""

    def get(self, key: str, /) -> S_co | None:
        """State under a key, None where there is none."""
        ...


class StepResult(Struct, Generic[S]):
    """What a batch changed: new states by key, messages to publish in order, and counts for metrics.

    Counts are `record:<what became of it>` (each record of the batch once), and changes of standing numbers, which
    may be negative: `truth:<rule>:<truth>`, `stage:<rule>:<stage>`.

    `restated`: what is said of whole regions changed, which every state of the partition may rest on. The driver hands
    each of them a `Review(key, date.min)` at its own rate: a partition of a city holds more than one batch can bear.
    """

    changes: dict[str, S] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    restated: bool = False
