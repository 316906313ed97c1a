"""What must hold at the end of every case, one function each: its docstring is the statement that is printed.

An invariant answers with its breaches, none where it held, or with None where a case gave it nothing to judge.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from msgspec import Struct

from hub.discovery.state import HomeState
from hub.discovery.topology import LocalTopology
from hub.domain.messages import Alert, Conflict, Event, Quarantined
from hub.errors import DataFault
from hub.policy.parameters import PolicyBook
from hub.simulate.oracle.judge import Open, Outcome, outcome
from hub.simulate.oracle.live import as_disagreement
from hub.streams.codec import Codec
from hub.streams.stage import Stage
from hub.streams.topics import CONFLICTS, HOME_STATE, PERSON_STATE, QUARANTINE, SOURCE_TOPICS
from tests.faults.battery.downstream import Delivered
from tests.faults.battery.publisher import Accepted
from tests.faults.battery.readback import Held, Log, compacted, hashed
from tests.faults.battery.walk import Heard, Walked, heard, outcomes, walk
from tests.topology.test_order import home_without_numbers, person_without_numbers

_EMPTY_HOME: Final = home_without_numbers(HomeState())
"""A home nobody contributes to any more is as good as none."""

SHOWN: Final = 5
"""Breaches of one invariant that are kept: the first say enough."""


class Replay(NamedTuple):
    """Records by topic and hashes by slot before and after all was read again from the first record."""

    before: Mapping[str, int]
    after: Mapping[str, int]
    hashes_before: Mapping[str, str]
    hashes_after: Mapping[str, str]
    done: bool


class Vitals(NamedTuple):
    """Growth of one worker over the second half of a long run, as shares of where it stood: RSS and descriptors."""

    rss: float
    descriptors: float


@dataclass
class Evidence:
    """All that a case left."""

    accepted: Sequence[Accepted]
    delivered: Sequence[Delivered]
    log: Log
    codec: Codec
    book: PolicyBook
    stages: Sequence[Stage]
    now: int
    lag_s: float | None
    waiting: str
    stores: Sequence[Mapping[str, Any]]
    told: Mapping[tuple[str, int], int] = field(default_factory=dict)
    replay: Replay | None = None
    vitals: Vitals | None = None
    mutants_missed: Sequence[str] | None = None

    @cached_property
    def events(self) -> list[Event]:
        """Every good event; a region statement once, though it lies on every partition."""
        found = []
        stated: set[tuple[str, int]] = set()
        for one in self.accepted:
            header = one.event.header
            if one.spoilt is not None:
                continue
            if header.person is None:
                if (header.record_id, header.version) in stated:
                    continue
                stated.add((header.record_id, header.version))
            found.append(one.event)
        return found

    @cached_property
    def expected(self) -> Outcome:
        """What the oracle says."""
        return outcome(self.events, (), self.book, self.now)

    @cached_property
    def fold(self) -> LocalTopology:
        """All accepted events, folded in one batch."""
        topology = LocalTopology(self.book, clock=self.now)
        topology.send(self.events)
        return topology

    @cached_property
    def alerts(self) -> list[Alert]:
        """Readable alerts, in the order they were delivered."""
        return [one.alert for one in self.delivered if one.alert is not None]

    @cached_property
    def opened(self) -> set[Open]:
        """What is open by all that was delivered."""
        newest = {alert.alert_id: alert for alert in self.alerts}
        return {
            Open(alert.rule, alert.subject, alert.evidence_hash, alert.amount_fen)
            for alert in newest.values()
            if alert.state != "WITHDRAWN"
        }

    @cached_property
    def walked(self) -> Walked:
        """The changelogs, commit by commit."""
        return walk(self.log, self.accepted, self.codec)

    @cached_property
    def heard(self) -> Heard:
        """Every output that lies on its topic."""
        return heard(self.log, self.codec)

    def decoded(self, topic: str) -> list[Any]:
        """Readable values of a topic."""
        found = []
        for record in self.log[topic]:
            try:
                found.append(self.codec.decode(topic, record.value or b""))
            except DataFault:
                continue
        return found

    def changelog(self, stage: Stage) -> dict[int, Held]:
        """What compaction would leave of a stage's changelog."""
        return compacted(self.log[stage.state_topic.name])


