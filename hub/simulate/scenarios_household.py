"""Planted households: 低保 and the early warning of medical bills, each meant as yes, no, unknown or taken back.

Each function plants one story in a county; `turn` (0, 1, 2) chooses among its variants. What a later wave changes is
told in the same function.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final

from hub.simulate.people import MALE, Person, years_before
from hub.simulate.world import UNCOVERED, Story, World


class Family:
    """Husband, wife and a child of twelve, registered together and certified as one household."""

    def __init__(self, w: World, county: str, *, count: int | None = None) -> None:
        self.w = w
        self.husband, self.wife = w.couple(44, county)
        self.child = w.adult(12, MALE, county, surname=self.husband.name[0], village=self.husband.village)
        w.family((self.husband, "self"), (self.wife, "spouse"), (self.child, "son"))
        w.tie(self.husband, self.wife, "spouse")
        w.parents_and_children((self.husband, self.wife), (self.child,))
        for person in self.all:
            w.enrolment(person, "medical_resident")
        self.aid = w.aid_household((self.husband, "self"), (self.wife, "spouse"), (self.child, "son"), count=count)

    @property
    def all(self) -> tuple[Person, Person, Person]:
        """The three members."""
        return self.husband, self.wife, self.child

    def verified(self, wage: int, *, prop: str = "compliant", farm: int = 300) -> str:
        """Application, 核对报告 with the husband's wage and 入户调查 with the wife's farming; the wage line's id."""
        self.w.application(self.husband, self.aid, "dibao")
        check = self.w.check(self.aid, self.husband, self.all, prop=prop)
        line = self.w.income("check_income", check, self.husband, "wage", wage)
        self.w.investigation(self.aid, self.husband, self.all, (self.wife, "farm", farm))
        return line


def dibao_yes(w: World, county: str, turn: int) -> None:
    """A low income, compliant property, authorised and visited."""
    family = Family(w, county)
    family.verified(1500 + 150 * turn)
    w.plant("dibao", family.aid, "yes", "low income verified, property compliant")


def dibao_no(w: World, county: str, turn: int) -> None:
    """Income above the standard; property above its limit; verification refused."""
    family = Family(w, county)
    if turn < 2:
        family.verified((5200, 1500)[turn], prop=("compliant", "non_compliant")[turn])
    else:
        w.application(family.husband, family.aid, "dibao", authorised_on=None, refused_on=w.day(20), check_on=None)
    w.plant("dibao", family.aid, "no", ("income too high", "property not compliant", "verification refused")[turn])


def dibao_unknown(w: World, county: str, turn: int) -> None:
    """Property not yet verified; the wife's income nowhere; a fourth member certified whom nobody sent."""
    family = Family(w, county, count=4 if turn == 2 else None)
    if turn == 1:
        w.application(family.husband, family.aid, "dibao")
        w.check(family.aid, family.husband, (family.husband, family.child), (family.husband, "wage", 1500))
    else:
        family.verified(1500, prop="unknown" if turn == 0 else "compliant")
    why = ("property not verified", "income of the spouse not verified", "one certified member is not on file")
    w.plant("dibao", family.aid, "unknown", why[turn])


def dibao_taken_back(w: World, county: str, turn: int) -> None:
    """The wage is corrected upwards; the benefit is granted; the report is withdrawn by its office."""
    family = Family(w, county)
    line = family.verified(1500)
    check = w.tables["check_income"][line].parent
    w.later(
        (
            partial(w.alter, "check_income", line, fen=5200 * 12 * 100),
            partial(w.benefit, family.husband, "dibao", 1049, aid=family.aid, since=w.day(0).replace(day=1)),
            partial(w.alter, "check", check, property_dibao="non_compliant"),
        )[turn]
    )
    why = ("wage corrected upwards", "benefit granted", "property found")
    w.plant("dibao", family.aid, "yes", why[turn], wave2="no")


