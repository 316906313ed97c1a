"""On the real broker and registry: a deployment of the former release is taken over, taken back, and finalised."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from confluent_kafka import Producer as KafkaProducer
from confluent_kafka import TopicPartition
from confluent_kafka.schema_registry import Schema

from hub.demo.parts import environment_of
from hub.discovery.state import CODEC, FORMER, decode_home, decode_person, prefix_of
from hub.discovery.subject import open_findings
from hub.domain.times import SHANGHAI
from hub.settings import Settings
from hub.stack import LocalStack, ManagedProcess, free_port
from hub.store.db import open_store, session, upsert
from hub.store.models import Process
from hub.streams.admin import create_topics
from hub.streams.reading import to_end
from hub.streams.schemas import COMPATIBILITY, registry_client, subject_of
from hub.streams.state import OFFSETS, encode_offsets
from hub.streams.topics import ALERTS, HOME_STATE, PERSON_STATE, POLICY, SOURCE_TOPICS, TOPICS
from tests.topics import empty
from tests.upgrade import former_state
from tests.upgrade.former import Former, former

PATIENCE_S = 240.0


class Deployment:
    """What the former release left on a broker, a registry and a store of their own; one partition."""

    def __init__(self, folder: Path, stack: LocalStack) -> None:
        self.settings = Settings(
            data_dir=folder, brokers=stack.bootstrap, registry_url=stack.registry_url, partitions=1, overlay="demo",
            clock_file=folder / "clock", worker_port=free_port(),
        )  # fmt: skip
        self.folder = folder
        self.left: Former = former()
        self.ids: dict[str, int] = {}
        self._worker: ManagedProcess | None = None
        folder.mkdir()
        self.clock(self.left.now)

    def clock(self, instant: int) -> None:
        """Set the rehearsal clock."""
        draft = self.folder / "clock.new"
        draft.write_text(datetime.fromtimestamp(instant / 1000, SHANGHAI).isoformat())
        draft.replace(self.folder / "clock")

    def lay_out(self) -> None:
        """Topics, schemas, source events, changelogs and the store as the former release had them."""
        create_topics(self.settings, [topic for topic in TOPICS if topic != POLICY])
        with registry_client(self.settings.registry_url) as client:
            for topic, text in self.left.schemas.items():
                self.ids[topic] = client.register_schema(subject_of(topic), Schema(text, "AVRO"))
                client.set_compatibility(subject_of(topic), COMPATIBILITY)
        self.send(self.left.first)
        read = dict.fromkeys((topic.name for topic in SOURCE_TOPICS), 0)
        for topic, _key, _data in self.left.first:
            read[topic] += 1
        producer = KafkaProducer({"bootstrap.servers": self.settings.brokers})
        for name, values, offsets in (
            (PERSON_STATE.name, self.left.persons, read),
            (HOME_STATE.name, self.left.homes, {"contributions.v1": 0, "dispositions.v1": 0}),
        ):
            for key, data in values.items():
                producer.produce(name, data, key.encode(), 0)
            producer.produce(name, encode_offsets(offsets), OFFSETS, 0)
        assert producer.flush(60) == 0
        producer.close()
        with sqlite3.connect(self.folder / "hub.db") as plain:
            plain.executescript(self.left.store)
        plain.close()

    def send(self, events: list[tuple[str, str, bytes]]) -> None:
        """Source events in the former release's schemas."""
        producer = KafkaProducer({"bootstrap.servers": self.settings.brokers})
        for topic, key, data in events:
            producer.produce(topic, b"\x00" + self.ids[topic].to_bytes(4, "big") + data, key.encode(), 0)
        assert producer.flush(60) == 0
        producer.close()

    def start(self) -> None:
        """Start a worker of this release and wait until it is ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        self._worker = ManagedProcess(
            "worker",
            [sys.executable, "-m", "hub.cli.main", "worker"],
            self.folder / f"worker-{time.monotonic_ns()}.log",
            env={**environment, **environment_of(self.settings)},
        )
        self._worker.start()
        self._worker.wait_ready(f"http://127.0.0.1:{self.settings.worker_port}/ready", PATIENCE_S)

    def stop(self) -> None:
        """Stop it."""
        if self._worker is not None:
            self._worker.terminate()
            self._worker = None

    def hub(self, *words: str) -> tuple[int, str]:
        """One command: exit code, and all it said."""
        done = subprocess.run(
            [sys.executable, "-m", "hub.cli.main", *words],
            env={**environment_of(self.settings), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def values(self, topic: str) -> dict[str, bytes]:
        """Newest committed value by key."""
        messages = to_end(self.settings, "look", [TopicPartition(topic, 0, 0)])
        return {(one.key() or b"").decode(): one.value() or b"" for one in messages if one.key() != OFFSETS}

    def open_set(self) -> set[tuple[str, str, str, int | None]]:
        """What is open by the home states."""
        return open_findings((key, decode_home(data)) for key, data in self.values(HOME_STATE.name).items())

    def until(self, good: Callable[[], bool], what: str) -> None:
        """Wait for something the worker is to bring about."""
        deadline = time.monotonic() + PATIENCE_S
        while not good():
            assert self._worker is not None
            assert self._worker.running, self._worker.log_tail()
            assert time.monotonic() < deadline, f"{what}: {self._worker.log_tail()}"
            time.sleep(0.5)


@pytest.fixture
def made(stack: LocalStack, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of the former release, nothing running."""
    from hub.vault.keys import init_keys

    empty(stack.bootstrap)
    ready = Deployment(tmp_path / "hub", stack)
    init_keys(ready.settings.keys)
    ready.lay_out()
    try:
        yield ready
    finally:
        ready.stop()


