"""The rules in force, what each contributor must tell them, and the one call that decides a home."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec.structs import replace

from hub.domain.facts import AidHousehold, Resident
from hub.domain.homes import Home, HomeKind
from hub.policy.findings import Finding, Rule
from hub.policy.horizon import horizons, windowed
from hub.policy.parameters import PolicyBook
from hub.policy.rules import (
    death_benefit_continues,
    defacto_unsupported,
    dibao,
    duplicate_benefit,
    elder_age_allowance,
    funeral_affairs,
    medical_warning,
    orphan,
    tekun,
)
from hub.policy.view import newest_first

EDITION: Final = 1
"""Raised by whoever changes what a formula answers under the same figures: every home is then decided again."""

RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in (
        death_benefit_continues.RULE,
        defacto_unsupported.RULE,
        dibao.RULE,
        duplicate_benefit.RULE,
        elder_age_allowance.RULE,
        funeral_affairs.RULE,
        medical_warning.RULE,
        orphan.RULE,
        tekun.RULE,
    )
}
"""Rule id → rule."""

_BY_KIND: Final[dict[str, tuple[Rule, ...]]] = {
    kind: tuple(rule for rule in RULES.values() if kind in rule.homes) for kind in ("person", "household", "candidate")
}

_TIES: Final[dict[str, frozenset[str]]] = {
    "self": frozenset({"registration.resident"}),
    "member": frozenset({"registration.resident", "assistance.household"}),
}
"""What a home needs to know of a contributor besides the rules: where it is, and who belongs to it."""


@lru_cache(maxsize=32)
def topics_for(home_kind: HomeKind, role: str) -> frozenset[str]:
    """Topics (without version) that somebody in `role` contributes to homes of a kind; empty: contribute nothing."""
    fields = {field for rule in _BY_KIND[home_kind] for field in rule.reads.get(role, ())}
    if not fields and role not in _TIES:
        return frozenset()
    return frozenset(field.rpartition(".")[0] for field in fields) | _TIES.get(role, frozenset())


_WINDOWED: Final = windowed(RULES.values())
"""Topics whose records age away: where a bill was paid does not say where a home is, now or later."""


@lru_cache(maxsize=4)
def horizons_under(book: PolicyBook) -> Mapping[str, int]:
    """Topic (without version) → months after which no rule reads its records; a topic that is not here is kept."""
    return horizons(RULES.values(), book)


class Place(NamedTuple):
    """Where a home is: county and township code; None where no record says it."""

    region: str | None
    township: str | None


def place_of(home: Home) -> Place:
    """The applicant's or the person's own newest entry in the household register, else anybody's newest record."""
    best: tuple[tuple[bool, bool, int, str, str], Place] | None = None
    for member in home.members:
        leads = "self" in member.roles or any(
            fact.payload.relation_to_applicant == "self"
            for fact in member.facts
            if isinstance(fact.payload, AidHousehold)
        )
        for fact in member.facts:
            if fact.topic in _WINDOWED:
                continue
            entry = fact.payload if isinstance(fact.payload, Resident) else None
            township = entry.township if entry is not None else None
            region = township[:6] if township else fact.region
            if region is None:
                continue
            rank = (entry is not None, leads, *newest_first(fact))
            if best is None or rank > best[0]:
                best = rank, Place(region, township)
    return best[1] if best else Place(None, None)


def decide(home: Home, book: PolicyBook, on: date) -> tuple[Finding, ...]:
    """What every rule answers about a home on a day, in the order of rule ids.

    A rule that does not apply leaves no finding. A home whose place nobody states has none at all, since no policy
    is in force for it.
    """
    place = place_of(home)
    if place.region is None:
        return ()
    policy = book.for_region(place.region)
    found = (rule.decide(home, policy, on) for rule in _BY_KIND[home.kind])
    return tuple(
        replace(finding, region=place.region, township=place.township) for finding in found if finding is not None
    )
