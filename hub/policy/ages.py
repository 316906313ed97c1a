"""Ages as conditions: reached on the birthday (ruling 13), the limit a dated parameter."""

from __future__ import annotations

from typing import Final

from hub.domain.homes import Member
from hub.domain.messages import Missing
from hub.policy.calendar import birthday
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, earliest
from hub.policy.view import View, evidence, resident

READS_AGE: Final = frozenset({"registration.resident.birth_date"})


def reached(view: View, member: Member, key: str, id: str, role: str, article: str) -> Clause:
    """Whether a member has reached the age of a parameter."""
    return _compare(view, member, key, id, role, article, under=False)


def under(view: View, member: Member, key: str, id: str, role: str, article: str) -> Clause:
    """Whether a member is younger than the age of a parameter."""
    return _compare(view, member, key, id, role, article, under=True)


def _compare(view: View, member: Member, key: str, id: str, role: str, article: str, *, under: bool) -> Clause:
    years = view.policy.number(key, view.on)
    change = view.parameters_change(key)
    if years is None:
        return Clause(id, UNKNOWN, "年龄标准未知", article, missing=(view.missing_parameter(key),), changes_on=change)
    entry = resident(member)
    if entry is None or entry[1].birth_date is None:
        absent = Missing(field="registration.resident.birth_date", person=member.person, role=role)
        return Clause(id, UNKNOWN, "出生日期未知", article, missing=(absent,), changes_on=change)
    fact, held = entry
    day = birthday(entry[1].birth_date, years)
    shown = (evidence(fact, "registration.resident", "birth_date", held.birth_date, member.person),)
    if day <= view.on:
        return Clause(id, NO if under else YES, f"已满{years}周岁", article, shown, changes_on=change)
    change = earliest((day, change))
    return Clause(id, YES if under else NO, f"未满{years}周岁", article, shown, changes_on=change)
