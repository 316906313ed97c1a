"""低保: a certified household whose income per head lies below the local standard and whose property complies.

浙江省社会救助条例 Art 9 (who), Art 12 (the gap is paid), Art 51 (a refused verification); 最低生活保障审核确认办法 Art
7 (members), Art 13 (income). A household read off the household register alone can only open a lead: `dibao_lead`.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from itertools import product
from typing import Final

from hub.domain.facts import Application
from hub.domain.homes import Home
from hub.domain.messages import Evidence, Missing, Truth
from hub.policy.amounts import Amount, known, total, unbounded, up_to_yuan, yuan
from hub.policy.bills import READS_BILLS, WINDOWS_BILLS
from hub.policy.calendar import after
from hub.policy.conclude import conclude
from hub.policy.findings import Finding, Rule, merged
from hub.policy.holdings import READS_BENEFIT, none_holds
from hub.policy.households import ART_7, READS_HOUSEHOLD, Counted, Roster, roster
from hub.policy.incomes import (
    INCOME_PARAMETERS,
    READS_PENSION,
    READS_REPORTS,
    Reports,
    dibao_counting,
    income_of,
    reports_of,
)
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, earliest, missing_order, truth_of
from hub.policy.lives import WINDOWS_LIFE
from hub.policy.parameters import Policy
from hub.policy.rules.dibao_lead import READS_SIGNS, lead
from hub.policy.view import View, evidence, newest_first

ID: Final = "dibao"
TITLE: Final = "可能符合最低生活保障条件，请核实"
ART_9: Final = "浙江省社会救助条例 Art 9"
ART_12: Final = "浙江省社会救助条例 Art 12"
ART_51: Final = "浙江省社会救助条例 Art 51"
ART_13: Final = "最低生活保障审核确认办法 Art 13"
STANDARD: Final = "dibao_monthly_fen"
MOST_DOUBTFUL: Final = 4  # members whose counting is unknown; each doubles the work, beyond this nothing is decided


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to every certified household; to a candidate only where a sign of hardship was received."""
    view = View(home, policy, on)
    family = roster(view)
    if home.kind == "candidate":
        return lead(view, family)
    if not family.members:
        gone = Clause(ID, NO, "该家庭已无在册成员", changes_on=family.changes_on)
        return conclude(ID, view, gone, TITLE, articles=(ART_9,))
    reports = reports_of(home.members, home.identifier)
    income, gap = _income(view, family, reports)
    tree = all_of(
        ID,
        "最低生活保障",
        none_holds(view, tuple(item.member for item in family.members), ("dibao",), "本户已在享低保", "本户未在享低保"),
        _authorised(view, reports),
        _property(view, reports),
        income,
    )
    people = tuple((item.member, "member") for item in family.members if item.truth != NO)
    return conclude(ID, view, tree, TITLE, articles=(ART_9, ART_12), people=people, amount_fen=gap)


def _authorised(view: View, reports: Reports) -> Clause:
    """Refused is no, not yet given is unknown: two states (ruling 5)."""
    id = "dibao.authorised"
    applications = [
        pair
        for member in view.home.members
        for pair in member.of(Application)
        if pair[1].benefit == ID and pair[1].aid_household in (None, view.home.identifier)
    ]
    newest = max(applications, key=lambda pair: (pair[1].accepted_on, newest_first(pair[0])), default=None)
    if newest is not None and newest[1].refused_on is not None:
        refused, agreed = newest[1].refused_on, newest[1].authorised_on
        if agreed is None or agreed < refused:
            shown = evidence(newest[0], "assistance.application", "refused_on", refused, None)
            return Clause(id, NO, "申请人拒绝经济状况核对", ART_51, (shown,))
    expired: date | None = None
    if reports.check is not None:
        fact, check = reports.check
        expired = check.authorised_until
        if expired is None or expired >= view.on:
            shown = evidence(fact, "assistance.check", "authorised_until", expired or "", None)
            change = after(expired) if expired is not None else None
            return Clause(id, YES, "已授权核对家庭经济状况", ART_51, (shown,), changes_on=change)
    agreed = newest[1].authorised_on if newest is not None else None
    if newest is not None and agreed is not None and (expired is None or agreed > expired):
        shown = evidence(newest[0], "assistance.application", "authorised_on", agreed, None)
        return Clause(id, YES, "已授权核对家庭经济状况", ART_51, (shown,))
    missing = (Missing(field="assistance.application.authorised_on"),)
    return Clause(id, UNKNOWN, "尚未取得核对授权或授权已过期", ART_51, missing=missing)


def _property(view: View, reports: Reports) -> Clause:
    id = "dibao.property"
    missing = (Missing(field="assistance.check.property_dibao"),)
    if reports.check is None:
        return Clause(id, UNKNOWN, "家庭财产尚未核对", ART_9, missing=missing)
    fact, check = reports.check
    result = check.property_dibao
    shown = (evidence(fact, "assistance.check", "property_dibao", result, None),)
    if result not in ("compliant", "non_compliant"):
        return Clause(id, UNKNOWN, "家庭财产状况未核定", ART_9, shown, missing)
    text = "家庭财产符合规定" if result == "compliant" else "家庭财产不符合低保规定"
    return Clause(id, truth_of(result == "compliant"), text, ART_9, shown)


