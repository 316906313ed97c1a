"""The commit cure that was not chosen, as far as it was built: it loses nothing, and repeats instead of fencing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.domain.messages import Conflict
from hub.stack import LocalStack
from hub.streams.state import PartitionState
from tests.benchmarks import state_first
from tests.benchmarks.state_first import MARKER, Kept, Marker, Restored
from tests.integration.streams import ledger
from tests.integration.streams.conftest import Bench, bench_on, wait_exit

POINTS = ("after_states", "after_outputs")
"""Between state and outputs, and between outputs and marker: elsewhere it does nothing that the other cure does not."""


@pytest.fixture
def bench(own_stack: LocalStack, tmp_path: Path) -> Iterator[Bench]:
    """A bench on this module's broker."""
    with bench_on(own_stack, tmp_path) as made:
        for topic in ledger.INPUTS:
            for value in ledger.read_committed(made.settings, topic.name):
                made.sent.append(made.codec.decode(topic.name, value))  # type: ignore[arg-type]  # inputs hold events
        yield made


@pytest.mark.parametrize("point", POINTS)
def test_killed_between_any_two_steps_it_loses_nothing(
    bench: Bench, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told may be told once more, in the same words; the state is right."""
    monkeypatch.setattr(PartitionState, "load", state_first.load)
    name = point.replace("_", "-")
    bench.ledger(name)
    bench.send(300)
    worker = bench.worker(name, f"{name}-first", ready=False, LEDGER_KILL=f"{point}:3", LEDGER_MUTANT="marker")
    assert wait_exit(worker) == -signal.SIGKILL, worker.log_tail()
    bench.send(100)
    bench.worker(name, f"{name}-last", LEDGER_MUTANT="marker")
    found = [fault for fault in bench.faults(name) if " was told as " not in fault]
    assert found == []
    told: dict[tuple[str, int], set[str]] = {}
    for value in ledger.read_committed(bench.settings, ledger.OUTPUT.name):
        telling = bench.codec.decode(ledger.OUTPUT.name, value)
        if isinstance(telling, Conflict) and telling.kind == name:
            told.setdefault((telling.person, telling.sequence), set()).add(telling.field)
    assert all(len(words) == 1 for words in told.values())


def test_without_its_marker_it_would_lose(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that publishes nothing again leaves a gap: so the check above can fail."""
    monkeypatch.setattr(PartitionState, "load", state_first.load)
    bench.ledger("unmarked")
    bench.send(300)
    worker = bench.worker("unmarked", "unmarked-1", ready=False, LEDGER_KILL="after_states:3", LEDGER_MUTANT="marker")
    assert wait_exit(worker) == -signal.SIGKILL, worker.log_tail()
    bench.worker("unmarked", "unmarked-2", LEDGER_MUTANT="marker", LEDGER_FORGET="1")
    assert [fault for fault in bench.faults("unmarked") if " was told last as " in fault or " was told as " in fault]


def test_a_zombies_record_is_left_out_until_it_is_compacted() -> None:
    """Epochs close the one, nothing closes the other: the owner's record is gone, and the zombie's is not counted."""
    owner = (b"k", state_first.encode(Kept(2, 5, b"owner", ())))
    zombie = (b"k", state_first.encode(Kept(1, 9, b"zombie", ())))
    marker = (MARKER, state_first.encode(Marker(2, 5, {"t": 5})))
    whole, compacted = Restored(), Restored()
    for key, value in (marker, owner, zombie):
        whole.load(key, value)
    assert whole.states == {b"k": b"owner"}
    for key, value in (marker, zombie):  # what compaction leaves: the newest record of each key
        compacted.load(key, value)
    assert compacted.states == {}
