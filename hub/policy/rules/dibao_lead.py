"""低保线索: a candidate family (read off the household register) that shows a sign of hardship.

Only a positive sign opens a lead, never the mere absence of income records (ruling 30), and a register's family is not
the 共同生活家庭 (最低生活保障审核确认办法 Art 7), so this can never be a case. Which signs count is a parameter.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Final

from hub.domain.facts import Certificate, JusticeStatus
from hub.domain.homes import Member
from hub.policy.amounts import total, yuan
from hub.policy.bills import bills_of, leaving_day, spent, window_start
from hub.policy.calendar import add_months, after, birthday
from hub.policy.conclude import conclude
from hub.policy.disability import certified_level
from hub.policy.findings import Finding
from hub.policy.holdings import none_holds
from hub.policy.households import Roster
from hub.policy.incomes import Reports, dibao_counting, income_of
from hub.policy.justice import in_force, turns
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, any_of, earliest, truth_of
from hub.policy.lives import Life, life_of
from hub.policy.view import View, evidence, resident

ID: Final = "dibao"
TITLE: Final = "家庭可能遇到困难，请核实是否需要低保"
ART_9: Final = "浙江省社会救助条例 Art 9"
ART_28: Final = "最低生活保障审核确认办法 Art 28"
READS_SIGNS: Final = frozenset(
    {
        "registration.resident.birth_date",
        "disability.certificate.components",
        "disability.certificate.valid_until",
        "disability.certificate.status",
    }
)
DEATH_COUNTS_MONTHS: Final = 12  # product default: as long as the bills that stand beside it
SEVERE: Final = 2  # 重度残疾: levels 1 and 2


def lead(view: View, family: Roster) -> Finding | None:
    """The lead about a candidate family, or None while it shows no sign and cannot show one without a record."""
    allowed = view.policy.words("lead.signs", view.on) or ()
    signs: list[Clause] = []
    for item in family.members:
        signs += _signs_of(view, item.member, allowed)
    if "large_bills" in allowed:
        signs += _large_bills(view, family)
    if not signs:
        return None
    members = tuple(item.member for item in family.members)
    tree = all_of(
        ID,
        "低保线索",
        any_of("lead.sign", "出现困难迹象", *signs, article=ART_28),
        _pensions_low(view, family),
        none_holds(view, members, ("dibao",), "已有成员在享低保", "成员未在享低保"),
    )
    people = tuple((member, "member") for member in members)
    return conclude(ID, view, tree, TITLE, articles=(ART_9, ART_28), people=people, grade="lead")


def _signs_of(view: View, member: Member, allowed: tuple[str, ...]) -> list[Clause]:
    """Signs one member shows, or may come to show by the passing of time alone."""
    entry = resident(member)
    born = entry[1].birth_date if entry is not None else None
    life = life_of(view, member, "member")
    if life.dead == YES:
        return _earner_dead(view, born, life) if "earner_dead" in allowed else []
    found: list[Clause] = []
    if "earner_in_prison" in allowed and born is not None:
        found += _in_prison(view, member, born)
    if "severe_disability" in allowed:
        found += _severe_disability(view, member)
    if "newborn" in allowed and entry is not None and born is not None and born <= view.on < birthday(born, 1):
        shown = evidence(entry[0], "registration.resident", "birth_date", born, member.person)
        found.append(Clause("lead.newborn", YES, "新生儿", ART_28, (shown,), changes_on=birthday(born, 1)))
    return found


def _earner_dead(view: View, born: date | None, life: Life) -> list[Clause]:
    if born is None or life.last is None or not _working(view, born, life.last):
        return []
    ends = add_months(life.last, DEATH_COUNTS_MONTHS)
    recent = view.on <= ends
    change = after(ends) if recent else None
    return [Clause("lead.earner_dead", truth_of(recent), "劳动年龄成员去世", ART_28, life.evidence, changes_on=change)]


def _in_prison(view: View, member: Member, born: date) -> list[Clause]:
    found: list[Clause] = []
    for fact, status in member.of(JusticeStatus):
        if status.kind != "prison":
            continue
        inside = in_force(status, view.on) and _working(view, born, view.on)
        changes = [turns(status, view.on), *(day for day in _working_age(view, born) if day > view.on)]
        shown = evidence(fact, "justice.status", "kind", status.kind, member.person)
        text = "劳动年龄成员在监狱服刑"
        change = earliest(changes)
        found.append(Clause("lead.earner_in_prison", truth_of(inside), text, ART_28, (shown,), changes_on=change))
    return found


def _severe_disability(view: View, member: Member) -> list[Clause]:
    found: list[Clause] = []
    for fact, certificate in member.of(Certificate):
        level = certified_level(certificate)
        if level is None or level > SEVERE:
            continue
        ends = certificate.valid_until
        valid = certificate.status == "valid" and (ends is None or ends >= view.on)
        shown = evidence(fact, "disability.certificate", "components", f"level {level}", member.person)
        change = after(ends) if valid and ends is not None else None
        found.append(Clause("lead.disability", truth_of(valid), "成员有重度残疾", ART_28, (shown,), changes_on=change))
    return found


def _working_age(view: View, born: date) -> tuple[date, ...]:
    """First day of working age and the first day after it; empty where the parameter is absent."""
    since = view.policy.number("lead.earner_from_age", view.on)
    until = view.policy.number("lead.earner_to_age", view.on)
    return () if since is None or until is None else (birthday(born, since), birthday(born, until + 1))


def _working(view: View, born: date, on: date) -> bool:
    days = _working_age(view, born)
    return bool(days) and days[0] <= on < days[1]


def _large_bills(view: View, family: Roster) -> list[Clause]:
    line = view.policy.number("warning_self_paid_annual_fen", view.on)
    bills = [bill for item in family.members for bill in bills_of(item.member)]
    newest = max((bill.day for bill in bills), default=None)
    if line is None or newest is None or newest < window_start(view.on):
        return []
    result = spent(bills, view.on, line)
    times = result.multiple(line)
    text = f"近十二个月自付医疗费用{'超过' if times else '未超过'}{yuan(line)}元"
    change = earliest((result.changes_on, leaving_day(newest), view.parameters_change("warning_self_paid_annual_fen")))
    basis = (str(times),)
    shown = result.decisive
    return [Clause("lead.bills", YES if times else NO, text, ART_28, shown, changes_on=change, basis=basis)]


def _pensions_low(view: View, family: Roster) -> Clause:
    """Nobody checked this family's income; only pensions that already reach the standard for all speak against it."""
    standard = view.policy.number("dibao_monthly_fen", view.on)
    change = view.parameters_change("dibao_monthly_fen", "income.basic_pension_counts", "income.excluded_types")
    id = "lead.pensions"
    if standard is None:
        missing = (view.missing_parameter("dibao_monthly_fen"),)
        return Clause(id, UNKNOWN, "本地低保标准未知", ART_9, missing=missing, changes_on=change)
    heads = [item for item in family.members if item.truth != NO]
    counting = dibao_counting(view)
    nothing = Reports(None, None)
    known_income = total(income_of(view, item.member, "member", nothing, counting) for item in heads)
    if heads and known_income.low >= Fraction(standard) * len(heads):
        text = "已知养老金人均不低于低保标准"
        return Clause(id, NO, text, ART_9, known_income.evidence, changes_on=earliest((change, family.changes_on)))
    return Clause(
        id, YES, "已知养老金人均低于低保标准", ART_9, basis=(), changes_on=earliest((change, family.changes_on))
    )
