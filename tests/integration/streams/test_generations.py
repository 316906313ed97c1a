"""A fold changes: the next generation is built beside the old from the log, compared, and takes over.

What is planted is a fold that does not see some records. Everything else must stay unsaid.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli import generation as commands
from hub.domain.messages import Alert, Event
from hub.errors import ConfigurationError
from hub.stack import LocalStack, ManagedProcess
from hub.streams import stages
from hub.streams.admin import create_topics
from hub.streams.generations import abandon, compare, switch
from hub.streams.stages import next_stages
from hub.streams.takeover import TAKEN_OVER
from hub.streams.topics import topics_of
from tests.integration.streams.conftest import wait_exit
from tests.integration.streams.hub_worker import UNSEEN_BIRTH, UNSEEN_FEN, chosen_law
from tests.integration.streams.town import BORN_EIGHTY, Town, family, monkeypatched, person, town_on
from tests.topology.records import benefit, event, member, resident
from tests.topology.small_law import LINE_FEN

LAW = chosen_law(None, None)
ALIKE = range(8)
AMENDED = (20, 21)
OPENED, VANISHED, TWO_BIRTHS, TWO_HOMES = 30, 40, 50, 60

Told = tuple[str, str, str]
"""Rule, home, state."""


@pytest.fixture
def town(own_stack: LocalStack, tmp_path: Path) -> Iterator[Town]:
    """A town without records."""
    with town_on(own_stack, tmp_path) as made:
        yield made


def records() -> list[Event]:
    """Families on which both folds agree, and some of each kind of difference."""
    made: list[Event] = []
    for number in ALIKE:
        made += family(number, born=BORN_EIGHTY if number % 3 == 0 else None)
    for number in AMENDED:
        made += family(number, fen=UNSEEN_FEN)
    # Above the line by the benefit that is not seen any more.
    made += family(OPENED, fen=2 * LINE_FEN - 1000, members=1)[:2]
    made += [event(person(100 * OPENED), benefit(amount_fen=LINE_FEN - 1000))]
    made += [event(person(100 * OPENED), benefit(amount_fen=UNSEEN_FEN), "2")]
    # Nobody is left in the next generation who knows this person.
    made += [event(person(VANISHED), resident(birth_date=UNSEEN_BIRTH))]
    # A conflict that goes, and one that stays.
    made += [event(person(TWO_BIRTHS), resident(birth_date=UNSEEN_BIRTH))]
    made += [event(person(TWO_BIRTHS), resident(birth_date=date(1960, 1, 1)), "2")]
    made += [event(person(TWO_HOMES), member("x")), event(person(TWO_HOMES), member("y"), "2")]
    return made


DIFFERENCES: Counter[Told] = Counter(
    {
        **{("poor", f"household:h{number}", "AMENDED"): 1 for number in AMENDED},
        ("poor", f"household:h{OPENED}", "OPEN"): 1,
        ("eighty", f"person:{person(VANISHED)}", "WITHDRAWN"): 1,
    }
)


def told(alerts: list[Alert]) -> Counter[Told]:
    """Alerts by what they say of whom."""
    return Counter((alert.rule, alert.home, alert.state) for alert in alerts)


def built(town: Town, generation: int) -> ManagedProcess:
    """A build of a generation, killed in the middle and started again; all is folded in."""
    create_topics(town.settings, topics_of(generation))
    number = str(generation)
    killed = town.worker(
        ready=False, HUB_GENERATION=number, LAW_BUILD="yes", LAW_PLANT="unseen", LAW_KILL="after_commit:2"
    )
    assert wait_exit(killed) == -signal.SIGKILL
    build = town.worker(HUB_GENERATION=number, LAW_BUILD="yes", LAW_PLANT="unseen")
    town.settle(LAW, generation, unheard=True)
    return build


def test_a_fold_that_changes_is_built_beside_compared_and_tells_only_the_differences(town: Town) -> None:
    """Killed while it is built and while it takes over; an old worker that does not hear of the switch is fenced."""
    town.send(records())
    old = town.worker(LAW_BLIND="yes")
    town.settle(LAW)
    build = built(town, 1)
    town.send(family(70))  # both generations read on while the next one is built
    town.settle(LAW)
    town.settle(LAW, 1, unheard=True)
    before, conflicts_before = town.alerts(), town.conflicts()
    assert told(before)["poor", "household:h70", "OPEN"] == 1, "a build says nothing"
    assert len({(alert.alert_id, alert.revision) for alert in before}) == len(before), "nor the same again"

    found = compare(town.settings, LAW, 1)
    assert told(found.alerts) == DIFFERENCES
    assert found.conflicts == Counter({("birth_dates_differ", "CLOSED"): 1})
    with monkeypatched(town, HUB_GENERATION="1", COLUMNS="200") as patch:
        patch.setattr(stages, "law_of", lambda _settings: LAW)
        shown = CliRunner().invoke(commands.command, ["compare"]).output
    assert all(alert.alert_id in shown.replace("\n", "") for alert in found.alerts)
    assert person(VANISHED) not in shown

    early = town.worker(ready=False, HUB_GENERATION="1", LAW_PLANT="unseen")
    town.until(lambda: "not yet 1" in town.says(early), "the reason for waiting")
    early.terminate()
    town.until(lambda: not compare(town.settings, LAW, 1).behind, "a build that has read everything")
    switch(town.settings, LAW, 1)
    assert wait_exit(build) == 75
    killed = town.worker(ready=False, HUB_GENERATION="1", LAW_PLANT="unseen", LAW_BUDGET="3", LAW_KILL="after_commit:5")
    assert wait_exit(killed) == -signal.SIGKILL
    tells = town.worker(HUB_GENERATION="1", LAW_PLANT="unseen", LAW_BUDGET="10")
    assert old.running
    town.send(family(71))
    assert wait_exit(old) != 0
    assert '"reason": "fenced"' in old.log_tail()
    town.settle(LAW, 1)
    town.until(lambda: taken_over(town), "the mark that all was taken over")

    after = town.alerts()
    assert told(after) == told(before) + DIFFERENCES + Counter({("poor", "household:h71", "OPEN"): 1})
    differences = {(alert.alert_id, alert.revision) for alert in found.alerts}
    assert differences <= {(alert.alert_id, alert.revision) for alert in after}
    assert len({(alert.alert_id, alert.revision) for alert in after}) == len(after)
    assert {alert.cause for alert in after if (alert.alert_id, alert.revision) in differences} == {"policy"}
    assert len(town.conflicts()) == len(conflicts_before) + 1
    newest = {one.conflict_id: one for one in sorted(town.conflicts(), key=lambda one: one.sequence)}
    assert Counter((one.kind, one.state) for one in newest.values()) == Counter(
        {("birth_dates_differ", "CLOSED"): 1, ("two_live_households", "OPEN"): 1}
    )

    tells.terminate()
    town.worker(HUB_GENERATION="1", LAW_PLANT="unseen")
    again = town.worker(ready=False)
    town.until(lambda: "HUB_GENERATION=1" in town.says(again), "the reason for waiting")
    town.send([event(person(0), benefit(amount_fen=20_000), version=2)])
    town.settle(LAW, 1)
    assert told(town.alerts()) == told(after) + Counter({("poor", "household:h0", "AMENDED"): 1})
    assert len(town.conflicts()) == len(conflicts_before) + 1

    built(town, 2)
    same = compare(town.settings, LAW, 2)
    assert (same.alerts, same.conflicts) == ([], Counter()), "the same fold again has nothing to tell"
    assert same.homes > 0


def test_a_switch_refuses_what_cannot_follow_and_may_be_given_up(town: Town) -> None:
    """Nothing active; a build that never ran; an abandoned switch lets the generation before go on."""
    create_topics(town.settings, topics_of(1))
    with pytest.raises(ConfigurationError, match="nothing is active"):
        switch(town.settings, LAW, 1)
    town.send(family(1))
    old = town.worker()
    town.settle(LAW)
    with pytest.raises(ConfigurationError, match="cannot follow"):
        switch(town.settings, LAW, -1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.streams.generations.CATCH_UP_S", 0.0)
        with pytest.raises(Exception, match="--abandon"):
            switch(town.settings, LAW, 1)
    assert wait_exit(old) in (1, 75)
    waits = town.worker(ready=False)
    town.until(lambda: "taking over" in town.says(waits), "the reason for waiting")
    active = abandon(town.settings)
    assert active is not None
    assert (active.generation, active.switching_to) == (0, None)
    town.until(lambda: "slots" in town.says(waits), "its turn")
    town.send(family(2))
    town.settle(LAW)
    assert told(town.alerts()) == Counter({("poor", f"household:h{n}", "OPEN"): 1 for n in (1, 2)})


def taken_over(town: Town) -> bool:
    """Whether each partition of the first generation says so."""
    return all(TAKEN_OVER in part.offsets for stage in next_stages(LAW, 1) for part in town.parts(stage))
