"""事实无人抚养儿童: a minor whose two parents are each dead, missing or unable to care, and who is no orphan.

民发〔2019〕62号 一 (死亡、失踪、重残、服刑、强制隔离戒毒、限制人身自由、失联), 民发〔2020〕125号 (撤销监护资格、
驱逐出境).
Severe illness is in the article too, but no source supplies diagnoses yet: such a child is found by the visit, not
here. “Six months” is inclusive; for prison the term decides, for lost contact the time elapsed (ruling 14).
"""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec.structs import replace

from hub.domain.codes import JUSTICE
from hub.domain.facts import Certificate, JusticeStatus
from hub.domain.homes import Home, Member
from hub.domain.messages import Evidence, Fact, Missing
from hub.policy.ages import READS_AGE, under
from hub.policy.calendar import add_months, after
from hub.policy.children import declared_missing, grown_on, has_sign, parent_dead, parent_gone
from hub.policy.conclude import conclude
from hub.policy.disability import READS_DISABILITY, listed
from hub.policy.findings import Finding, Rule
from hub.policy.holdings import READS_BENEFIT, not_held
from hub.policy.justice import in_force, turns
from hub.policy.kin import READS_KINSHIP, Tie, legal_parents
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, any_of, earliest, negate
from hub.policy.lives import READS_DEATH
from hub.policy.parameters import Policy
from hub.policy.view import View, evidence

ID: Final = "defacto_unsupported"
TITLE: Final = "可能符合事实无人抚养儿童条件，请核实"
ART_62: Final = "民发〔2019〕62号 一"
ART_125: Final = "民发〔2020〕125号"
MONTHS: Final = "defacto.months"
_TERM: Final = ("prison", "compulsory_detox", "detention")
_AT_ONCE: Final = ("guardianship_revoked", "deported")
_CUSTODY: Final = (*_TERM, *_AT_ONCE, "lost_contact")


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to minors of whom a parent shows any of the article's grounds."""
    view = View(home, policy, on)
    person = view.myself
    grown = grown_on(view)
    if person is None or (grown is not None and grown <= on):
        return None
    if not any(_shows_ground(view, member) for member in home.with_role("parent")):
        return None
    parents, all_known = legal_parents(view)
    unable = [_unable(view, tie) for tie in parents.ties]
    orphan = all_of("defacto.orphan", "父母双亡", *(parent_gone(view, tie, ART_62) for tie in parents.ties))
    tree = all_of(
        ID,
        "事实无人抚养儿童",
        *unable,
        negate("defacto.no_orphan", "不属于孤儿", orphan),
        under(view, person, "child.minor_age", "defacto.minor", "self", ART_62),
        not_held(view, person, ("defacto_unsupported", "orphan")),
        all_known,
        article=ART_62,
    )
    tree = replace(tree, changes_on=earliest((tree.changes_on, parents.changes_on, grown)))
    amount = policy.number("defacto_monthly_fen", on)
    people = ((person, "self"),)
    return conclude(ID, view, tree, TITLE, articles=(ART_62,), people=people, amount_fen=amount)


def _shows_ground(view: View, member: Member) -> bool:
    return has_sign(view, member.person) or any(
        isinstance(fact.payload, Certificate)
        or (isinstance(fact.payload, JusticeStatus) and fact.payload.kind in _CUSTODY)
        for fact in member.facts
    )


def _unable(view: View, tie: Tie) -> Clause:
    """One parent: any ground of the article."""
    dead = parent_dead(view, tie, ART_62)
    if tie.member is None:
        return dead
    return any_of(
        "defacto.parent_unable",
        f"{tie.label}不能履行抚养责任",
        dead,
        declared_missing(view, tie, ART_62),
        listed(view, tie.member, "defacto.disability", "defacto.disability", "parent", ART_62),
        _restricted(view, tie, tie.member),
    )


