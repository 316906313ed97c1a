"""孤儿: a minor whose parents in law are both dead (or declared dead).

国办发〔2010〕54号 一. Adoption ends it, a step-parent is no parent. Where parents are declared missing, some regions
treat the child as an orphan (`orphan.declared_missing_counts`, default no); the explanation names that reading.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Final

from msgspec.structs import replace

from hub.domain.homes import Home
from hub.policy.ages import READS_AGE, under
from hub.policy.amounts import up_to_yuan
from hub.policy.children import grown_on, has_sign, parent_gone
from hub.policy.conclude import conclude
from hub.policy.findings import Finding, Rule
from hub.policy.holdings import READS_BENEFIT, not_held
from hub.policy.kin import READS_KINSHIP, legal_parents
from hub.policy.kleene import all_of, earliest
from hub.policy.lives import READS_DEATH
from hub.policy.parameters import Policy
from hub.policy.view import View

ID: Final = "orphan"
TITLE: Final = "可能符合孤儿基本生活保障条件，请核实"
ART_1: Final = "国办发〔2010〕54号 一"


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to minors of whom a parent is said to be dead or declared missing."""
    view = View(home, policy, on)
    person = view.myself
    grown = grown_on(view)
    if person is None or (grown is not None and grown <= on):
        return None
    if not any(has_sign(view, member.person) for member in home.with_role("parent")):
        return None
    parents, all_known = legal_parents(view)
    gone = [parent_gone(view, tie, ART_1) for tie in parents.ties]
    tree = all_of(
        ID,
        "孤儿",
        *gone,
        under(view, person, "child.minor_age", "orphan.minor", "self", ART_1),
        not_held(view, person, ("orphan",)),
        all_known,
        article=ART_1,
    )
    tree = replace(tree, changes_on=earliest((tree.changes_on, parents.changes_on, grown)))
    people = ((person, "self"),)
    return conclude(ID, view, tree, TITLE, articles=(ART_1,), people=people, amount_fen=_amount(view))


def _amount(view: View) -> int | None:
    """分 a month for a child not in an institution."""
    standard = view.policy.number("orphan_monthly_institution_fen", view.on)
    ratio = view.policy.ratio("orphan_scattered_ratio", view.on)
    return None if standard is None or ratio is None else up_to_yuan(Fraction(standard) * ratio)


RULE: Final = Rule(
    id=ID,
    title="孤儿基本生活保障",
    line="child_welfare",
    homes=frozenset({"person"}),
    reads={
        "self": READS_AGE | READS_KINSHIP | READS_BENEFIT,
        "parent": READS_DEATH | READS_KINSHIP,
    },
    articles=(ART_1,),
    decide=decide,
)
