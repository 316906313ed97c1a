"""特困: no ability to work, low income and compliant property, and nobody in law who could support the person.

特困人员认定办法 Art 4–6 (the three conditions), Art 8 (who counts as unable to support). An adult child, parent or
spouse who is not on Art 8's list is able, whatever he earns (ruling 11). *No child on file* is unknown until the
kinship register states that its list is complete. Applies once somebody was looked at: a check, a visit, an
application, or such a statement; else every elder would be an unknown.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Final

from msgspec.structs import replace

from hub.domain.facts import Application, Check, Investigation, JusticeStatus, Kinship
from hub.domain.homes import Home, Member
from hub.domain.messages import Evidence, Missing
from hub.policy.ages import READS_AGE, reached, under
from hub.policy.amounts import yuan
from hub.policy.conclude import conclude
from hub.policy.disability import READS_DISABILITY, listed
from hub.policy.findings import Finding, Rule
from hub.policy.holdings import READS_BENEFIT, held, not_held
from hub.policy.incomes import READS_PENSION, READS_REPORTS, income_of, reports_of, tekun_counting
from hub.policy.justice import in_force, turns
from hub.policy.kin import READS_KINSHIP, Tie, inventory, kin_of
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, any_of, earliest, truth_of
from hub.policy.lives import READS_DEATH, READS_LIFE, WINDOWS_LIFE, alive, life_of
from hub.policy.parameters import Policy
from hub.policy.view import View, evidence

ID: Final = "tekun"
TITLE: Final = "可能符合特困人员救助供养条件，请核实"
ART_4: Final = "特困人员认定办法 Art 4"
ART_5: Final = "特困人员认定办法 Art 5"
ART_6: Final = "特困人员认定办法 Art 6"
ART_8: Final = "特困人员认定办法 Art 8"
INCOME_KEYS: Final = ("dibao_monthly_fen", "income.window_months", "tekun.income_excluded_types")


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to persons whom somebody has looked at."""
    view = View(home, policy, on)
    person = view.myself
    if person is None or not _looked_at(person):
        return None
    elder = reached(view, person, "tekun.elder_age", "tekun.elder", "self", ART_5)
    minor = under(view, person, "tekun.minor_age", "tekun.minor", "self", ART_5)
    tree = all_of(
        ID,
        "特困人员",
        alive(view, person),
        any_of(
            "tekun.no_labour",
            "无劳动能力",
            elder,
            minor,
            listed(view, person, "tekun.disability", "tekun.disability", "self", ART_5),
        ),
        not_held(view, person, ("tekun",)),
        _property(person),
        _income(view, person),
        *_supporters(view, elder, minor),
    )
    amount = policy.number("tekun_monthly_fen", on)
    return conclude(ID, view, tree, TITLE, articles=(ART_4,), people=((person, "self"),), amount_fen=amount)


def _looked_at(person: Member) -> bool:
    return any(
        isinstance(fact.payload, Check | Investigation)
        or (isinstance(fact.payload, Application) and fact.payload.benefit == ID)
        or (isinstance(fact.payload, Kinship) and fact.payload.inventory_complete is not None)
        for fact in person.facts
    )


def _property(person: Member) -> Clause:
    check = reports_of((person,)).check
    gap = (Missing(field="assistance.check.property_tekun", person=person.person, role="self"),)
    if check is None or check[1].property_tekun not in ("compliant", "non_compliant"):
        return Clause("tekun.property", UNKNOWN, "财产状况未核定", ART_6, missing=gap)
    fact, report = check
    shown = evidence(fact, "assistance.check", "property_tekun", report.property_tekun, person.person)
    fits = report.property_tekun == "compliant"
    text = "财产符合特困规定" if fits else "财产不符合特困规定"
    return Clause("tekun.property", truth_of(fits), text, ART_6, (shown,))


def _income(view: View, person: Member) -> Clause:
    """Own income below the 低保 standard; basic pension, 优抚 and 高龄津贴 never count here."""
    id = "tekun.income"
    standard = view.policy.number("dibao_monthly_fen", view.on)
    change = view.parameters_change(*INCOME_KEYS)
    if standard is None:
        gap = (view.missing_parameter("dibao_monthly_fen"),)
        return Clause(id, UNKNOWN, "本地低保标准未知", ART_6, missing=gap, changes_on=change)
    income = income_of(view, person, "self", reports_of((person,)), tekun_counting(view))
    truth = income.below(standard)
    words = {YES: "收入低于低保标准", NO: "收入不低于低保标准", UNKNOWN: "收入尚不能确定"}
    gaps = tuple(dict.fromkeys(income.missing)) if truth == UNKNOWN else ()
    contrast = None if truth == UNKNOWN else f"以每月{yuan(standard)}元为界"
    return Clause(id, truth, words[truth], ART_6, income.evidence, gaps, change, contrast=contrast)


def _supporters(view: View, elder: Clause, minor: Clause) -> list[Clause]:
    """One clause for each person in law who may have to support, then whether everybody is known."""
    if elder.truth == YES:
        roles: tuple[str, ...] = ("child", "spouse")
    elif minor.truth == YES:
        roles = ("parent",)
    else:
        roles = ("child", "spouse", "parent")
    found: list[Clause] = []
    for role in roles:
        kin = kin_of(view, role)
        complete = inventory(view, role)
        found += [_unable(view, tie) for tie in kin.ties]
        found.append(replace(complete, changes_on=earliest((complete.changes_on, kin.changes_on))))
    return found


