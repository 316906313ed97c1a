"""Both stages in memory, without a broker: for topology tests, batch replay and simulation.

It drives the very steps that the worker drives, over encoded states, with the same partitions and the same order of
stages; only the transport is missing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar
from zlib import crc32

from hub.discovery.law import Law, catalogue_law
from hub.discovery.person import CONFLICTS, CONTRIBUTIONS, PersonStep, owner
from hub.discovery.state import (
    HomeState,
    PersonState,
    decode_home,
    decode_person,
    encode_home,
    encode_person,
)
from hub.discovery.subject import ALERTS, FINDINGS, HomeRecord, SubjectStep, open_findings
from hub.discovery.timers import ReviewIndex
from hub.domain.homes import COVERAGE_HOME
from hub.domain.messages import Alert, Conflict, Contribution, Disposition, Event, FindingChange, Output
from hub.domain.times import local_date
from hub.policy.parameters import PolicyBook

S = TypeVar("S")


class EncodedStates(Generic[S]):
    """States of one partition as bytes by key: decoded when a step reads one, encoded when it changed."""

    def __init__(self, encode: Callable[[S], bytes], decode: Callable[[bytes], S]) -> None:
        self._encode = encode
        self._decode = decode
        self._values: dict[str, bytes] = {}

    def get(self, key: str, /) -> S | None:
        """State under a key, None where there is none."""
        value = self._values.get(key)
        return None if value is None else self._decode(value)

    def keys(self) -> Iterable[str]:
        """Every key that has a state."""
        return list(self._values)

    def items(self) -> Iterator[tuple[str, S]]:
        """Every key with its state."""
        return ((key, self._decode(value)) for key, value in self._values.items())

    def put(self, changes: dict[str, S]) -> None:
        """Write what a step changed."""
        for key, state in changes.items():
            self._values[key] = self._encode(state)


class _Partition:
    """States and timers of one partition of both stages."""

    def __init__(self) -> None:
        self.persons = EncodedStates[PersonState](encode_person, decode_person)
        self.homes = EncodedStates[HomeState](encode_home, decode_home)
        self.reviews = ReviewIndex()


class LocalTopology:
    """Person and subject stage over some partitions. `clock` is now in UTC ms; `advance` moves it.

    One `send` is one batch. Pass a `PolicyBook` for the rules in force, or a `Law` with rules of one's own.
    """

    def __init__(self, book: PolicyBook | Law, partitions: int = 1, clock: int = 0) -> None:
        self._law = book if isinstance(book, Law) else catalogue_law(book)
        self._person = PersonStep(self._law)
        self._subject = SubjectStep(self._law)
        self._partitions = [_Partition() for _ in range(partitions)]
        self._alerts: list[Alert] = []
        self._findings: dict[tuple[str, str], FindingChange] = {}
        self._conflicts: dict[str, Conflict] = {}
        self.contributed: list[Contribution] = []
        self.counts: Counter[str] = Counter()
        self.now = clock

    def send(self, records: Iterable[Event | Disposition]) -> None:
        """One batch of source events and dispositions: folded by person, then by home.

        DataFault for an event that no partition may be given, as the worker would quarantine it.
        """
        events: dict[int, list[Event]] = defaultdict(list)
        home_records: dict[int, list[HomeRecord]] = defaultdict(list)
        for record in records:
            if isinstance(record, Disposition):
                home_records[self._partition(record.home)].append(record)
            elif (key := owner(record)) == COVERAGE_HOME:
                for number in range(len(self._partitions)):
                    events[number].append(record)
            else:
                events[self._partition(key)].append(record)
        for number in sorted(events):
            for output in self._person_batch(number, events[number]):
                if isinstance(output.value, Contribution):
                    target = number if output.here else self._partition(output.key)
                    home_records[target].append(output.value)
        for number in sorted(home_records):
            self._subject_batch(number, home_records[number])

    def advance(self, now: int) -> None:
        """Move the clock and fire every review that has come due, until none is left for that day."""
        self.now = now
        today = local_date(now)
        for number, partition in enumerate(self._partitions):
            while due := partition.reviews.due(today):
                self._subject_batch(number, list(due))

    def alerts(self) -> tuple[Alert, ...]:
        """Every alert revision that left, in order."""
        return tuple(self._alerts)

    def open_set(self) -> set[tuple[str, str, str, int | None]]:
        """What is open now: (rule, subject, evidence hash, amount in 分)."""
        return {found for part in self._partitions for found in open_findings(part.homes.items())}

    def findings(self) -> dict[tuple[str, str], FindingChange]:
        """Newest outcome by (rule, subject)."""
        return dict(self._findings)

    def conflicts(self) -> tuple[Conflict, ...]:
        """Conflicts that are open now, by id."""
        return tuple(c for _, c in sorted(self._conflicts.items()) if c.state == "OPEN")

    def persons(self) -> dict[str, PersonState]:
        """Every person's state; region coverage statements under COVERAGE_HOME."""
        return {key: state for part in self._partitions for key, state in part.persons.items()}

    def homes(self) -> dict[str, HomeState]:
        """Every home's state; region coverage statements under COVERAGE_HOME."""
        return {key: state for part in self._partitions for key, state in part.homes.items()}

    def _partition(self, key: str) -> int:
        return crc32(key.encode()) % len(self._partitions)

    def _person_batch(self, number: int, events: list[Event]) -> list[Output]:
        partition = self._partitions[number]
        result = self._person.step(partition.persons, events, self.now)
        partition.persons.put(result.changes)
        self._take(result.outputs, result.counts)
        return result.outputs

    def _subject_batch(self, number: int, records: list[HomeRecord]) -> None:
        partition = self._partitions[number]
        result = self._subject.step(partition.homes, records, self.now)
        partition.homes.put(result.changes)
        partition.reviews.update(result.changes)
        self._take(result.outputs, result.counts)

    def _take(self, outputs: list[Output], counts: Counter[str]) -> None:
        self.counts.update(counts)
        for output in outputs:
            value = output.value
            if output.topic == ALERTS and isinstance(value, Alert):
                self._alerts.append(value)
            elif output.topic == FINDINGS and isinstance(value, FindingChange):
                self._findings[value.rule, value.subject] = value
            elif output.topic == CONFLICTS and isinstance(value, Conflict):
                self._conflicts[value.conflict_id] = value
            elif output.topic == CONTRIBUTIONS and isinstance(value, Contribution):
                self.contributed.append(value)
