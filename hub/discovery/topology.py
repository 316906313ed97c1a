"""Both stages in memory, without a broker: for topology tests, batch replay and simulation.

It drives the very steps that the worker drives, over encoded states, with the same partitions and the same order of
stages; only the transport is missing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import partial
from typing import Any, Generic, TypeVar
from zlib import crc32

from hub.discovery.law import Law, catalogue_law
from hub.discovery.person import CONFLICTS, CONTRIBUTIONS, PersonStep, owner
from hub.discovery.state import (
    CODEC,
    PRUNES,
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
from hub.domain.messages import Alert, Conflict, Contribution, Disposition, Event, FindingChange, Output, Review
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

    def values(self) -> Iterator[tuple[str, bytes]]:
        """Every key with its state as it is written."""
        return iter(list(self._values.items()))

    def load(self, values: Mapping[str, bytes]) -> None:
        """Take over states as they are written."""
        self._values.update(values)

    def put(self, changes: dict[str, S]) -> None:
        """Write what a step changed."""
        for key, state in changes.items():
            self._values[key] = self._encode(state)


def _all_of(states: EncodedStates[Any]) -> list[Review]:
    """A review of every state but the statements themselves: each may rest on them."""
    return [Review(key, date.min) for key in states.keys() if key != COVERAGE_HOME]  # noqa: SIM118  no dict


class _Partition:
    """States and timers of one partition of both stages."""

    def __init__(self, written: int) -> None:
        self.persons = EncodedStates[PersonState](partial(encode_person, codec=written), decode_person)
        self.homes = EncodedStates[HomeState](partial(encode_home, codec=written), decode_home)
        self.prunings = ReviewIndex()
        self.reviews = ReviewIndex()


class LocalTopology:
    """Person and subject stage over some partitions. `clock` is now in UTC ms; `advance` moves it.

    One `send` is one batch. Pass a `PolicyBook` for the rules in force, or a `Law` with rules of one's own. `written`
    is the layout of states: in the former release's nothing is pruned.
    """

    def __init__(self, book: PolicyBook | Law, partitions: int = 1, clock: int = 0, written: int = CODEC) -> None:
        self._written = written
        self._bind(book)
        self._partitions = [_Partition(written) for _ in range(partitions)]
        self._alerts: list[Alert] = []
        self._findings: dict[tuple[str, str], FindingChange] = {}
        self._conflicts: dict[str, Conflict] = {}
        self.contributed: list[Contribution] = []
        self.counts: Counter[str] = Counter()
        self.now = clock

    def load(self, persons: Mapping[str, bytes], homes: Mapping[str, bytes]) -> None:
        """Take over the states of a deployment with one partition, as its changelogs hold them."""
        (partition,) = self._partitions
        partition.persons.load(persons)
        partition.homes.load(homes)
        partition.prunings = ReviewIndex(partition.persons.items())
        partition.reviews = ReviewIndex(partition.homes.items())

    def values(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """States of persons and of homes as a changelog would hold them."""
        persons = {key: data for part in self._partitions for key, data in part.persons.values()}
        return persons, {key: data for part in self._partitions for key, data in part.homes.values()}

    def adopt(self, book: PolicyBook | Law) -> None:
        """Put another policy in force: persons contribute anew where rules read otherwise, homes are decided again."""
        self._bind(book)
        contributed: dict[int, list[HomeRecord]] = defaultdict(list)
        for number, partition in enumerate(self._partitions):
            persons = [Review(key, date.min) for key, held in partition.persons.items() if self._person.stale(held)]
            self._route(self._person_batch(number, persons), number, contributed)
        for number, records in contributed.items():
            self._subject_batch(number, records)
        for number, partition in enumerate(self._partitions):
            homes = [Review(key, date.min) for key, held in partition.homes.items() if self._subject.stale(held)]
            self._subject_batch(number, homes)

    def send(self, records: Iterable[Event | Disposition]) -> None:
        """One batch of source events and dispositions: folded by person, then by home.

        DataFault for an event that no partition may be given, as the worker would quarantine it.
        """
        events: dict[int, list[Event | Review]] = defaultdict(list)
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
            self._route(self._person_batch(number, events[number]), number, home_records)
        for number in sorted(home_records):
            self._subject_batch(number, home_records[number])

    def advance(self, now: int) -> None:
        """Move the clock and fire every review that has come due, until none is left for that day."""
        self.now = now
        today = local_date(now)
        contributed: dict[int, list[HomeRecord]] = defaultdict(list)
        for number, partition in enumerate(self._partitions):
            while due := partition.prunings.due(today):
                self._route(self._person_batch(number, due), number, contributed)
        for number in sorted(contributed):
            self._subject_batch(number, contributed[number])
        for number, partition in enumerate(self._partitions):
            while due := partition.reviews.due(today):
                self._subject_batch(number, due)

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

    def _bind(self, book: PolicyBook | Law) -> None:
        law = book if isinstance(book, Law) else catalogue_law(book)
        self._person = PersonStep(law, prunes=self._written >= PRUNES)
        self._subject = SubjectStep(law)

    def _route(self, outputs: list[Output], number: int, homes: dict[int, list[HomeRecord]]) -> None:
        for output in outputs:
            if isinstance(output.value, Contribution):
                homes[number if output.here else self._partition(output.key)].append(output.value)

    def _partition(self, key: str) -> int:
        return crc32(key.encode()) % len(self._partitions)

    def _person_batch(self, number: int, events: Iterable[Event | Review]) -> list[Output]:
        partition = self._partitions[number]
        result = self._person.step(partition.persons, events, self.now)
        partition.persons.put(result.changes)
        partition.prunings.update(result.changes)
        self._take(result.outputs, result.counts)
        if result.restated:
            return [*result.outputs, *self._person_batch(number, _all_of(partition.persons))]
        return result.outputs

    def _subject_batch(self, number: int, records: Iterable[HomeRecord]) -> None:
        partition = self._partitions[number]
        result = self._subject.step(partition.homes, records, self.now)
        partition.homes.put(result.changes)
        partition.reviews.update(result.changes)
        self._take(result.outputs, result.counts)
        if result.restated:
            self._subject_batch(number, _all_of(partition.homes))

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
