"""Planted kin: 特困 elders without an able supporter, 孤儿, and 事实无人抚养儿童.

Each function plants one story in a county; `turn` (0, 1, 2) chooses among its variants.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from hub.simulate.people import FEMALE, MALE, Person
from hub.simulate.world import UNCOVERED, Story, World


def alone(w: World, county: str, age: int, *, prop: str = "compliant", yuan: int = 200, kind: str = "farm") -> Person:
    """A man alone, certified as a household of one, verified and visited."""
    person = w.adult(age, MALE, county)
    w.family((person, "self"))
    w.enrolment(person, "medical_resident")
    aid = w.aid_household((person, "self"))
    w.application(person, aid, "tekun")
    items = ((person, kind, yuan),)
    w.check(aid, person, (person,), *(items if kind != "farm" else ()), prop=prop)
    w.investigation(aid, person, (person,), *(items if kind == "farm" else ()), labour="unable")
    return person


def nobody(w: World, person: Person) -> None:
    """State that the person has neither child nor spouse nor living parent."""
    w.inventory(person, "children", "spouse", "parents")


def supporter(w: World, parent: Person, county: str, wage: int, *, prop: str = "compliant") -> Person:
    """A grown daughter with a household of her own and a verified wage (0: none)."""
    daughter = w.adult(41, FEMALE, county, surname=parent.name[0])
    w.family((daughter, "self"))
    w.tie(parent, daughter, "child")
    aid = w.aid_household((daughter, "self"))
    incomes = ((daughter, "wage", wage),) if wage else ()
    w.check(aid, daughter, (daughter,), *incomes, prop=prop)
    return daughter


def tekun_yes(w: World, county: str, turn: int) -> None:
    """Old and alone; severely disabled with dead parents; old with an only child in prison."""
    person = alone(w, county, (68, 42, 71)[turn])
    if turn == 1:
        w.certificate(person, ("limb", 1))
        father, mother = w.couple(74, county)
        w.family((father, "self"), (mother, "spouse"), status="cancelled_death")
        for parent in (father, mother):
            w.registered_death(parent, w.day(900), cancelled_on=w.day(890))
            w.certified_death(parent, w.day(900))
            w.tie(parent, person, "child")
    if turn == 2:
        daughter = supporter(w, person, county, 0)
        w.justice(daughter, "prison", w.day(400), months=60)
    nobody(w, person)
    why = ("no supporter", "disabled, parents dead", "the only child is in prison")
    w.plant("tekun", person, "yes", why[turn])


def tekun_no(w: World, county: str, turn: int) -> None:
    """A child who earns well; a pension above the standard; property above its limit."""
    if turn == 0:
        person = alone(w, county, 69)
        supporter(w, person, county, 7000)
    elif turn == 1:
        person = alone(w, county, 67, kind="pension_employee", yuan=2600)
    else:
        person = alone(w, county, 66, prop="non_compliant")
    nobody(w, person)
    w.plant("tekun", person, "no", ("able supporter", "income above the standard", "property not compliant")[turn])


def tekun_unknown(w: World, county: str, turn: int) -> None:
    """Nobody stated that the list of children is complete; property not verified; an only child nobody knows of."""
    person = alone(w, county, 70, prop="unknown" if turn == 1 else "compliant")
    if turn == 1:
        nobody(w, person)
    if turn == 2:
        child = w.adult(43, FEMALE, UNCOVERED, surname=person.name[0])
        w.tie(person, child, "child")
        w.inventory(person, "children", "spouse", "parents")
    why = ("kinship list not stated complete", "property not verified", "nothing known of the only child")
    w.plant("tekun", person, "unknown", why[turn])


def tekun_taken_back(w: World, county: str, turn: int) -> None:
    """The benefit is granted; a child turns up; the report is corrected by a pension."""
    person = alone(w, county, 72)
    nobody(w, person)
    (check,) = w.find("check", number=person.number)

    def corrected() -> None:
        w.income("check_income", check, person, "pension_employee", 2900)
        w.alter("check", check)

    w.later(
        (
            partial(w.benefit, person, "tekun", 1410, since=w.day(0).replace(day=1)),
            partial(supporter, w, person, county, 7000),
            corrected,
        )[turn]
    )
    w.plant("tekun", person, "yes", ("granted", "a child turned up", "a pension found")[turn], wave2="no")


def orphaned(w: World, county: str, age: int = 9) -> tuple[Person, Person, Person]:
    """A child in the 户口 of a grandmother, with father and mother on record; child, father, mother."""
    father, mother = w.couple(38, county)
    child = w.adult(age, FEMALE, county, surname=father.name[0], village=father.village)
    grandmother = w.adult(64, FEMALE, county, village=father.village)
    w.family((grandmother, "self"), (father, "son"), (mother, "other"), (child, "grandchild"))
    w.tie(father, mother, "spouse")
    w.enrolment(child, "medical_resident")
    w.parents_and_children((father, mother), (child,))
    return child, father, mother


def dead(w: World, person: Person, ago: int = 300) -> str:
    """Struck off after a death by two sources; id of the entry in the register."""
    w.alter("resident", person.record, status="cancelled_death")
    w.certified_death(person, w.day(ago))
    return w.registered_death(person, w.day(ago), cancelled_on=w.day(ago - 10))


def alive(w: World, person: Person) -> None:
    """Signs of life: insured and at the doctor's this month."""
    w.enrolment(person, "medical_resident")
    w.settlement(person, 12, 260, cash=90)


def orphan_yes(w: World, county: str, turn: int) -> None:
    """Both parents dead; one of them declared dead by a court."""
    child, father, mother = orphaned(w, county, 7 + turn)
    dead(w, mother)
    if turn == 1:
        w.registered_death(father, w.day(200), kind="declared", certifier="人民法院")
        w.justice(father, "declared_dead", w.day(200))
    else:
        dead(w, father, 600)
    w.plant("orphan", child, "yes", "both parents dead")


