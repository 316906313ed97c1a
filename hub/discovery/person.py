"""Stage 1: folds the facts of each person, contributes them to the homes they matter to, and finds conflicts.

A fact is keyed by (topic, source, record_id) and version. The newest version wins; an equal or older one is a replay
or superseded. ANNUL and ERASED leave a floor, so that they take back what comes later but is older. Of two contents
under one version the smaller digest wins (a taking back beats both), and a conflict says so. Hence state and ties are
a function of the *set* of records: order, duplicates and the ends of batches do not matter. Only `sequence`, which
orders the contributions of one person, counts how often something was sent.

What lies below its horizon on the day of a batch is pruned in it (`hub.discovery.pruning`), so state is a function of
that set and of the day. One thing is given up there: of a pruned record another content under the same version, which
would be a conflict, counts as the same again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import cache
from typing import Final, Literal

import msgspec

from hub.discovery.conflicts import Known, conflict_id, find
from hub.discovery.folding import Folding
from hub.discovery.law import Law
from hub.discovery.pruning import Horizon, fingerprint
from hub.discovery.shapes import States, StepResult
from hub.discovery.state import PersonState
from hub.discovery.told import UNHEARD, PersonTold, kept, nothing_said, numbered
from hub.domain.facts import AidHousehold, Coverage, Kinship, Resident
from hub.domain.homes import COVERAGE_HOME, home_id, home_kind
from hub.domain.messages import Conflict, Contribution, Event, Fact, Output, Review
from hub.domain.times import local_date
from hub.errors import DataFault

ROLE_AT_OTHER: Final = {
    "son": "parent",
    "daughter": "parent",
    "father": "child",
    "mother": "child",
    "spouse": "spouse",
}
"""What I am at the home of the other end of a kinship record, by what the other is to me."""

RESIDENT: Final = "registration.resident"
TIE_TOPICS: Final = frozenset({RESIDENT, "registration.kinship", "assistance.household"})
"""Topics that `ties` reads."""
CONTRIBUTIONS, CONFLICTS = "contributions.v1", "quality.conflicts.v1"
NOT_READ: Final = ""
"""Fingerprint in the state of coverage statements, which are passed on whole whatever the rules read."""

_ENDLESS: Final = Horizon(COVERAGE_HOME, date.min, {})
"""Statements on a region are kept as long as they live."""

_encode: Final = msgspec.msgpack.Encoder().encode


class PersonStep:
    """The person step under one law. `generation` rises when the state is rebuilt from the log.

    `unheard`: contributions are made and conflicts are not told. `told` is what was told of conflicts before; it is
    asked of a person whose state was made unheard, or who has none. Without `prunes` nothing is pruned, whatever the
    law: the release before this one does not know what a pruned record leaves.
    """

    def __init__(
        self,
        law: Law,
        generation: int = 0,
        *,
        unheard: bool = False,
        told: PersonTold = nothing_said,
        prunes: bool = True,
    ) -> None:
        self._generation = generation
        self._unheard = unheard
        self._told = told
        self._reads = law.reads()
        self._mark = UNHEARD + self._reads if unheard else self._reads
        self._carried = cache(law.carried)
        self._months = law.horizons if prunes else {}
        self._horizons = fingerprint(self._months)

    @property
    def made_under(self) -> str:
        """What `stale` compares with: fingerprint for a driver that went through all states."""
        return f"{self._mark} {self._horizons}".rstrip()

    def stale(self, state: PersonState) -> bool:
        """Whether a person's contributions were made for rules that read something else, or unheard; or whether its
        next review rests on other horizons.

        A driver that starts under such rules feeds `Review(person, date.min)` for each such person, at its own rate.
        """
        return state.reads != NOT_READ and (state.reads != self._mark or state.horizons != self._horizons)

    def step(self, states: States[PersonState], records: Iterable[Event | Review], now: int) -> StepResult[PersonState]:
        """Fold a batch of source events of one partition. `now` (UTC ms) dates conflicts, and its day the horizon.

        DataFault for an event that `owner` refuses.
        """
        result: StepResult[PersonState] = StepResult()
        events: dict[str, list[Event]] = defaultdict(list)
        asked: set[str] = set()
        for event in records:
            if isinstance(event, Review):
                events.setdefault(event.home, [])
                if event.review_on == date.min:
                    asked.add(event.home)
            else:
                events[owner(event)].append(event)

        # Coverage first: it decides what the absence of a person from the register means.
        statements = self._fold_coverage(states, events.pop(COVERAGE_HOME, []), result)
        result.restated = statements is not None
        if statements is None:
            state = states.get(COVERAGE_HOME)
            statements = _about_residents(state.facts if state else ())

        today = local_date(now)
        for person, own in events.items():
            before = states.get(person) or self._unknown(person)
            folding = Folding(before, Horizon(person, today, self._months))
            for event in own:
                result.counts[f"record:{folding.apply(event)}"] += 1
            folding.prune()
            due = before.next_review is not None and before.next_review <= today
            if folding.changed or person in asked or due or self.stale(before):
                self._finish(person, before, folding, statements, now, result)
        if self._unheard:
            result.outputs = [output for output in result.outputs if output.topic == CONTRIBUTIONS]
        return result

    def _unknown(self, person: str) -> PersonState:
        """The state of a person who has none. One of whom something was told is stale until it is taken back."""
        heard = self._unheard or not self._told(person)
        mark = self._mark if heard else UNHEARD + self._reads
        return PersonState(self._generation, 0, mark, horizons=self._horizons)

    def _fold_coverage(
        self, states: States[PersonState], events: list[Event], result: StepResult[PersonState]
    ) -> tuple[Fact, ...] | None:
        """Fold region statements and pass them on. Statements about the resident register, if those changed."""
        if not events:
            return None
        before = states.get(COVERAGE_HOME) or PersonState(self._generation, 0, NOT_READ)
        folding = Folding(before, _ENDLESS)
        for event in events:
            result.counts[f"record:{folding.apply(event)}"] += 1
        if not folding.changed:
            return None
        after = msgspec.structs.replace(folding.state(), sequence=before.sequence + 1)
        result.changes[COVERAGE_HOME] = after
        if after.facts != before.facts:
            said: Literal["LIVE", "ENDED"] = "LIVE" if after.facts else "ENDED"
            contribution = Contribution(
                COVERAGE_HOME, COVERAGE_HOME, (), said, after.generation, after.sequence, after.facts
            )
            result.outputs.append(Output(CONTRIBUTIONS, COVERAGE_HOME, contribution, here=True))
        statements = _about_residents(after.facts)
        return statements if statements != _about_residents(before.facts) else None

    def _finish(
        self,
        person: str,
        before: PersonState,
        folding: Folding,
        statements: tuple[Fact, ...],
        now: int,
        result: StepResult[PersonState],
    ) -> None:
        """Compare what the person is now with what was said of it, and say the difference once."""
        moved = folding.moved_topics()
        folded = folding.state() if folding.changed else before
        by_topic: dict[str, list[Fact]] = defaultdict(list)
        for fact in folded.facts:
            by_topic[fact.topic].append(fact)

        sequence = before.sequence + 1
        outputs: list[Output] = []
        swept = self.stale(before)
        everything = before.reads.removeprefix(UNHEARD) != self._reads
        conflicts_told = before.conflicts
        if before.reads.startswith(UNHEARD) and not self._unheard:
            conflicts_told = self._told(person)
        # Ties follow from three topics and from there being any fact at all; most batches touch neither.
        tied = ties(person, by_topic) if everything or not before.sent or _may_retie(moved, by_topic) else before.sent
        sent: dict[str, tuple[str, ...]] = {}
        for home, roles in tied.items():
            topics = self._carried(home_kind(home), roles)
            if not topics:
                continue
            sent[home] = roles
            if everything or before.sent.get(home) != roles or not topics.isdisjoint(moved):
                facts = tuple(fact for fact in folded.facts if fact.topic in topics)
                live = Contribution(home, person, roles, "LIVE", before.generation, sequence, facts, self._reads)
                outputs.append(Output(CONTRIBUTIONS, home, live))
        for home, roles in before.sent.items():
            if home not in sent:
                ended = Contribution(home, person, roles, "ENDED", before.generation, sequence, ())
                outputs.append(Output(CONTRIBUTIONS, home, ended))

        known = Known(person, by_topic, folding.versions(), frozenset(folded.collided), statements)
        conflicts = _conflicts(known, conflicts_told, numbered(before.generation, sequence), now, outputs)
        next_review = folding.next_review()
        if folding.changed or outputs or swept or next_review != before.next_review:
            result.outputs.extend(outputs)
            result.changes[person] = msgspec.structs.replace(
                folded,
                sequence=sequence if outputs else before.sequence,
                reads=self._mark,
                sent=sent,
                conflicts=conflicts,
                next_review=next_review,
                horizons=self._horizons,
            )


def ties(person: str, facts: dict[str, list[Fact]]) -> dict[str, tuple[str, ...]]:
    """Homes that a person contributes to, with its roles there, ordered. Free of time: homes decide by date.

    A person without any live fact contributes nowhere.
    """
    if not facts:
        return {}
    roles: dict[str, set[str]] = defaultdict(set)
    roles[home_id("person", person)].add("self")
    for fact in facts.get("registration.kinship", ()):
        kin = fact.payload
        if isinstance(kin, Kinship) and kin.other is not None and kin.relation in ROLE_AT_OTHER:
            roles[home_id("person", kin.other)].add(ROLE_AT_OTHER[kin.relation])
    memberships = [f.payload for f in facts.get("assistance.household", ()) if isinstance(f.payload, AidHousehold)]
    for membership in memberships:
        roles[home_id("household", membership.aid_household)].add("member")
    if all(membership.until is not None for membership in memberships):
        for fact in facts.get(RESIDENT, ()):
            entry = fact.payload
            if isinstance(entry, Resident) and entry.hukou_kind == "family" and entry.hukou is not None:
                roles[home_id("candidate", entry.hukou)].add("member")
    return {home: tuple(sorted(roles[home])) for home in sorted(roles)}


def _may_retie(moved: set[str], facts: dict[str, list[Fact]]) -> bool:
    return not facts or not TIE_TOPICS.isdisjoint(moved)


def owner(event: Event) -> str:
    """Key of the state that an event belongs to: its person, or COVERAGE_HOME for a region statement.

    DataFault for an event that is about nobody, or that states nothing: a driver asks this of every record before
    `step`, and quarantines what is refused.
    """
    header = event.header
    if header.change == "UPSERT" and event.payload is None:
        raise DataFault(
            header.source, header.record_id, "payload", "schema_misfit", "absent", "send the record with its content"
        )
    if header.person is not None:
        return header.person
    if event.topic == "source.coverage":
        return COVERAGE_HOME
    raise DataFault(
        header.source,
        header.record_id,
        "header.person",
        "null_key",
        "absent",
        "only a coverage statement is about no person: mend the source's mapping",
    )


def _about_residents(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple(f for f in facts if isinstance(f.payload, Coverage) and f.payload.topic == RESIDENT)


def _conflicts(known: Known, before: dict[str, str], sequence: int, now: int, outputs: list[Output]) -> dict[str, str]:
    """Say what opened, changed or closed. Returns the open conflicts: id → digest of what was said."""
    after: dict[str, str] = {}
    for found in find(known):
        identifier = conflict_id(known.person, found)
        after[identifier] = kept(found)
        if before.get(identifier) != after[identifier]:
            conflict = Conflict(
                conflict_id=identifier,
                kind=found.kind,
                person=known.person,
                state="OPEN",
                sequence=sequence,
                field=found.field,
                region=found.region,
                parties=found.parties,
                seen_at=now,
            )
            outputs.append(Output(CONFLICTS, known.person, conflict))
    for identifier, said in before.items():
        if identifier not in after:
            kind, field, _ = said.split("|")
            closed = Conflict(
                conflict_id=identifier,
                kind=kind,
                person=known.person,
                state="CLOSED",
                sequence=sequence,
                field=field,
                seen_at=now,
            )
            outputs.append(Output(CONFLICTS, known.person, closed))
    return after
