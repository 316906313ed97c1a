"""身后事: after a death, what of the deceased is still to be settled, in one bundle for the family.

户口登记条例 Art 8 (the death is registered), 社会保险经办条例 Art 25 (the end of entitlement is reported). A family is
never troubled on a doubtful death: a sign of life makes it unknown, and a fresh one waits `death.hold_days`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from hub.domain.codes import BENEFIT, SCHEME
from hub.domain.facts import Benefit, Enrolment, Pension
from hub.domain.homes import Home, Member
from hub.domain.messages import Fact
from hub.policy.conclude import conclude
from hub.policy.findings import Finding, Rule, merged
from hub.policy.holdings import HOUSEHOLD_BENEFITS, READS_BENEFIT, in_force, turns
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, earliest, some_of
from hub.policy.lives import READS_DEATH, READS_LIFE, WINDOWS_LIFE, Life, life_of, said_dead
from hub.policy.parameters import Policy
from hub.policy.view import View, evidence, newest_first, resident

ID: Final = "funeral_affairs"
TITLE: Final = "逝者身后事项可能尚未办结，请核实"
ART_8: Final = "户口登记条例 Art 8"
ART_25: Final = "社会保险经办条例 Art 25"
YEAR_MONTHS: Final = 12  # an enrolment is read in its own year only


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to whoever a source says is dead."""
    view = View(home, policy, on)
    person = view.myself
    if person is None or not said_dead(person):
        return None
    life = life_of(view, person, "self")
    tree = all_of(
        ID,
        "身后事",
        _died(life),
        some_of(
            "funeral.open",
            "尚有未办结事项",
            _hukou(view, person),
            _pension(view, person),
            _benefits(view, person),
            _enrolment(view, person),
        ),
    )
    days = policy.number("death.hold_days", on)
    hold = None if days is None or life.known_on is None else life.known_on + timedelta(days=days)
    people = ((person, "self"),)
    return conclude(ID, view, tree, TITLE, articles=(ART_8, ART_25), people=people, hold_until=hold)


def _died(life: Life) -> Clause:
    if not life.claims:
        return Clause("funeral.died", NO, "死亡记录已撤销或尚未生效", changes_on=life.changes_on)
    text = "有死亡记录，但此后仍有就医或生存认证记录" if life.sign_of_life else "已有死亡记录"
    shown = (*life.evidence, *life.sign_of_life)
    return Clause("funeral.died", life.dead, text, None, shown, life.missing, life.changes_on)


def _hukou(view: View, person: Member) -> Clause:
    entry = resident(person)
    if entry is None:
        proof = view.absence("registration.resident", person, view.on)
        truth, text = (NO, "本地无户籍登记") if proof.proven else (UNKNOWN, "户籍状态未知")
        return Clause("funeral.hukou", truth, text, ART_8, proof.evidence, proof.missing, proof.changes_on)
    fact, held = entry
    shown = evidence(fact, "registration.resident", "status", held.status, person.person)
    if held.status == "registered":
        return Clause("funeral.hukou", YES, "户口尚未注销", ART_8, (shown,))
    return Clause("funeral.hukou", NO, "户口已注销或迁出", ART_8, (shown,))


def _pension(view: View, person: Member) -> Clause:
    newest: dict[str, tuple[Fact, Pension]] = {}
    for fact, pension in person.of(Pension):
        held = newest.get(pension.scheme)
        if held is None or (pension.period, newest_first(fact)) > (held[1].period, newest_first(held[0])):
            newest[pension.scheme] = fact, pension
    paying = [scheme for scheme in sorted(newest) if newest[scheme][1].status == "paying"]
    if paying:
        shown = tuple(evidence(newest[s][0], "insurance.pension", "scheme", s, person.person) for s in paying)
        names = "、".join(SCHEME.get(scheme, scheme) for scheme in paying)
        return Clause("funeral.pension", YES, f"{names}待遇尚未终止", ART_25, shown)
    return _none_left(view, person, "funeral.pension", "insurance.pension", bool(newest), "养老金待遇", None)


def _benefits(view: View, person: Member) -> Clause:
    own = [pair for pair in person.of(Benefit) if pair[1].type not in HOUSEHOLD_BENEFITS]
    change = earliest(turns(benefit, view.on) for _, benefit in own)
    live = sorted(
        (benefit.type, evidence(fact, "assistance.benefit", "type", benefit.type, person.person))
        for fact, benefit in own
        if in_force(benefit, view.on)
    )
    if live:
        names = "、".join(dict.fromkeys(BENEFIT.get(kind, kind) for kind, _ in live))
        shown = tuple(item for _, item in live)
        return Clause("funeral.benefit", YES, f"{names}尚未终止", ART_25, shown, changes_on=change)
    return _none_left(view, person, "funeral.benefit", "assistance.benefit", bool(own), "个人救助待遇", change)


def _enrolment(view: View, person: Member) -> Clause:
    this_year = [pair for pair in person.of(Enrolment) if pair[1].year == view.on.year]
    later = [date(held.year, 1, 1) for _, held in person.of(Enrolment) if held.year > view.on.year]
    change = earliest((*later, date(view.on.year + 1, 1, 1))) if this_year else earliest(later)
    active = sorted(
        (held.scheme, evidence(fact, "insurance.enrolment", "scheme", held.scheme, person.person))
        for fact, held in this_year
        if held.status == "active"
    )
    if active:
        names = "、".join(dict.fromkeys(SCHEME.get(scheme, scheme) for scheme, _ in active))
        shown = tuple(item for _, item in active)
        return Clause("funeral.enrolment", YES, f"{names}参保关系尚未终止", ART_25, shown, changes_on=change)
    seen = bool(this_year)
    return _none_left(view, person, "funeral.enrolment", "insurance.enrolment", seen, "参保关系", change)


def _none_left(view: View, person: Member, id: str, topic: str, seen: bool, what: str, change: date | None) -> Clause:
    """Nothing open of one kind: the records seen say so, or else the source must be complete."""
    if seen:
        return Clause(id, NO, f"{what}均已终止", ART_25, changes_on=change)
    proof = view.absence(topic, person, view.on)
    return Clause(
        id,
        NO if proof.proven else UNKNOWN,
        f"无{what}" if proof.proven else f"{what}情况未知",
        ART_25,
        proof.evidence,
        proof.missing,
        earliest((change, proof.changes_on)),
    )


RULE: Final = Rule(
    id=ID,
    title="身后事",
    line="funeral",
    homes=frozenset({"person"}),
    reads={
        "self": READS_DEATH
        | READS_LIFE
        | READS_BENEFIT
        | {
            "insurance.pension.scheme",
            "insurance.pension.period",
            "insurance.pension.status",
            "insurance.enrolment.scheme",
            "insurance.enrolment.year",
            "insurance.enrolment.status",
        }
    },
    articles=(ART_8, ART_25),
    decide=decide,
    windows=merged(WINDOWS_LIFE, {"insurance.enrolment": (YEAR_MONTHS,)}),
)
