"""Benefits a person holds: in force on a day, and the proof that one is not held."""

from __future__ import annotations

from datetime import date
from typing import Final

from hub.domain.codes import BENEFIT
from hub.domain.facts import Benefit
from hub.domain.homes import Member
from hub.domain.messages import Fact
from hub.policy.calendar import after
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, earliest
from hub.policy.view import View, evidence, newest_first

READS_BENEFIT: Final = frozenset(
    {
        "assistance.benefit.type",
        "assistance.benefit.status",
        "assistance.benefit.since",
        "assistance.benefit.until",
        "source.coverage.topic",
        "source.coverage.scope",
        "source.coverage.complete_from",
        "source.coverage.complete_to",
        "source.coverage.found",
    }
)
HOUSEHOLD_BENEFITS: Final = frozenset({"dibao", "dibao_margin", "rigid", "temporary_aid", "medical_aid"})
"""Paid to a family: the death of a member changes their amount, not their ground."""
LIVE: Final = ("active", "taper")
"""Statuses in which money is paid; a suspended benefit is neither paid nor ended."""


def in_force(benefit: Benefit, on: date) -> bool:
    """Whether a benefit is held on a day; suspended ones are held too."""
    return benefit.status != "ended" and benefit.since <= on and (benefit.until is None or benefit.until >= on)


def turns(benefit: Benefit, on: date) -> date | None:
    """First later day on which `in_force` changes."""
    if benefit.status == "ended":
        return None
    if benefit.since > on:
        return benefit.since if benefit.until is None or benefit.until >= benefit.since else None
    return after(benefit.until) if benefit.until is not None and benefit.until >= on else None


def held(view: View, member: Member, types: tuple[str, ...], role: str) -> Clause:
    """Whether a member holds one of these benefits. *No* needs the assistance register to be complete here."""
    found: list[tuple[Fact, Benefit]] = [pair for pair in member.of(Benefit) if pair[1].type in types]
    change = earliest(turns(benefit, view.on) for _, benefit in found)
    names = "、".join(BENEFIT.get(kind, kind) for kind in types)
    who = "本人" if role == "self" else "该成员"
    live = [pair for pair in found if in_force(pair[1], view.on)]
    if live:
        fact, benefit = min(live, key=lambda pair: (pair[1].type, newest_first(pair[0])))
        kind = benefit.type
        shown = evidence(fact, "assistance.benefit", "type", kind, member.person)
        text = f"{who}已在享{BENEFIT.get(kind, kind)}"
        return Clause(id="benefit.held", truth=YES, text=text, evidence=(shown,), changes_on=change)
    absence = view.absence("assistance.benefit", member, view.on)
    return Clause(
        id="benefit.held",
        truth=NO if absence.proven else UNKNOWN,
        text=f"{who}未在享{names}" if absence.proven else f"{who}是否在享{names}未知",
        evidence=absence.evidence,
        missing=absence.missing,
        changes_on=earliest((change, absence.changes_on)),
    )


def not_held(view: View, member: Member, types: tuple[str, ...], role: str = "self") -> Clause:
    """The opposite of `held`, in its own words, so that an explanation reads straight."""
    clause = held(view, member, types, role)
    truth = {YES: NO, NO: YES, UNKNOWN: UNKNOWN}[clause.truth]
    return Clause(
        id="benefit.not_held",
        truth=truth,
        text=clause.text,
        evidence=clause.evidence,
        missing=clause.missing,
        changes_on=clause.changes_on,
    )


def none_holds(view: View, members: tuple[Member, ...], types: tuple[str, ...], yes: str, no: str) -> Clause:
    """That no member holds one of these benefits: *no* when one does, *unknown* where the register has gaps."""
    id = "benefit.not_held_in_home"
    found = [pair for member in members for pair in member.of(Benefit) if pair[1].type in types]
    change = earliest(turns(benefit, view.on) for _, benefit in found)
    live = sorted(
        evidence(fact, "assistance.benefit", "type", benefit.type, member.person)
        for member in members
        for fact, benefit in member.of(Benefit)
        if benefit.type in types and in_force(benefit, view.on)
    )
    if live:
        return Clause(id, NO, yes, evidence=(live[0],), changes_on=change)
    proofs = [view.absence("assistance.benefit", member, view.on) for member in members]
    gaps = tuple(dict.fromkeys(item for proof in proofs for item in proof.missing))
    shown_all = tuple(dict.fromkeys(item for proof in proofs for item in proof.evidence))
    change = earliest((change, *(proof.changes_on for proof in proofs)))
    text = "是否在享待遇未知" if gaps else no
    return Clause(id, UNKNOWN if gaps else YES, text, evidence=shown_all, missing=gaps, changes_on=change)
