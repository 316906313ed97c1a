"""`hub worker --workers 2` on the real parts: both are found, one killed comes back, and both go with the first."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from hub.doctor import examine
from hub.settings import Settings
from hub.stack import LocalStack, ManagedProcess
from hub.stack.process import accepts, free_port
from hub.store.db import migrate, open_store, session
from hub.store.models import Process
from hub.streams.admin import create_topics
from hub.streams.schemas import register
from hub.streams.worker import GROUP
from hub.vault.keys import init_keys
from hub.web.queries import processes

PATIENCE_S = 120.0


@pytest.fixture
def deployment(own_stack: LocalStack, tmp_path: Path) -> Settings:
    """A whole deployment without its processes."""
    port = next(port for port in iter(free_port, 0) if not accepts(port + 1))
    settings = Settings(
        data_dir=tmp_path / "hub", brokers=own_stack.bootstrap, registry_url=own_stack.registry_url, partitions=5,
        worker_port=port,
    )  # fmt: skip
    init_keys(settings.keys)
    create_topics(settings)
    register(settings.registry_url)
    migrate(settings.store)
    return settings


@pytest.fixture
def workers(deployment: Settings, tmp_path: Path) -> Iterator[ManagedProcess]:
    """Two, under one."""
    process = ManagedProcess(
        "workers",
        [sys.executable, "-m", "hub.cli.main", "worker", "--workers", "2"],
        tmp_path / "workers.log",
        cwd=Path(__file__).parents[3],
        env={
            "HUB_DATA_DIR": str(deployment.data_dir),
            "HUB_BROKERS": deployment.brokers,
            "HUB_REGISTRY_URL": deployment.registry_url,
            "HUB_PARTITIONS": str(deployment.partitions),
            "HUB_WORKER_PORT": str(deployment.worker_port),
            "HUB_SESSION_TIMEOUT_S": "6",
        },
    )
    process.start()
    yield process
    process.terminate(grace_s=60)


def test_two_workers_share_the_work_and_end_together(deployment: Settings, workers: ManagedProcess) -> None:
    """Each with its own port and its own name to Kafka."""

    def until(good: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not good():
            assert time.monotonic() < deadline, workers.log_tail(40)
            time.sleep(0.2)

    def slots() -> list[int]:
        """How many slots each owns; 0 while it is not ready."""
        return [owned(deployment.worker_port + index) for index in (0, 1)]

    def shared() -> bool:
        return all(slots()) and sum(slots()) == 2 * deployment.partitions

    until(shared)
    assert clients(deployment) == {"hub-worker-0", "hub-worker-1"}
    rows = announced(deployment)
    assert {row.url for row in rows} == {f"http://127.0.0.1:{deployment.worker_port + index}" for index in (0, 1)}
    [said] = [check.said for check in examine(deployment) if check.name.startswith("processes")]
    assert "no heartbeat from connector, dispatcher, quality, web " in said, "but from workers"

    first = int(rows[0].instance.rpartition("-")[2])
    os.kill(first, signal.SIGKILL)
    until(lambda: len({row.instance for row in announced(deployment)}) == 3)  # the killed one stays listed as silent
    until(shared)
    assert workers.running
    again = {row.instance for row in announced(deployment)} - {row.instance for row in rows}

    workers.terminate(grace_s=60)
    assert workers.exit_code == 0, workers.log_tail()
    assert {row.instance for row in announced(deployment)} == {rows[0].instance}, "the killed one alone"
    assert len(again) == 1
    assert slots() == [0, 0]


def owned(port: int) -> int:
    """Slots that the worker at a port says it owns; 0 while it is not ready, or away."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            said = json.loads(answer.read())["detail"]
    except (urllib.error.URLError, OSError):
        return 0
    return int(said.split()[0])


def announced(settings: Settings) -> Sequence[Process]:
    """What the operator's page lists."""
    engine = open_store(settings.store)
    with session(engine, writes=False) as db:
        rows = processes(db)
        db.expunge_all()
    engine.dispose()
    return rows


def clients(settings: Settings) -> set[str]:
    """What the members of the group call themselves."""
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    [described] = admin.describe_consumer_groups([GROUP]).values()
    return {member.client_id for member in described.result().members}
