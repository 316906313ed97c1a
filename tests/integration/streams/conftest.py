"""A broker and a registry for the worker's tests, and a bench that sends records and runs ledger workers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer as KafkaProducer

from hub.demo.parts import environment_of
from hub.domain.facts import Settlement
from hub.domain.messages import Event
from hub.settings import Settings
from hub.stack import LocalStack, ManagedProcess, free_port
from hub.streams.admin import create_topics
from hub.streams.codec import Codec
from hub.streams.producers import producer
from hub.streams.schemas import register
from hub.streams.topics import QUARANTINE
from hub.vault.keys import init_keys
from tests.integration.streams import ledger
from tests.unit.quality.samples import event

READY_S = 60.0
EXIT_S = 60.0


class Bench:
    """Sends events, remembers them, and starts ledger workers on what was sent."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.codec = Codec(settings.registry_url)
        self.sent: list[Event] = []
        self._producer = producer(settings)
        self._workers: list[ManagedProcess] = []

    def ledger(self, name: str) -> None:
        """Make the topics of a ledger."""
        create_topics(self.settings, ledger.topics(name))

    def send(self, count: int) -> None:
        """Send `count` events: settlements and their corrections, registrations in between."""
        self.send_events(self._made(count))

    def send_events(self, events: Iterable[Event], *, remember: bool = True) -> None:
        """Send events. Not remembered are those that a ledger must not fold in."""
        for made in events:
            if remember:
                self.sent.append(made)
            self._producer.send(f"{made.topic}.v1", str(made.header.person), self.encoded(made))
        self._producer.flush()

    def send_and_abort(self, count: int) -> None:
        """Send events in a transaction that is aborted: nobody may ever take them for sent."""
        sender = KafkaProducer(
            {"bootstrap.servers": self.settings.brokers, "transactional.id": "bench", "partitioner": "murmur2_random"}
        )
        sender.init_transactions(30)
        sender.begin_transaction()
        for number in range(count):
            person = f"{number % 97:032x}"
            # Versions beyond all others: who takes one of these for sent keeps its amount for good.
            made = _with(event("medical.settlement"), person, f"{person}-{number % 7}", 10_000_000 + number)
            sender.produce(f"{made.topic}.v1", self.encoded(made), person)
        sender.flush(30)
        sender.abort_transaction(30)
        sender.close()

    def encoded(self, made: Event) -> bytes:
        """Bytes of an event."""
        return self.codec.encode(f"{made.topic}.v1", made)

    def _made(self, count: int) -> Iterator[Event]:
        first = len(self.sent)
        for number in range(first, first + count):
            person = f"{number % 97:032x}"
            if number % 10 == 0:
                made = _with(event("registration.resident"), person, f"resident-{person}", 1 + number)
            else:
                record = f"{person}-{number % 7}"
                made = _with(event("medical.settlement"), person, record, 1 + number)
                assert isinstance(made.payload, Settlement)
                # Amounts come and go, so that a change within one batch is no change in another.
                payload = msgspec.structs.replace(made.payload, total_fen=100 * (number % 3))
                made = made._replace(payload=None if number % 31 == 0 else payload)
                if made.payload is None:
                    made = made._replace(header=msgspec.structs.replace(made.header, change="ANNUL"))
            yield made

    def worker(self, name: str, group: str, *, ready: bool = True, **env: str) -> ManagedProcess:
        """Start a worker. A group of its own each time: what a group knows is not what state rests on."""
        port = env.pop("HUB_WORKER_PORT", str(free_port()))
        module = env.pop("MODULE", "ledger_worker")
        worker = ManagedProcess(
            f"ledger {name}",
            [sys.executable, "-m", f"tests.integration.streams.{module}", name, group],
            self.folder / f"{name}-{group}-{len(self._workers)}.log",
            cwd=Path(__file__).parents[3],
            env=self.env(HUB_WORKER_PORT=port, **env),
        )
        self._workers.append(worker)
        worker.start()
        if ready:
            worker.wait_ready(f"http://127.0.0.1:{port}/ready", READY_S)
        return worker

    def env(self, **more: str) -> dict[str, str]:
        """Settings of this bench as an environment."""
        return environment_of(self.settings) | more

    def faults(self, name: str) -> list[str]:
        """What is wrong with a ledger once it has folded everything in."""
        ledger.wait_folded(self.settings, name)
        return ledger.faults(self.settings, name, self.sent, self.codec)

    def close(self) -> None:
        """Stop what still runs."""
        for worker in self._workers:
            worker.terminate()
        self.codec.close()
        self._producer.close()


def wait_exit(worker: ManagedProcess) -> int | None:
    """Exit code of a worker that ends by itself."""
    deadline = time.monotonic() + EXIT_S
    while worker.exit_code is None:
        assert time.monotonic() < deadline, f"{worker.name} did not end: {worker.log_tail()}"
        time.sleep(0.1)
    return worker.exit_code


def _with(made: Event, person: str, record_id: str, version: int) -> Event:
    return made._replace(
        header=msgspec.structs.replace(made.header, person=person, record_id=record_id, version=version)
    )


@contextmanager
def bench_on(stack: LocalStack, folder: Path) -> Iterator[Bench]:
    """A bench with topics and keys."""
    # An odd number: with an even one, round robin over two topics would keep them together by chance.
    settings = Settings(data_dir=folder, brokers=stack.bootstrap, registry_url=stack.registry_url, partitions=5)
    register(stack.registry_url, [topic.name for topic in (*ledger.INPUTS, ledger.OUTPUT, QUARANTINE)])
    init_keys(settings.keys)
    create_topics(settings, ledger.topics("any"))
    made = Bench(settings, folder)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def bench(own_stack: LocalStack, tmp_path: Path) -> Iterator[Bench]:
    """A bench on the module's broker. Every ledger reads from the start, so what earlier tests sent is read back."""
    with bench_on(own_stack, tmp_path) as made:
        for topic in ledger.INPUTS:
            for value in ledger.read_committed(made.settings, topic.name):
                decoded = made.codec.decode(topic.name, value)
                assert isinstance(decoded, Event)
                made.sent.append(decoded)
        yield made


@pytest.fixture
def bench_of_its_own(tmp_path: Path) -> Iterator[Bench]:
    """A bench on a broker of its own, for tests that spoil its topics."""
    with LocalStack(tmp_path / "stack") as running, bench_on(running, tmp_path / "hub") as made:
        yield made
