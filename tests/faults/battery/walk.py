"""The changelogs, walked in the order they were written: at every commit, what it passed must be in the state.

A changelog is a ledger of its own: each commit wrote states and, behind them, the offsets they stand for. So the walk
sees a position that ran ahead of its records even where later records hide it again.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from hub.discovery.state import Floor, HomeState, PersonState, decode_home, decode_person
from hub.domain.homes import COVERAGE_HOME
from hub.domain.messages import Alert, Conflict, Contribution, Event, Fact, FindingChange
from hub.errors import DataFault
from hub.streams.codec import Codec
from hub.streams.state import OFFSETS, RESTATED
from hub.streams.topics import ALERTS, CONFLICTS, CONTRIBUTIONS, FINDINGS, HOME_STATE, PERSON_STATE
from tests.faults.battery.publisher import Accepted
from tests.faults.battery.readback import Log, Record

_offsets: Final = msgspec.msgpack.Decoder(dict[str, int])


class Walked(NamedTuple):
    """What was wrong: positions ahead of their records, and numbers that fell; and where each partition ended.

    `said` is every output that some state counts as said: alerts by (rule, home, episode, revision), findings by
    (rule, home, sequence), what a person told by (person, sequence).
    """

    ahead: list[str]
    fallen: list[str]
    positions: dict[tuple[str, int], int]
    said: set[tuple[Any, ...]]


def walk(log: Log, accepted: Iterable[Accepted], codec: Codec) -> Walked:
    """Walk both changelogs."""
    inputs: dict[tuple[str, int], dict[int, Accepted]] = defaultdict(dict)
    for one in accepted:
        if one.spoilt is None:
            inputs[one.topic, one.partition][one.offset] = one
    walked = Walked([], [], {}, set())
    persons = _Walk(walked, decode_person, _person_numbers, lambda state, one: _folded(state, one.event))
    persons.go(log[PERSON_STATE.name], inputs, lambda one: one.event.header.person or COVERAGE_HOME)
    told: dict[tuple[str, int], dict[int, Contribution]] = defaultdict(dict)
    for record in log[CONTRIBUTIONS.name]:
        value = codec.decode(record.topic, record.value or b"")
        assert isinstance(value, Contribution)
        told[record.topic, record.partition][record.offset] = value
    homes = _Walk(walked, decode_home, _home_numbers, _heard)
    homes.go(log[HOME_STATE.name], told, lambda one: one.home)
    return walked


class _Walk:
    """One changelog."""

    def __init__(
        self,
        walked: Walked,
        decode: Callable[[bytes], Any],
        numbers: Callable[[Any], dict[Any, Any]],
        reflects: Callable[[Any, Any], bool],
    ) -> None:
        self._walked = walked
        self._decode = decode
        self._numbers = numbers
        self._reflects = reflects

    def go(
        self, records: Iterable[Record], inputs: dict[tuple[str, int], dict[int, Any]], key_of: Callable[[Any], str]
    ) -> None:
        """All its partitions."""
        states: dict[tuple[int, str], Any] = {}
        passed: dict[tuple[str, int], int] = {}
        for record in records:
            if record.key == OFFSETS:
                self._commit(record, states, passed, inputs, key_of)
                continue
            key = (record.key or b"").decode()
            state = self._decode(record.value or b"")
            self._walked.said.update(_said(key, state))
            before = states.get((record.partition, key))
            if before is not None:
                self._compare(record, self._numbers(before), self._numbers(state))
            states[record.partition, key] = state
        self._walked.positions.update(passed)

    def _commit(
        self,
        record: Record,
        states: dict[tuple[int, str], Any],
        passed: dict[tuple[str, int], int],
        inputs: dict[tuple[str, int], dict[int, Any]],
        key_of: Callable[[Any], str],
    ) -> None:
        offsets = _offsets.decode(record.value or b"")
        offsets.pop(RESTATED, None)  # no position: whether a sweep is under way
        for topic, end in offsets.items():
            place = (topic, record.partition)
            start = passed.get(place, 0)
            if end < start:
                self._walked.fallen.append(f"the position of {topic}-{record.partition} fell from {start} to {end}")
            for offset in range(start, end):
                one = inputs[place].get(offset)
                if one is not None and not self._reflects(states.get((record.partition, key_of(one))), one):
                    self._walked.ahead.append(f"{topic}-{record.partition}-{offset} was passed and is in no state")
            passed[place] = max(start, end)

    def _compare(self, record: Record, before: dict[Any, Any], after: dict[Any, Any]) -> None:
        for name, number in before.items():
            if name in after and after[name] < number:
                self._walked.fallen.append(
                    f"{record.topic}-{record.partition}-{record.offset}: {name[0]} fell from {number} to {after[name]}"
                )


def _said(key: str, state: PersonState | HomeState) -> Iterable[tuple[Any, ...]]:
    if isinstance(state, PersonState):
        if state.sequence:
            yield key, state.sequence
        return
    for rule, held in state.rules.items():
        if held.revision:
            yield rule, key, held.episode, held.revision
        if held.sequence:
            yield rule, key, held.sequence


class Heard(NamedTuple):
    """Outputs as they lie on the topics: as states count them, and how often each message came by its own key."""

    said: set[tuple[Any, ...]]
    times: Counter[tuple[Any, ...]]


def heard(log: Log, codec: Codec) -> Heard:
    """All outputs. What cannot be read is another invariant's business."""
    found = Heard(set(), Counter())
    for topic in (ALERTS.name, FINDINGS.name, CONTRIBUTIONS.name, CONFLICTS.name):
        for record in log[topic]:
            with contextlib.suppress(DataFault):
                value = codec.decode(topic, record.value or b"")
                if isinstance(value, Alert):
                    found.said.add((value.rule, value.home, value.episode, value.revision))
                elif isinstance(value, FindingChange):
                    found.said.add((value.rule, value.home, value.sequence))
                    found.times[topic, value.rule, value.subject, value.sequence] += 1
                elif isinstance(value, Contribution):
                    found.said.add((value.person, value.sequence))
                    spread = record.partition if value.home == COVERAGE_HOME else None
                    found.times[topic, value.home, value.person, value.generation, value.sequence, spread] += 1
                elif isinstance(value, Conflict):
                    found.said.add((value.person, value.sequence))
                    found.times[topic, value.conflict_id, value.sequence] += 1
    return found


