"""The processes themselves, on a real broker: dispatcher, receiver and pages, killed, failed and replayed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from sqlalchemy import Engine, create_engine, delete, func, select, text
from sqlalchemy.engine import make_url

from hub.delivery.lines import DEFAULT
from hub.delivery.secrets import secrets_path
from hub.domain.messages import Alert, Disposition, Receipt
from hub.settings import Settings
from hub.stack import LocalStack, ManagedProcess, free_port
from hub.store.db import migrate, open_store, session
from hub.store.models import (
    Case,
    CaseHistory,
    ConsumerOffset,
    DispositionRow,
    Endpoint,
    Outbox,
    Process,
    QuarantineRow,
    ReceiptRow,
    Received,
)
from hub.streams.admin import create_topics
from hub.streams.codec import Codec
from hub.streams.producers import producer
from hub.streams.schemas import register
from hub.streams.topics import ALERTS, DISPOSITIONS, RECEIPTS
from hub.vault.cards import open_vault
from hub.vault.keys import init_keys
from tests.unit.delivery.alerts import alert_id, make_alert

PATIENCE_S = 120.0
COUNT = 300
"""Alerts of the test of intake: enough that it is killed in the middle of delivering them."""

READY_S = 60.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A broker of its own: the topics' names are fixed."""
    with LocalStack(tmp_path_factory.mktemp("delivery-stack")) as running:
        settings = Settings(brokers=running.bootstrap, registry_url=running.registry_url, partitions=3)
        create_topics(settings)
        register(settings.registry_url)
        yield running


