"""Kin of a person home: parents, children, spouse, from both ends of the kinship register.

A step-parent or a guardian is no parent; an adoption puts the adopters in the place of the parents by blood
(民法典 1111) and may end. *No child on file* is unknown until the register states that its list is complete.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import Struct

from hub.domain.codes import RELATION
from hub.domain.facts import Kinship
from hub.domain.homes import Member
from hub.domain.messages import Evidence, Fact, Missing
from hub.policy.calendar import after
from hub.policy.kleene import UNKNOWN, YES, Clause, earliest
from hub.policy.view import View, evidence

READS_KINSHIP: Final = frozenset(
    {
        "registration.kinship.other",
        "registration.kinship.relation",
        "registration.kinship.nature",
        "registration.kinship.since",
        "registration.kinship.until",
        "registration.kinship.inventory_complete",
        "registration.kinship.certified_on",
    }
)
_KINDS: Final = {
    "parent": (("father", "mother"), ("son", "daughter")),
    "child": (("son", "daughter"), ("father", "mother")),
    "spouse": (("spouse",), ("spouse",)),
}
"""Role → what I call them, what they call me."""
_LEGAL: Final = {"parent": ("blood", "adopted"), "child": ("blood", "adopted"), "spouse": ("marriage", None)}
INVENTORY_OF: Final = {"parent": "parents", "child": "children", "spouse": "spouse"}


class Tie(Struct, frozen=True):
    """A legal tie in force: the token, the contributor (None while he has not contributed), and what proves it."""

    person: str
    role: str
    label: str
    nature: str | None
    member: Member | None
    evidence: tuple[Evidence, ...]


class Kin(Struct, frozen=True):
    """Everybody who holds a role to the person on a day, ordered by token; `changes_on` when a tie begins or ends."""

    ties: tuple[Tie, ...]
    changes_on: date | None


def kin_of(view: View, role: str) -> Kin:
    """Legal ties of one role in force on the day of the view."""
    me = view.home.identifier
    mine, theirs = _KINDS[role]
    records: list[tuple[str, str | None, Fact, Kinship]] = []
    myself = view.myself
    for fact, tie in myself.of(Kinship) if myself is not None else ():
        if tie.other is not None and tie.relation in mine:
            records.append((tie.other, tie.relation, fact, tie))
    for member in view.home.with_role(role):
        for fact, tie in member.of(Kinship):
            if tie.other == me and tie.relation in theirs:
                records.append((member.person, None, fact, tie))
    records = [record for record in records if record[3].nature in _LEGAL[role]]
    ties: list[Tie] = []
    changes: list[date | None] = []
    for person, nature in sorted({(person, tie.nature or "") for person, _, _, tie in records}):
        group = [record for record in records if record[0] == person and (record[3].nature or "") == nature]
        changes += [_turns(tie, view.on) for *_, tie in group]
        if all(_lives(tie, view.on) for *_, tie in group):
            label = next((RELATION[relation] for _, relation, *_ in group if relation), _LABELS[role])
            shown = {_shown(fact, tie, me, person) for _, _, fact, tie in group}
            found = next((member for member in view.home.members if member.person == person), None)
            ties.append(Tie(person, role, label, nature or None, found, tuple(sorted(shown))))
    return Kin(tuple(ties), earliest(changes))


def legal_parents(view: View) -> tuple[Kin, Clause]:
    """The parents in law, and whether they are all known: two are, or the register says its list is complete."""
    kin = kin_of(view, "parent")
    adopters = tuple(tie for tie in kin.ties if tie.nature == "adopted")
    ties = adopters if len(adopters) > 1 else kin.ties
    people = len({tie.person for tie in ties})
    if people > 1:
        known = Clause("kin.parents_known", YES, "父母双方均有登记", changes_on=kin.changes_on)
        return Kin(ties, kin.changes_on), known
    stated = inventory(view, "parent")
    if people == 1 and stated.truth == YES:
        return Kin(ties, kin.changes_on), stated
    missing = Missing(field="registration.kinship.inventory_complete", person=view.home.identifier, role="parent")
    return Kin(ties, kin.changes_on), Clause(
        "kin.parents_known", UNKNOWN, "父母登记不全", missing=(missing,), changes_on=kin.changes_on
    )


def inventory(view: View, role: str) -> Clause:
    """Whether the kinship register states that it lists everybody of a role."""
    wanted = INVENTORY_OF[role]
    me = view.myself
    id = f"kin.{wanted}_complete"
    for fact, tie in me.of(Kinship) if me is not None else ():
        if tie.inventory_complete == wanted and (tie.until is None or view.on <= tie.until):
            shown = evidence(fact, "registration.kinship", "inventory_complete", wanted, view.home.identifier)
            change = after(tie.until) if tie.until is not None else None
            return Clause(id, YES, f"{_LABELS[role]}登记齐全", evidence=(shown,), changes_on=change)
    missing = Missing(field="registration.kinship.inventory_complete", person=view.home.identifier, role=role)
    return Clause(id, UNKNOWN, f"{_LABELS[role]}登记是否齐全未知", missing=(missing,))


_LABELS: Final = {"parent": "父母", "child": "子女", "spouse": "配偶"}


def _lives(tie: Kinship, on: date) -> bool:
    return (tie.since is None or tie.since <= on) and (tie.until is None or on <= tie.until)


def _turns(tie: Kinship, on: date) -> date | None:
    if tie.since is not None and tie.since > on:
        return tie.since
    return after(tie.until) if tie.until is not None and tie.until >= on else None


def _shown(fact: Fact, tie: Kinship, me: str, person: str) -> Evidence:
    about = me if tie.other == person else person
    return evidence(fact, "registration.kinship", "relation", tie.relation or "", about)
