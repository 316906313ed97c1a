"""重复享受: one person paid the same benefit by two regions for the same time.

最低生活保障审核确认办法 Art 5. Only overlapping paid periods count: the one day shared at a handover does not,
a benefit that ended before does not, and what was paid back does not. Where an end date is missing, payments for
the same month settle it; otherwise the answer is unknown.
"""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations
from typing import Final

from hub.domain.codes import BENEFIT
from hub.domain.facts import Benefit, Payment
from hub.domain.homes import Home, Member
from hub.domain.messages import Evidence, Fact, Missing
from hub.policy.calendar import month_of
from hub.policy.conclude import conclude
from hub.policy.findings import Finding, Rule
from hub.policy.holdings import LIVE
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, any_of
from hub.policy.parameters import Policy
from hub.policy.view import View, evidence

ID: Final = "duplicate_benefit"
TITLE: Final = "疑似两地重复享受同一待遇，请先核实"
ART_5: Final = "最低生活保障审核确认办法 Art 5"

Held = tuple[Fact, Benefit]


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to whoever holds or was paid one benefit in at least two regions."""
    view = View(home, policy, on)
    person = view.myself
    if person is None:
        return None
    benefits, payments = person.of(Benefit), person.of(Payment)
    regions: dict[str, set[str]] = {}
    for _, benefit in benefits:
        regions.setdefault(benefit.type, set()).add(benefit.paying_region)
    for _, payment in payments:
        regions.setdefault(payment.benefit, set()).add(payment.paying_region)
    clauses: list[Clause] = []
    for kind in sorted(kind for kind, places in regions.items() if len(places) > 1):
        paid = _paid_months(payments, kind)
        clauses += _paid_twice(person, kind, payments, paid)
        ordered = sorted((pair for pair in benefits if pair[1].type == kind), key=_order)
        for one, other in combinations(ordered, 2):
            if one[1].paying_region != other[1].paying_region:
                clauses.append(_overlap(view, person, one, other, paid))
    if not clauses:
        return None
    tree = any_of(ID, "两地重复享受", *clauses, article=ART_5)
    return conclude(ID, view, tree, TITLE, articles=(ART_5,), people=((person, "self"),))


def _order(pair: Held) -> tuple[date, str, date, str]:
    benefit = pair[1]
    return benefit.since, benefit.paying_region, benefit.until or date.max, benefit.status


def _paid_months(payments: tuple[tuple[Fact, Payment], ...], kind: str) -> dict[str, dict[str, bool]]:
    """Region → month → whether money for it was kept (True) or all of it was returned (False)."""
    months: dict[str, dict[str, bool]] = {}
    for _, payment in payments:
        if payment.benefit == kind:
            region = months.setdefault(payment.paying_region, {})
            region[payment.period] = region.get(payment.period, False) or payment.returned_on is None
    return months


def _paid_twice(
    person: Member, kind: str, payments: tuple[tuple[Fact, Payment], ...], paid: dict[str, dict[str, bool]]
) -> list[Clause]:
    """Months for which two regions paid and nobody returned the money: one clause for each, earliest first."""
    kept: dict[str, list[str]] = {}
    for region, months in sorted(paid.items()):
        for month, was_kept in months.items():
            if was_kept:
                kept.setdefault(month, []).append(region)
    return [
        Clause(
            id="duplicate.paid",
            truth=YES,
            text=f"{month}两地均发放了{BENEFIT.get(kind, kind)}",
            article=ART_5,
            evidence=tuple(
                evidence(
                    fact, "assistance.payment", "period", f"{payment.paying_region} {payment.period}", person.person
                )
                for fact, payment in payments
                if payment.benefit == kind and payment.period == month and payment.returned_on is None
            ),
        )
        for month, places in sorted(kept.items())
        if len(places) > 1
    ]


def _overlap(view: View, person: Member, one: Held, other: Held, paid: dict[str, dict[str, bool]]) -> Clause:
    """Whether two periods share more than the day of a handover, up to today."""
    name = BENEFIT.get(one[1].type, one[1].type)
    shown = (*_evidence(person, one), *_evidence(person, other))
    start = max(one[1].since, other[1].since)
    second_day = start + timedelta(days=1)  # ruling 22: both days of a handover do not overlap
    ends = [_end(one[1]), _end(other[1])]
    known = [end for end in ends if end is not None]
    id = "duplicate.overlap"
    if known and min(known) < second_day:
        return Clause(id, NO, f"两地{name}的享受期间不重叠", ART_5, shown)
    if len(known) < 2:
        missing = tuple(
            Missing(field="assistance.benefit.until", person=person.person, role="self", source=fact.source)
            for (fact, _), end in zip((one, other), ends, strict=True)
            if end is None
        )
        return Clause(id, UNKNOWN, f"一地{name}的停止日期未知", ART_5, shown, missing)
    if second_day > view.on:
        return Clause(id, NO, f"两地{name}的享受期间尚不重叠", ART_5, shown, changes_on=second_day)
    months = _months(start, min(*known, view.on))
    for benefit in (one[1], other[1]):
        seen = paid.get(benefit.paying_region, {})
        if all(seen.get(month) is False for month in months):
            return Clause(id, NO, f"重叠期间一地发放的{name}已全部退回", ART_5, shown, basis=())
    return Clause(id, YES, f"两地{name}的享受期间重叠", ART_5, shown)


def _end(benefit: Benefit) -> date | None:
    """Last day held; date.max while it is paid on; None where the register says it stopped but not when."""
    if benefit.until is not None:
        return benefit.until
    return date.max if benefit.status in LIVE else None


def _months(first: date, last: date) -> list[str]:
    months = [month_of(first)]
    day = first.replace(day=1)
    while months[-1] < month_of(last):
        day = (day + timedelta(days=31)).replace(day=1)
        months.append(month_of(day))
    return months


def _evidence(person: Member, pair: Held) -> tuple[Evidence, ...]:
    fact, benefit = pair
    place = benefit.paying_region
    found = [evidence(fact, "assistance.benefit", "since", f"{place} {benefit.since.isoformat()}", person.person)]
    if benefit.until is not None:
        found.append(
            evidence(fact, "assistance.benefit", "until", f"{place} {benefit.until.isoformat()}", person.person)
        )
    return tuple(found)


RULE: Final = Rule(
    id=ID,
    title="重复享受",
    line="social_assistance",
    homes=frozenset({"person"}),
    reads={
        "self": frozenset(
            {
                "assistance.benefit.type",
                "assistance.benefit.status",
                "assistance.benefit.since",
                "assistance.benefit.until",
                "assistance.benefit.paying_region",
                "assistance.payment.benefit",
                "assistance.payment.period",
                "assistance.payment.returned_on",
                "assistance.payment.paying_region",
            }
        )
    },
    articles=(ART_5,),
    decide=decide,
)
