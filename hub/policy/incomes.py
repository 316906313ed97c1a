"""Income by the law: what a person is known to earn a month, in 分, with bounds where something is unknown.

最低生活保障审核确认办法 Art 13, 特困人员认定办法 Art 6. No wage or pension record is unknown, never zero (ruling 30): a
person's income is known only where 核对 or 入户调查 covered that person; then no item means none. Amounts are averaged
over `income.window_months` (ruling 29). Only the centrally fixed basic part of the residents' pension is special.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from msgspec import Struct

from hub.domain.facts import Check, IncomeItem, Investigation, Pension
from hub.domain.homes import Member
from hub.domain.messages import Evidence, Fact, Missing
from hub.policy.amounts import Amount, known, total, unbounded
from hub.policy.view import View, evidence, newest_first

READS_REPORTS: Final = frozenset(
    {
        "assistance.check.aid_household",
        "assistance.check.period_to",
        "assistance.check.covered_persons",
        "assistance.check.income",
        "assistance.check.authorised_until",
        "assistance.investigation.aid_household",
        "assistance.investigation.visited_on",
        "assistance.investigation.covered_persons",
        "assistance.investigation.income",
    }
)
READS_PENSION: Final = frozenset(
    {
        "insurance.pension.scheme",
        "insurance.pension.period",
        "insurance.pension.status",
        "insurance.pension.total_fen",
        "insurance.pension.central_basic_part_fen",
    }
)
INCOME_PARAMETERS: Final = ("income.window_months", "income.excluded_types", "income.basic_pension_counts")
BASIC: Final = "pension_resident_basic"
_WINDOW: Final = "income.window_months"


class Reports(Struct, frozen=True):
    """The newest 核对 report and the newest 入户调查 about a household, or about one person."""

    check: tuple[Fact, Check] | None
    visit: tuple[Fact, Investigation] | None


class Counting(Struct, frozen=True):
    """Which income counts: types that do not, and whether the basic pension does (None: nobody has said)."""

    excluded: tuple[str, ...] | None
    basic: bool | None
    key: str


def dibao_counting(view: View) -> Counting:
    """Of 低保: the basic pension by its own dated switch (ruling 9)."""
    excluded = view.policy.words("income.excluded_types", view.on)
    return Counting(excluded, view.policy.flag("income.basic_pension_counts", view.on), "income.excluded_types")


def tekun_counting(view: View) -> Counting:
    """Of 特困: the basic pension never counts while the list names it; Art 6 has no end date."""
    excluded = view.policy.words("tekun.income_excluded_types", view.on)
    return Counting(excluded, None if excluded is None else BASIC not in excluded, "tekun.income_excluded_types")


def reports_of(members: tuple[Member, ...], household: str | None = None) -> Reports:
    """The newest reports among members' facts, about `household` where it is given."""
    checks = [pair for member in members for pair in member.of(Check) if household in (None, pair[1].aid_household)]
    visits = [
        pair for member in members for pair in member.of(Investigation) if household in (None, pair[1].aid_household)
    ]
    return Reports(
        max(checks, key=lambda pair: (pair[1].period_to, newest_first(pair[0])), default=None),
        max(visits, key=lambda pair: (pair[1].visited_on, newest_first(pair[0])), default=None),
    )


def income_of(view: View, member: Member, role: str, reports: Reports, counting: Counting) -> Amount:
    """A member's counted income a month."""
    person = member.person
    if counting.excluded is None:
        return unbounded((view.missing_parameter(counting.key),))
    items, covered, shown = _items(person, reports)
    parts = [_monthly(view, item, proof, counting) for item, proof in items]
    if not any(item.type.startswith("pension") for item, _ in items):
        parts += _pensions(view, member, role, counting)
    income = total(parts)
    if covered:
        return income.plus(known(0, shown))
    return income.plus(unbounded((Missing(field="assistance.check.income", person=person, role=role),)))


def _items(person: str, reports: Reports) -> tuple[list[tuple[IncomeItem, Evidence]], bool, tuple[Evidence, ...]]:
    """Income items of a person, whether he was covered, and by which report; 核对 prevails for a type both hold."""
    found: dict[str, list[tuple[IncomeItem, Evidence]]] = {}
    covered: list[Evidence] = []
    named: tuple[tuple[str, tuple[Fact, Check | Investigation] | None], ...] = (
        ("assistance.check", reports.check),
        ("assistance.investigation", reports.visit),
    )
    for topic, report in named:
        if report is None:
            continue
        fact, held = report
        own: dict[str, list[tuple[IncomeItem, Evidence]]] = {}
        for item in held.income:
            if item.person == person:
                value = f"{item.type} {item.amount_fen}/{item.months}"
                own.setdefault(item.type, []).append((item, evidence(fact, topic, "income", value, person)))
        found = own | found
        if person in held.covered_persons:
            covered.append(evidence(fact, topic, "covered_persons", True, person))
    return [pair for kind in sorted(found) for pair in found[kind]], bool(covered), tuple(covered[:1])


def _monthly(view: View, item: IncomeItem, shown: Evidence, counting: Counting) -> Amount:
    if item.type in (counting.excluded or ()):
        return Amount()
    window = view.policy.number(_WINDOW, view.on)
    if window is None or window < 1:
        return unbounded((view.missing_parameter(_WINDOW),))
    average = Fraction(item.amount_fen, max(item.months, window))
    return _basic(view, average, (shown,), counting) if item.type == BASIC else known(average, (shown,))


def _basic(view: View, amount: Fraction, shown: tuple[Evidence, ...], counting: Counting) -> Amount:
    if counting.basic is None:
        return Amount(Fraction(0), amount, shown, (view.missing_parameter("income.basic_pension_counts"),))
    return known(amount, shown) if counting.basic else Amount()


def _pensions(view: View, member: Member, role: str, counting: Counting) -> list[Amount]:
    """Pensions as paid, newest month of each scheme, where no report lists any."""
    newest: dict[str, tuple[Fact, Pension]] = {}
    for fact, pension in member.of(Pension):
        held = newest.get(pension.scheme)
        if held is None or (pension.period, newest_first(fact)) > (held[1].period, newest_first(held[0])):
            newest[pension.scheme] = fact, pension
    parts: list[Amount] = []
    for scheme in sorted(newest):
        fact, pension = newest[scheme]
        if pension.status != "paying":
            continue
        shown = (evidence(fact, "insurance.pension", "total_fen", pension.total_fen, member.person),)
        basic = pension.central_basic_part_fen
        if scheme != "pension_resident" or counting.basic:
            parts.append(known(pension.total_fen, shown))
        elif basic is None:
            field = Missing(
                field="insurance.pension.central_basic_part_fen", person=member.person, role=role, source=fact.source
            )
            parts.append(Amount(Fraction(0), Fraction(pension.total_fen), shown, (field,)))
        else:
            rest = known(pension.total_fen - basic, shown)
            parts.append(rest.plus(_basic(view, Fraction(basic), (), counting)))
    return parts
