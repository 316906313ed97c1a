"""A seeded population of 丽水: ordinary households of all nine counties, and among them the planted stories.

`build(seed, households, as_of)` gives the same world for the same arguments, to the byte.
"""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Final

from hub.simulate import scenarios_household, scenarios_kin, scenarios_person
from hub.simulate.people import FEMALE, MALE, Person, months_before
from hub.simulate.places import COUNTIES
from hub.simulate.world import UNCOVERED, World

DEFAULT_SEED: Final = 331100
DEFAULT_HOUSEHOLDS: Final = 500  # ordinary ones; the planted stories add about 200 more
TURNS: Final = 3  # every story is planted in three variants, in three counties

KINDS: Final = (
    ("couple_children", 38),
    ("three_generations", 20),
    ("couple", 14),
    ("elder", 10),
    ("elders", 12),
    ("single", 6),
)
"""Kinds of ordinary households and their shares in percent; a product choice that gives every rule its neighbours."""

COVERAGE: Final = {
    "ga-huji": ("registration.resident", "registration.death", "registration.kinship", "registration.residence"),
    "yibao": ("medical.settlement", "insurance.enrolment"),
    "weijian": ("medical.death",),
    "binzang": ("funeral.cremation",),
    "renshe": ("insurance.pension", "insurance.enrolment"),
    "minzheng": (
        "assistance.household",
        "assistance.benefit",
        "assistance.payment",
        "assistance.application",
        "assistance.check",
    ),
    "canlian": ("disability.certificate",),
    "sifa": ("justice.status",),
}
"""Source id → topics it states to be complete, county by county."""

STATED_EVERYWHERE: Final = ("ga-huji", "weijian", "binzang")


def build(
    *, as_of: date, seed: int = DEFAULT_SEED, households: int = DEFAULT_HOUSEHOLDS, stories: bool = True
) -> World:
    """The world on the eve of `as_of`; `World.second_wave()` then lets the second wave happen."""
    world = World(as_of=as_of, rng=Random(seed))  # noqa: S311 — a repeatable population, not a secret
    _state_coverage(world)
    for index in range(households):
        _ordinary(world, COUNTIES[index % len(COUNTIES)])
    if stories:
        _plant(world)
    return world


def _plant(world: World) -> None:
    covered = [county for county in COUNTIES if county != UNCOVERED]
    everything = (*scenarios_household.STORIES, *scenarios_person.STORIES, *scenarios_kin.STORIES)
    for number, story in enumerate(everything):
        for turn in range(TURNS):
            story(world, covered[(number + turn) % len(covered)], turn)


def _state_coverage(world: World) -> None:
    for department, topics in COVERAGE.items():
        for topic in topics:
            for county in COUNTIES:
                if county != UNCOVERED or department in STATED_EVERYWHERE:
                    world.covers(department, topic, county)


def _ordinary(world: World, county: str) -> None:
    rng = world.rng
    kind = rng.choices([name for name, _ in KINDS], [share for _, share in KINDS])[0]
    if kind == "single":
        person = world.adult(rng.randrange(24, 58), rng.choice((MALE, FEMALE)), county)
        collective = rng.random() < 0.3
        world.family((person, "self"), kind="collective" if collective else "family")
        members: tuple[Person, ...] = (person,)
    elif kind == "elder":
        person = world.adult(rng.randrange(66, 95), rng.choice((MALE, FEMALE)), county)
        world.family((person, "self"))
        members = (person,)
    elif kind in ("couple", "elders"):
        husband, wife = world.couple(rng.randrange(28, 58) if kind == "couple" else rng.randrange(64, 88), county)
        world.family((husband, "self"), (wife, "spouse"))
        world.tie(husband, wife, "spouse")
        members = (husband, wife)
    else:
        members = _with_children(world, county, three=kind == "three_generations")
    for person in members:
        _everyday(world, person)
    if rng.random() < 0.05:
        _assisted(world, members)
    if rng.random() < 0.06:
        world.residence(members[0], rng.choice(("permit", "floating", "grid")))


def _with_children(world: World, county: str, *, three: bool) -> tuple[Person, ...]:
    """Parents and one to three children; with `three` also the husband's parents, who head the 户口."""
    rng = world.rng
    husband, wife = world.couple(rng.randrange(28, 48), county)
    oldest = max(1, min(husband.age(world.as_of) - 23, 17))
    children = tuple(
        world.adult(
            rng.randrange(0, oldest + 1),
            rng.choice((MALE, FEMALE)),
            county,
            surname=husband.name[0],
            village=husband.village,
        )
        for _ in range(rng.choice((1, 1, 2, 2, 3)))
    )
    world_of = [("son" if child.sex == MALE else "daughter", child) for child in children]
    if three:
        grandfather, grandmother = world.couple(husband.age(world.as_of) + rng.randrange(23, 30), county)
        world.family(
            (grandfather, "self"),
            (grandmother, "spouse"),
            (husband, "son"),
            (wife, "other"),
            *((child, "grandchild") for child in children),
        )
        world.tie(grandfather, grandmother, "spouse")
        world.tie(grandfather, husband, "child")
        world.tie(grandmother, husband, "child")
        elders: tuple[Person, ...] = (grandfather, grandmother)
    else:
        world.family((husband, "self"), (wife, "spouse"), *((child, relation) for relation, child in world_of))
        elders = ()
    world.tie(husband, wife, "spouse")
    world.parents_and_children((husband, wife), children)
    return (*elders, husband, wife, *children)


def _everyday(world: World, person: Person) -> None:
    """Insurance, doctor's visits, pension, a disability now and then."""
    rng = world.rng
    age = person.age(world.as_of)
    employed = 22 <= age < 60 and rng.random() < 0.45
    world.enrolment(person, "medical_employee" if employed else "medical_resident")
    if 18 <= age < 60:
        world.enrolment(person, "pension_employee" if employed else "pension_resident")
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3) if age < 60 else (0, 1, 2, 3, 4))):
        total = rng.choice((90, 160, 240, 420, 1300, 8200)) + rng.randrange(60)
        cash = total * rng.randrange(15, 45) // 100
        account = min(total - cash, rng.randrange(0, 60)) if employed else 0
        world.settlement(person, rng.randrange(2, 360), total, cash=cash, account=account)
    if age >= 60:
        scheme, yuan = rng.choices(
            (("pension_resident", 260), ("pension_employee", 2700), ("pension_public", 4600)), (60, 32, 8)
        )[0]
        for back in (2, 1, 0):
            world.pension(person, scheme, yuan + rng.randrange(90), months_before(world.as_of, back))
    if age >= 80 and rng.random() < 0.9:
        world.benefit(person, "elder_age", 100)
        world.payments(person, "elder_age", 100, 3)
    if rng.random() < 0.025:
        category = rng.choice(("limb", "sight", "hearing", "intellectual", "mental"))
        world.certificate(person, (category, rng.randrange(1, 5)))


def _assisted(world: World, members: tuple[Person, ...]) -> None:
    """A household on 低保, certified, verified and paid."""
    rng = world.rng
    relations = ("self", *("other" for _ in members[1:]))
    aid = world.aid_household(*zip(members, relations, strict=True))
    applicant = members[0]
    world.application(applicant, aid, "dibao", accepted_on=world.day(400), decided_on=world.day(375), result="granted")
    incomes = ((applicant, "casual", rng.randrange(200, 900)),)
    world.check(aid, applicant, members)
    world.investigation(aid, applicant, members, *incomes)
    yuan = rng.randrange(300, 1083)
    world.benefit(applicant, "dibao", yuan, aid=aid)
    world.payments(applicant, "dibao", yuan, 3)
