"""The population: repeatable, valid numbers of the right era, published places, every rule planted."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date

import pytest

from hub.divisions import division_name
from hub.domain.citizen_id import check
from hub.policy.catalogue import RULES
from hub.simulate.population import build
from hub.simulate.world import World
from tests.unit.simulate.worlds import AS_OF


def make(seed: int = 1, households: int = 40) -> World:
    return build(as_of=AS_OF, seed=seed, households=households)


def test_the_same_seed_makes_the_same_world_and_another_seed_another() -> None:
    first, again, other = make(), make(), make(seed=2)
    for world in (first, again, other):
        world.second_wave()
    assert first.tables == again.tables
    assert first.truth == again.truth
    assert (first.touched, first.removed) == (again.touched, again.removed)
    assert first.tables != other.tables


def test_every_number_is_valid_unique_and_of_the_era_of_its_birth() -> None:
    residents = make().tables["resident"].values()
    numbers = [row.values["number"] for row in residents]
    assert len(numbers) == len(set(numbers))
    for row in residents:
        found = check(row.values["number"], AS_OF)
        assert found.ok
        assert (found.birth_date, found.sex) == (row.values["birth"], row.values["sex"])
        assert found.prefix_era == ("before_2000" if row.values["birth"] < date(2000, 1, 1) else "current")


def test_everybody_lives_in_a_published_village_of_his_county() -> None:
    for row in make().tables["resident"].values():
        village, township, county = (row.values[name] for name in ("village", "township", "county"))
        assert (village[:9], village[:6]) == (township, county)
        assert division_name(village) is not None


def test_children_are_younger_than_their_parents() -> None:
    world = make(households=120)
    births = {row.values["number"]: row.values["birth"] for row in world.tables["resident"].values()}
    ties = [row.values for row in world.tables["kinship"].values() if row.values["relation"] in ("son", "daughter")]
    assert ties
    for tie in ties:
        if tie["number"] in births and tie["other"] in births:
            assert births[tie["other"]].year - births[tie["number"]].year >= 15


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_is_planted_thrice_each_way_and_taken_back_once(rule: str) -> None:
    planted = [one for one in make(households=0).truth if one.rule == rule]
    firsts = Counter(one.wave1 for one in planted)
    assert {truth: firsts[truth] >= 3 for truth in ("yes", "no", "unknown")} == dict.fromkeys(
        ("yes", "no", "unknown"), True
    )
    assert any(one.wave1 == "yes" and one.wave2 in ("no", "not_applicable") for one in planted)


def test_money_of_a_settlement_adds_up() -> None:
    world = make()
    world.second_wave()
    for row in world.tables["settlement"].values():
        parts = ("basic", "critical", "aid_paid", "supplementary", "account", "cash")
        assert row.values["total"] == sum(row.values[part] for part in parts)


def test_the_second_wave_only_touches_what_it_says() -> None:
    before, after = make(), make()
    after.second_wave()
    assert after.touched
    assert after.removed
    said: dict[str, set[str]] = defaultdict(set)
    for table, record in after.touched | set(after.removed):
        said[table].add(record)
    for table, rows in before.tables.items():
        for key, row in rows.items():
            if key not in said[table]:
                assert after.tables[table][key] == row