def _records(state: PersonState) -> list[Fact | Floor]:
    return [*state.facts, *state.floors]


def _person_numbers(state: PersonState) -> dict[Any, Any]:
    numbers: dict[Any, Any] = {("sequence",): (state.generation, state.sequence)}
    for one in _records(state):
        numbers["version", one.topic, one.source, one.record_id] = one.version
    return numbers


def _home_numbers(state: HomeState) -> dict[Any, Any]:
    numbers: dict[Any, Any] = {
        ("contribution", person): (held.generation, held.sequence) for person, held in state.contributions.items()
    }
    for rule, held in state.rules.items():
        numbers["revision", rule] = (held.episode, held.revision)
        numbers["finding", rule] = held.sequence
    return numbers


def _folded(state: PersonState | None, event: Event) -> bool:
    """Whether a person's state holds this version of the record, or a newer one."""
    if state is None:
        return False
    key = (event.topic, event.header.source, event.header.record_id)
    return any(
        (one.topic, one.source, one.record_id) == key and one.version >= event.header.version for one in _records(state)
    )


def _heard(state: HomeState | None, told: Contribution) -> bool:
    """Whether a home holds this contribution of the person, or a newer one."""
    held = None if state is None else state.contributions.get(told.person)
    return held is not None and (held.generation, held.sequence) >= (told.generation, told.sequence)


def outcomes(accepted: Iterable[Accepted], quarantined: Counter[str], walked: Walked) -> list[str]:
    """Offsets that did not end in exactly one of: processed, superseded, quarantined."""
    wrong = []
    for one in accepted:
        place = f"{one.topic}-{one.partition}-{one.offset}"
        times = quarantined[place]
        if one.spoilt is None and times:
            wrong.append(f"{place} is good and lies in quarantine")
        if one.spoilt is not None and times != 1:
            wrong.append(f"{place} ({one.spoilt}) lies in quarantine {times} times")
        if walked.positions.get((one.topic, one.partition), 0) <= one.offset:
            wrong.append(f"{place} was never passed")
    return wrong