class Bench:
    """One deployment's delivery, and what a test asks of it.

    The broker is shared by the tests of this module, so each reads on from where the topic ends when it begins.
    """

    def __init__(self, stack: LocalStack, folder: Path, store_url: str, prefix: str) -> None:
        lines = folder / "lines.yaml"
        shipped = DEFAULT.read_text(encoding="utf-8")
        (schedule,) = [line for line in shipped.splitlines() if line.startswith("  schedule_s:")]
        lines.write_text(shipped.replace(schedule, f"  schedule_s: {[0.3] * 40}"), encoding="utf-8")
        self.settings = Settings(
            data_dir=folder,
            brokers=stack.bootstrap,
            registry_url=stack.registry_url,
            store_url=store_url,
            vault_url=f"sqlite:///{folder / 'vault.db'}",
            partitions=3,
            lines_file=lines,
            dispatcher_port=free_port(),
            receiver_port=free_port(),
            web_port=free_port(),
        )
        self.prefix = prefix
        migrate(self.settings.store)
        init_keys(self.settings.keys)
        self.store: Engine = open_store(self.settings.store)
        self.theirs: Engine = open_store(f"sqlite:///{folder / 'receiver.db'}")
        self.codec = Codec(self.settings.registry_url)
        self._producer = producer(self.settings)
        self._running: dict[str, ManagedProcess] = {}
        self.begins: dict[int, int] = {}
        assert until(self._find_ends), "the topic has no leaders"
        self.read_from_the_beginning()

    def _find_ends(self) -> bool:
        """Note where alerts.v1 ends; False while a partition of a fresh topic has no leader yet."""
        consumer = Consumer({"bootstrap.servers": self.settings.brokers, "group.id": f"ends-{self.prefix}"})
        try:
            for number in range(self.settings.partitions):
                self.begins[number] = consumer.get_watermark_offsets(TopicPartition(ALERTS.name, number), timeout=10)[1]
        except KafkaException:
            return False
        finally:
            consumer.close()
        return True

    def read_from_the_beginning(self) -> None:
        """Put the dispatcher's offsets to where this test began."""
        with session(self.store) as db:
            db.execute(delete(ConsumerOffset))
            for number, end in self.begins.items():
                db.add(ConsumerOffset(consumer="dispatcher", topic=ALERTS.name, partition=number, next_offset=end))

    # --- processes ---------------------------------------------------------------------------------------------

    def start(self, name: str, *words: str, ready: bool = True) -> ManagedProcess:
        """Start dispatch, receiver or web, and wait until it is ready."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HUB_")}
        given = {
            f"HUB_{key.upper()}": value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for key, value in self.settings.model_dump(mode="json").items()
            if value not in (None, "")
        }
        command = [sys.executable, "-m", "hub.cli.main", name, *words]
        process = ManagedProcess(f"hub {name}", command, self.settings.data_dir / f"{name}.log", env=inherited | given)
        process.start()
        self._running[name] = process
        port = {
            "dispatch": self.settings.dispatcher_port,
            "receiver": self.settings.receiver_port,
            "web": self.settings.web_port,
        }[name]
        if ready:
            process.wait_ready(f"http://127.0.0.1:{port}/ready", READY_S)
        return process

    def hub(self, *words: str) -> None:
        """Run one command to its end."""
        process = self.start_command(*words)
        assert until(lambda: not process.running), f"hub {' '.join(words)} does not end"
        assert process.exit_code == 0, process.log_tail()

    def start_command(self, *words: str) -> ManagedProcess:
        """Start a command that ends by itself."""
        given = {"HUB_STORE_URL": self.settings.store, "HUB_DATA_DIR": str(self.settings.data_dir)}
        command = [sys.executable, "-m", "hub.cli.main", *words]
        process = ManagedProcess("hub", command, self.settings.data_dir / "command.log", env=os.environ | given)
        process.start()
        return process

    def stop(self, name: str) -> None:
        """End one in order."""
        self._running[name].terminate()

    def kill(self, name: str) -> None:
        """SIGKILL one."""
        self._running[name].kill()

    def close(self) -> None:
        """End all."""
        for process in self._running.values():
            process.terminate()
        self.store.dispose()
        self.theirs.dispose()
        self.codec.close()
        self._producer.close()

    # --- alerts ------------------------------------------------------------------------------------------------

    def publish(self, *alerts: Alert) -> None:
        """As the worker does: keyed by home, acknowledged."""
        for alert in alerts:
            self._producer.send(ALERTS.name, alert.home, self.codec.encode(ALERTS.name, alert))
        self._producer.flush()

    def publish_bytes(self, value: bytes) -> None:
        """What no schema describes."""
        self._producer.send(ALERTS.name, "person:x", value)
        self._producer.flush()

    def alert(self, number: int, **changes: Any) -> Alert:
        """An alert of this test."""
        return make_alert(f"{self.prefix}-{number}", **changes)

    def ours(self, count: int) -> set[str]:
        """Ids of this test's first alerts."""
        return {alert_id(f"{self.prefix}-{number}") for number in range(count)}

    # --- what is so --------------------------------------------------------------------------------------------

    def outbox(self) -> list[Outbox]:
        """All rows."""
        with session(self.store, writes=False) as db:
            return list(db.scalars(select(Outbox).order_by(Outbox.alert_id, Outbox.revision)))

    def accepted(self) -> set[tuple[str, int]]:
        """(alert, revision) that the hub holds for delivered."""
        return {(row.alert_id, row.revision) for row in self.outbox() if row.state == "accepted"}

    def received(self) -> list[Received]:
        """What the receiver keeps."""
        try:
            with session(self.theirs, writes=False) as db:
                return list(db.scalars(select(Received)))
        except Exception:  # before the receiver has made its tables
            return []

    def count(self, model: type[Any], *where: Any) -> int:
        """Rows of the store."""
        with session(self.store, writes=False) as db:
            return int(db.scalar(select(func.count()).select_from(model).where(*where)) or 0)

    def all_delivered(self, count: int) -> bool:
        """Each of this test's first alerts is accepted, and nothing waits."""
        rows = self.outbox()
        accepted = {row.alert_id for row in rows if row.state == "accepted"}
        return self.ours(count) <= accepted and all(row.state != "pending" for row in rows)

    def assert_accepted_once(self) -> None:
        """Hub and receiver agree on every (alert, revision), each accepted once."""
        theirs = [(row.alert_id, row.revision) for row in self.received()]
        assert len(theirs) == len(set(theirs))
        assert set(theirs) == self.accepted()
        assert {row.webhook_id for row in self.received()} == {
            row.webhook_id for row in self.outbox() if row.state == "accepted"
        }

    def read(self, topic: str, wanted: type[Any]) -> list[tuple[str, Any]]:
        """(key, value) of all messages of a topic that concern this test."""
        consumer = Consumer({"bootstrap.servers": self.settings.brokers, "group.id": f"look-{self.prefix}"})
        try:
            ends = {
                number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
                for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions
            }
            consumer.assign([TopicPartition(topic, number, 0) for number in ends])
            found, deadline = [], time.monotonic() + PATIENCE_S
            for _ in range(sum(ends.values())):
                message = consumer.poll(deadline - time.monotonic())
                assert message is not None
                value = self.codec.decode(topic, message.value())
                assert isinstance(value, wanted)
                found.append((message.key().decode(), value))
            ours = {row.alert_id for row in self.outbox() if row.alert_id in self.ours(1000)}
            return [(key, value) for key, value in found if value.alert_id in ours]
        finally:
            consumer.close()