class Older(BaseHTTPRequestHandler):
    """/metrics of a worker that knows nothing of layouts."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hub_worker_states 1.0\n")

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


def older_worker(made: Deployment, url: str) -> None:
    """A worker of the former release announces itself."""
    engine = open_store(made.settings.store)
    row = {"name": "worker", "instance": "older", "url": url, "started_at": 1}
    with session(engine) as db:
        upsert(db, Process, [{**row, "heartbeat_at": time.time_ns() // 1_000_000}])
    engine.dispose()


def test_this_release_takes_over_can_be_taken_back_and_is_finalised(made: Deployment) -> None:
    code, said = made.hub("upgrade", "finalise")
    assert code != 0, said
    assert "hub topics create" in said
    assert made.hub("topics", "create")[0] == 0
    code, said = made.hub("schemas", "register")
    assert code == 0, said
    code, said = made.hub("upgrade", "status")
    assert code == 1
    assert "writes    state layout 1 (the way back is open)" in said
    assert "no worker of this release has ever worked here" in said

    made.start()
    packs = {decode_home(data).policy_hash for data in made.left.homes.values()} - {None}
    assert packs
    made.until(
        lambda: packs.isdisjoint(decode_home(data).policy_hash for data in made.values(HOME_STATE.name).values()),
        "every home decided under the new pack",
    )
    assert made.open_set() == set(made.left.open)
    assert made.values(ALERTS.name) == {}, "an upgrade alone tells nobody anything"
    made.send(made.left.second)
    made.until(lambda: made.open_set() == set(made.left.open_after), "the second wave")
    # The way back: the former release reads every value, and finds what it would have found.
    for data in made.values(PERSON_STATE.name).values():
        former_state.decode_person(data)
    homes = {key: former_state.decode_home(data) for key, data in made.values(HOME_STATE.name).items()}
    stages = {(rule, key) for key, home in homes.items() for rule, held in home.rules.items() if held.stage == "open"}
    assert stages == {(rule, subject) for rule, subject, *_ in made.left.open_after}

    server = HTTPServer(("127.0.0.1", 0), Older)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        older_worker(made, f"http://127.0.0.1:{server.server_port}")
        code, said = made.hub("upgrade", "finalise")
        assert code == 75, said
        assert "worker older is of the release before" in said
    finally:
        server.shutdown()
        server.server_close()
    older_worker(made, "http://127.0.0.1:1")
    assert "worker older does not answer" in made.hub("upgrade", "finalise")[1]
    engine = open_store(made.settings.store)
    with session(engine) as db:
        db.query(Process).filter(Process.instance == "older").delete()
    engine.dispose()

    code, said = made.hub("upgrade", "finalise")
    assert code == 0, said
    assert "was finalised already" in made.hub("upgrade", "finalise")[1]
    made.stop()
    made.start()
    made.clock(made.left.later)
    made.until(lambda: made.open_set() == set(made.left.open_later), "some weeks")
    made.clock(made.left.now + int(timedelta(days=8 * 366).total_seconds()) * 1000)
    made.until(
        lambda: any(
            floor.pruned for data in made.values(PERSON_STATE.name).values() for floor in decode_person(data).floors
        ),
        "pruning",
    )
    written = [data for data in made.values(PERSON_STATE.name).values() if data[:2] == prefix_of(CODEC)]
    assert written
    for data in written:
        with pytest.raises(former_state.StateFromTheFuture):
            former_state.decode_person(data)
    code, said = made.hub("upgrade", "status", "--states")
    assert code == 0, said
    assert "(finalised)" in said
    assert f"of layout {CODEC}.1" in said
    assert FORMER < CODEC


def test_a_deployment_without_state_has_nothing_to_go_back_to(stack: LocalStack, tmp_path: Path) -> None:
    """Its first worker writes this release's layout, and says so."""
    from hub.vault.keys import init_keys

    empty(stack.bootstrap)
    made = Deployment(tmp_path / "hub", stack)
    init_keys(made.settings.keys)
    assert made.hub("topics", "create")[0] == made.hub("schemas", "register")[0] == 0
    try:
        made.start()
        code, said = made.hub("upgrade", "status")
    finally:
        made.stop()
    assert (code, "(finalised)" in said) == (0, True), said