def no_lost_alert(e: Evidence) -> list[str]:
    """No lost alert: what the oracle opens on the accepted input is open by what was delivered, conflicts alike; and
    whatever any committed state counts as said lies on its topic."""
    gone = sorted(e.expected.opened - e.opened, key=str)
    lost = [f"{one.rule} on {one.subject} is not open downstream" for one in gone]
    lost += [f"conflict {one.kind} was not told" for one in e.expected.conflicts - _conflicts(e)]
    return lost + [f"{_shown(one)} is said by the state and lies nowhere" for one in e.walked.said - e.heard.said]


def no_phantom(e: Evidence) -> list[str]:
    """No phantom: what is open by what was delivered, withdrawals included, is open by the oracle, conflicts alike;
    and nothing lies on a topic that no committed state counts as said."""
    extra = sorted(e.opened - e.expected.opened, key=str)
    found = [f"{one.rule} on {one.subject} is open downstream only" for one in extra]
    found += [f"conflict {one.kind} was told and is none" for one in _conflicts(e) - e.expected.conflicts]
    return found + [f"{_shown(one)} was said, and no state knows of it" for one in e.heard.said - e.walked.said]


def once_per_key(e: Evidence) -> list[str]:
    """Each (alert, revision) is delivered once, the same key never with another payload, revisions without a gap; and
    each contribution, finding and conflict lies there once by its own key.
    """
    hashes: dict[tuple[str, int], set[str]] = defaultdict(set)
    times: Counter[tuple[str, int]] = Counter()
    last: dict[str, int] = {}
    wrong = []
    for one in e.delivered:
        if one.alert is None:
            continue
        key = (one.alert.alert_id, one.alert.revision)
        hashes[key].add(one.payload_hash)
        times[key] += 1
        if key[1] != last.get(key[0], 0) + 1 and times[key] == 1:
            wrong.append(f"alert {key[0][:8]} came as revision {key[1]} after {last.get(key[0], 0)}")
        last[key[0]] = max(key[1], last.get(key[0], 0))
    for key, count in times.items():
        if count > 1:
            wrong.append(f"alert {key[0][:8]} revision {key[1]} was delivered {count} times")
        if len(hashes[key]) > 1:
            wrong.append(f"alert {key[0][:8]} revision {key[1]} has {len(hashes[key])} payloads")
    wrong += [f"{_shown(key)} came {count} times" for key, count in e.heard.times.items() if count > 1]
    return wrong


def one_truth(e: Evidence) -> list[str]:
    """Worker store = compacted changelog = batch fold of the accepted input."""
    wrong = []
    for stage in e.stages:
        for partition, held in e.changelog(stage).items():
            name = f"{stage.name}-{partition}"
            owners = [store["slots"][name] for store in e.stores if name in store["slots"]]
            if len(owners) != 1:
                wrong.append(f"{name} is held by {len(owners)} workers")
            for owner in owners:
                reencoded = hashed((key, stage.encode(stage.decode(value))) for key, value in held.values.items())
                if (owner["states"], owner["hash"]) != (len(held.values), reencoded):
                    wrong.append(f"{name}: the worker holds {owner['states']} states, the changelog {len(held.values)}")
    persons = {key: person_without_numbers(state) for key, state in _states(e, PERSON_STATE.name)}
    homes = {key: home_without_numbers(state) for key, state in _states(e, HOME_STATE.name)}
    wrong += _differences("person", persons, {k: person_without_numbers(s) for k, s in e.fold.persons().items()})
    wrong += _differences("home", homes, {k: home_without_numbers(s) for k, s in e.fold.homes().items()})
    return wrong


def one_end(e: Evidence) -> list[str]:
    """Every accepted offset ends in exactly one of processed, superseded, quarantined; no commit ever passes an
    unfinished one, and the group is told no further."""
    quarantined = Counter(one.locator for one in e.decoded(QUARANTINE.name) if isinstance(one, Quarantined))
    wrong = outcomes(e.accepted, quarantined, e.walked) + e.walked.ahead
    inputs = {topic.name for topic in SOURCE_TOPICS}
    strange = [place for place in quarantined if place.rsplit("-", 2)[0] not in inputs]
    wrong += [f"{place} was made by a worker and lies in quarantine" for place in strange]
    for (topic, partition), offset in e.told.items():
        if offset > e.walked.positions.get((topic, partition), 0):
            wrong.append(f"the group was told {offset} of {topic}-{partition}, beyond what was committed")
    return wrong


def never_backwards(e: Evidence) -> list[str]:
    """Versions, sequences, episodes, revisions and positions never decrease."""
    return e.walked.fallen


