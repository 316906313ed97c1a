"""One deployment's delivery on a real broker, and what a test asks of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from sqlalchemy import Engine, delete, func, select

from hub.delivery.lines import DEFAULT
from hub.demo.parts import environment_of
from hub.domain.messages import Alert
from hub.settings import Settings
from hub.stack import LocalStack, ManagedProcess, free_port
from hub.store.db import migrate, open_store, session
from hub.store.models import ConsumerOffset, Outbox, Received
from hub.streams.codec import Codec
from hub.streams.producers import producer
from hub.streams.topics import ALERTS
from hub.vault.keys import init_keys
from tests.unit.delivery.alerts import alert_id, make_alert

PATIENCE_S = 120.0
READY_S = 60.0


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
        command = [sys.executable, "-m", "hub.cli.main", name, *words]
        process = ManagedProcess(
            f"hub {name}",
            command,
            self.settings.data_dir / f"{name}.log",
            env=inherited | environment_of(self.settings),
        )
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
