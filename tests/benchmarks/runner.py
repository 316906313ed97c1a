"""One broker, one input, one engine after another; each measured from outside and compared with the oracle."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from hub.settings import Settings
from hub.stack.java import resolve
from hub.stack.kafka import KafkaBroker
from hub.stack.process import ManagedProcess
from hub.streams.admin import settings_of
from hub.streams.producers import producer
from hub.streams.topics import Topic
from tests.benchmarks import workload
from tests.benchmarks.measure import Tail, cpu_s, rss_mib
from tests.benchmarks.process import Given
from tests.benchmarks.stages import INPUTS, own_topics
from tests.benchmarks.workload import Made

ROOT: Final = Path(__file__).parents[2]
START_S: Final = 120.0
"""Longest wait for an engine to begin: a JVM, a group to join, a first rebalance."""

STALL_S: Final = 900.0
"""An engine that tells nothing for this long has failed. Idiomatic Faust tells nothing while its first stage has a
backlog: it starves the second."""

RESTORE_S: Final = 600.0
"""Longest wait for a restore: idiomatic Faust reads some thousand records a second."""

SETTLE_S: Final = 3.0
"""After this long without an alert all are there."""

PACE_S: Final = 0.005
"""How long the reader of a paced load waits for alerts before more is sent."""

SEED: Final = 20261125

Progress = Callable[[str], None]


class EngineSpec(NamedTuple):
    """How one engine is started."""

    name: str
    command: Sequence[str]
    env: dict[str, str]


class Measured(NamedTuple):
    """One engine's run."""

    engine: str
    version: str
    workers: int
    events: int
    seconds: float
    events_per_s: float
    cpu_us_per_event: float
    rss_mib: float
    same_alerts: bool
    alerts: int


class Input(NamedTuple):
    """What was sent, and what must be open after it."""

    events: int
    wanted: dict[str, int]


