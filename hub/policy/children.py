"""Children and their parents: what orphan and 事实无人抚养 both ask of a parent."""

from __future__ import annotations

from datetime import date
from typing import Final

from hub.domain.facts import JusticeStatus
from hub.domain.messages import Evidence, Missing
from hub.policy.calendar import birthday
from hub.policy.justice import in_force, turns
from hub.policy.kin import Tie
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, any_of, earliest
from hub.policy.lives import life_of, said_dead
from hub.policy.view import View, evidence, resident

MISSING_COUNTS: Final = "orphan.declared_missing_counts"


def grown_on(view: View) -> date | None:
    """Day from which the child rules stop to apply; None while the birth date or the limit is unknown."""
    entry = resident(view.myself) if view.myself is not None else None
    years = view.policy.number("child.minor_age", view.on)
    if entry is None or entry[1].birth_date is None or years is None:
        return None
    return birthday(entry[1].birth_date, years)


def has_sign(view: View, person: str) -> bool:
    """Whether a source says that this parent is dead or declared missing."""
    member = view.home.member(person)
    return member is not None and (
        said_dead(member)
        or any(isinstance(f.payload, JusticeStatus) and f.payload.kind == "declared_missing" for f in member.facts)
    )


def parent_gone(view: View, tie: Tie, article: str) -> Clause:
    """Whether a parent is dead, or declared missing where the region lets that count."""
    dead = parent_dead(view, tie, article)
    counts = view.policy.flag(MISSING_COUNTS, view.on)
    missing = declared_missing(view, tie, article)
    if missing.truth == NO or dead.truth == YES:
        return dead
    change = view.parameters_change(MISSING_COUNTS)
    if counts is None:
        gap = (view.missing_parameter(MISSING_COUNTS),)
        reading = Clause(
            "orphan.reading", UNKNOWN, "宣告失踪是否按孤儿认定未定", article, missing=gap, changes_on=change
        )
    else:
        text = "本地按孤儿认定" if counts else "本地不按孤儿认定（有的地区按孤儿认定）"
        reading = Clause(
            "orphan.reading", YES if counts else NO, f"{tie.label}宣告失踪，{text}", article, changes_on=change
        )
    return any_of(
        "orphan.parent_gone", f"{tie.label}已故或宣告失踪", dead, all_of("orphan.missing", "宣告失踪", reading, missing)
    )


def parent_dead(view: View, tie: Tie, article: str) -> Clause:
    """Whether a parent is dead."""
    id = "child.parent_dead"
    if tie.member is None:
        gap = Missing(field="registration.resident.status", person=tie.person, role="parent")
        return Clause(id, UNKNOWN, f"{tie.label}情况未知", article, missing=(gap,))
    life = life_of(view, tie.member, "parent")
    words = {YES: "已死亡", NO: "健在", UNKNOWN: "生存状态不明"}
    proof = (*tie.evidence, *life.evidence)
    text = f"{tie.label}{words[life.dead]}"
    return Clause(id, life.dead, text, article, proof, life.missing, life.changes_on)


def declared_missing(view: View, tie: Tie, article: str) -> Clause:
    """Whether a court's declaration that a parent is missing is in force."""
    id = "child.parent_declared_missing"
    changes: list[date | None] = []
    proof: list[Evidence] = []
    for fact, status in tie.member.of(JusticeStatus) if tie.member is not None else ():
        if status.kind != "declared_missing":
            continue
        changes.append(turns(status, view.on))
        if in_force(status, view.on):
            proof.append(evidence(fact, "justice.status", "kind", status.kind, tie.person))
    if proof:
        shown = (*tie.evidence, min(proof))
        return Clause(id, YES, f"{tie.label}被宣告失踪", article, shown, changes_on=earliest(changes))
    return Clause(id, NO, f"{tie.label}未被宣告失踪", article, changes_on=earliest(changes))
