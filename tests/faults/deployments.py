"""A whole deployment for one test, and the two questions every fault run ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import func, select

from hub.demo.deployment import Deployment
from hub.discovery.state import HomeState, decode_home
from hub.stack import LocalStack
from hub.store.db import open_store, session
from hub.store.models import Outbox, Received
from hub.streams.topics import HOME_STATE

SEED = 20261123
HOUSEHOLDS = 60


@contextmanager
def deployment(folder: Path, stack: LocalStack, *, store_url: str = "") -> Iterator[Deployment]:
    """A prepared deployment with its departments' first day written out; nothing runs yet."""
    made = Deployment(folder, stack, store_url=store_url)
    try:
        made.prepare()
        made.first_wave(seed=SEED, households=HOUSEHOLDS)
        yield made
    finally:
        made.close()


def assert_agrees_with_the_oracle(made: Deployment) -> None:
    """Nothing lost, nothing invented: the open alerts are those of the oracle, and there are some."""
    counts = made.agreement().counts
    assert counts["open"] > 20
    assert (counts["only_hub"], counts["only_oracle"]) == (0, 0)


def assert_accepted_once(made: Deployment) -> None:
    """Every released revision was accepted by the receiver, once."""
    with session(made.engine, writes=False) as db:
        accepted = select(Outbox.alert_id, Outbox.revision).where(Outbox.state == "accepted")
        sent = {(alert, revision) for alert, revision in db.execute(accepted)}
        waiting = db.scalar(select(func.count()).select_from(Outbox).where(Outbox.state.in_(("pending", "held"))))
    receiver = open_store(f"sqlite:///{made.data_dir / 'receiver.db'}")
    try:
        with session(receiver, writes=False) as db:
            received = select(Received.alert_id, Received.revision)
            rows = [(alert, revision) for alert, revision in db.execute(received)]
    finally:
        receiver.dispose()
    assert waiting == 0
    assert len(rows) == len(set(rows)), "the receiver accepted a revision twice"
    assert sent
    assert set(rows) == sent


def home_state(made: Deployment, home: str) -> HomeState:
    """The newest committed state of a home, as a worker would restore it."""
    consumer = Consumer(
        {
            "bootstrap.servers": made.settings.brokers,
            "group.id": "hub-test-state",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    newest: bytes | None = None
    try:
        partitions = consumer.list_topics(HOME_STATE.name, timeout=15).topics[HOME_STATE.name].partitions
        consumer.assign([TopicPartition(HOME_STATE.name, partition, 0) for partition in partitions])
        ended = 0
        while ended < len(partitions):
            message = consumer.poll(10)
            assert message is not None, "the state topic does not answer"
            if message.error() is not None:
                ended += 1
            elif message.key() == home.encode():
                newest = message.value()
    finally:
        consumer.close()
    assert newest is not None, f"no state of {home}"
    return decode_home(newest)