class Bench:
    """A broker with input topics, and the engines that run on it. Use as a context manager.

    A `quick` broker is compiled once and not again as it runs: for what is measured within its first minute.
    """

    def __init__(self, folder: Path, partitions: int, progress: Progress = print, *, quick: bool = False) -> None:
        self.partitions = partitions
        self._folder = folder
        self._say = progress
        self.broker = KafkaBroker(
            resolve(), folder / "kafka", message_max_bytes=8 * 1024 * 1024, quick=quick,
            # Nothing is deleted behind an engine that is being measured.
            settings={"log.retention.ms": "-1", "num.network.threads": "2", "num.io.threads": "4"},
        )  # fmt: skip
        self.wave = 0

    def __enter__(self) -> Bench:
        """Start the broker and make the input topics."""
        self.broker.start()
        self.broker.wait_ready()
        self.settings = Settings(brokers=self.broker.bootstrap, partitions=self.partitions)
        self.create(INPUTS)
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop the broker."""
        self.broker.stop()

    def load(self, records: Iterable[Made]) -> Input:
        """Send records and last records behind them, and work out what must be open."""
        self.wave += 1
        codec = workload.WorkCodec()
        sender = producer(self.settings, linger_ms=50)
        made: list[Made] = []
        began = time.monotonic()
        for record in (*records, *workload.sentinels(self.partitions, self.wave)):
            sender.send(record.topic, record.key, codec.encode(record.topic, record.value))
            made.append(record)
        sender.flush()
        sender.close()
        self._say(f"  {len(made)} records sent in {time.monotonic() - began:.1f} s")
        return Input(len(made), workload.oracle(made))

    def prepare(self, prefix: str) -> Given:
        """Topics and folders for an engine's run."""
        self.create(own_topics(prefix).values())
        folder = self._folder / prefix
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "state").mkdir(parents=True)
        return self._given(prefix)

    @contextmanager
    def running(self, spec: EngineSpec, told: Given, workers: int = 1) -> Iterator[list[ManagedProcess]]:
        """Processes of one engine. They share the partitions where there are several."""
        processes = []
        try:
            for number in range(workers):
                own = told._replace(
                    state_dir=told.state_dir / str(number), status=told.status.with_name(f"status-{number}.jsonl")
                )
                own.state_dir.mkdir(exist_ok=True)
                process = ManagedProcess(
                    f"{spec.name} {number}", list(spec.command), told.status.with_name(f"log-{number}.txt"), cwd=ROOT,
                    env={"PYTHONPATH": str(ROOT), **spec.env, **own.environment()},
                )  # fmt: skip
                process.start()
                processes.append(process)
            yield processes
        finally:
            for process in processes:
                process.terminate()

    def run(self, spec: EngineSpec, sent: Input, workers: int = 1) -> Measured:
        """Run one engine over everything that was sent."""
        told = self.prepare(spec.name)
        tail = Tail(self.broker.bootstrap, f"{told.prefix}.{workload.ALERT}", self.partitions)
        try:
            with self.running(spec, told, workers) as processes:
                return self.measure(spec, told, processes, tail, sent)
        finally:
            tail.close()

    def measure(
        self, spec: EngineSpec, told: Given, processes: list[ManagedProcess], tail: Tail, sent: Input
    ) -> Measured:
        """Watch an engine from the moment it says it is ready to its last alert, and compare what is open then."""
        pids = [process.pid for process in processes]
        mine = [
            told._replace(status=told.status.with_name(f"status-{number}.jsonl")) for number in range(len(processes))
        ]
        for one in mine:
            self.wait_ready(one, processes)
        began, cpu = time.time(), cpu_s(pids)
        alerts, ended = self._follow(tail, processes)
        used, rss = cpu_s(pids) - cpu, rss_mib(pids)
        # A last record of each input partition does not say that every household's partition has caught up.
        while late := tail.read(SETTLE_S):
            alerts += [value for _, value in late]
            ended = late[-1][0]
            used = cpu_s(pids) - cpu
        first = mine[0].told("started") or {}
        return Measured(
            spec.name, str(first.get("version")), len(processes), sent.events, ended - began,
            sent.events / (ended - began), used / sent.events * 1e6, rss,
            workload.open_now(alerts) == sent.wanted, len(alerts),
        )  # fmt: skip

    def wait_ready(self, told: Given, processes: list[ManagedProcess]) -> None:
        """Until the engine with this status file says that it works."""
        _until(lambda: told.told("ready") is not None, processes, START_S)

    def restore(self, spec: EngineSpec) -> dict[str, float]:
        """Start an engine that ran before, with nothing but its changelog, and see how long it takes to work again."""
        told = self._given(spec.name)
        shutil.rmtree(told.state_dir, ignore_errors=True)
        told.state_dir.mkdir()
        status = told.status.with_name("status-0.jsonl")
        status.unlink(missing_ok=True)
        mine = told._replace(status=status)
        began = time.monotonic()
        with self.running(spec, told) as processes:
            _until(lambda: mine.told("ready") is not None, processes, RESTORE_S)
            ready = time.monotonic() - began
            _until(lambda: mine.told("restored") is not None, processes, RESTORE_S)
        found = mine.told("restored") or {}
        keys, seconds = int(found["keys"]), float(found["seconds"])
        speed = keys / seconds if seconds else 0.0
        return {"restore_s": seconds, "restored_keys": keys, "keys_per_s": speed, "ready_s": ready}

    def paced(self, records: Iterable[Made], rate: float, tail: Tail, processes: list[ManagedProcess]) -> list[float]:
        """Send records at a rate, each stamped with the moment of its sending; seconds until each alert was seen."""
        codec = workload.WorkCodec()
        sender = producer(self.settings, linger_ms=1)
        waits: list[float] = []
        began, sent, last = time.monotonic(), 0, time.monotonic()
        while tail.read(0.5):
            pass
        given = iter(list(records))  # making them takes longer than sending them, and the engine needs the processor
        began = time.monotonic()
        over = False
        while not over or time.monotonic() - last < SETTLE_S:
            due = 0 if over else int((time.monotonic() - began) * rate) - sent
            for _ in range(due):
                record = next(given, None)
                if record is None:
                    over, last = True, time.monotonic()
                    sender.flush()
                    break
                value = {**record.value, "received_at": time.time_ns() // 1_000_000}
                sender.send(record.topic, record.key, codec.encode(record.topic, value))
                sent += 1
            for seen, alert in tail.read(PACE_S):
                last = time.monotonic()
                if alert["caused_at"]:
                    waits.append(seen - alert["caused_at"] / 1000)
            if not all(process.running for process in processes):
                raise _failed(processes, "ended by itself")
        sender.close()
        return waits

    def _follow(self, tail: Tail, processes: list[ManagedProcess]) -> tuple[list[dict[str, Any]], float]:
        """Alerts until all last records of this wave are told of; and when that was seen."""
        missing = workload.sentinel_alerts(self.partitions, self.wave)
        alerts: list[dict[str, Any]] = []
        heard, ended = time.monotonic(), time.time()
        while missing:
            values = tail.read()
            if values:
                heard = time.monotonic()
            elif time.monotonic() - heard > STALL_S:
                raise _failed(processes, f"told nothing for {STALL_S:g} s; {len(missing)} ends are missing")
            if not all(process.running for process in processes):
                raise _failed(processes, "ended by itself")
            for ended, value in values:  # noqa: B007 - the last one is the answer
                alerts.append(value)
                if missing.get(value["household"]) == value["amount_fen"]:
                    del missing[value["household"]]
        return alerts, ended

    def create(self, topics: Iterable[Topic]) -> None:
        """Make topics with as many partitions as the bench has."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 3})
        wanted = [
            NewTopic(topic.name, num_partitions=self.partitions, replication_factor=1, config=settings_of(topic))
            for topic in topics
        ]
        for future in admin.create_topics(wanted).values():
            future.result()

    def _given(self, prefix: str) -> Given:
        folder = self._folder / prefix
        return Given(self.broker.bootstrap, prefix, self.partitions, folder / "state", folder / "status.jsonl")


def _until(good: Callable[[], bool], processes: list[ManagedProcess], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not good():
        if not all(process.running for process in processes):
            raise _failed(processes, "ended by itself")
        if time.monotonic() > deadline:
            raise _failed(processes, f"did not begin within {limit_s:g} s")
        time.sleep(0.005)


def _failed(processes: list[ManagedProcess], what: str) -> RuntimeError:
    tails = "\n".join(f"{process.name}: {process.log_tail(30)}" for process in processes)
    return RuntimeError(f"{processes[0].name} {what}; its log ends:\n{tails}")
