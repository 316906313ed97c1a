"""`hub doctor` on real parts: it finds each planted fault and says what to do."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer as KafkaProducer

from hub.doctor import EXPECTED, JOINED, Check, examine
from hub.errors import TopologyMismatch
from hub.ops.announce import announce
from hub.settings import Settings
from hub.stack import LocalStack
from hub.stack.process import free_port
from hub.store.db import migrate, open_store, session
from hub.store.models import Process
from hub.streams.admin import create_topics
from hub.streams.partitioner import partition_of
from hub.streams.placement import FEW, check_placement
from hub.streams.producers import producer
from hub.streams.schemas import register
from hub.vault.keys import init_keys


@pytest.fixture
def deployment(tmp_path: Path, own_stack: LocalStack) -> Settings:
    """A whole deployment without its processes."""
    settings = Settings(
        data_dir=tmp_path, brokers=own_stack.bootstrap, registry_url=own_stack.registry_url, partitions=4
    )
    init_keys(settings.keys)
    create_topics(settings)
    register(own_stack.registry_url)
    return settings


def wrong(settings: Settings, *, processes: bool = False) -> dict[str, str]:
    """What it finds wrong, by the English word of the check."""
    found: list[Check] = list(examine(settings, processes=processes))
    return {check.name.split()[0]: check.said for check in found if not check.good}


def test_a_whole_deployment_is_well(deployment: Settings) -> None:
    """Nothing is wrong, and with every process announced nothing is wrong either."""
    assert wrong(deployment) == {}
    beats = [announce(deployment.store, name, "http://127.0.0.1:1") for name in EXPECTED]
    try:
        assert wrong(deployment, processes=True) == {}
    finally:
        for beat in beats:
            beat.close()


def test_each_fault_is_found_by_itself(deployment: Settings, tmp_path: Path) -> None:
    """One fault does not hide another, and each text says what to do."""
    deployment.keys.chmod(0o644)
    away = deployment.model_copy(
        update={
            "registry_url": f"http://127.0.0.1:{free_port()}",
            "sources": tmp_path / "nothing",
            "partitions": 5,
        }
    )
    found = wrong(away, processes=True)
    assert set(found) == {"keys", "vault", "broker", "registry", "sources", "processes"}
    assert all("—" in said for said in found.values())
    assert "worker" in found["processes"]


def test_every_worker_is_counted(deployment: Settings) -> None:
    """Several of one kind, one of them killed."""
    migrate(deployment.store)
    beats = [announce(deployment.store, name, "http://127.0.0.1:1") for name in EXPECTED]
    now = time.time_ns() // 1_000_000
    with session(open_store(deployment.store)) as db:
        for number, at in ((1, now), (2, now), (3, 0)):
            instance = f"elsewhere-{number}"
            db.add(Process(name="worker", instance=instance, url="", started_at=0, heartbeat_at=at))
    try:
        [said] = [check.said for check in examine(deployment) if check.name.startswith("processes")]
    finally:
        for beat in beats:
            beat.close()
    assert said == "running: connector, dispatcher, quality, web, worker × 3; 1 that were killed are still listed"


def test_keys_that_lie_elsewhere_are_found(own_stack: LocalStack, tmp_path: Path) -> None:
    """By a producer left at librdkafka's own partitioner; single mistakes are the records' own and no fault of this."""
    settings = Settings(
        data_dir=tmp_path, brokers=own_stack.bootstrap, registry_url=own_stack.registry_url, partitions=4
    )
    create_topics(settings)
    keys = [f"{number:032x}"[::-1] for number in range(60)]
    with closing(producer(settings)) as right:
        for key in keys:
            right.send("medical.settlement.v1", key, b"any")
            right.send("registration.death.v1", key, b"any")
        for key in keys[:FEW]:
            wrong_one = (partition_of(key.encode(), 4) + 1) % 4
            right.send("medical.settlement.v1", key, b"any", partition=wrong_one)
        for partition in range(4):
            right.send("source.coverage.v1", "dibao", b"any", partition=partition)
        right.flush()
    check_placement(settings, JOINED)
    wrong_sender = KafkaProducer({"bootstrap.servers": own_stack.bootstrap})
    for key in keys:
        wrong_sender.produce("registration.death.v1", b"any", key)
    assert wrong_sender.flush(30) == 0
    wrong_sender.close()
    with pytest.raises(TopologyMismatch, match=r"newest records of registration\.death\.v1 lie .*murmur2_random"):
        check_placement(settings, JOINED)
    with pytest.raises(TopologyMismatch) as refused:
        check_placement(settings, JOINED)
    assert "medical.settlement" not in str(refused.value)