def dibao_amended(w: World, county: str, turn: int) -> None:
    """The wage is corrected a little; a grown son without income moves out to a household of his own."""
    if turn == 0:
        family = Family(w, county)
        line = family.verified(1500)
        w.later(partial(w.alter, "check_income", line, fen=1800 * 12 * 100))
        w.plant("dibao", family.aid, "yes", "wage corrected, another gap", amended=True)
        return
    husband, wife = w.couple(58, county)
    son = w.adult(26, MALE, county, surname=husband.name[0], village=husband.village)
    w.family((husband, "self"), (wife, "spouse"), (son, "son"))
    w.tie(husband, wife, "spouse")
    w.parents_and_children((husband, wife), (son,))
    aid = w.aid_household((husband, "self"), (wife, "spouse"), (son, "son"))
    w.application(husband, aid, "dibao")
    w.check(aid, husband, (husband, wife, son), (husband, "wage", 1500))
    w.investigation(aid, husband, (husband, wife, son))

    def moves_out() -> None:
        for row in w.find("household", aid=aid):
            w.alter("household", row, member_count=2)
        for row in w.find("household", aid=aid, number=son.number):
            w.alter("household", row, until=w.day(2), lives_together=False, member_count=2)
        w.aid_household((son, "self"))

    w.later(moves_out)
    w.plant("dibao", aid, "yes", "a member moved to a household of his own", amended=True)


def bills(w: World, county: str, cash: int, *, ago: int = 60, count: int | None = None) -> tuple[str, Person, str]:
    """A certified couple with one stay in hospital; household, the sick one, the settlement."""
    husband, wife = w.couple(56, county)
    w.family((husband, "self"), (wife, "spouse"))
    w.tie(husband, wife, "spouse")
    w.inventory(husband, "children")
    aid = w.aid_household((husband, "self"), (wife, "spouse"), count=count)
    w.benefit(husband, "dibao_margin", 0, aid=aid)
    for person in (husband, wife):
        w.enrolment(person, "medical_resident")
    w.settlement(husband, 30, 400, cash=120, account=60)
    return aid, wife, w.settlement(wife, ago, cash * 3, cash=cash)


def medical_yes(w: World, county: str, turn: int) -> None:
    """Self-paid bills far above the warning line."""
    aid, _, _ = bills(w, county, 62_000 + 9_000 * turn)
    w.plant("medical_warning", aid, "yes", "self-paid bills of twelve months above the line")


def medical_no(w: World, county: str, turn: int) -> None:
    """Small bills; a large bill that is older than the window."""
    aid, _, _ = bills(w, county, (8_000, 70_000, 20_000)[turn], ago=(60, 420, 60)[turn])
    w.plant("medical_warning", aid, "no", ("small bills", "large bill before the window", "small bills")[turn])


def medical_unknown(w: World, county: str, turn: int) -> None:
    """A member whom nobody sent; and a county whose insurer states no coverage."""
    aid, _, _ = bills(w, county if turn < 2 else UNCOVERED, 8_000, count=3 if turn < 2 else None)
    why = "a certified member is not on file" if turn < 2 else "no coverage of settlements"
    w.plant("medical_warning", aid, "unknown", why)


def medical_taken_back(w: World, county: str, turn: int) -> None:
    """The stay is reversed; a late reimbursement by hand; the settlement is withdrawn."""
    aid, sick, stay = bills(w, county, 62_000)
    w.later(
        (
            partial(w.settlement, sick, 1, -186_000, cash=-62_000, kind="inpatient", compliant=0, reverses=stay),
            partial(w.settlement, sick, 1, 0, cash=-20_000, kind="manual", compliant=0),
            partial(w.remove, "settlement", stay),
        )[turn]
    )
    why = ("settlement reversed", "reimbursed by hand", "settlement withdrawn by the insurer")
    w.plant("medical_warning", aid, "yes", why[turn], wave2="no")


def medical_amended(w: World, county: str, turn: int) -> None:
    """A settlement arrives late and carries the sum over twice the line."""
    aid, sick, _ = bills(w, county, 55_000 + turn)
    w.later(partial(w.settlement, sick, 45, 150_000, cash=52_000))
    w.plant("medical_warning", aid, "yes", "a late settlement doubles the sum", amended=True)


def medical_expires(w: World, county: str, turn: int) -> None:
    """The one large bill leaves the window within days, and no event tells so."""
    days = 5 + turn
    settled = years_before(w.as_of + timedelta(days=days - 1), 1)
    aid, _, _ = bills(w, county, 62_000, ago=(w.as_of - settled).days)
    w.plant("medical_warning", aid, "yes", "the bill leaves the window", changes_on=w.as_of + timedelta(days=days))


STORIES: Final[tuple[Story, ...]] = (
    dibao_yes,
    dibao_no,
    dibao_unknown,
    dibao_taken_back,
    dibao_amended,
    medical_yes,
    medical_no,
    medical_unknown,
    medical_taken_back,
    medical_amended,
    medical_expires,
)