def _restricted(view: View, tie: Tie, member: Member) -> Clause:
    """Custody, lost contact, a revoked guardianship or deportation. *No* needs the judicial source to be complete."""
    months = view.policy.number(MONTHS, view.on)
    change = view.parameters_change(MONTHS)
    id = "defacto.restricted"
    if months is None:
        gap = (view.missing_parameter(MONTHS),)
        return Clause(id, UNKNOWN, "期限标准未知", ART_62, missing=gap, changes_on=change)
    grounds = [
        _ground(view, tie, fact, status, months) for fact, status in member.of(JusticeStatus) if status.kind in _CUSTODY
    ]
    grounds.sort(key=lambda ground: (ground.text, ground.evidence))
    proof = view.absence("justice.status", member, view.on)
    none_other = Clause(
        "defacto.other_restriction",
        NO if proof.proven else UNKNOWN,
        f"{tie.label}无其他限制人身自由或失联记录" if proof.proven else f"{tie.label}司法状态未知",
        ART_62,
        proof.evidence,
        proof.missing,
        proof.changes_on,
    )
    found = any_of(id, f"{tie.label}被限制人身自由或失联", *grounds, none_other)
    return replace(found, changes_on=earliest((found.changes_on, change)))


def _ground(view: View, tie: Tie, fact: Fact, status: JusticeStatus, months: int) -> Clause:
    """One judicial status: long enough, or not yet."""
    name = JUSTICE[status.kind]
    shown: tuple[Evidence, ...] = (
        *tie.evidence,
        evidence(fact, "justice.status", "kind", status.kind, tie.person),
        evidence(fact, "justice.status", "since", status.since, tie.person),
    )
    id = f"defacto.{status.kind}"
    article = ART_125 if status.kind in _AT_ONCE else ART_62
    if not in_force(status, view.on):
        return Clause(id, NO, f"{tie.label}{name}已结束或尚未开始", article, shown, changes_on=turns(status, view.on))
    ended = turns(status, view.on)
    if status.kind in _AT_ONCE:
        return Clause(id, YES, f"{tie.label}{name}", article, shown, changes_on=ended)
    reached = add_months(status.since, months)
    if status.kind == "lost_contact":
        return _lost(view, tie, status, shown, reached, ended)
    term = status.term_months
    if term is None and status.until is not None:
        term = months if after(status.until) >= reached else 0
    if (term is not None and term >= months) or ((status.kind != "prison" or term is None) and reached <= view.on):
        return Clause(id, YES, f"{tie.label}{name}满{months}个月以上", article, shown, changes_on=ended)
    if term is None:
        gap = Missing(field="justice.status.term_months", person=tie.person, role="parent", source=fact.source)
        change = earliest((ended, reached))
        return Clause(id, UNKNOWN, f"{tie.label}{name}期限未知", article, shown, (gap,), change)
    later = reached if status.kind != "prison" else None
    return Clause(id, NO, f"{tie.label}{name}不足{months}个月", article, shown, changes_on=earliest((ended, later)))


def _lost(
    view: View, tie: Tie, status: JusticeStatus, shown: tuple[Evidence, ...], reached: date, ended: date | None
) -> Clause:
    id = "defacto.lost_contact"
    if status.care_given:
        return Clause(id, NO, f"{tie.label}失联但仍履行抚养责任", ART_62, shown, changes_on=ended)
    if reached > view.on:
        return Clause(id, NO, f"{tie.label}失联时间尚短", ART_62, shown, changes_on=earliest((ended, reached)))
    if status.care_given is None:
        gap = Missing(field="justice.status.care_given", person=tie.person, role="parent")
        return Clause(id, UNKNOWN, f"{tie.label}失联，是否仍抚养未知", ART_62, shown, (gap,), ended)
    return Clause(id, YES, f"{tie.label}失联且未履行抚养责任", ART_62, shown, changes_on=ended)


RULE: Final = Rule(
    id=ID,
    title="事实无人抚养儿童保障",
    line="child_welfare",
    homes=frozenset({"person"}),
    reads={
        "self": READS_AGE | READS_KINSHIP | READS_BENEFIT,
        "parent": READS_DEATH
        | READS_KINSHIP
        | READS_DISABILITY
        | {"justice.status.term_months", "justice.status.care_given"},
    },
    articles=(ART_62, ART_125),
    decide=decide,
)
