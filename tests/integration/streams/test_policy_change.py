"""A figure changes, or what a rule reads: homes are decided again, once, under the active pack, though killed."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli import policy
from hub.domain.messages import Event
from hub.domain.times import local_date
from hub.stack import LocalStack
from tests.integration.streams.conftest import wait_exit
from tests.integration.streams.hub_worker import chosen_law
from tests.integration.streams.town import BORN_EIGHTY, Town, family, monkeypatched, town_on, treated

RAISED = "150000"
POOR, RICH = range(10), range(10, 16)
REGION = "331102"


@pytest.fixture
def town(own_stack: LocalStack, tmp_path: Path) -> Iterator[Town]:
    """A town without records."""
    with town_on(own_stack, tmp_path) as made:
        yield made


def households() -> list[list[Event]]:
    """Ten families below the line, six above it; one of four of those is of persons over eighty."""
    made = [family(number, born=BORN_EIGHTY if number % 4 == 0 else None) for number in POOR]
    return made + [family(number, fen=500_000) for number in RICH]


def revisions(town: Town) -> Counter[tuple[str, str, str]]:
    """How often each (rule, state, cause) was told."""
    return Counter((alert.rule, alert.state, alert.cause) for alert in town.alerts())


def test_a_figure_that_changes_amends_what_it_changes_once_though_killed_in_the_middle(town: Town) -> None:
    """The sweep goes on where it was killed, a budget at a time; what the figure does not touch is not told again."""
    old, new = chosen_law(None, None), chosen_law(RAISED, None)
    for events in households():
        town.send(events)
    first = town.worker()
    town.settle(old)
    opened = revisions(town)
    assert (opened["poor", "OPEN", "facts"], opened["eighty", "OPEN", "facts"]) == (len(POOR), 6)
    told = {alert.alert_id: alert.revision for alert in town.alerts()}
    first.terminate()

    waiting = town.worker(ready=False, LAW_LINE=RAISED)
    town.until(lambda: "hub policy activate" in town.says(waiting), "the reason for waiting")
    waiting.terminate()
    assert revisions(town) == opened

    town.activate(new)
    killed = town.worker(ready=False, LAW_LINE=RAISED, LAW_BUDGET="3", LAW_KILL="after_commit:6")
    assert wait_exit(killed) == -signal.SIGKILL
    homes = town.homes(new)
    swept = [home for home, state in homes.items() if state.policy_hash == new.policy_hash(REGION)]
    assert 0 < len(swept) <= 6 * 3, "a look takes no more than its budget"
    assert len(swept) < len(homes)

    town.worker(LAW_LINE=RAISED)
    town.settle(new)
    assert {state.policy_hash for state in town.homes(new).values()} == {new.policy_hash(REGION)}
    amended = {("poor", "AMENDED", "policy"): len(POOR)}
    assert revisions(town) == opened + Counter(amended)
    newest = {alert.alert_id: alert for alert in town.alerts() if alert.rule == "poor"}
    assert {alert.amount_fen for alert in newest.values()} == {2 * (int(RAISED) - 10_000)}
    assert all(alert.revision == told[alert.alert_id] + 1 for alert in newest.values())


def test_a_rolling_restart_does_not_flap(town: Town) -> None:
    """Beside a worker of the new pack an old one ends, and started again it waits: no home is decided back."""
    new = chosen_law(RAISED, None)
    for events in households():
        town.send(events)
    old_one = town.worker()
    town.settle(chosen_law(None, None))
    before = revisions(town)
    new_one = town.worker(ready=False, LAW_LINE=RAISED)
    town.until(lambda: "hub policy activate" in town.says(new_one), "the reason for waiting")
    assert old_one.running

    town.activate(new)
    assert wait_exit(old_one) == 75, "started again it waits"
    town.until(lambda: "slots" in town.says(new_one), "the new one's turn")
    again = town.worker(ready=False)
    town.until(lambda: "hub policy activate" in town.says(again), "the reason for waiting")
    town.settle(new)
    assert revisions(town) == before + Counter({("poor", "AMENDED", "policy"): len(POOR)})
    new_one.terminate()  # the old one is alone now, and would take everything over
    time.sleep(8)  # a session and some looks: in less than that it would have decided
    assert again.running
    assert {state.policy_hash for state in town.homes(new).values()} == {new.policy_hash(REGION)}
    assert revisions(town) == before + Counter({("poor", "AMENDED", "policy"): len(POOR)})
    town.activate(chosen_law(None, None))
    town.until(lambda: "slots" in town.says(again), "the old pack's turn")
    town.settle(chosen_law(None, None))
    assert revisions(town) == before + Counter({("poor", "AMENDED", "policy"): 2 * len(POOR)})


def test_rules_that_read_more_are_told_of_a_home_when_all_of_it_was_contributed_anew(town: Town) -> None:
    """Half of a household would have said no; nothing is said of it before the other half has come, though killed."""
    old, new = chosen_law(None, "poor,eighty"), chosen_law(None, None)
    today = local_date(time.time_ns() // 1_000_000)
    for number in POOR:
        town.send(family(number) + treated(number, 3_000_000, today - timedelta(days=30)))
    first = town.worker(LAW_RULES="poor,eighty")
    town.settle(old)
    before = revisions(town)
    assert before["poor", "OPEN", "facts"] == len(POOR)
    first.terminate()

    town.activate(new)
    killed = town.worker(ready=False, LAW_BUDGET="3", LAW_KILL="after_commit:4")
    assert wait_exit(killed) == -signal.SIGKILL
    renewed = [one for one, state in town.persons(new).items() if state.reads == new.reads()]
    assert 0 < len(renewed) < 2 * len(POOR)
    town.worker(LAW_BUDGET="3")
    town.settle(new)

    def all_renewed() -> bool:
        return all(state.reads == new.reads() for state in town.persons(new).values())

    town.until(all_renewed, "every person's turn")
    town.settle(new)
    assert revisions(town) == before + Counter({("spent", "OPEN", "policy"): len(POOR)})
    spoken = Counter((finding.subject, finding.truth) for finding in town.findings() if finding.rule == "spent")
    assert set(spoken) == {(f"household:h{number}", "yes") for number in POOR}
    assert set(spoken.values()) == {1}


def test_the_commands_say_what_is_active_and_change_it(town: Town) -> None:
    """Nothing at first; then a pack, and that another one is held here."""

    def hub(word: str, overlay: str = "") -> tuple[int, str]:
        with monkeypatched(town, HUB_OVERLAY=overlay):
            done = CliRunner().invoke(policy.command, [word])
        return done.exit_code, done.output

    code, said = hub("status")
    assert (code, said.startswith("nothing was activated yet")) == (0, True)
    assert "is active, was none" in hub("activate")[1]
    assert "is the active one already" in hub("activate")[1]
    assert hub("status")[0] == 0
    code, said = hub("status", "demo")
    assert code == 1
    assert "waits: policy pack" in said
    held = hub("show", "demo")[1].splitlines()[0].split()[1]
    assert f"policy {held} is active" in hub("activate", "demo")[1]
    assert hub("status", "demo")[0] == 0
    assert hub("status")[0] == 1
