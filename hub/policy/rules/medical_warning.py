"""大病支出预警: a family's own medical bills of twelve months pass a line, so that help comes before it is asked for.

A lead, not an entitlement: 浙江省社会救助条例 Art 21 names the families who fall below the 边缘 standard by such bills.
The line is local practice (`warning_self_paid_annual_fen`). What is passed counts in whole multiples of the line, so
that every further bill does not amend the alert.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from hub.domain.facts import Settlement
from hub.domain.homes import Home
from hub.policy.amounts import yuan
from hub.policy.bills import READS_BILLS, WINDOWS_BILLS, bills_of, leaving_day, spent, window_start
from hub.policy.conclude import conclude
from hub.policy.findings import Finding, Rule, merged
from hub.policy.holdings import READS_BENEFIT
from hub.policy.households import READS_HOUSEHOLD, Roster, roster
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, earliest
from hub.policy.lives import WINDOWS_LIFE
from hub.policy.parameters import Policy
from hub.policy.view import View

ID: Final = "medical_warning"
TITLE: Final = "近十二个月自付医疗费用较高，请核实是否需要救助"
ART_21: Final = "浙江省社会救助条例 Art 21"
LINE: Final = "warning_self_paid_annual_fen"


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to families of whom a medical settlement of the window, or a later one, is known."""
    newest = max((paid.settled_on for member in home.members for _, paid in member.of(Settlement)), default=None)
    if newest is None or newest < window_start(on):
        return None
    view = View(home, policy, on)
    family = roster(view)
    clause = _bills(view, family, leaving_day(newest))
    people = tuple((item.member, "member") for item in family.members)
    return conclude(ID, view, clause, TITLE, articles=(ART_21,), people=people, grade="lead")


def _bills(view: View, family: Roster, ends: date) -> Clause:
    line = view.policy.number(LINE, view.on)
    change = earliest((family.changes_on, view.parameters_change(LINE), ends))
    if line is None:
        missing = (view.missing_parameter(LINE),)
        return Clause(ID, UNKNOWN, "本地大病预警线未知", ART_21, missing=missing, changes_on=change)
    if not family.members:
        return Clause(ID, NO, "该家庭已无在册成员", changes_on=change)
    result = spent([bill for item in family.members for bill in bills_of(item.member)], view.on, line)
    change = earliest((change, result.changes_on))
    if result.sum_fen > line:
        times = result.multiple(line)
        text = f"近十二个月家庭自付医疗费用超过{yuan(line * times)}元"
        contrast = f"若不超过{yuan(line)}元，则不提示"
        return Clause(ID, YES, text, ART_21, result.decisive, changes_on=change, basis=(str(times),), contrast=contrast)
    proofs = [view.absence("medical.settlement", item.member, window_start(view.on)) for item in family.members]
    gaps = tuple(dict.fromkeys((*family.missing, *(item for proof in proofs for item in proof.missing))))
    text = f"近十二个月家庭自付医疗费用未超过{yuan(line)}元"
    return Clause(
        ID,
        UNKNOWN if gaps else NO,
        "医保结算数据不全，近十二个月自付医疗费用未知" if gaps else text,
        ART_21,
        result.decisive,
        gaps,
        earliest((change, *(proof.changes_on for proof in proofs))),
    )


_MEMBER: Final = READS_BILLS | READS_HOUSEHOLD | {field for field in READS_BENEFIT if field.startswith("source.")}
RULE: Final = Rule(
    id=ID,
    title="大病支出预警",
    line="social_assistance",
    homes=frozenset({"household", "candidate"}),
    reads={"member": _MEMBER | {"registration.resident.birth_date"}},
    articles=(ART_21,),
    decide=decide,
    windows=merged(WINDOWS_BILLS, WINDOWS_LIFE),
)
