"""Records that are damaged on the broker's disk: whoever reads them ends and says so; mended, nothing was lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from hub.errors import LogDamaged
from hub.stack import LocalStack
from hub.store.db import migrate, open_store
from hub.streams.activation import activate_policy, current, held_by
from hub.streams.admin import create_topics
from hub.streams.consumers import StoreConsumer
from hub.streams.reading import to_end
from hub.streams.restore import restore
from hub.streams.schemas import register
from hub.streams.state import PartitionState
from hub.streams.topics import POLICY
from tests.integration.streams import ledger
from tests.integration.streams.conftest import Bench, bench_on, wait_exit
from tests.integration.streams.hub_worker import chosen_law

TOPIC = ledger.INPUTS[0].name
NAME = "damaged"
LAW = chosen_law(None, None)


class Disk:
    """The files of a broker that a test may start and stop."""

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._whole: dict[Path, bytes] = {}

    def spoil(self, how: str, *topics: str) -> None:
        """Change or cut off the last batch of each partition; a broker stopped in order does not look at its start."""
        self._stack.broker.stop()
        for file in (file for topic in topics for file in self._folder.rglob(f"{topic}-*/*.log")):
            held = file.read_bytes()
            if held:
                self._whole[file] = held
                file.write_bytes(held[:-3] + bytes([held[-3] ^ 0x55]) + held[-2:] if how == "changed" else held[:-7])
        assert self._whole
        self._start()

    def mend(self) -> None:
        """Put back what was there."""
        self._stack.broker.stop()
        for file, held in self._whole.items():
            file.write_bytes(held)
        self._start()

    def _start(self) -> None:
        self._stack.broker.start()
        self._stack.broker.wait_ready()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Bench, Disk]]:
    """A bench whose ledger has sent its records, and the disk they lie on."""
    with LocalStack(tmp_path / "stack") as stack, bench_on(stack, tmp_path / "hub") as bench:
        bench.ledger(NAME)
        bench.send(200)
        yield bench, Disk(stack, tmp_path / "stack")


@pytest.mark.parametrize("how", ["changed", "truncated"])
def test_a_worker_ends_and_goes_on_when_it_is_mended(disk: tuple[Bench, Disk], how: str) -> None:
    """What was changed has another checksum. What was cut off is gone for Kafka too: the topic ends before what was
    folded in, and what is sent next would get offsets that count as read."""
    bench, files = disk
    if how == "truncated":
        worker = bench.worker(NAME, "whole")
        assert bench.faults(NAME) == []
        worker.terminate()
    files.spoil(how, TOPIC)
    worker = bench.worker(NAME, "harmed", ready=False)
    assert wait_exit(worker) == 1, worker.log_tail()
    assert '"reason": "log_damaged"' in worker.log_tail()
    assert TOPIC in worker.log_tail()
    files.mend()
    bench.worker(NAME, "mended")
    bench.send(20)
    assert bench.faults(NAME) == []


def test_whoever_else_reads_stops_before_it(disk: tuple[Bench, Disk], tmp_path: Path) -> None:
    """librdkafka would go on behind it: a restore would forget a state, a dispatcher an alert, a worker the law."""
    bench, files = disk
    worker = bench.worker(NAME, "whole")
    assert bench.faults(NAME) == []
    worker.terminate()
    state = ledger.state_topic(NAME).name
    settings, partitions = bench.settings, range(bench.settings.partitions)
    create_topics(settings, [POLICY])
    register(settings.registry_url, [POLICY.name])
    activate_policy(settings, bench.codec, held_by(LAW, 0))
    files.spoil("changed", state, POLICY.name)
    with pytest.raises(LogDamaged, match=state):
        restore(settings, [PartitionState(ledger.stage(NAME), at) for at in partitions], threading.Event())
    with pytest.raises(LogDamaged, match=state):
        list(to_end(settings, "look", [TopicPartition(state, at, 0) for at in partitions]))
    with pytest.raises(LogDamaged, match=POLICY.name):
        current(settings)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    migrate(url)
    engine = open_store(url)
    with closing(StoreConsumer(settings, NAME, [state], engine)) as consumer, pytest.raises(LogDamaged, match=state):
        for _ in range(50):
            consumer.poll(1_000, 0.5)
    engine.dispose()
