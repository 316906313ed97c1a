"""Each suite passes on a good record, and each of its expectations fails on a record that breaks just that."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pandas as pd
import pytest

from hub.domain import codes
from hub.domain.facts import PAYLOADS, DisabilityComponent, RigidSpending
from hub.domain.messages import Event
from hub.domain.times import at_noon_ms
from hub.errors import ConfigurationError
from hub.quality.frames import event_id, frame_of
from hub.quality.runner import SuiteRunner
from tests.unit.quality.samples import ARRIVAL, DAY, GOOD, OTHER, PERSON, REGION, event

SUITES: Final = Path(__file__).parents[3] / "expectations"
REGIONS: Final = frozenset({REGION})
TOMORROW: Final = DAY + timedelta(days=1)


def suite(topic: str) -> list[dict[str, Any]]:
    """Expectations of a suite as written."""
    return list(json.loads((SUITES / f"{topic}.json").read_text())["expectations"])


EVERY: Final = [(topic, expectation["meta"]["id"]) for topic in PAYLOADS for expectation in suite(topic)]


def with_payload(**changes: Any) -> Callable[[Event], Event]:
    """A mutant whose payload differs in some fields."""

    def mutate(good: Event) -> Event:
        assert good.payload is not None
        return good._replace(payload=msgspec.structs.replace(good.payload, **changes))

    return mutate


def with_header(**changes: Any) -> Callable[[Event], Event]:
    """A mutant whose header differs in some fields."""
    return lambda good: good._replace(header=msgspec.structs.replace(good.header, **changes))


def replace_income(**changes: Any) -> Callable[[Event], Event]:
    """A mutant whose first income item differs."""

    def mutate(good: Event) -> Event:
        item = good.payload.income[0]  # type: ignore[union-attr]  # only used on reports that have income
        return with_payload(income=(msgspec.structs.replace(item, **changes),))(good)

    return mutate


OWN: Final[dict[str, Callable[[Event], Event]]] = {
    "region.present": with_header(region=None),
    "region_in_force.holds": with_header(region="331199"),
    "event_not_after_arrival.holds": with_header(event_time=ARRIVAL + 1),
    "arrival_lag_hours.fresh": with_header(record_time=ARRIVAL - 10**10),
    "person_known.holds": with_header(person=None),
    "id_birth_agrees.holds": with_payload(id_birth_agrees=False),
    "id_sex_agrees.holds": with_payload(id_sex_agrees=False),
    "birth_possible.holds": with_payload(birth_date=date(1890, 1, 1)),
    "township_in_region.holds": with_payload(township="331121001"),
    "ends_differ.holds": with_payload(new_person=OTHER),
    "other_or_inventory.holds": with_payload(other=None, inventory_complete=None),
    "not_own_kin.holds": with_payload(other=PERSON),
    "death_possible.holds": with_payload(death_date=TOMORROW),
    "amounts_add_up.holds": with_payload(cash_fen=201),
    "sign_agrees_with_reversal.holds": with_payload(reverses="R0"),
    "basic_part_within_total.holds": with_payload(central_basic_part_fen=30001),
    "components_valid.holds": with_payload(components=(DisabilityComponent(category="limb", level=5),)),
    "components_present.holds": with_payload(components=()),
    "not_counted_has_reason.holds": with_payload(counted_reason=None),
    "income_types_known.holds": replace_income(type="lottery"),
    "income_months_positive.holds": replace_income(months=0),
    "covers_somebody.holds": with_payload(covered_persons=()),
    "rigid_types_known.holds": with_payload(rigid_spending=(RigidSpending(type="wine", amount_fen=1, paid_on=DAY),)),
    "visited_possible.holds": with_payload(visited_on=TOMORROW),
    "ended_has_date.holds": with_payload(until=None),
    "topic_known.holds": with_payload(topic="registration.dragon"),
    "term_months.range": with_payload(term_months=0),
    "year.range": with_payload(year=1066),
}
"""Mutants that a general recipe cannot make."""


def mutant(topic: str, expectation: str) -> Event:
    """A record that breaks one expectation: by the table above, else by the kind of the expectation."""
    good = event(topic)
    if expectation in OWN:
        return OWN[expectation](good)
    if expectation == "deduction_types_known.holds":
        item = good.payload.deductions[0]  # type: ignore[union-attr]  # the topic is assistance.investigation
        return with_payload(deductions=(msgspec.structs.replace(item, type="wine"),))(good)
    field, _, kind = expectation.partition(".")
    if kind in ("code", "form"):
        return with_payload(**{field: "??"})(good)
    if kind == "present":
        return with_payload(**{field: None})(good)
    if kind == "range":
        return with_payload(**{field: 10**9})(good)
    if kind.startswith("not_after."):
        later = getattr(good.payload, kind.removeprefix("not_after."))
        return with_payload(**{field: later + timedelta(days=1)})(good)
    raise AssertionError(f"no mutant for {topic} {expectation}")


@pytest.fixture(scope="module")
def runner() -> SuiteRunner:
    """The suites of the project."""
    return SuiteRunner(SUITES)


def test_every_topic_has_a_suite_and_every_suite_a_topic(runner: SuiteRunner) -> None:
    """A topic without a suite is unchecked; a suite without a topic is dead."""
    assert set(runner.suites) == set(PAYLOADS)


@pytest.mark.parametrize("topic", PAYLOADS)
def test_a_good_record_passes(runner: SuiteRunner, topic: str) -> None:
    """All pass; none is without data, so the sample exercises each of them but two that have nothing to look at."""
    outcomes = {one.expectation: one.outcome for one in runner.run(topic, frame_of(topic, [event(topic)], REGIONS))}
    assert {name for name, outcome in outcomes.items() if outcome != "pass"} == set()


@pytest.mark.parametrize(("topic", "expectation"), EVERY)
def test_a_bad_record_fails_its_expectation(runner: SuiteRunner, topic: str, expectation: str) -> None:
    """The planted mutant is found and named by its record id, with the class of the value only."""
    bad = event(topic) if expectation == "event_id.unique" else mutant(topic, expectation)
    events = [bad, bad] if expectation == "event_id.unique" else [bad]
    result = next(one for one in runner.run(topic, frame_of(topic, events, REGIONS)) if one.expectation == expectation)
    assert (result.outcome, result.failed) == ("fail", len(events))
    for example in result.examples:
        assert example.record_id == "R1"
        assert "??" not in example.value_class


@pytest.mark.parametrize("topic", PAYLOADS)
def test_code_lists_in_suites_are_the_hubs(topic: str) -> None:
    """A list grows in one place; the suite that copies it must follow."""
    for expectation in suite(topic):
        name = expectation["meta"].get("codes")
        if name:
            assert expectation["kwargs"]["value_set"] == list(getattr(codes, name)), expectation["meta"]["id"]
        assert expectation["meta"]["dimension"] in codes.DIMENSION


def test_an_empty_frame_and_an_empty_column_are_no_data(runner: SuiteRunner) -> None:
    """A map expectation would pass on both."""
    topic = "justice.status"
    assert {one.outcome for one in runner.run(topic, frame_of(topic, [], REGIONS))} == {"no_data"}
    silent = with_payload(until=None)(event(topic))
    outcomes = {one.expectation: one.outcome for one in runner.run(topic, frame_of(topic, [silent], REGIONS))}
    assert outcomes["since.not_after.until"] == "no_data"


def test_a_missing_column_is_errored_not_failed(runner: SuiteRunner) -> None:
    """The suite is at fault, and the source must not be blamed."""
    topic = "justice.status"
    frame: pd.DataFrame = frame_of(topic, [event(topic)], REGIONS).drop(columns=["kind"])
    outcomes = {one.expectation: one.outcome for one in runner.run(topic, frame)}
    assert (outcomes["kind.code"], outcomes["decided_by.present"]) == ("errored", "pass")


def test_annulled_records_are_not_judged() -> None:
    """An ANNUL has no payload to judge."""
    annulled = event("medical.death")._replace(payload=None)
    assert len(frame_of("medical.death", [annulled], REGIONS)) == 0


@pytest.mark.parametrize("topic", GOOD)
def test_a_frame_holds_no_token(topic: str) -> None:
    """Whom a record is about is not needed to judge it."""
    text = frame_of(topic, [event(topic)], REGIONS).to_csv()
    assert PERSON not in text
    assert OTHER not in text


def test_event_id_tells_versions_and_ends_apart() -> None:
    """A tie is published once for each end."""
    one = event("registration.kinship")
    other_end = with_header(person=OTHER)(one)
    next_version = with_header(version=2)(one)
    assert len({event_id(one), event_id(other_end), event_id(next_version)}) == 3


def test_a_suite_that_is_none_says_so(tmp_path: Path) -> None:
    """The error names the file."""
    (tmp_path / "broken.json").write_text('{"name": "broken", "expectations": [{"type": "expect_nothing"}]}')
    with pytest.raises(ConfigurationError, match=r"broken\.json"):
        SuiteRunner(tmp_path)


def test_days_are_those_of_lishui() -> None:
    """A record of the morning in Lishui is still the day before in UTC."""
    early = with_header(received_at=at_noon_ms(DAY) - 11 * 3_600_000)
    born_today = with_payload(birth_date=DAY)(early(event("registration.resident")))
    assert frame_of("registration.resident", [born_today], REGIONS)["birth_possible"].tolist() == [True]
