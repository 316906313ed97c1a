"""`hub connect` as a process: it says what it does and waits for, and leaves in order when told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from hub.stack.process import free_port
from tests.integration.connectors.conftest import Deployment
from tests.integration.connectors.departments import Department, describe

PATIENCE_S = 120


class Running:
    """A `hub connect` process and its health server."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body; 0 while nobody answers."""
        try:
            with urlopen(self._url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except URLError:
            return 0, ""

    def until(self, path: str, *wanted: str) -> str:
        """Ask until the answer holds all of these."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()
            _status, body = self.ask(path)
            if body and all(one in body for one in wanted):
                return body
            time.sleep(0.2)
        raise AssertionError(f"{path} never said {wanted}")

    def stop(self) -> tuple[int, list[dict[str, Any]]]:
        """SIGTERM: exit code, and the log lines."""
        self.process.send_signal(signal.SIGTERM)
        _out, log = self.process.communicate(timeout=PATIENCE_S)
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        return self.process.returncode, lines


@contextmanager
def connecting(deployment: Deployment, source: str, **changed: str) -> Iterator[Running]:
    """`hub connect --source …` until the block ends."""
    s, port = deployment.settings, free_port()
    environment = {
        **os.environ,
        "HUB_DATA_DIR": str(s.data_dir),
        "HUB_BROKERS": s.brokers,
        "HUB_REGISTRY_URL": s.registry_url,
        "HUB_SOURCES": str(s.sources),
        "HUB_SOURCE_ROOT": str(s.source_root),
        "HUB_PARTITIONS": str(s.partitions),
        "HUB_CONNECTOR_PORT": str(port),
        **changed,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.cli.main", "connect", "--source", source],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(process, port)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_it_reads_what_comes_and_leaves_in_order(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "served")
    deployment.describe("served", describe("served").replace("kind: sql", "kind: sql\npoll_every: 1s"))
    department.put(1)
    with connecting(deployment, "served") as running:
        running.until("/ready", '"ok": true')
        department.put(2)
        department.put(3, hklx="7")
        published = 'hub_connector_records_total{kind="published",source="served",topic="registration.resident"} 2.0'
        running.until("/metrics", published, 'kind="quarantined"', 'hub_connector_lag_seconds{source="served"}')
        department.run("ALTER TABLE czrk RENAME TO elsewhere")
        running.until("/ready", "czrk cannot be read now")
        department.run("ALTER TABLE elsewhere RENAME TO czrk")
        running.until("/ready", '"ok": true')
        code, lines = running.stop()
    assert code == 0
    assert any(line["event"] == "read" and line.get("quarantined") == 1 for line in lines)
    assert {event.header.record_id for event in deployment.events("served")} == {"R1", "R2"}


def test_it_waits_for_a_registry_with_words(deployment: Deployment, folder: Path) -> None:
    """Alive, not ready, and saying what is missing; no crash, no loop without words."""
    deployment.describe("waits", describe("waits"))
    away = f"http://127.0.0.1:{free_port()}/apis/ccompat/v7"
    with connecting(deployment, "waits", HUB_REGISTRY_URL=away) as running:
        running.until("/ready", "the schema registry at", "does not answer")
        assert running.ask("/live")[0] == 200
        assert running.ask("/ready")[0] == 503
        code, lines = running.stop()
    assert code == 0
    assert any(line.get("error") == "registry_unavailable" and line.get("again_in_s") for line in lines)
