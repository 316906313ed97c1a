"""The law as the steps see it: which topics a home needs of a role, and what the rules answer about a home on a day.

`catalogue_law` binds this seam to the rules in force; a test may bind it to rules of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from hub.domain.codes import HOME, ROLE
from hub.domain.homes import Home, HomeKind, home_kind
from hub.policy import catalogue
from hub.policy.findings import Finding, Rule
from hub.policy.parameters import PolicyBook

PERSONAL_COVERAGE: Final = frozenset({"source.coverage"})
"""A person's 查无记录 goes wherever any of the person's facts go: without it their absence says nothing."""


class Law(Struct, frozen=True, kw_only=True):
    """What the steps ask of the law.

    `rules` by id. `topics(kind, role)` is what a role brings to homes of a kind; nothing: it contributes nothing
    there. `decide(home, on)` answers with each rule that applies. `policy_hash(region)` names the policy in force.
    `working_day(day, count)` is the last day of a term of `count` working days that begins after `day`. `horizons`
    gives the months after which no rule reads a record of a topic; a topic without an entry is read for ever.
    """

    rules: Mapping[str, Rule]
    topics: Callable[[HomeKind, str], frozenset[str]]
    decide: Callable[[Home, date], tuple[Finding, ...]]
    policy_hash: Callable[[str | None], str]
    working_day: Callable[[date, int], date]
    horizons: Mapping[str, int] = {}

    def carried(self, kind: HomeKind, roles: tuple[str, ...]) -> frozenset[str]:
        """Topics (without version) that a contributor in these roles brings to a home; empty: no contribution."""
        read = frozenset[str]().union(*(self.topics(kind, role) for role in roles))
        return read | PERSONAL_COVERAGE if read else read

    def reads(self) -> str:
        """Fingerprint of what is contributed: when it changes, a person contributes everything anew."""
        read = [(kind, role, sorted(self.topics(home_kind(f"{kind}:"), role))) for kind in HOME for role in ROLE]
        return blake2b(repr(read).encode(), digest_size=8).hexdigest()


def catalogue_law(book: PolicyBook) -> Law:
    """The rules in force under the policies of a book."""
    return Law(
        rules=catalogue.RULES,
        topics=catalogue.topics_for,
        decide=lambda home, on: catalogue.decide(home, book, on),
        policy_hash=lambda region: _edition(book.for_region(region).hash if region else book.hash),
        working_day=lambda day, count: book.calendar.add_working_days(day, count).day,
        horizons=catalogue.horizons_under(book),
    )


def _edition(policy_hash: str) -> str:
    """The hash of a policy as this edition of the formulas applies it."""
    return policy_hash if catalogue.EDITION == 1 else f"{policy_hash}-{catalogue.EDITION}"