def replay_is_silent(e: Evidence) -> list[str] | None:
    """Read again from the first record, nothing new is said and the states' hash is the same."""
    if e.replay is None:
        return None
    wrong = [] if e.replay.done else ["the replay did not end"]
    for topic, before in e.replay.before.items():
        if e.replay.after[topic] != before:
            wrong.append(f"{topic} has {e.replay.after[topic] - before} new records")
    for slot, before_hash in e.replay.hashes_before.items():
        if e.replay.hashes_after.get(slot) != before_hash:
            wrong.append(f"{slot} is another state")
    return wrong


def all_readable(e: Evidence) -> list[str]:
    """Nothing that a worker wrote is undecodable under its schema id, or a damaged state."""
    wrong = [f"alert at {one.partition}-{one.offset} is unreadable" for one in e.delivered if one.alert is None]
    sources = {topic.name for topic in SOURCE_TOPICS}
    states = {stage.state_topic.name for stage in e.stages}
    for topic in e.log.keys() - sources - states:
        for record in e.log[topic]:
            try:
                e.codec.decode(topic, record.value or b"")
            except DataFault as fault:
                wrong.append(f"{topic}-{record.partition}-{record.offset}: {fault.reason}")
    return wrong


def catches_up(e: Evidence) -> list[str]:
    """After the faults end, both stages pass all that was accepted, and downstream has all of it, within the time."""
    return [] if e.lag_s is not None else [f"it did not: {e.waiting}"]


def no_growth(e: Evidence) -> list[str] | None:
    """Over the second half of a long run, neither memory nor open descriptors of a worker grow."""
    if e.vitals is None:
        return None
    wrong = [f"RSS grew by {e.vitals.rss:.1%}"] if e.vitals.rss > RSS_GROWTH else []
    return wrong + ([f"descriptors grew by {e.vitals.descriptors:.1%}"] if e.vitals.descriptors > 0 else [])


RSS_GROWTH: Final = 0.05
"""Allocators settle slowly; a leak of one batch's records would be many times this."""

INVARIANTS: Final[Mapping[str, Callable[[Evidence], list[str] | None]]] = {
    "no-lost-alert": no_lost_alert,
    "no-phantom": no_phantom,
    "once-per-key": once_per_key,
    "one-truth": one_truth,
    "one-end": one_end,
    "never-backwards": never_backwards,
    "replay-is-silent": replay_is_silent,
    "all-readable": all_readable,
    "catches-up": catches_up,
    "no-growth": no_growth,
}
"""In the order of the reference. The eleventh, that planted mutants are caught, is asked of all cases together."""


class Verdict(Struct, frozen=True):
    """Whether an invariant held; None where the case gave it nothing to judge."""

    name: str
    held: bool | None
    breaches: tuple[str, ...] = ()


def judge(evidence: Evidence) -> list[Verdict]:
    """Every invariant's verdict. One that cannot be computed did not hold: what lies there is not as it must be."""
    verdicts = []
    for name, ask in INVARIANTS.items():
        try:
            breaches = ask(evidence)
        except Exception as error:
            breaches = [f"cannot be judged: {type(error).__name__}: {error}"]
        if breaches is None:
            verdicts.append(Verdict(name, None))
        else:
            verdicts.append(Verdict(name, not breaches, tuple(breaches[:SHOWN])))
    return verdicts


def statement(name: str) -> str:
    """The statement of an invariant."""
    return " ".join((INVARIANTS[name].__doc__ or "").split())


def _shown(said: tuple[Any, ...]) -> str:
    return " ".join(str(part)[:24] for part in said)


def _conflicts(e: Evidence) -> set[Any]:
    newest: dict[str, Conflict] = {}
    for one in e.decoded(CONFLICTS.name):
        held = newest.get(one.conflict_id)
        if held is None or held.sequence <= one.sequence:
            newest[one.conflict_id] = one
    return {as_disagreement(one) for one in newest.values() if one.state == "OPEN"}


def _states(e: Evidence, topic: str) -> list[tuple[str, Any]]:
    """Decoded states of all partitions. Coverage lies on each, alike."""
    stage = next(stage for stage in e.stages if stage.state_topic.name == topic)
    return [(key, stage.decode(value)) for held in e.changelog(stage).values() for key, value in held.values.items()]


def _differences(what: str, found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    wrong = []
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key, _EMPTY_HOME) != wanted.get(key, _EMPTY_HOME):
            wrong.append(f"{what} {key[:24]} is not what the fold makes of it")
    return wrong
