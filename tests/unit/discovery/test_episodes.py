"""From findings to alerts: one rule, one home, one decision after another."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest

from hub.discovery.episodes import (
    ANSWERS_KEPT,
    NO_LONGER_APPLIES,
    NOT_APPLICABLE,
    Cause,
    Occasion,
    Told,
    alert_id,
    remember,
    stage_of,
    tell,
)
from hub.discovery.state import Answer, RuleState
from hub.domain.messages import Condition, Disposition, Missing
from hub.policy.findings import Finding
from tests.topology.small_law import RULES

HOME = "household:x"
DAY = date(2026, 3, 16)
RULE = RULES["poor"]
CITED = Condition("poor.income", 1, "yes", "收入低于标准", "浙江省社会救助条例 Art 9")


def finding(truth: Any = "yes", evidence_hash: str = "h1", **more: Any) -> Finding:
    """A finding of the rule."""
    given: dict[str, Any] = {"title": "t", "explanation": "e", "articles": (), "conditions": (), "evidence": ()}
    given |= {"missing": (), "people": (), "region": "331102", "township": "331102001"}
    return Finding(rule="poor", subject=HOME, truth=truth, evidence_hash=evidence_hash, **(given | more))


def answer(evidence_hash: str, *, suppress: bool = True, made_at: int = 1) -> Disposition:
    """A disposition of some evidence."""
    return Disposition(
        disposition_id=f"d{made_at}",
        alert_id="a",
        home=HOME,
        subject=HOME,
        rule="poor",
        revision=1,
        evidence_hash=evidence_hash,
        policy_hash="p",
        outcome="declined",
        suppress=suppress,
        by="caseworker",
        made_at=made_at,
    )


class Case:
    """One rule at one home over time: what left of it."""

    def __init__(self) -> None:
        self.state: RuleState = NOT_APPLICABLE
        self.answers: tuple[Answer, ...] = ()
        self.day = DAY

    def decide(self, found: Finding | None, cause: Cause = "facts") -> Told:
        """Take the next decision."""
        occasion = Occasion(HOME, self.day, 1000, cause, lambda: 7, "policy", lambda day, n: day + timedelta(days=n))
        told = tell(RULE, found, self.state, self.answers, occasion)
        self.state = told.state
        return told

    def told(self, found: Finding | None, cause: Cause = "facts") -> tuple[str, int, int] | None:
        """State, episode and revision of the alert that a decision makes leave."""
        alert = self.decide(found, cause).alert
        return None if alert is None else (alert.state, alert.episode, alert.revision)

    def stage(self) -> str:
        """Where the finding stands."""
        return self.state.stage

    def answer(self, evidence_hash: str, *, suppress: bool = True, made_at: int = 1) -> None:
        """A disposition arrives."""
        self.answers = remember(self.answers, answer(evidence_hash, suppress=suppress, made_at=made_at))


def test_open_amend_withdraw_and_the_next_episode() -> None:
    case = Case()
    assert case.told(finding()) == ("OPEN", 1, 1)
    assert case.told(finding()) is None
    assert case.told(finding(evidence_hash="h2")) == ("AMENDED", 1, 2)
    assert case.told(finding("no")) == ("WITHDRAWN", 1, 3)
    assert case.told(finding("no")) is None
    assert case.told(finding()) == ("OPEN", 2, 1)


@pytest.mark.parametrize(
    ("change", "amended"),
    [
        ({"amount_fen": 5}, True),
        ({"grade": "lead"}, True),
        ({"due_on": DAY}, True),
        ({"due_working_days": 3}, True),
        ({"due_kind": "statutory"}, True),
        ({"explanation": "other words"}, False),
        ({"title": "other words"}, False),
        ({"review_on": DAY}, False),
        ({"missing": (Missing(field="a.b.c"),)}, False),
        ({"region": "331121"}, False),
    ],
)
def test_what_amends_an_alert(change: dict[str, Any], amended: bool) -> None:
    case = Case()
    case.decide(finding())
    assert case.told(finding(**change)) == (("AMENDED", 1, 2) if amended else None)


@pytest.mark.parametrize("after", [finding("no"), finding("unknown"), None])
def test_whatever_is_no_longer_yes_withdraws(after: Finding | None) -> None:
    case = Case()
    case.decide(finding(amount_fen=5, due_working_days=5))
    case.day += timedelta(days=1)
    alert = case.decide(after).alert
    assert alert is not None and alert.state == "WITHDRAWN"
    assert (alert.opened_on, alert.due_on, alert.amount_fen) == (DAY, DAY + timedelta(days=5), 5)
    assert (alert.line, alert.region, alert.township) == ("test", "331102", "331102001")
    assert alert.explanation == (after.explanation if after else NO_LONGER_APPLIES)


def test_a_due_date_counts_from_the_day_the_alert_opened() -> None:
    case = Case()
    case.decide(finding(due_working_days=5))
    case.day += timedelta(days=3)
    amended = case.decide(finding(evidence_hash="h2", due_working_days=5)).alert
    assert amended is not None and (amended.opened_on, amended.due_on) == (DAY, DAY + timedelta(days=5))


def test_the_next_episode_opens_on_its_own_day() -> None:
    case = Case()
    case.decide(finding(due_working_days=5))
    case.decide(finding("no"))
    case.day += timedelta(days=30)
    again = case.decide(finding(due_working_days=5)).alert
    assert again is not None and (again.opened_on, again.due_on) == (case.day, case.day + timedelta(days=5))


def test_unknown_never_opens() -> None:
    case = Case()
    assert case.told(finding("unknown")) is None
    assert case.stage() == "none"


def test_a_held_finding_leaves_when_its_day_has_come() -> None:
    case = Case()
    held = finding(hold_until=DAY + timedelta(days=7))
    assert case.told(held) is None
    assert case.stage() == "held"
    case.day += timedelta(days=6)
    assert case.told(held, "time") is None
    case.day += timedelta(days=1)
    assert case.told(held, "time") == ("OPEN", 1, 1)


def test_an_alert_that_must_be_held_again_is_withdrawn_first() -> None:
    case = Case()
    case.decide(finding())
    later = DAY + timedelta(days=7)
    assert case.told(finding(evidence_hash="h2", hold_until=later)) == ("WITHDRAWN", 1, 2)
    case.day = later
    assert case.told(finding(evidence_hash="h2", hold_until=later)) == ("OPEN", 2, 1)


def test_a_disposition_closes_in_silence_while_its_evidence_stands() -> None:
    case = Case()
    case.decide(finding())
    case.answer("h1")
    assert case.told(finding(), "disposition") is None
    assert case.stage() == "suppressed"
    assert case.told(finding(amount_fen=9)) is None
    assert case.told(finding(evidence_hash="h2")) == ("AMENDED", 1, 2)
    assert case.stage() == "open"


def test_back_at_the_answered_evidence_what_was_sent_since_is_withdrawn() -> None:
    case = Case()
    case.decide(finding())
    case.answer("h1")
    case.decide(finding())
    case.decide(finding(evidence_hash="h2"))
    assert case.told(finding()) == ("WITHDRAWN", 1, 3)
    assert case.stage() == "suppressed"
    assert case.told(finding(evidence_hash="h2")) == ("OPEN", 2, 1)


def test_an_answered_alert_is_still_withdrawn_when_the_facts_go() -> None:
    case = Case()
    case.decide(finding())
    case.answer("h1")
    case.decide(finding())
    assert case.told(finding("no")) == ("WITHDRAWN", 1, 2)
    assert case.told(finding()) is None
    assert case.stage() == "suppressed"


def test_a_disposition_that_came_before_its_evidence_keeps_it_from_opening() -> None:
    case = Case()
    case.answer("h1")
    assert case.told(finding()) is None
    assert case.told(finding(evidence_hash="h2")) == ("OPEN", 1, 1)


def test_a_later_disposition_lifts_an_earlier_one() -> None:
    case = Case()
    case.answer("h1", made_at=1)
    case.decide(finding())
    case.answer("h1", suppress=False, made_at=2)
    alert = case.decide(finding(), "disposition").alert
    assert alert is not None and (alert.state, alert.cause) == ("OPEN", "disposition")


def test_an_answer_to_an_older_revision_speaks_of_its_own_evidence_only() -> None:
    case = Case()
    case.decide(finding())
    case.decide(finding(evidence_hash="h2"))
    case.answer("h1")
    assert case.told(finding(evidence_hash="h2"), "disposition") is None
    assert case.stage() == "open"


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_what_is_remembered_does_not_depend_on_order(order: tuple[int, ...]) -> None:
    made = [answer("h1", made_at=1), answer("h1", suppress=False, made_at=2), answer("h2", made_at=3), answer("h1")]
    kept: tuple[Answer, ...] = ()
    for index in order:
        kept = remember(kept, made[index])
    assert [(one.evidence_hash, one.suppress) for one in kept] == [("h2", True), ("h1", False)]


def test_the_newest_answers_are_kept_whatever_the_order() -> None:
    made = [answer(f"h{number}", made_at=number) for number in range(ANSWERS_KEPT + 3)]
    forth: tuple[Answer, ...] = ()
    back: tuple[Answer, ...] = ()
    for one, other in zip(made, reversed(made), strict=True):
        forth, back = remember(forth, one), remember(back, other)
    assert forth == back
    assert [one.made_at for one in forth] == list(range(ANSWERS_KEPT + 2, 2, -1))


def test_stage_of_a_held_and_answered_finding_is_suppressed() -> None:
    kept = remember((), answer("h1"))
    assert stage_of(finding(hold_until=DAY + timedelta(days=1)), kept, DAY) == "suppressed"
    assert stage_of(finding("no"), kept, DAY) == "none"


def test_a_finding_is_said_when_it_changes() -> None:
    case = Case()
    assert case.decide(None).change is None
    first = case.decide(finding("unknown", missing=(Missing(field="a.b.c"),))).change
    assert first is not None and (first.truth, first.sequence, len(first.missing)) == ("unknown", 1, 1)
    assert case.decide(finding("unknown", missing=(Missing(field="a.b.c"),))).change is None
    narrowed = case.decide(finding("unknown")).change
    assert narrowed is not None and (narrowed.missing, narrowed.sequence) == ((), 2)
    gone = case.decide(None).change
    assert gone is not None and (gone.truth, gone.region, gone.sequence) == ("not_applicable", "331102", 3)
    assert case.decide(None).change is None
    back = case.decide(finding("no")).change
    assert back is not None and back.sequence == 4
    moved = case.decide(finding("no", region="331121")).change
    assert moved is not None and moved.region == "331121"


def test_an_alert_id_is_rule_subject_and_episode() -> None:
    ids = {alert_id(rule, subject, episode) for rule in ("a", "b") for subject in ("x", "y") for episode in (1, 2)}
    assert len(ids) == 8
    assert all(len(one) == 32 for one in ids)
    case = Case()
    alert = case.decide(finding()).alert
    assert alert is not None and alert.alert_id == alert_id("poor", HOME, 1)


def test_what_leaves_cites_as_a_chinese_reader_expects() -> None:
    """The rules' own citations are names for programs; a line gets them in the form of the law."""
    without = msgspec.structs.replace(CITED, article=None)
    found = finding(articles=("浙江省社会救助条例 Art 9",), conditions=(CITED, without))
    alert = Case().decide(found).alert
    assert alert is not None
    assert alert.articles == ("《浙江省社会救助条例》第9条",)
    assert [line.article for line in alert.conditions] == ["《浙江省社会救助条例》第9条", None]
