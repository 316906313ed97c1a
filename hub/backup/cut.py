"""Where a backup of running topics is cut: whatever a captured state has not brought about is left out.

State, outputs and position move in one transaction a partition, but partitions are read one after the other while
workers go on. States are read first. So whatever a captured state says it told is in the topics, which are read later;
and what else is there was told by a later state that is not in the backup. A worker started on it would tell that
again, under the same number but perhaps not in the same words, and who has seen the first would not take the second.
Every such message carries the number of the state it came from: those above the captured one are left out.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from hub.discovery.state import RuleState, outline_home, outline_person
from hub.discovery.told import numbered
from hub.domain.homes import COVERAGE_HOME
from hub.domain.messages import Alert, Conflict, Contribution, FindingChange, Message


class _Rules(Struct, frozen=True, array_like=True):
    """The head of a home's state."""

    contributions: msgspec.Raw
    rules: dict[str, RuleState] = {}


_rules: Final = msgspec.msgpack.Decoder(_Rules)


class Cut:
    """How far the captured states have come. `person` and `home` are given each captured value, oldest first."""

    def __init__(self, generation: int) -> None:
        self._generation = generation
        self._persons: dict[str, tuple[int, int]] = {}
        self._homes: dict[str, dict[str, tuple[int, int, int]]] = {}

    def person(self, partition: int, key: str, value: bytes) -> None:
        """The newest contribution and conflict of a person. StateFromTheFuture, StateUnreadable."""
        state = outline_person(value)
        self._persons[_named(partition, key)] = (state.generation, state.sequence)

    def home(self, _partition: int, key: str, value: bytes) -> None:
        """The newest alert and outcome of each rule at a home. StateFromTheFuture, StateUnreadable."""
        outline_home(value)  # refuses what it does not know
        held = _rules.decode(memoryview(value)[2:]).rules
        self._homes[key] = {rule: (one.episode, one.revision, one.sequence) for rule, one in held.items()}

    def keeps(self, partition: int, message: Message) -> bool:
        """Whether a captured state brought a message about; messages of others are always kept."""
        if isinstance(message, Contribution):
            at = self._persons.get(_named(partition, message.person))
            return at is not None and (message.generation, message.sequence) <= at
        if isinstance(message, Conflict):
            at = self._persons.get(message.person)
            return at is not None and message.sequence <= numbered(*at)
        if isinstance(message, Alert):
            held = self._homes.get(message.home, {}).get(message.rule)
            return held is not None and (message.episode, message.revision) <= held[:2]
        if isinstance(message, FindingChange):
            held = self._homes.get(message.home, {}).get(message.rule)
            return held is not None and message.sequence <= numbered(self._generation, held[2])
        return True


def _named(partition: int, key: str) -> str:
    """Statements on regions have a state in every partition."""
    return f"{key} {partition}" if key == COVERAGE_HOME else key
