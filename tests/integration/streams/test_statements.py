"""A statement about a whole region: every home is decided again, a budget at a time, and though killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.discovery.topology import LocalTopology
from hub.domain.messages import Event
from hub.stack import LocalStack
from hub.streams.intake import owner_key
from hub.streams.producers import producer
from hub.streams.stages import stages_of
from tests.integration.streams.conftest import wait_exit
from tests.integration.streams.hub_worker import chosen_law
from tests.integration.streams.town import PARTITIONS, Town, family, town_on
from tests.topology.records import NOON, covered, event, resident


@pytest.fixture
def town(own_stack: LocalStack, tmp_path: Path) -> Iterator[Town]:
    """A town without records."""
    with town_on(own_stack, tmp_path) as made:
        yield made


def state_everywhere(town: Town, statement: Event) -> None:
    """As a connector sends it: to every partition, under its source."""
    sender = producer(town.settings)
    data = town.codec.encode("source.coverage.v1", statement)
    for partition in range(PARTITIONS):
        sender.send("source.coverage.v1", str(owner_key(statement)), data, partition=partition)
    sender.flush()
    sender.close()


def test_every_home_is_decided_again_once_though_killed_in_the_middle(town: Town) -> None:
    """No look takes more than its budget; what the statement settles is told once, by all homes in the end."""
    law = chosen_law(None, None)
    events = [one for number in range(12) for one in family(number)]
    events += [event(f"{9000 + number:032x}", resident()) for number in range(20)]  # of whom no benefit is known
    town.send(events)
    first = town.worker()
    town.settle(law)
    first.terminate()
    before = {(alert.alert_id, alert.revision) for alert in town.alerts()}

    statement = covered("assistance.benefit")
    state_everywhere(town, statement)
    killed = town.worker(ready=False, LAW_BUDGET="3", LAW_KILL="after_commit:8")
    assert wait_exit(killed) == -signal.SIGKILL
    parts = [part for stage in stages_of(law) for part in town.parts(stage)]
    assert any(part.restated for part in parts), "it was killed before the sweep, or behind it"

    town.worker(LAW_BUDGET="3")
    town.settle(law)
    told = [alert for alert in town.alerts() if (alert.alert_id, alert.revision) not in before]
    assert len(told) >= 20
    assert {(alert.rule, alert.state) for alert in told} == {("unserved", "OPEN")}
    assert len({alert.alert_id for alert in told}) == len(told), "nothing was told twice"
    expected = LocalTopology(law, partitions=1, clock=NOON)
    expected.send([*events, statement])
    mine = {home: {rule: held.truth for rule, held in state.rules.items()} for home, state in town.homes(law).items()}
    theirs = {
        home: {rule: held.truth for rule, held in state.rules.items()} for home, state in expected.homes().items()
    }
    assert mine == theirs
