"""Stage 2: folds contributions and dispositions of each home, decides it by law, and tells what changed.

The newest contribution of each person, by (generation, sequence), is kept; an older one is ignored. A home is decided
when one of its contributions or dispositions changed, when its review date has come, or when a region coverage
statement of its partition changed; a home nobody touched is left alone. Contributions and dispositions commute:
state, but for the numbers of episodes and revisions, is a function of their set and of the day.

A move makes an ENDED and a LIVE contribution in one commit, but the two homes lie on two partitions, and for a moment
a person may be counted in both or in neither. Nothing waits for the other half: each home's last decision is right
once both halves are there, what was told in between is amended or withdrawn, and rules that would alarm a family
wrongly hold their alert for days (`Finding.hold_until`). Where one batch brings both halves, no such moment exists.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, partial
from typing import Final

from msgspec.structs import replace

from hub.discovery import episodes
from hub.discovery.episodes import Cause, Occasion
from hub.discovery.law import Law
from hub.discovery.shapes import States, StepResult
from hub.discovery.state import HomeOutline, HomeState, RuleState
from hub.discovery.told import UNHEARD, HomeTold, nothing_told
from hub.domain.facts import Coverage
from hub.domain.homes import COVERAGE_HOME, Home, Member
from hub.domain.messages import Contribution, Disposition, Fact, Output, Review
from hub.domain.times import local_date
from hub.policy.findings import Finding

ALERTS, FINDINGS = "alerts.v1", "findings.v1"
HomeRecord = Contribution | Disposition | Review
Statements = tuple[tuple[Fact, Coverage], ...]
_EMPTY: Final = HomeState()


class SubjectStep:
    """The subject step under one law.

    `unheard`: homes are decided and nothing is told. `told` is what was told before by the generation that is taken
    over from; it is asked of a home whose state was made unheard, or that has none.
    """

    def __init__(self, law: Law, generation: int = 0, *, unheard: bool = False, told: HomeTold = nothing_told) -> None:
        self._law = law
        self._reads = law.reads()
        self._generation = generation
        self._unheard = unheard
        self._told = told

    def stale(self, state: HomeState) -> bool:
        """Whether a home was decided under another policy than the one in force there, or unheard.

        A driver that starts under a new policy feeds `Review(home, date.min)` for each such home, at its own rate.
        """
        return state.policy_hash not in (None, self._mark(state.region))

    def step(self, states: States[HomeState], records: Iterable[HomeRecord], now: int) -> StepResult[HomeState]:
        """Fold a batch of one partition and decide each touched home once. `now` (UTC ms) gives the day."""
        result: StepResult[HomeState] = StepResult()
        records_of: dict[str, list[HomeRecord]] = defaultdict(list)
        for record in records:
            records_of[record.home].append(record)

        statements = self._fold_coverage(states, records_of.pop(COVERAGE_HOME, []), result)
        result.restated = statements is not None
        if statements is None:
            statements = _statements(states.get(COVERAGE_HOME))

        today = local_date(now)
        for home, own in records_of.items():
            before = states.get(home) or _EMPTY
            told = self._told_last(home, before)
            touched = _Touched(before, today, stale=self.stale(before) or told.keys() != before.rules.keys())
            for record in own:
                result.counts[f"record:{touched.apply(record)}"] += 1
            if touched.cause is not None:
                if self._incomplete(touched.contributions):
                    after = replace(before, contributions=touched.contributions, answers=touched.answers)
                else:
                    after = self._decide(home, before, told, touched, statements, now, result)
                if after != before:
                    result.changes[home] = after
        if self._unheard:
            result.outputs.clear()
        return result

    @property
    def made_under(self) -> str:
        """What `stale` compares with, of all regions together: fingerprint for a driver that went through all."""
        return f"{self._mark(None)} {self._reads}"

    def _mark(self, region: str | None) -> str:
        policy_hash = self._law.policy_hash(region)
        return UNHEARD + policy_hash if self._unheard else policy_hash

    def _told_last(self, home: str, before: HomeState) -> Mapping[str, RuleState]:
        """What was told of a home: its own state says so, but for one made unheard or not yet decided here."""
        mark = before.policy_hash
        if self._unheard or (mark is not None and not mark.startswith(UNHEARD)):
            return before.rules
        return self._told(home)

    def _incomplete(self, contributions: Mapping[str, Contribution]) -> bool:
        """Whether some member has not contributed yet for what the rules read now.

        When rules read another value, each person contributes anew, one after the other. A home that was decided
        between two of them would tell what neither the old rules say nor the new ones: it waits for the last.
        """
        return any(held.state == "LIVE" and held.reads not in ("", self._reads) for held in contributions.values())

    def _fold_coverage(
        self, states: States[HomeState], records: list[HomeRecord], result: StepResult[HomeState]
    ) -> Statements | None:
        """Fold the partition's coverage statements; what they are now if they changed, else None."""
        before = states.get(COVERAGE_HOME) or _EMPTY
        touched = _Touched(before, date.min, stale=False)
        for record in records:
            result.counts[f"record:{touched.apply(record)}"] += 1
        if touched.cause is None:
            return None
        after = HomeState(contributions=touched.contributions)
        result.changes[COVERAGE_HOME] = after
        statements = _statements(after)
        return statements if statements != _statements(before) else None

    def _decide(
        self,
        home: str,
        before: HomeState,
        told: Mapping[str, RuleState],
        touched: _Touched,
        statements: Statements,
        now: int,
        result: StepResult[HomeState],
    ) -> HomeState:
        today = local_date(now)
        findings = self._law.decide(Home(home, _members(touched.contributions), statements), today)
        region, township = (findings[0].region, findings[0].township) if findings else (None, None)
        policy_hash = self._law.policy_hash(region)
        cause: Cause = touched.cause or "facts"
        if touched.stale or self._incomplete(before.contributions):
            cause = "policy"
        caused_at = partial(_newest_change, before, touched.contributions)
        occasion = Occasion(home, today, now, cause, caused_at, policy_hash, self._law.working_day, self._generation)
        by_rule = {finding.rule: finding for finding in findings}
        rules: dict[str, RuleState] = {}
        for rule_id in sorted(by_rule.keys() | told.keys() | before.rules.keys()):
            self._tell(rule_id, by_rule.get(rule_id), before, told, touched, occasion, rules, result)
        return HomeState(
            contributions=touched.contributions,
            rules=rules,
            answers=touched.answers,
            next_review=_next_review(findings, today),
            policy_hash=self._mark(region),
            region=region,
            township=township,
        )

    def _tell(
        self,
        rule_id: str,
        finding: Finding | None,
        before: HomeState,
        told_last: Mapping[str, RuleState],
        touched: _Touched,
        occasion: Occasion,
        rules: dict[str, RuleState],
        result: StepResult[HomeState],
    ) -> None:
        rule = self._law.rules.get(rule_id)
        if rule is None:
            # Without its rule an alert has no line to go to. A rule is retired by answering nothing, not by leaving.
            if rule_id in told_last:
                rules[rule_id] = told_last[rule_id]
            return
        old = told_last.get(rule_id, episodes.NOT_APPLICABLE)
        told = episodes.tell(rule, finding, old, touched.answers.get(rule_id, ()), occasion)
        if told.alert is not None:
            result.outputs.append(Output(ALERTS, occasion.home, told.alert))
        if told.change is not None:
            result.outputs.append(Output(FINDINGS, occasion.home, told.change))
        held = before.rules.get(rule_id)
        if told.state == episodes.NOT_APPLICABLE and held is None:
            return
        rules[rule_id] = told.state
        if held is None or (held.truth, held.stage) != (told.state.truth, told.state.stage):
            result.counts.update(_standing(rule_id, told.state))
            result.counts.subtract(_standing(rule_id, held) if held else ())


