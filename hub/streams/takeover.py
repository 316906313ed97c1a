"""How a generation that was built unheard takes over: what was told before is read back, and differences are told.

A partition is taken over once. When it is restored, the newest alert and outcome of each (rule, home), or the newest
message of each conflict, is read from the topics they were told on and put before the steps (`hub.discovery.told`).
Each state made unheard is stale, so the engine's sweep hands it a review, some hundred a second; so are homes and
persons of whom something was told and who have no state now. When none is left, a mark beside the source offsets says
so, in the same transaction protocol as all else. A process killed in between does what is left: what was told
meanwhile is in the topics it reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from hub.discovery.state import RuleState
from hub.discovery.told import kept_of, rule_state
from hub.domain.messages import Alert, Conflict, FindingChange, Message
from hub.settings import Settings
from hub.streams.codec import Codec
from hub.streams.reading import to_end
from hub.streams.state import PartitionState
from hub.streams.topics import ALERTS, CONFLICTS, FINDINGS

TAKEN_OVER: Final = "taken over"
"""Key in the record of source offsets once a partition was taken over; no topic may be named so."""

V = TypeVar("V")


class Takeover(Generic[V]):
    """What was told of the keys of one stage, of the partitions that this process is taking over.

    `told` is asked by the steps; the rest by the engine: `begin` after a restore, `missing` and `took` while it
    sweeps, `finished` and `end` after that.
    """

    def __init__(
        self, settings: Settings, read: Callable[[Settings, int], dict[str, V]], nothing: Callable[[], V]
    ) -> None:
        self._settings = settings
        self._read = read
        self._nothing = nothing
        self._told: dict[int, dict[str, V]] = {}
        self._left: dict[int, list[str]] = {}

    def told(self, key: str) -> V:
        """What was told of a key; nothing where its partition was taken over before."""
        for by_key in self._told.values():
            if key in by_key:
                return by_key[key]
        return self._nothing()

    def begin(self, state: PartitionState) -> None:
        """Read what was told of a restored partition's keys, unless it was taken over. BrokerUnavailable."""
        self._told.pop(state.partition, None)
        self._left.pop(state.partition, None)
        if TAKEN_OVER not in state.offsets:
            by_key = self._read(self._settings, state.partition)
            self._told[state.partition] = by_key
            self._left[state.partition] = [key for key in by_key if key not in state]

    def missing(self, partition: int, budget: int) -> list[str]:
        """Keys of whom something was told and who had no state, not handed a review yet."""
        return self._left.get(partition, [])[: max(0, budget)]

    def took(self, partition: int, count: int) -> None:
        """The first `count` of those were reviewed."""
        if count:
            del self._left[partition][:count]

    def finished(self, state: PartitionState) -> bool:
        """Whether the sweep of a partition that is being taken over is at its end."""
        return state.partition in self._told and not self._left[state.partition] and state.stale.done

    def end(self, partition: int) -> None:
        """The mark was committed: what was told before is in the states now."""
        self._told.pop(partition, None)
        self._left.pop(partition, None)


def told_of_homes(settings: Settings, partition: int) -> dict[str, Mapping[str, RuleState]]:
    """By home and rule, what the newest alert and outcome of a partition say. Outcomes are kept thirty days."""
    alerts: dict[tuple[str, str], Alert] = {}
    findings: dict[tuple[str, str], FindingChange] = {}
    for value in read_values(settings, (ALERTS.name, FINDINGS.name), partition):
        if isinstance(value, Alert):
            held = alerts.get((value.home, value.rule))
            if held is None or (held.episode, held.revision) < (value.episode, value.revision):
                alerts[value.home, value.rule] = value
        elif isinstance(value, FindingChange):
            known = findings.get((value.home, value.rule))
            if known is None or known.sequence < value.sequence:
                findings[value.home, value.rule] = value
    told: dict[str, dict[str, RuleState]] = defaultdict(dict)
    for home, rule in sorted(alerts.keys() | findings.keys()):
        told[home][rule] = rule_state(alerts.get((home, rule)), findings.get((home, rule)))
    return dict(told)


def told_of_persons(settings: Settings, partition: int) -> dict[str, dict[str, str]]:
    """By person, the conflicts that stand open by what was told."""
    newest: dict[str, Conflict] = {}
    for value in read_values(settings, (CONFLICTS.name,), partition):
        if isinstance(value, Conflict):
            held = newest.get(value.conflict_id)
            if held is None or held.sequence <= value.sequence:
                newest[value.conflict_id] = value
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for conflict in newest.values():
        if conflict.state == "OPEN":
            told[conflict.person][conflict.conflict_id] = kept_of(conflict)
    return dict(told)


def home_takeover(settings: Settings) -> Takeover[Mapping[str, RuleState]]:
    """The takeover of the subject stage."""
    return Takeover(settings, told_of_homes, dict)


def person_takeover(settings: Settings) -> Takeover[dict[str, str]]:
    """The takeover of the person stage."""
    return Takeover(settings, told_of_persons, dict)


def read_values(settings: Settings, topics: tuple[str, ...], partition: int) -> Iterator[Message | Any]:
    """Every committed value of one partition of some topics, to the end as it is now. BrokerUnavailable, DataFault."""
    codec = Codec(settings.registry_url)
    try:
        places = [TopicPartition(topic, partition, OFFSET_BEGINNING) for topic in topics]
        for message in to_end(settings, "hub-takeover", places):
            yield codec.decode(message.topic() or "", message.value() or b"")
    finally:
        codec.close()
