"""Killed anywhere, fenced, restarted: a worker loses nothing and invents nothing, and the check can fail."""

from __future__ import annotations

import signal
import threading

import pytest
from confluent_kafka import KafkaException

from hub.errors import Fenced
from hub.streams.commit import Outgoing, Writer
from hub.streams.restore import restore
from hub.streams.state import PartitionState, Slot
from hub.streams.topics import QUARANTINE
from tests.integration.streams import ledger
from tests.integration.streams.conftest import Bench, wait_exit

KILLED = -signal.SIGKILL


@pytest.mark.parametrize("point", ["after_decode", "after_produce_before_commit", "after_commit"])
def test_killed_at_any_point_nothing_is_lost_or_invented(bench: Bench, point: str) -> None:
    """Twice at the point, each time in a batch that is under way, with more records coming in between."""
    name = point.replace("_", "-")
    bench.ledger(name)
    bench.send(400)
    for start in ("first", "second"):
        worker = bench.worker(name, f"{name}-{start}", ready=False, LEDGER_KILL=f"{point}:3")
        assert wait_exit(worker) == KILLED, worker.log_tail()
        bench.send_and_abort(50)
        bench.send(150)
    bench.worker(name, f"{name}-last")
    bench.send(150)
    assert bench.faults(name) == []


@pytest.mark.parametrize("mutant", ["outputs_first", "state_first"])
def test_the_check_sees_both_wrong_orders(bench: Bench, mutant: str) -> None:
    """The same kill between the halves of a commit that is not one: a telling is doubled, or lost."""
    name = mutant.replace("_", "-")
    bench.ledger(name)
    bench.send(400)
    worker = bench.worker(name, f"{name}-first", ready=False, LEDGER_KILL="after_commit:3", LEDGER_MUTANT=mutant)
    assert wait_exit(worker) == KILLED, worker.log_tail()
    bench.worker(name, f"{name}-last")
    assert bench.faults(name) != []


def test_workers_share_the_work_and_take_over(bench: Bench) -> None:
    """One joins and leaves in order, one joins and the other is killed; records come in all the while.

    The first loses partitions and gets them back: had it kept them meanwhile, it would find itself fenced and end.
    """
    bench.ledger("shared")
    first = bench.worker("shared", "shared")
    bench.send(300)
    second = bench.worker("shared", "shared")
    bench.send(300)
    second.terminate()
    assert second.exit_code == 0
    bench.send(300)
    assert bench.faults("shared") == []
    assert first.running, first.log_tail()
    bench.worker("shared", "shared")
    bench.send(100)
    first.kill()
    bench.send(300)
    assert bench.faults("shared") == []


def outgoing(bench: Bench, value: bytes) -> Outgoing:
    """A message that only a transaction carries."""
    return Outgoing(QUARANTINE.name, b"key", value, None)


def test_a_new_owner_fences_the_old_and_sees_none_of_its_open_transaction(bench: Bench) -> None:
    """What the old one had begun never becomes visible, and it learns that it is no longer the owner."""
    bench.ledger("fenced")
    slot, changelog = Slot("ledger-fenced", 0), ledger.state_topic("fenced").name
    old, new = Writer(bench.settings, slot, changelog), Writer(bench.settings, slot, changelog)
    old.open()
    state = ledger.stage("fenced").encode(ledger.Held(sequence=1))
    old.commit([outgoing(bench, b"committed")], {"a": state}, {"t": 1})

    def taken_over(point: str) -> None:
        if point == "after_produce_before_commit":
            new.open()

    old._passing = taken_over
    with pytest.raises(Fenced):
        old.commit([outgoing(bench, b"phantom")], {"b": state}, {"t": 2})
    held = PartitionState(ledger.stage("fenced"), 0)
    assert restore(bench.settings, [held], threading.Event())
    assert (list(held.keys()), held.offsets) == (["a"], {"t": 1})
    values = ledger.read_committed(bench.settings, QUARANTINE.name)
    assert b"committed" in values
    assert b"phantom" not in values
    new.commit([], {"b": state}, {"t": 2})
    old.close()
    new.close()


def test_a_restore_ends_behind_trailing_markers(bench: Bench) -> None:
    """The last entries of the log are markers, of commits and of an abort; some partitions are empty."""
    bench.ledger("markers")
    stage = ledger.stage("markers")
    writer = Writer(bench.settings, Slot(stage.name, 1), stage.state_topic.name)
    writer.open()
    for sequence in range(1, 6):
        writer.commit([], {"a": stage.encode(ledger.Held(sequence=sequence))}, {"t": sequence})

    class Stop(Exception):
        """Leaves a transaction open."""

    def stop(point: str) -> None:
        if point == "after_produce_before_commit":
            raise Stop

    writer._passing = stop
    with pytest.raises(Stop):
        writer.commit([], {"a": stage.encode(ledger.Held(sequence=99))}, {"t": 99})
    successor = Writer(bench.settings, Slot(stage.name, 1), stage.state_topic.name)
    successor.open()
    with pytest.raises(KafkaException):
        writer._producer.commit_transaction(10)
    parts = ledger.restored(bench.settings, "markers")
    assert [len(part) for part in parts] == [0, 1, 0, 0, 0]
    assert parts[1].get("a").sequence == 5
    assert parts[1].offsets == {"t": 5}
    writer.close()
    successor.close()