def _income(view: View, family: Roster, reports: Reports) -> tuple[Clause, int | None]:
    """Income per head against the standard, and the monthly gap in 分 where everything in it is known."""
    id = "dibao.income"
    standard = view.policy.number(STANDARD, view.on)
    keys = (STANDARD, *INCOME_PARAMETERS, "income.deductible_types", "deduction.cap_monthly_fen")
    change = earliest((family.changes_on, view.parameters_change(*keys)))
    if standard is None:
        missing = (view.missing_parameter(STANDARD),)
        return Clause(id, UNKNOWN, "本地低保标准未知", ART_9, missing=missing, changes_on=change), None
    doubtful = [item for item in family.members if item.truth == UNKNOWN]
    if len(doubtful) > MOST_DOUBTFUL:
        unclear = tuple(gap for item in doubtful for gap in item.missing)
        return Clause(id, UNKNOWN, "多名成员是否计入不明", ART_7, missing=unclear, changes_on=change), None
    counting = dibao_counting(view)
    incomes = {item.member.person: income_of(view, item.member, "member", reports, counting) for item in family.members}
    household = _household_amount(view, reports)
    certain = [item for item in family.members if item.truth == YES]
    answers: list[tuple[Truth, Amount, int]] = []
    for choice in product((True, False), repeat=len(doubtful)):
        counted = certain + [item for item, counts in zip(doubtful, choice, strict=True) if counts]
        amount = total(incomes[item.member.person] for item in counted).plus(household[0]).less(household[1])
        if family.missing:
            amount = amount.plus(unbounded(family.missing))
        truth = amount.below(Fraction(standard) * len(counted)) if counted and not family.missing else UNKNOWN
        answers.append((NO if not counted and not family.missing else truth, amount, len(counted)))
    return _answer(id, standard, answers, family, doubtful, change)


def _answer(
    id: str,
    standard: int,
    answers: list[tuple[Truth, Amount, int]],
    family: Roster,
    doubtful: list[Counted],
    change: date | None,
) -> tuple[Clause, int | None]:
    truths = {truth for truth, _, _ in answers}
    truth = truths.pop() if len(truths) == 1 else UNKNOWN
    amount, heads = answers[0][1], answers[0][2]
    shown: tuple[Evidence, ...] = (*(item for one in family.members for item in one.evidence), *amount.evidence)
    if truth == UNKNOWN:
        gaps = {gap for answer, part, _ in answers if answer == UNKNOWN for gap in part.missing}
        gaps |= {gap for item in doubtful for gap in item.missing}
        missing = tuple(sorted(gaps, key=missing_order))
        return Clause(id, UNKNOWN, "家庭收入尚不能确定", ART_13, shown, missing, change), None
    line = yuan(standard)
    excluded = [f"{item.name}{item.reason}，不计入" for item in family.members if item.truth == NO and item.reason]
    notes = "".join(f"；{note}" for note in excluded)
    if len(answers) == 1 and amount.exact and heads:
        head = f"计入{heads}人，人均月收入{yuan(amount.low / heads)}元"
        text = f"{head}，{'低于' if truth == YES else '不低于'}标准{line}元{notes}"
        gap = up_to_yuan(Fraction(standard) * heads - amount.low) if truth == YES else None
    else:
        text = f"已知部分足以判断人均月收入{'低于' if truth == YES else '不低于'}标准{line}元{notes}"
        gap = None
    contrast = f"若人均月收入{'达到' if truth == YES else '低于'}{line}元，结论将改变"
    return Clause(id, truth, text, ART_9, shown, changes_on=change, contrast=contrast), gap


def _household_amount(view: View, reports: Reports) -> tuple[Amount, Amount]:
    """Support the household receives, and what may be deducted from its income, a month (Art 13, rulings 18 and 31)."""
    types = view.policy.words("income.deductible_types", view.on)
    cap = view.policy.number("deduction.cap_monthly_fen", view.on)
    received, deducted = Amount(), Amount()
    complete = False
    if reports.visit is not None:
        fact, visit = reports.visit
        complete = visit.deductions_complete
        if visit.support_received_fen:
            value = visit.support_received_fen
            shown = evidence(fact, "assistance.investigation", "support_received_fen", value, None)
            received = known(value, (shown,))
        for item in visit.deductions:
            if types is not None and item.type in types:
                value_text = f"{item.type} {item.amount_fen}"
                shown = evidence(fact, "assistance.investigation", "deductions", value_text, None)
                deducted = deducted.plus(known(item.amount_fen, (shown,)))
    if types is None:
        return received, unbounded((view.missing_parameter("income.deductible_types"),))
    if not complete:
        missing = (Missing(field="assistance.investigation.deductions"),)
        high = None if cap is None else max(deducted.low, Fraction(cap))
        deducted = Amount(deducted.low, high, deducted.evidence, missing if high != deducted.low else ())
    elif cap is not None and deducted.low > cap:
        deducted = known(cap, deducted.evidence)
    return received, deducted


RULE: Final = Rule(
    id=ID,
    title="最低生活保障",
    line="social_assistance",
    homes=frozenset({"household", "candidate"}),
    reads={
        "member": READS_HOUSEHOLD
        | READS_BENEFIT
        | READS_REPORTS
        | READS_PENSION
        | READS_BILLS
        | READS_SIGNS
        | {
            "assistance.application.benefit",
            "assistance.application.aid_household",
            "assistance.application.accepted_on",
            "assistance.application.authorised_on",
            "assistance.application.refused_on",
            "assistance.check.property_dibao",
            "assistance.investigation.deductions_complete",
            "assistance.investigation.deductions",
            "assistance.investigation.support_received_fen",
        }
    },
    articles=(ART_9, ART_12, ART_51, ART_7, ART_13),
    decide=decide,
    windows=merged(WINDOWS_BILLS, WINDOWS_LIFE),
)
