"""A stage of the worker: a pure step, the topics it reads, and how its state is written. Knows no rule and no Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from hub.discovery.shapes import States, StepResult
from hub.streams.topics import Topic


def nothing(_state: Any) -> Iterable[str]:
    """The standing numbers of a state that counts for none."""
    return ()


def never(_state: Any) -> bool:
    """For states on which no law has a say."""
    return False


class Stage(Struct, frozen=True, kw_only=True):
    """One stage. States are opaque here, hence `Any`: what is written is what `encode` and `decode` of the stage say.

    `step` is pure: (states, records, now in UTC ms) → changes, outputs, counts. With `reviews`, a state has a day
    `next_review` on which it asks to be looked at again, and the worker then hands the step a `Review` of its key.
    `standing` names what a state counts for, once each (`truth:<rule>:<truth>`), so that gauges survive a restart.
    `stale` says that a state was made under another law than the one in force; such keys are handed a `Review` after
    a restore.

    `outline` reads of a value no more than `standing`, `stale` and `next_review` need, where that is cheaper than
    `decode`. `prefix` is what every value begins with, the version that `encode` writes: a value that begins otherwise
    is shown to `decode` when it is restored. `law` is the fingerprint of the law that `stale` compares with; a store
    on disk that was gone through under the same one is not gone through again. Empty: always.

    `takeover` is what a generation was built beside told before it (`hub.streams.takeover`); None: nothing was.
    """

    name: str
    inputs: tuple[Topic, ...]
    state_topic: Topic
    step: Callable[[States[Any], Sequence[Any], int], StepResult[Any]]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    reviews: bool = False
    standing: Callable[[Any], Iterable[str]] = nothing
    stale: Callable[[Any], bool] = never
    outline: Callable[[bytes], Any] | None = None
    prefix: bytes = b""
    law: str = ""
    takeover: Any = None

    @property
    def input_names(self) -> frozenset[str]:
        """Names of the topics it reads."""
        return frozenset(topic.name for topic in self.inputs)
