"""A small town on a broker of its own: its records, workers of the hub's two stages over them, and what they told."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka.admin import AdminClient

from hub.demo.parts import environment_of
from hub.discovery.law import Law
from hub.discovery.state import HomeState, PersonState
from hub.domain.messages import Alert, Conflict, Event, FindingChange
from hub.settings import Settings, settings
from hub.stack import LocalStack, ManagedProcess, free_port
from hub.streams.activation import activate_policy, held_by
from hub.streams.admin import create_topics
from hub.streams.codec import Codec
from hub.streams.producers import producer
from hub.streams.restore import restore
from hub.streams.schemas import register
from hub.streams.stage import Stage
from hub.streams.stages import next_stages, stages_of
from hub.streams.state import PartitionState
from hub.streams.topics import ALERTS, CONFLICTS, FINDINGS
from hub.vault.keys import init_keys
from tests.integration.streams.ledger import messages
from tests.topology.records import benefit, event, member, resident, settlement

PARTITIONS: Final = 2
PATIENCE_S: Final = 90.0
BORN_EIGHTY: Final = date(1940, 1, 1)


class Town:
    """Sends records, starts workers, and waits until what was sent is decided."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.codec = Codec(settings.registry_url)
        self._folder = folder
        self._producer = producer(settings)
        self._workers: list[ManagedProcess] = []
        self._ports: dict[str, str] = {}

    def send(self, events: Iterable[Event]) -> None:
        """Publish source events under their persons."""
        for made in events:
            topic = f"{made.topic}.v1"
            self._producer.send(topic, str(made.header.person), self.codec.encode(topic, made))
        self._producer.flush()

    def worker(self, *, ready: bool = True, **env: str) -> ManagedProcess:
        """Start a worker of the two stages; environment as `hub_worker` says."""
        port = str(free_port())
        worker = ManagedProcess(
            f"worker {len(self._workers)}",
            [sys.executable, "-m", "tests.integration.streams.hub_worker"],
            self._folder / f"worker-{len(self._workers)}.log",
            cwd=Path(__file__).parents[3],
            env=self.env(HUB_SESSION_TIMEOUT_S="6", HUB_WORKER_PORT=port, **env),
        )
        self._workers.append(worker)
        self._ports[worker.name] = port
        worker.start()
        if ready:
            worker.wait_ready(f"http://127.0.0.1:{port}/ready", PATIENCE_S)
        return worker

    def env(self, **more: str) -> dict[str, str]:
        """Settings of this town as an environment."""
        return environment_of(self.settings) | more

    def says(self, worker: ManagedProcess) -> str:
        """What a worker answers on /ready; empty while it does not serve."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[worker.name]}/ready", timeout=5) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            body = error.read()
        except OSError:
            return ""
        return str(json.loads(body)["detail"])

    def until(self, good: Callable[[], bool], what: str) -> None:
        """Wait for something that workers bring about."""
        deadline = time.monotonic() + PATIENCE_S
        while not good():
            tails = [worker.log_tail() for worker in self._workers[-2:]]
            assert time.monotonic() < deadline, f"{what} did not come: {tails}"
            time.sleep(0.2)

    def settle(self, law: Law, generation: int = 0, *, unheard: bool = False) -> None:
        """Wait until every record was folded and decided under a law, and no sweep is left to do."""
        # Names and topics are those of the generation, `stale` that of a worker which builds it, or which tells.
        kept = next_stages(law, generation) if generation else stages_of(law)
        made = next_stages(law, generation) if unheard else stages_of(law)

        def settled() -> bool:
            parts = [self.parts(stage) for stage in kept]
            for stage, held, wanted in zip(kept, parts, made, strict=True):
                for message in messages(self.settings, *stage.input_names):
                    if held[message.partition()].offsets.get(message.topic(), 0) <= message.offset():
                        return False
                if any(part.restated for part in held):
                    return False
                if any(wanted.stale(part.get(key)) for part in held for key in part.keys()):  # noqa: SIM118  no dict
                    return False
            return True

        self.until(settled, "quiet")

    def parts(self, stage: Stage) -> list[PartitionState]:
        """Each partition of a stage, as its changelog has it."""
        parts = [PartitionState(stage, partition) for partition in range(self.settings.partitions)]
        assert restore(self.settings, parts, threading.Event())
        return parts

    def _states(self, number: int, law: Law, generation: int) -> dict[str, Any]:
        stage = (next_stages(law, generation) if generation else stages_of(law))[number]
        return {key: part.get(key) for part in self.parts(stage) for key in part.keys()}  # noqa: SIM118  no dict

    def persons(self, law: Law, generation: int = 0) -> dict[str, PersonState]:
        """Committed states of the person stage."""
        return self._states(0, law, generation)

    def homes(self, law: Law, generation: int = 0) -> dict[str, HomeState]:
        """Committed states of the subject stage."""
        return self._states(1, law, generation)

    def _told(self, topic: str) -> list[Any]:
        return [self.codec.decode(topic, message.value()) for message in messages(self.settings, topic)]

    def alerts(self) -> list[Alert]:
        """Every alert revision, in order within a home."""
        return self._told(ALERTS.name)

    def findings(self) -> list[FindingChange]:
        """Every outcome, in order within a home."""
        return self._told(FINDINGS.name)

    def conflicts(self) -> list[Conflict]:
        """Every conflict message, in order within a person."""
        return self._told(CONFLICTS.name)

    def activate(self, law: Law) -> None:
        """Put a law in force."""
        activate_policy(self.settings, self.codec, held_by(law, 0))

    def close(self) -> None:
        """Stop what still runs."""
        for worker in self._workers:
            worker.terminate()
        self.codec.close()
        self._producer.close()


@contextmanager
def town_on(stack: LocalStack, folder: Path) -> Iterator[Town]:
    """A town with every topic, all of them empty, and its topics gone after it: the next one needs their names."""
    chosen = Settings(data_dir=folder, brokers=stack.bootstrap, registry_url=stack.registry_url, partitions=PARTITIONS)
    init_keys(chosen.keys)
    register(stack.registry_url)
    create_topics(chosen)
    made = Town(chosen, folder)
    try:
        yield made
    finally:
        made.close()
        _delete_topics(chosen)


def _delete_topics(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 3})

    def left() -> list[str]:
        return [name for name in admin.list_topics(timeout=30).topics if not name.startswith("__")]

    for deleted in admin.delete_topics(left(), operation_timeout=30).values():
        deleted.result()
    deadline = time.monotonic() + PATIENCE_S
    while left():
        assert time.monotonic() < deadline, "topics are not deleted"
        time.sleep(0.2)


@contextmanager
def monkeypatched(town: Town, **env: str) -> Iterator[pytest.MonkeyPatch]:
    """The town's settings as the environment of this process, for commands."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in town.env(**env).items():
            patch.setenv(name, value)
        settings.cache_clear()
        try:
            yield patch
        finally:
            settings.cache_clear()


def person(number: int) -> str:
    """A person's token."""
    return f"{number:032x}"


def family(number: int, *, fen: int = 10_000, members: int = 2, born: date | None = None) -> list[Event]:
    """An aid household of some persons, each with a benefit."""
    made: list[Event] = []
    for place in range(members):
        token = person(100 * number + place)
        entry = resident() if born is None else resident(birth_date=born)
        made += [
            event(token, entry),
            event(token, member(f"h{number}", members)),
            event(token, benefit(amount_fen=fen)),
        ]
    return made


def treated(number: int, cash_fen: int, day: date, members: int = 2) -> list[Event]:
    """A bill of each person of a family."""
    return [event(person(100 * number + place), settlement(day, cash_fen)) for place in range(members)]
