"""From a finding to alerts: when one opens, is amended, is withdrawn, and when nothing leaves.

Where a finding stands is a function of the finding, the day and the dispositions alone:

    none         the answer is not yes
    suppressed   yes, and the newest disposition of this very evidence says not to raise it
    held         yes, but not before `hold_until`
    open         yes

What leaves is the step from the alert that left last to that stage. An alert that is live is amended only when
evidence, amount, grade or due date differ; a text alone changes nothing. Entering *suppressed* sends nothing when the
disposition answered what was sent (the case is closed by it), and a withdrawal when something else was sent since.
A withdrawn alert never comes back: what opens later is the next episode, with its own id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

import msgspec

from hub.discovery.state import Answer, FullTruth, RuleState, Stage
from hub.discovery.told import numbered
from hub.domain.messages import Alert, Condition, Disposition, FindingChange
from hub.policy.conclude import cite
from hub.policy.findings import Finding, Rule

Cause = Literal["facts", "time", "policy", "disposition"]
NOT_APPLICABLE: Final = RuleState("not_applicable")
NO_LONGER_APPLIES: Final = "据以提示的情况已不存在，本项规则不再适用，提示撤回。"
ANSWERS_KEPT: Final = 16
"""Newest dispositions kept a rule and home, by evidence hash; older evidence is not expected back."""


class Occasion(NamedTuple):
    """Circumstances of one decision about one home."""

    home: str
    today: date
    now: int
    cause: Cause
    caused_at: Callable[[], int | None]
    policy_hash: str
    working_day: Callable[[date, int], date]
    generation: int = 0


class Told(NamedTuple):
    """What a rule's state became, and what is to be said of it."""

    state: RuleState
    alert: Alert | None
    change: FindingChange | None


def alert_id(rule: str, subject: str, episode: int) -> str:
    """32 hex over rule, subject and episode. The rule's version is evidence, never identity."""
    return blake2b(f"{rule}|{subject}|{episode}".encode(), digest_size=16).hexdigest()


def remember(answers: Sequence[Answer], disposition: Disposition) -> tuple[Answer, ...]:
    """The newest disposition of each evidence hash, newest first: a function of their set, whatever the order.

    A disposition of an alert that was withdrawn meanwhile, or of an older revision, is remembered like any other: it
    speaks of its own evidence hash and of no other.
    """
    new = Answer(disposition.evidence_hash, disposition.suppress, disposition.made_at, disposition.disposition_id)
    newest = {answer.evidence_hash: answer for answer in answers}
    held = newest.get(new.evidence_hash)
    if held is None or _order(held) < _order(new):
        newest[new.evidence_hash] = new
    return tuple(sorted(newest.values(), key=_order, reverse=True)[:ANSWERS_KEPT])


def _order(answer: Answer) -> tuple[int, str]:
    return (answer.made_at, answer.disposition_id)


def stage_of(finding: Finding | None, answers: Sequence[Answer], today: date) -> Stage:
    """Where a finding stands on a day."""
    if finding is None or finding.truth != "yes":
        return "none"
    if any(answer.suppress and answer.evidence_hash == finding.evidence_hash for answer in answers):
        return "suppressed"
    if finding.hold_until is not None and today < finding.hold_until:
        return "held"
    return "open"


def tell(
    rule: Rule, finding: Finding | None, before: RuleState | None, answers: Sequence[Answer], occasion: Occasion
) -> Told:
    """Take one rule from what it said to what it says now."""
    old = before or NOT_APPLICABLE
    stage = stage_of(finding, answers, occasion.today)
    change = _finding_change(rule, finding, old, occasion)
    state = msgspec.structs.replace(
        old,
        truth=finding.truth if finding else "not_applicable",
        stage=stage,
        sequence=old.sequence + 1 if change else old.sequence,
        missing=finding.missing if finding else (),
        # Of a rule that no longer applies the place stays, since its alert is released and withdrawn by place.
        region=finding.region if finding else old.region,
        township=finding.township if finding else old.township,
    )
    if stage == "open" and finding is not None:
        state, alert = _open_or_amend(rule, finding, state, occasion)
    elif stage == "suppressed" and finding is not None and finding.evidence_hash == old.evidence_hash:
        alert = None
    else:
        state, alert = _withdraw(rule, finding, state, occasion)
    return Told(state, alert, change)


