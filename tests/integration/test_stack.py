"""The real parts start, answer, survive a kill, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from playwright.sync_api import Page

from hub.errors import StackError
from hub.stack import KafkaBroker, ManagedProcess, PostgresServer, SchemaRegistry, free_port
from hub.stack.java import JavaParts, resolve
from hub.stack.process import accepts

PATIENCE_S = 30.0
SCHEMA_V1: dict[str, Any] = {"type": "record", "name": "Probe", "fields": [{"name": "name", "type": "string"}]}
MUST_HAVE = {"name": "must", "type": "int"}
MAY_HAVE = {"name": "may", "type": ["null", "int"], "default": None}
INCOMPATIBLE = {
    "new reader, old record": {**SCHEMA_V1, "fields": [*SCHEMA_V1["fields"], MUST_HAVE]},
    "old reader, new record": {**SCHEMA_V1, "fields": [MAY_HAVE]},
}


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def create_topic(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})  # named: a collected client drops its request
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE_S)


def produce(bootstrap: str, topic: str, value: bytes, **settings: Any) -> KafkaError | None:
    outcome: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": bootstrap, **settings})
    producer.produce(topic, value, on_delivery=lambda error, _: outcome.append(error))
    producer.flush(PATIENCE_S)
    producer.close()
    return outcome[0]


def consume(bootstrap: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{topic}-test", "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        message = consumer.poll(PATIENCE_S)
        return None if message is None or message.error() else message.value()
    finally:
        consumer.close()


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return json.load(response)


def register(url: str, subject: str, schema: dict[str, Any]) -> int:
    return int(ask(f"{url}/subjects/{subject}/versions", {"schema": json.dumps(schema)})["id"])


@pytest.fixture
def broker(java_parts: JavaParts, tmp_path: Path) -> Iterator[KafkaBroker]:
    own = KafkaBroker(java_parts, tmp_path / "kafka", message_max_bytes=100_000)
    own.start()
    own.wait_ready()
    yield own
    own.stop()


@pytest.fixture
def registry(java_parts: JavaParts, tmp_path: Path) -> Iterator[SchemaRegistry]:
    own = SchemaRegistry(java_parts, tmp_path / "registry")
    own.start()
    own.wait_ready()
    yield own
    own.stop()


def test_a_record_goes_in_and_comes_out(kafka: str) -> None:
    create_topic(kafka, "stack.round-trip")
    assert produce(kafka, "stack.round-trip", b"one") is None
    assert consume(kafka, "stack.round-trip") == b"one"


def test_a_topic_nobody_created_is_refused(kafka: str) -> None:
    error = produce(kafka, "stack.never-created", b"one", **{"topic.metadata.propagation.max.ms": 100})
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_killed_broker_keeps_its_records_and_its_address(broker: KafkaBroker) -> None:
    bootstrap = broker.bootstrap
    create_topic(bootstrap, "kept")
    assert produce(bootstrap, "kept", b"before the kill", acks="all") is None
    broker.kill()
    assert not accepts(broker.port)
    broker.start()
    broker.wait_ready()
    assert consume(bootstrap, "kept") == b"before the kill"


def test_a_message_over_the_limit_is_refused(broker: KafkaBroker) -> None:
    create_topic(broker.bootstrap, "small")
    error = produce(broker.bootstrap, "small", os.urandom(200_000))
    assert error is not None
    assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_a_taken_port_is_said_at_once(broker: KafkaBroker, java_parts: JavaParts, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=f"port {broker.port} is taken"):
        KafkaBroker(java_parts, tmp_path / "second", port=broker.port).start()


def test_a_killed_registry_keeps_its_schemas_and_its_rule(registry: SchemaRegistry) -> None:
    registry.set_compatibility("FULL_TRANSITIVE")
    number = register(registry.url, "probe-value", SCHEMA_V1)
    registry.kill()  # at once: an acknowledged schema must already be in the file
    registry.start()
    registry.wait_ready()
    assert json.loads(ask(f"{registry.url}/schemas/ids/{number}")["schema"]) == SCHEMA_V1
    assert register(registry.url, "probe-value", SCHEMA_V1) == number
    assert ask(f"{registry.url}/config")["compatibilityLevel"] == "FULL_TRANSITIVE"


@pytest.mark.parametrize("case", INCOMPATIBLE)
def test_the_session_registry_refuses_an_incompatible_schema(registry_url: str, case: str) -> None:
    subject = f"stack.{case.replace(', ', '-').replace(' ', '-')}-value"
    register(registry_url, subject, SCHEMA_V1)
    with pytest.raises(urllib.error.HTTPError) as refused:
        register(registry_url, subject, INCOMPATIBLE[case])
    with refused.value:
        assert refused.value.code == 409
    assert ask(f"{registry_url}/config")["compatibilityLevel"] == "FULL_TRANSITIVE"


def test_postgres_answers(postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        row = connection.execute("select version(), '丽水'").fetchone()
    assert row is not None
    assert row[0].startswith("PostgreSQL")
    assert row[1] == "丽水"


def test_a_stopped_postgres_leaves_no_file_and_no_listener() -> None:
    server = PostgresServer()
    server.start()
    server.wait_ready()
    assert server.process is not None
    home = server.process.log_file.parent
    assert home.exists()
    server.stop()
    assert not home.exists()
    assert not accepts(server.port)


def test_the_browser_is_debians_and_shows_chinese(page: Page) -> None:
    page.set_content("<title>民政</title><h1>丽水</h1>")
    assert page.title() == "民政"
    assert page.get_by_role("heading").inner_text() == "丽水"


def test_a_part_that_dies_early_shows_its_last_words(tmp_path: Path) -> None:
    process = ManagedProcess("broken part", ["sh", "-c", "echo no room on disk; exit 3"], tmp_path / "log")
    process.start()
    with pytest.raises(StackError, match=r"(?s)broken part ended with status 3.*no room on disk"):
        process.wait_ready(lambda: False, PATIENCE_S)


def test_a_part_that_never_answers_is_given_up(tmp_path: Path) -> None:
    process = ManagedProcess("mute part", ["sleep", "600"], tmp_path / "log")
    process.start()
    with pytest.raises(StackError, match="mute part was not ready"):
        process.wait_ready(f"http://127.0.0.1:{free_port()}/", 0.2)
    process.terminate()
    assert process.exit_code == -signal.SIGTERM


def test_a_part_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = ManagedProcess(
        "deaf part", ["sh", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 1; done"], tmp_path / "log"
    )
    process.start()
    process.wait_ready(ready.exists, PATIENCE_S)
    process.terminate(grace_s=0.2)
    assert process.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_killed_parent(tmp_path: Path, how: signal.Signals) -> None:
    program = (
        "import pathlib, time; from hub.stack import ManagedProcess;"
        f"child = ManagedProcess('child', ['sleep', '600'], pathlib.Path({str(tmp_path / 'log')!r})); child.start();"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.send_signal(how)
        parent.wait(PATIENCE_S)
    assert eventually(lambda: not _alive(child))


def _alive(pid: int) -> bool:
    """True while the process runs; an ended one that nobody has waited for yet (Z) counts as gone."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_filled_cache_needs_no_maven(java_parts: JavaParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_java = tmp_path / "bin"
    only_java.mkdir()
    (only_java / "java").symlink_to("/usr/bin/java")
    monkeypatch.setenv("PATH", str(only_java))
    assert resolve() == java_parts


def test_without_java_or_maven_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"Java is not installed — .*apt-get install openjdk-17-jre-headless maven"):
        resolve(cache=tmp_path / "cache")
    (tmp_path / "java").symlink_to("/usr/bin/java")
    with pytest.raises(StackError, match=r"Maven is not installed — .*apt-get install"):
        resolve(cache=tmp_path / "cache")


def test_a_failed_resolution_leaves_the_old_parts(tmp_path: Path) -> None:
    old = tmp_path / "java" / "kafka" / "old.jar"
    old.parent.mkdir(parents=True)
    old.touch()
    pom = tmp_path / "pom.xml"
    pom.write_text("<project><broken/></project>")
    with pytest.raises(StackError, match=r"Maven could not bring the Java parts: .* — check the network"):
        resolve(pom=pom, cache=tmp_path)
    assert old.exists()