class _Touched:
    """One home's contributions and dispositions while records are applied. `cause` says what changed, if anything.

    `stale`: it was decided under another policy, so that a review is never too early.
    """

    def __init__(self, before: HomeState, today: date, *, stale: bool) -> None:
        self.contributions = dict(before.contributions)
        self.answers = before.answers
        self.cause: Cause | None = None
        self._next_review = before.next_review
        self._today = today
        self.stale = stale

    def apply(self, record: HomeRecord) -> str:
        """Fold one record; says what became of it: folded, stale, answered, repeated, reviewed, not_due."""
        if isinstance(record, Contribution):
            held = self.contributions.get(record.person)
            if held is not None and (record.generation, record.sequence) <= (held.generation, held.sequence):
                return "stale"
            self.contributions[record.person] = record
            self.cause = "facts"
            return "folded"
        if isinstance(record, Disposition):
            known = self.answers.get(record.rule, ())
            answers = episodes.remember(known, record)
            if answers == known:
                return "repeated"
            self.answers = {**self.answers, record.rule: answers}
            self.cause = self.cause if self.cause == "facts" else "disposition"
            return "answered"
        if record.review_on == date.min:
            self.cause = self.cause or "facts"  # what is said of its region changed, or the policy: then it is stale
            return "reviewed"
        if record.review_on != self._next_review or record.review_on > self._today:
            return "not_due"
        self.cause = self.cause or "time"
        return "reviewed"