def orphan_no(w: World, county: str, turn: int) -> None:
    """The mother lives."""
    child, father, mother = orphaned(w, county, 6 + turn)
    dead(w, father)
    alive(w, mother)
    w.plant("orphan", child, "no", "the mother lives")


def orphan_unknown(w: World, county: str, turn: int) -> None:
    """Father dead; nobody ever recorded a mother, nor that the list of parents is complete."""
    father = w.adult(37, MALE, county)
    child = w.adult(8 + turn, FEMALE, county, surname=father.name[0], village=father.village)
    w.family((father, "self"), (child, "daughter"))
    w.tie(father, child, "child")
    dead(w, father)
    w.plant("orphan", child, "unknown", "no mother on record")


def orphan_taken_back(w: World, county: str, turn: int) -> None:
    """The father's death is revoked; the child is adopted; the mother's death entry was another's."""
    child, father, mother = orphaned(w, county)
    father_entry, mother_entry = dead(w, father), dead(w, mother, 200)
    new_father, new_mother = w.couple(42, county)
    w.family((new_father, "self"), (new_mother, "spouse"))

    def adopted() -> None:
        for parent in (new_father, new_mother):
            w.tie(parent, child, "child", nature="adopted", since=w.day(3))
            alive(w, parent)

    def lives(person: Person, entry: str) -> None:
        w.alter("resident", person.record, status="registered")
        w.remove("death", entry)
        for row in w.find("medical_death", number=person.number):
            w.alter("medical_death", row, revoked=True)
        alive(w, person)

    w.later((partial(lives, father, father_entry), adopted, partial(lives, mother, mother_entry))[turn])
    why = ("father lives", "adopted", "mother lives")
    w.plant("orphan", child, "yes", why[turn], wave2="no")


def defacto_yes(w: World, county: str, turn: int) -> None:
    """Father dead, mother in prison; both severely disabled; father dead, mother out of touch and caring for nobody."""
    child, father, mother = orphaned(w, county, 10 + turn)
    if turn == 1:
        w.certificate(father, ("limb", 1))
        w.certificate(mother, ("mental", 3))
    else:
        dead(w, father)
        if turn == 0:
            w.justice(mother, "prison", w.day(200), months=36)
        else:
            w.justice(mother, "lost_contact", w.day(260), care_given=False, decided_by="派出所")
    why = ("father dead, mother in prison", "both severely disabled", "father dead, mother out of touch")
    w.plant("defacto_unsupported", child, "yes", why[turn])


def defacto_no(w: World, county: str, turn: int) -> None:
    """A healthy mother; a short sentence; a disability that does not count."""
    child, father, mother = orphaned(w, county, 8 + turn)
    alive(w, mother)
    if turn == 1:
        w.justice(father, "prison", w.day(40), months=4)
    else:
        dead(w, father)
    if turn == 2:
        w.certificate(mother, ("limb", 3))
    why = ("healthy mother", "short sentence, healthy mother", "the mother's disability does not count")
    w.plant("defacto_unsupported", child, "no", why[turn])


def defacto_unknown(w: World, county: str, turn: int) -> None:
    """Out of touch, caring unknown; no mother on record; a mother where no office states coverage."""
    if turn == 1:
        father = w.adult(36, MALE, county)
        child = w.adult(9, MALE, county, surname=father.name[0], village=father.village)
        w.family((father, "self"), (child, "son"))
        w.tie(father, child, "child")
        w.justice(father, "prison", w.day(150), months=24)
    else:
        child, father, mother = orphaned(w, UNCOVERED if turn == 2 else county)
        dead(w, father)
        if turn == 0:
            w.justice(mother, "lost_contact", w.day(260), decided_by="派出所")
    why = ("whether the mother cares is not said", "no mother on record", "no coverage for the mother")
    w.plant("defacto_unsupported", child, "unknown", why[turn])


def defacto_taken_back(w: World, county: str, turn: int) -> None:
    """Released; the certificate is cancelled; the report of lost contact is withdrawn."""
    child, father, mother = orphaned(w, county, 11)
    dead(w, father)
    if turn == 1:
        row = w.certificate(mother, ("mental", 3))
        w.later(partial(w.alter, "certificate", row, status="cancelled"))
    elif turn == 0:
        row = w.justice(mother, "prison", w.day(300), months=24)
        w.later(partial(w.alter, "justice", row, released_on=w.day(3)))
    else:
        row = w.justice(mother, "lost_contact", w.day(260), care_given=False, decided_by="派出所")
        w.later(partial(w.remove, "justice", row))
    why = ("mother released", "certificate cancelled", "mother is back")
    w.plant("defacto_unsupported", child, "yes", why[turn], wave2="no")


def defacto_amended(w: World, county: str, turn: int) -> None:
    """Custody becomes a sentence."""
    child, father, mother = orphaned(w, county, 12)
    dead(w, father)
    row = w.justice(mother, "detention", w.day(230 + turn), decided_by="丽水市公安局")
    w.later(partial(w.alter, "justice", row, kind="prison", months=36, decided_by="丽水市莲都区人民法院"))
    w.plant("defacto_unsupported", child, "yes", "custody becomes a sentence", amended=True)


STORIES: Final[tuple[Story, ...]] = (
    tekun_yes,
    tekun_no,
    tekun_unknown,
    tekun_taken_back,
    orphan_yes,
    orphan_no,
    orphan_unknown,
    orphan_taken_back,
    defacto_yes,
    defacto_no,
    defacto_unknown,
    defacto_taken_back,
    defacto_amended,
)
