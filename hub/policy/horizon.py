"""How far back the rules look, by kind of record; what lies further back may leave the state of a person.

A rule declares for a topic how many months back it reads (`Rule.windows`); a topic that one rule reads without a window
has no horizon and is kept while its records live. The horizon of a topic is

    the longest window of any rule, under any region's figures
    + how late a record, its correction or its reversal may lawfully come      (horizon.lateness_months)
    + how long a benefit runs on after the ground for it has gone              (horizon.taper_months)

so that whatever is pruned lies beyond every window, and no decision changes by it. Where a figure is given nowhere, or
comes to an end, there is no horizon: nothing is pruned on a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final
from zlib import crc32

from hub.domain.facts import Payload
from hub.policy.calendar import add_months, first_of_next_month
from hub.policy.findings import Rule
from hub.policy.parameters import PolicyBook

LATENESS: Final = "horizon.lateness_months"
TAPER: Final = "horizon.taper_months"

REDELIVERY_MONTHS: Final = 13
"""How long a source may still send what it sent before: a year's full delivery, and a month in which it may be late.

So long after a record fell below the horizon, its floor stays and tells a repetition from something new.
"""

SPREAD_DAYS: Final = 28
"""Persons are pruned on the first to the 28th of a month, by their token: no day has the work of all."""

_FAR: Final = date(9000, 1, 1)
"""A source may write any day; arithmetic on later ones would leave the calendar."""

_ANCHORS: Final[Mapping[str, Callable[[Any], date]]] = {
    "medical.settlement": lambda paid: max(paid.service_to, paid.settled_on),
    "insurance.enrolment": lambda held: date(min(max(held.year, date.min.year), date.max.year), 12, 31),
}
"""The last day on which a record of a kind says anything; a kind without one has no horizon."""


def anchor(topic: str, payload: Payload) -> date:
    """The day from which the horizon of a record is counted. KeyError for a kind without a horizon."""
    return _ANCHORS[topic](payload)


def falls_on(person: str, day: date, months: int) -> date:
    """First day on which a person's record of `day` lies below a horizon of so many months.

    Not the very day: within the month after it, so that a person treated thrice a week is pruned once a month.
    """
    if day >= _FAR:
        return date.max
    return first_of_next_month(add_months(day, months)).replace(day=_day_of_month(person))


def reaches_back_to(person: str, today: date, months: int) -> date:
    """First day that still lies above a person's horizon: `falls_on(person, day, months) > today` from it on."""
    this_month = today.replace(day=1)
    begun = this_month if today.day >= _day_of_month(person) else add_months(this_month, -1)
    return add_months(begun, -months)


def _day_of_month(person: str) -> int:
    return 1 + crc32(person.encode()) % SPREAD_DAYS


def windowed(rules: Iterable[Rule]) -> frozenset[str]:
    """Topics (without version) that every rule reads within a window only."""
    return frozenset(_windows(rules))


def horizons(rules: Iterable[Rule], book: PolicyBook) -> dict[str, int]:
    """Topic (without version) → months after which its records are pruned; a topic that is not here never is."""
    lateness, taper = book.longest(LATENESS), book.longest(TAPER)
    if lateness is None or taper is None:
        return {}
    found = {}
    for topic, declared in _windows(rules).items():
        months = [book.longest(one) if isinstance(one, str) else one for one in declared]
        if None not in months:
            found[topic] = max(one for one in months if one is not None) + lateness + taper
    return found


def _windows(rules: Iterable[Rule]) -> dict[str, set[int | str]]:
    """Windows of each topic that no rule reads without one."""
    found: dict[str, set[int | str]] = {}
    boundless: set[str] = set()
    for rule in rules:
        for topic in {field.rpartition(".")[0] for fields in rule.reads.values() for field in fields}:
            declared = rule.windows.get(topic)
            if declared and topic in _ANCHORS:
                found.setdefault(topic, set()).update(declared)
            else:
                boundless.add(topic)
    return {topic: windows for topic, windows in found.items() if topic not in boundless}
