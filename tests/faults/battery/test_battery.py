"""The battery's short form: planted mutants are caught, and under each kind of fault every invariant holds.

One seed a fault, one broker for all; `make faults` runs every fault under ten seeds, and three brokers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.battery.faults import FAULTS
from tests.faults.battery.generator import ORDINARY, POISON, POISONED, items
from tests.faults.battery.ground import PARTITIONS
from tests.faults.battery.invariants import INVARIANTS
from tests.faults.battery.mutants import MUTANTS
from tests.faults.battery.rounds import CONTROLS, Control, Grounds, Planned, good, line, one_case

SHORT = ("kill-some", "paused", "churn", "broker-killed", "refused", "clock-ahead")
"""Of most kinds one; disorder and poison are in every input. The others are long, or have tests of their own."""


EVENTS = 220
"""Half of them say who there is, the others what happens: enough for a few dozen alerts."""


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    """A broker, a registry and a nursery for all cases of this file."""
    made = Grounds(tmp_path_factory.mktemp("battery"))
    yield made
    made.close()


TRIES = 4
"""Seeds in which a mutant must be caught once."""


def test_every_mutant_has_its_control() -> None:
    assert {control.mutant for control in CONTROLS} == set(MUTANTS)
    assert {control.fault for control in CONTROLS} <= set(FAULTS)


def test_the_same_seed_gives_the_same_input_and_another_one_another() -> None:
    assert items(7, ORDINARY, PARTITIONS) == items(7, ORDINARY, PARTITIONS)
    assert items(7, ORDINARY, PARTITIONS) != items(8, ORDINARY, PARTITIONS)
    assert {item.spoilt for item in items(7, POISONED, PARTITIONS)} == {None, *POISON}


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.mutant)
def test_a_planted_mutant_is_caught(control: Control, grounds: Grounds, tmp_path: Path) -> None:
    """Some invariant breaks, and another one than that of catching up, which a slow machine could break.

    A kill may miss the window between two writes, so a mutant has some seeds in which to be caught; all must not miss.
    """
    seen = []
    for number in range(TRIES):
        planned = Planned(control.fault, control.seed + number, control.mutant)
        result = one_case(grounds, tmp_path / str(number), planned, replay=False, events=EVENTS)
        if good(result):
            return
        seen.append(line(result))
    pytest.fail("\n".join(seen))


@pytest.mark.parametrize("fault", SHORT)
def test_every_invariant_holds_under(fault: str, grounds: Grounds, tmp_path: Path) -> None:
    """All that the case asked; the first also reads everything again from the first record."""
    result = one_case(grounds, tmp_path, Planned(fault, 1), replay=fault == SHORT[0], events=EVENTS)
    assert result.skipped is None
    assert good(result), line(result)
    assert result.alerts > 0
    asked = {verdict.name for verdict in result.verdicts if verdict.held is not None}
    assert set(INVARIANTS) - asked <= {"no-growth", "replay-is-silent"}
    assert not [note for note in result.notes if note.startswith("not seen")], line(result)
