"""高龄津贴: reaching 80 (or 100) while alive, registered here and not yet receiving it.

浙江省实施《老年人权益保障法》办法 Art 27 (from 100 years), 老年人权益保障法 Art 33 (from 80, encouraged): whether those
from 80 on are paid, and whether only with a low income, is a switch of the region (`elder_age.scope`).
"""

from __future__ import annotations

from datetime import date
from typing import Final

from hub.domain.homes import Home, Member
from hub.policy.ages import READS_AGE, reached
from hub.policy.conclude import conclude
from hub.policy.findings import Finding, Rule
from hub.policy.holdings import READS_BENEFIT, held, not_held
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, any_of, truth_of
from hub.policy.lives import READS_DEATH, READS_LIFE, WINDOWS_LIFE, alive
from hub.policy.parameters import Policy
from hub.policy.view import View, evidence, resident

ID: Final = "elder_age_allowance"
TITLE: Final = "可能符合高龄津贴条件，请核实"
ART_27: Final = "浙江省实施《中华人民共和国老年人权益保障法》办法 Art 27"
ART_33: Final = "老年人权益保障法 Art 33"


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to whoever is in the household register."""
    view = View(home, policy, on)
    person = view.myself
    if person is None:
        return None
    entry = resident(person)
    if entry is None:
        return None
    if entry[1].status == "cancelled_death":
        return None
    age = reached(view, person, "elder_age.from_age", "elder_age.age", "self", ART_33)
    if age.truth == NO:  # the common case by far: nothing else can matter before the birthday
        return conclude(ID, view, age, TITLE, articles=(ART_33,))
    tree = all_of(
        ID,
        "高龄津贴",
        age,
        _registered(view, person),
        alive(view, person),
        any_of(
            "elder_age.entitled",
            "属于发放范围",
            reached(view, person, "elder_age.centenarian_age", "elder_age.centenarian", "self", ART_27),
            _scope(view, person),
        ),
        not_held(view, person, ("elder_age",)),
    )
    return conclude(ID, view, tree, TITLE, articles=(ART_33,), people=((person, "self"),))


def _registered(view: View, person: Member) -> Clause:
    entry = resident(person)
    assert entry is not None  # noqa: S101 — decide has looked
    fact, held_entry = entry
    here = held_entry.status == "registered"
    return Clause(
        id="elder_age.registered",
        truth=truth_of(here),
        text="户籍在本地" if here else "户籍已迁出或注销",
        evidence=(evidence(fact, "registration.resident", "status", held_entry.status, person.person),),
    )


def _scope(view: View, person: Member) -> Clause:
    key = "elder_age.scope"
    scope = view.policy.words(key, view.on)
    change = view.parameters_change(key)
    id = "elder_age.scope"
    if scope is None:
        missing = (view.missing_parameter(key),)
        return Clause(id, UNKNOWN, "本地高龄津贴发放范围未知", ART_33, missing=missing, changes_on=change)
    if "all" in scope:
        return Clause(id, YES, "本地对达到年龄的老年人普遍发放", ART_33, changes_on=change)
    if not scope:
        return Clause(id, NO, "本地未设该项津贴", ART_33, changes_on=change)
    low_income = held(view, person, scope, "self")
    return any_of(id, "属于低收入老年人", low_income, article=ART_33)


RULE: Final = Rule(
    id=ID,
    title="高龄津贴",
    line="elder_care",
    homes=frozenset({"person"}),
    reads={"self": READS_AGE | READS_DEATH | READS_LIFE | READS_BENEFIT},
    articles=(ART_27, ART_33),
    decide=decide,
    windows=WINDOWS_LIFE,
)
