"""What a rule answers about a home on a day, and what a rule declares of itself: the seam between law and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from hub.domain.homes import Home, HomeKind
from hub.domain.messages import Condition, Evidence, Involved, Missing, Truth

if TYPE_CHECKING:
    from hub.policy.parameters import Policy


class Finding(Struct, frozen=True, kw_only=True):
    """The outcome of one rule on one subject on one day.

    `evidence_hash` is over the subject, the conditions that settled the answer and the values they relied on,
    never over record versions: a new version that says the same changes nothing. `review_on` is the first later
    day on which the answer may change though no record arrives. `hold_until` keeps an alert from leaving before
    that day. `missing` is empty unless the truth is unknown.
    """

    rule: str
    subject: str
    truth: Truth
    title: str
    explanation: str
    articles: tuple[str, ...]
    conditions: tuple[Condition, ...]
    evidence: tuple[Evidence, ...]
    missing: tuple[Missing, ...]
    people: tuple[Involved, ...]
    evidence_hash: str
    amount_fen: int | None = None
    grade: Literal["case", "lead"] = "case"
    region: str | None = None
    township: str | None = None
    review_on: date | None = None
    hold_until: date | None = None
    due_working_days: int | None = None
    due_on: date | None = None
    due_kind: Literal["service", "statutory"] = "service"


Windows = Mapping[str, tuple[int | str, ...]]
"""Topic → months back that are read of it: numbers, or `count` parameters that give one."""


def merged(*windows: Windows) -> Windows:
    """The windows of a rule that reads a topic in several ways."""
    topics = {topic for one in windows for topic in one}
    return {topic: tuple(months for one in windows for months in one.get(topic, ())) for topic in sorted(topics)}


class Rule(Struct, frozen=True, kw_only=True):
    """What a rule declares: its home, its line, its articles, and by role the fields it reads.

    `reads` maps a role at the home to `topic.field` names (`medical.settlement.cash_fen`); contributions carry just
    the topics named there, and a test fails if no schema supplies one. `decide` returns None where the rule does
    not apply (an orphan rule on an adult): such a home has no finding, which is not the same as *no*. `windows` says
    for a topic how many months back the rule reads, as a number or a `count` parameter that gives it (of several the
    longest holds); a topic without an entry is read however old it is. What lies beyond changes nothing of `decide`,
    and is pruned by it (`hub.policy.horizon`).
    """

    id: str
    title: str
    line: str
    homes: frozenset[HomeKind]
    reads: Mapping[str, frozenset[str]]
    articles: tuple[str, ...]
    decide: Callable[[Home, Policy, date], Finding | None]
    windows: Windows = {}