def _finding_change(rule: Rule, finding: Finding | None, old: RuleState, occasion: Occasion) -> FindingChange | None:
    """Said when the answer, its place, or what an unknown lacks differ; a rule that never applied says nothing."""
    truth: FullTruth = finding.truth if finding else "not_applicable"
    if finding is None:
        if old.truth == "not_applicable":
            return None
    elif (finding.truth, finding.missing, finding.region, finding.township) == (
        old.truth,
        old.missing,
        old.region,
        old.township,
    ):
        return None
    return FindingChange(
        rule=rule.id,
        subject=finding.subject if finding else occasion.home,
        home=occasion.home,
        truth=truth,
        region=finding.region if finding else old.region,
        township=finding.township if finding else old.township,
        missing=finding.missing if finding else (),
        sequence=numbered(occasion.generation, old.sequence + 1),
        policy_hash=occasion.policy_hash,
        decided_on=occasion.today,
        decided_at=occasion.now,
    )


def _open_or_amend(
    rule: Rule, finding: Finding, state: RuleState, occasion: Occasion
) -> tuple[RuleState, Alert | None]:
    opened_on = state.opened_on if state.live and state.opened_on is not None else occasion.today
    due_on = finding.due_on
    if due_on is None and finding.due_working_days is not None:
        due_on = occasion.working_day(opened_on, finding.due_working_days)
    says = (finding.evidence_hash, finding.amount_fen, finding.grade, due_on, finding.due_kind)
    if state.live and says == (state.evidence_hash, state.amount_fen, state.grade, state.due_on, state.due_kind):
        return state, None
    kind: Literal["OPEN", "AMENDED"] = "AMENDED" if state.live else "OPEN"
    state = msgspec.structs.replace(
        state,
        episode=state.episode if state.live else state.episode + 1,
        revision=state.revision + 1 if state.live else 1,
        live=True,
        evidence_hash=finding.evidence_hash,
        amount_fen=finding.amount_fen,
        grade=finding.grade,
        opened_on=opened_on,
        due_on=due_on,
        due_kind=finding.due_kind,
    )
    return state, _alert(rule, finding, state, kind, occasion)


def _withdraw(
    rule: Rule, finding: Finding | None, state: RuleState, occasion: Occasion
) -> tuple[RuleState, Alert | None]:
    if not state.live:
        return state, None
    state = msgspec.structs.replace(state, live=False, revision=state.revision + 1)
    return state, _alert(rule, finding, state, "WITHDRAWN", occasion)


def _cited(condition: Condition) -> Condition:
    return msgspec.structs.replace(condition, article=condition.article and cite(condition.article))


def _alert(
    rule: Rule,
    finding: Finding | None,
    state: RuleState,
    kind: Literal["OPEN", "AMENDED", "WITHDRAWN"],
    occasion: Occasion,
) -> Alert:
    subject = finding.subject if finding else occasion.home
    return Alert(
        alert_id=alert_id(rule.id, subject, state.episode),
        revision=state.revision,
        state=kind,
        rule=rule.id,
        subject=subject,
        home=occasion.home,
        episode=state.episode,
        grade=state.grade,
        line=rule.line,
        region=state.region,
        township=state.township,
        title=finding.title if finding else rule.title,
        explanation=finding.explanation if finding else NO_LONGER_APPLIES,
        articles=tuple(cite(article) for article in (finding or rule).articles),
        amount_fen=state.amount_fen,
        people=finding.people if finding else (),
        conditions=tuple(map(_cited, finding.conditions)) if finding else (),
        evidence=finding.evidence if finding else (),
        missing=finding.missing if finding else (),
        cause=occasion.cause,
        decided_on=occasion.today,
        opened_on=state.opened_on or occasion.today,
        due_on=state.due_on,
        due_kind=state.due_kind,
        evidence_hash=finding.evidence_hash if finding else state.evidence_hash,
        policy_hash=occasion.policy_hash,
        decided_at=occasion.now,
        caused_at=occasion.caused_at(),
    )
