"""A stage of the worker: a pure step, the topics it reads, and how its state is written. Knows no rule and no Kafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from hub.discovery.shapes import States, StepResult
from hub.streams.topics import Topic


def _nothing(_state: Any) -> Mapping[str, int]:
    return {}


def _never(_state: Any) -> bool:
    return False


class Stage(Struct, frozen=True, kw_only=True):
    """One stage. States are opaque here, hence `Any`: what is written is what `encode` and `decode` of the stage say.

    `step` is pure: (states, records, now in UTC ms) → changes, outputs, counts. With `reviews`, a state has a day
    `next_review` on which it asks to be looked at again, and the worker then hands the step a `Review` of its key.
    `standing` counts what a state stands for (`truth:<rule>:<truth>`), so that gauges survive a restart. `stale` says
    that a state was made under another law than the one in force; such keys are handed a `Review` after a restore.
    """

    name: str
    inputs: tuple[Topic, ...]
    state_topic: Topic
    step: Callable[[States[Any], Sequence[Any], int], StepResult[Any]]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    reviews: bool = False
    standing: Callable[[Any], Mapping[str, int]] = _nothing
    stale: Callable[[Any], bool] = _never

    @property
    def input_names(self) -> frozenset[str]:
        """Names of the topics it reads."""
        return frozenset(topic.name for topic in self.inputs)
