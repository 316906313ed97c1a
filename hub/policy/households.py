"""Who belongs to a household on a day, and who of them counts.

The certified list (assistance.household) says who lives together; 最低生活保障审核确认办法 Art 7 says who of them does
not count: in prison, in compulsory detoxification, *declared* missing, clergy apart for three years. A sentence served
outside prison, and a disappearance nobody declared, exclude nobody (ruling 10). The dead are recounted.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import Struct

from hub.domain.codes import NOT_COUNTED, RELATION
from hub.domain.facts import AidHousehold, JusticeStatus
from hub.domain.homes import Member
from hub.domain.messages import Evidence, Fact, Missing, Truth
from hub.policy.calendar import after
from hub.policy.justice import in_force, turns
from hub.policy.kleene import NO, UNKNOWN, YES, earliest
from hub.policy.lives import READS_DEATH, READS_LIFE, life_of
from hub.policy.view import View, evidence, newest_first

ART_7: Final = "最低生活保障审核确认办法 Art 7"
READS_HOUSEHOLD: Final = (
    READS_DEATH
    | READS_LIFE
    | {
        "assistance.household.aid_household",
        "assistance.household.relation_to_applicant",
        "assistance.household.lives_together",
        "assistance.household.since",
        "assistance.household.until",
        "assistance.household.counted",
        "assistance.household.counted_reason",
        "assistance.household.member_count",
        "assistance.household.certified_on",
    }
)
_EXCLUDING: Final = ("prison", "compulsory_detox", "declared_missing")


class Counted(Struct, frozen=True):
    """One member of the list: whether he counts, and why not."""

    member: Member
    name: str
    truth: Truth
    evidence: tuple[Evidence, ...]
    missing: tuple[Missing, ...] = ()
    reason: str | None = None
    changes_on: date | None = None


class Roster(Struct, frozen=True):
    """The members of a household on a day. `missing` is not empty while members of the list have not contributed."""

    members: tuple[Counted, ...]
    missing: tuple[Missing, ...]
    changes_on: date | None


def roster(view: View) -> Roster:
    """Members of a household or candidate home, ordered by token."""
    if view.home.kind == "candidate":
        members = view.home.with_role("member")
        counted = tuple(_count(view, member, None) for member in members)
        return Roster(counted, (), earliest(item.changes_on for item in counted))
    listed: list[tuple[Member, tuple[Fact, AidHousehold]]] = []
    changes: list[date | None] = []
    for member in view.home.members:
        entries = [pair for pair in member.of(AidHousehold) if pair[1].aid_household == view.home.identifier]
        live = [pair for pair in entries if _lives(pair[1], view.on)]
        changes += [_turns(pair[1], view.on) for pair in entries]
        if live:
            listed.append((member, max(live, key=lambda pair: newest_first(pair[0]))))
    wanted = max(listed, key=lambda item: (item[1][1].certified_on, item[1][1].member_count), default=None)
    short = wanted is None or len(listed) < wanted[1][1].member_count
    counted = tuple(_count(view, member, entry) for member, entry in listed)
    missing = (Missing(field="assistance.household.aid_household", role="member"),) if short else ()
    return Roster(counted, missing, earliest((*changes, *(item.changes_on for item in counted))))


def _lives(entry: AidHousehold, on: date) -> bool:
    return entry.since <= on and (entry.until is None or on <= entry.until)


def _turns(entry: AidHousehold, on: date) -> date | None:
    if entry.since > on:
        return entry.since
    return after(entry.until) if entry.until is not None and entry.until >= on else None


def _count(view: View, member: Member, listed: tuple[Fact, AidHousehold] | None) -> Counted:
    """One member, counted by Art 7 on the day of the view."""
    person = member.person
    relation = listed[1].relation_to_applicant if listed else "other"
    label = f"家庭成员（{RELATION.get(relation, relation)}）"
    name = "申请人" if relation == "self" else view.name(member, label, "member")
    shown: tuple[Evidence, ...] = ()
    if listed is not None:
        shown = (evidence(listed[0], "assistance.household", "counted", listed[1].counted, person),)
    life = life_of(view, member, "member")
    if life.dead == YES:
        return Counted(member, name, NO, (*shown, *life.evidence), reason="已死亡", changes_on=life.changes_on)
    changes: list[date | None] = [life.changes_on]
    released = False
    held: list[tuple[str, Evidence]] = []
    for fact, status in member.of(JusticeStatus):
        if status.kind not in _EXCLUDING:
            continue
        changes.append(turns(status, view.on))
        if in_force(status, view.on):
            held.append((status.kind, evidence(fact, "justice.status", "kind", status.kind, person)))
        elif status.since <= view.on:
            released = True
    change = earliest(changes)
    if held:
        kind, since = min(held)
        return Counted(member, name, NO, (*shown, since), (), NOT_COUNTED[kind], change)
    if life.claims and life.dead == UNKNOWN:
        return Counted(member, name, UNKNOWN, (*shown, *life.evidence), life.missing, "生存状态不明", change)
    if listed is not None and not listed[1].counted:
        returned = released and listed[1].counted_reason in _EXCLUDING and listed[1].lives_together
        if not returned:
            reason = NOT_COUNTED.get(listed[1].counted_reason or "", "认定时不计入")
            return Counted(member, name, NO, shown, (), reason, change)
    return Counted(member, name, YES, shown, changes_on=change)