def _members(contributions: dict[str, Contribution]) -> tuple[Member, ...]:
    return tuple(
        Member(person, held.roles, held.facts) for person, held in sorted(contributions.items()) if held.state == "LIVE"
    )


def _statements(state: HomeState | None) -> Statements:
    held = state.contributions.get(COVERAGE_HOME) if state else None
    if held is None:
        return ()
    return tuple((fact, fact.payload) for fact in held.facts if isinstance(fact.payload, Coverage))


def _next_review(findings: tuple[Finding, ...], today: date) -> date | None:
    """First later day on which an answer may change, or a held alert may leave."""
    days = [day for finding in findings for day in (finding.review_on, finding.hold_until) if day is not None]
    return min((day for day in days if day > today), default=None)


def _newest_change(before: HomeState, contributions: dict[str, Contribution]) -> int | None:
    """received_at of the newest record that was not there before; None where records only went."""
    newest: int | None = None
    for person, held in contributions.items():
        earlier = before.contributions.get(person)
        if held is earlier:
            continue
        old = set() if earlier is None else {(f.topic, f.source, f.record_id, f.version) for f in earlier.facts}
        for fact in held.facts:
            if (fact.topic, fact.source, fact.record_id, fact.version) not in old:
                newest = fact.received_at if newest is None else max(newest, fact.received_at)
    return newest


def _standing(rule: str, state: RuleState) -> tuple[str, str]:
    return _standing_names(rule, state.truth, state.stage)


@cache
def _standing_names(rule: str, truth: str, stage: str) -> tuple[str, str]:
    return (f"truth:{rule}:{truth}", f"stage:{rule}:{stage}")


def standing(state: HomeState | HomeOutline) -> Counter[str]:
    """What a home counts for in the standing numbers of `StepResult.counts`: `truth:…` and `stage:…`."""
    return Counter(standing_names(state))


def standing_names(state: HomeState | HomeOutline) -> list[str]:
    """The names alone, each of which it counts for once: a restore asks this of every home."""
    return [name for rule, held in state.rules.items() for name in _standing_names(rule, held.truth, held.stage)]


def open_findings(states: Iterable[tuple[str, HomeState]]) -> set[tuple[str, str, str, int | None]]:
    """The open set: (rule, subject, evidence hash, amount in 分) of every alert that stands and is not answered."""
    return {
        (rule, home, held.evidence_hash, held.amount_fen)
        for home, state in states
        for rule, held in state.rules.items()
        if held.stage == "open"
    }