def until(true: Callable[[], bool]) -> bool:
    """Wait until something is so, with patience."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(params=["sqlite"])
def bench(request: pytest.FixtureRequest, own_stack: LocalStack, tmp_path: Path) -> Iterator[Bench]:
    """A deployment of its own on the module's broker; `indirect` parameters choose PostgreSQL."""
    store_url = ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_url")
        name = f"dispatcher_{os.getpid()}_{abs(hash(request.node.name)) % 10**6}"
        admin = create_engine(server, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        store_url = make_url(server).set(database=name).render_as_string(hide_password=False)
    made = Bench(own_stack, tmp_path, store_url, request.node.name)
    yield made
    made.close()


both = pytest.mark.parametrize("bench", ["sqlite", "postgresql"], indirect=True)


@both
def test_an_alert_is_delivered_answered_and_comes_back_as_events(bench: Bench) -> None:
    """Shadow, release, delivery, receipts, dispositions: through every process and both topics."""
    bench.start("web")
    bench.start("receiver", "--answer", "handle")
    bench.publish(*(bench.alert(number) for number in range(40)))
    bench.start("dispatch")
    assert until(lambda: len({row.alert_id for row in bench.outbox()} & bench.ours(40)) == 40)
    assert {row.state for row in bench.outbox()} <= {"shadow", "superseded"}
    assert bench.received() == []

    bench.hub("release", "--all")
    assert until(lambda: bench.all_delivered(40))
    bench.assert_accepted_once()
    decided = {alert for alert in bench.ours(40) if alert[0] in "0123"}
    assert decided, "no alert of the test falls under the receiver's policy"
    assert until(lambda: bench.count(ReceiptRow, ReceiptRow.alert_id.in_(bench.ours(40))) == 40 + len(decided))
    assert until(
        lambda: (
            bench.count(ReceiptRow, ~ReceiptRow.published)
            == bench.count(DispositionRow, ~DispositionRow.published)
            == 0
        )
    )
    receipts = bench.read(RECEIPTS.name, Receipt)
    assert len(receipts) == 40 + len(decided)
    assert all(key == receipt.alert_id for key, receipt in receipts)
    dispositions = bench.read(DISPOSITIONS.name, Disposition)
    assert {disposition.alert_id for _key, disposition in dispositions} == decided
    assert all(key == disposition.home for key, disposition in dispositions)
    assert all(disposition.by == "line:social_assistance" for _key, disposition in dispositions)
    with session(bench.store, writes=False) as db:
        closed = set(db.scalars(select(Case.alert_id).where(Case.work_state == "closed")))
        kinds = db.scalars(
            select(CaseHistory.kind).where(CaseHistory.alert_id == min(decided)).order_by(CaseHistory.id)
        ).all()
    assert closed & bench.ours(40) == {alert for alert in decided if alert[0] in "012"}
    assert kinds[:3] == ["opened", "released", "delivered"]
    assert sorted(kinds[3:]) == ["disposition", "receipt", "receipt"]


@both
def test_killed_between_the_post_and_its_record_it_sends_again_and_is_recognised(bench: Bench) -> None:
    """The line has stored the alert and not answered; the dispatcher dies; the next one sends the same id."""
    bench.hub("release", "--all")
    bench.start("receiver", "--slow", "4")
    bench.publish(bench.alert(0))
    bench.start("dispatch")
    assert until(lambda: any(row.alert_id in bench.ours(1) for row in bench.received()))
    bench.kill("dispatch")
    assert bench.ours(1).isdisjoint(alert for alert, _revision in bench.accepted()), "killed too late"
    bench.stop("receiver")
    bench.start("receiver")
    bench.start("dispatch")
    assert until(lambda: bench.all_delivered(1))
    bench.assert_accepted_once()
    (row,) = [row for row in bench.received() if row.alert_id in bench.ours(1)]
    assert row.times_seen == 2


def test_a_receiver_that_fails_at_first_accepts_each_once(bench: Bench) -> None:
    """503, then 429 with its own word on when; the last of the failures is forgotten in the end."""
    bench.hub("release", "--all")
    bench.start("receiver", "--fail", "503:3")
    bench.publish(*(bench.alert(number) for number in range(5)))
    bench.start("dispatch")
    assert until(lambda: bench.all_delivered(5))
    bench.stop("receiver")
    bench.start("receiver", "--fail", "429:3", "--retry-after", "1")
    bench.publish(*(bench.alert(number) for number in range(5, 10)))
    assert until(lambda: bench.all_delivered(10))
    bench.assert_accepted_once()
    assert sum(row.attempts - 1 for row in bench.outbox()) >= 4
    assert bench.count(Endpoint, Endpoint.failures > 0) == 0


def test_gone_keeps_everything_until_the_line_is_enabled(bench: Bench) -> None:
    """The endpoint is disabled, other lines get theirs, and `hub hold enable` lets the rest go."""
    bench.hub("release", "--all")
    bench.start("receiver", "--gone")
    bench.publish(*(bench.alert(number) for number in range(3)))
    bench.start("dispatch")
    disabled = (Endpoint.line == "social_assistance", Endpoint.state == "disabled")
    assert until(lambda: bench.count(Endpoint, *disabled) == 1)
    bench.stop("receiver")
    bench.start("receiver")
    bench.publish(bench.alert(3, line="elder_care"))
    assert until(lambda: (alert_id(f"{bench.prefix}-3"), 1) in bench.accepted())
    assert not bench.ours(3) & {row.alert_id for row in bench.received()}
    bench.hub("hold", "enable", "social_assistance")
    assert until(lambda: bench.all_delivered(4))
    bench.assert_accepted_once()


@both
def test_killed_while_taking_in_it_goes_on_where_its_rows_end(bench: Bench) -> None:
    """Nothing is skipped and nothing doubled, however often; nor when the whole topic is read again."""
    bench.hub("release", "--all")
    bench.start("receiver")
    bench.publish(*(bench.alert(n) for n in range(COUNT)))
    bench.publish(*(bench.alert(n, revision=2, state="AMENDED", amount_fen=1) for n in range(0, COUNT, 10)))
    for seen_before in (0, COUNT // 4, COUNT):
        bench.start("dispatch", ready=False)
        while bench.count(CaseHistory) <= seen_before:
            time.sleep(0.01)
        bench.kill("dispatch")
    bench.start("dispatch")
    assert until(lambda: len({row.alert_id for row in bench.outbox()} & bench.ours(COUNT)) == COUNT)
    assert until(lambda: bench.all_delivered(COUNT))
    bench.assert_accepted_once()
    ours = [(row.alert_id, row.revision) for row in bench.outbox() if row.alert_id in bench.ours(COUNT)]
    assert len(ours) == COUNT + COUNT // 10
    with session(bench.store, writes=False) as db:
        opened = select(func.count()).where(CaseHistory.kind == "opened", CaseHistory.alert_id.in_(bench.ours(COUNT)))
        assert db.scalar(opened) == COUNT

    bench.stop("dispatch")
    history, cases = bench.count(CaseHistory), snapshot(bench)
    bench.read_from_the_beginning()
    seen = {row.webhook_id: row.times_seen for row in bench.received()}
    bench.start("dispatch")
    bench.publish(bench.alert(COUNT))
    assert until(lambda: bench.all_delivered(COUNT + 1))
    assert snapshot(bench) == {**snapshot(bench), **cases}
    assert bench.count(CaseHistory) == history + 2  # the new one: opened, delivered
    assert {row.webhook_id: row.times_seen for row in bench.received()} == {**seen, bench_webhook(bench, COUNT): 1}


@pytest.mark.parametrize("table", ["consumer_offset", "outbox", "service_case"])
def test_rows_and_offsets_are_written_together_or_not_at_all(bench: Bench, table: str) -> None:
    """A write that fails ends the process with nothing written; the next one takes everything in."""
    bench.publish(*(bench.alert(number) for number in range(5)))
    on = "UPDATE" if table == "consumer_offset" else "INSERT"
    with session(bench.store) as db:
        stop = f"CREATE TRIGGER stop BEFORE {on} ON {table} BEGIN SELECT RAISE(ABORT, 'told to fail'); END"
        db.connection().exec_driver_sql(stop)
    process = bench.start("dispatch", ready=False)
    assert until(lambda: not process.running)
    assert process.exit_code != 0
    assert bench.outbox() == []
    with session(bench.store) as db:
        assert {row.partition: row.next_offset for row in db.scalars(select(ConsumerOffset))} == bench.begins
        db.connection().exec_driver_sql("DROP TRIGGER stop")
    bench.start("dispatch")
    assert until(lambda: {row.alert_id for row in bench.outbox()} == bench.ours(5))


def test_an_unreadable_alert_is_kept_sealed_and_the_next_one_goes(bench: Bench) -> None:
    """One row in quarantine with the original, not a stopped process."""
    poison = f"not avro {bench.prefix}".encode()
    bench.publish_bytes(poison)
    bench.publish(bench.alert(0))
    bench.start("dispatch")
    assert until(lambda: any(row.alert_id in bench.ours(1) for row in bench.outbox()))
    assert until(lambda: bench.count(QuarantineRow) > 0)
    with session(bench.store, writes=False) as db:
        rows = list(db.scalars(select(QuarantineRow).where(QuarantineRow.topic == ALERTS.name)))
    vault = open_vault(bench.settings)
    try:
        (row,) = [row for row in rows if vault.sealer.unseal(row.original) == poison]
    finally:
        vault.close()
    assert (row.stage, row.reason, row.state) == ("dispatcher", "bad_magic", "waiting")
    assert poison not in row.original


@pytest.mark.parametrize("bench", ["postgresql"], indirect=True)
def test_an_alert_that_the_database_refuses_is_kept_sealed_and_the_others_go(bench: Bench) -> None:
    """It decodes, and holds a text that no column takes: it would end every dispatcher in turn."""
    bench.publish(
        bench.alert(0), bench.alert(1, title="x" * 300), bench.alert(2, title="x\0"), bench.alert(3), bench.alert(4)
    )
    bench.start("dispatch")
    good = {alert_id(f"{bench.prefix}-{number}") for number in (0, 3, 4)}
    assert until(lambda: good <= {row.alert_id for row in bench.outbox()})
    assert until(lambda: bench.count(QuarantineRow) == 2)
    assert {row.alert_id for row in bench.outbox()} & bench.ours(5) == good
    with session(bench.store, writes=False) as db:
        rows = {(row.stage, row.topic, row.reason, row.state) for row in db.scalars(select(QuarantineRow))}
        history = db.scalar(select(func.count()).where(CaseHistory.alert_id.in_(bench.ours(5))))
    assert rows == {("dispatcher", ALERTS.name, "schema_misfit", "waiting")}
    assert history == 3


def test_a_dispatcher_that_cannot_sign_ends_and_says_why(bench: Bench) -> None:
    """Reading on without sending would look healthy; what it took in waits for the next one."""
    bench.hub("release", "--all")
    process = bench.start("dispatch")
    secrets_path(bench.settings).unlink()
    bench.publish(bench.alert(0))
    assert until(lambda: not process.running)
    assert process.exit_code == 1
    assert "hub dispatch --init" in process.log_tail()
    assert [(row.alert_id, row.state) for row in bench.outbox()] == [(alert_id(f"{bench.prefix}-0"), "pending")]


def test_it_ends_in_order_when_asked(bench: Bench) -> None:
    """SIGTERM: what is on the wire is recorded, the announcement is taken back, the exit is clean."""
    bench.hub("release", "--all")
    bench.start("receiver", "--slow", "1")
    bench.publish(bench.alert(0))
    process = bench.start("dispatch")
    assert until(lambda: bench.count(Process, Process.name == "dispatcher") == 1)
    assert until(lambda: any(row.alert_id in bench.ours(1) for row in bench.received()))
    bench.stop("dispatch")
    assert process.exit_code == 0, process.log_tail()
    assert (alert_id(f"{bench.prefix}-0"), 1) in bench.accepted()
    assert bench.count(Process, Process.name == "dispatcher") == 0


def snapshot(bench: Bench) -> dict[str, tuple[Any, ...]]:
    """Cases as they stand."""
    with session(bench.store, writes=False) as db:
        return {
            case.alert_id: (case.revision, case.work_state, case.lock, case.body) for case in db.scalars(select(Case))
        }


def bench_webhook(bench: Bench, number: int) -> str:
    """Webhook id of one of the test's alerts."""
    (found,) = [row.webhook_id for row in bench.outbox() if row.alert_id == alert_id(f"{bench.prefix}-{number}")]
    return found