def _unable(view: View, tie: Tie) -> Clause:
    """Whether somebody in law cannot support (Art 8), or is not there to do so."""
    id = "tekun.supporter_unable"
    member, role = tie.member, tie.role
    if member is None:
        gap = Missing(field="registration.resident.birth_date", person=tie.person, role=role)
        return Clause(id, UNKNOWN, f"{tie.label}情况未知", ART_8, missing=(gap,))
    return any_of(
        id,
        f"{tie.label}无履行义务能力",
        _dead(view, tie, member),
        under(view, member, "child.minor_age", "tekun.supporter_minor", role, ART_8),
        held(view, member, ("tekun",), role),
        all_of(
            "tekun.supporter_dibao",
            "低保对象且年满六十周岁",
            reached(view, member, "supporter.dibao_age", "tekun.supporter_60", role, ART_8),
            held(view, member, ("dibao",), role),
        ),
        all_of(
            "tekun.supporter_weak",
            "高龄或重残且收入财产较低",
            any_of(
                "tekun.supporter_frail",
                "年满七十周岁或重残",
                reached(view, member, "supporter.elder_age", "tekun.supporter_70", role, ART_8),
                listed(view, member, "supporter.disability", "tekun.supporter_disability", role, ART_8),
            ),
            _low_income(view, member, role),
            _low_property(member, role),
        ),
        all_of(
            "tekun.supporter_away",
            "服刑或宣告失踪且财产较低",
            _away(view, tie, member),
            _low_property(member, role),
        ),
        article=ART_8,
    )


def _dead(view: View, tie: Tie, member: Member) -> Clause:
    life = life_of(view, member, tie.role)
    words = {YES: "已死亡", NO: "健在", UNKNOWN: "生存状态不明"}
    proof = (*tie.evidence, *life.evidence)
    text = f"{tie.label}{words[life.dead]}"
    return Clause("tekun.supporter_dead", life.dead, text, ART_8, proof, life.missing, life.changes_on)


def _low_income(view: View, member: Member, role: str) -> Clause:
    id = "tekun.supporter_income"
    key = "disposable_income_annual_fen"
    yearly = view.policy.number(key, view.on)
    change = view.parameters_change(key, *INCOME_KEYS)
    if yearly is None:
        gap = (view.missing_parameter(key),)
        return Clause(id, UNKNOWN, "上年度人均可支配收入未知", ART_8, missing=gap, changes_on=change)
    income = income_of(view, member, role, reports_of((member,)), tekun_counting(view))
    truth = income.below(Fraction(yearly, 12))
    gaps = tuple(dict.fromkeys(income.missing)) if truth == UNKNOWN else ()
    words = {YES: "低于上年度人均可支配收入", NO: "不低于上年度人均可支配收入", UNKNOWN: "尚不能确定"}
    return Clause(id, truth, f"其收入{words[truth]}", ART_8, income.evidence, gaps, change)


def _low_property(member: Member, role: str) -> Clause:
    id = "tekun.supporter_property"
    check = reports_of((member,)).check
    if check is None or check[1].property_low_income not in ("compliant", "non_compliant"):
        gap = Missing(field="assistance.check.property_low_income", person=member.person, role=role)
        return Clause(id, UNKNOWN, "其财产状况未核定", ART_8, missing=(gap,))
    fact, report = check
    fits = report.property_low_income == "compliant"
    shown = evidence(fact, "assistance.check", "property_low_income", report.property_low_income, member.person)
    text = "其财产符合低收入规定" if fits else "其财产不符合低收入规定"
    return Clause(id, truth_of(fits), text, ART_8, (shown,))


def _away(view: View, tie: Tie, member: Member) -> Clause:
    """In prison or declared missing. Custody before sentence is not prison (ruling 12)."""
    id = "tekun.supporter_in_prison"
    changes: list[date | None] = []
    proof: list[Evidence] = []
    for fact, status in member.of(JusticeStatus):
        if status.kind not in ("prison", "declared_missing"):
            continue
        changes.append(turns(status, view.on))
        if in_force(status, view.on):
            proof.append(evidence(fact, "justice.status", "kind", status.kind, tie.person))
    if proof:
        text = f"{tie.label}在监狱服刑或被宣告失踪"
        return Clause(id, YES, text, ART_8, (min(proof),), changes_on=earliest(changes))
    absence = view.absence("justice.status", member, view.on)
    return Clause(
        id,
        NO if absence.proven else UNKNOWN,
        f"{tie.label}未服刑、未被宣告失踪" if absence.proven else f"{tie.label}司法状态未知",
        ART_8,
        absence.evidence,
        absence.missing,
        earliest((*changes, absence.changes_on)),
    )


_SUPPORTER: Final = READS_AGE | READS_DEATH | READS_KINSHIP | READS_BENEFIT | READS_DISABILITY
_MEANS: Final = READS_REPORTS | READS_PENSION | {"assistance.check.property_low_income"}
RULE: Final = Rule(
    id=ID,
    title="特困人员救助供养",
    line="social_assistance",
    homes=frozenset({"person"}),
    reads={
        "self": _SUPPORTER
        | READS_LIFE
        | READS_REPORTS
        | READS_PENSION
        | {"assistance.check.property_tekun", "assistance.application.benefit"},
        "child": _SUPPORTER | _MEANS,
        "spouse": _SUPPORTER | _MEANS,
        "parent": _SUPPORTER | _MEANS,
    },
    articles=(ART_4, ART_5, ART_6, ART_8),
    decide=decide,
    windows=WINDOWS_LIFE,
)
