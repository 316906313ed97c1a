"""`hub schemas` on the real registry: registered once, held to full compatibility, and compared before a release."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from hub.cli.schemas import command
from hub.settings import settings
from hub.streams.schemas import canonical, check_registry, load_schemas, register, registry_client, subject_of

TOPIC = "receipts.v1"


@pytest.fixture
def hub(registry_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """The command on the session's registry."""
    monkeypatch.setenv("HUB_REGISTRY_URL", registry_url)
    settings.cache_clear()
    yield CliRunner()
    settings.cache_clear()


def changed(folder: Path, default: bool) -> Path:
    """A folder with one schema that has a field more."""
    schema = copy.deepcopy(load_schemas()[TOPIC])
    field: dict[str, object] = {"name": "remark", "type": ["null", "string"]}
    schema["fields"].append({**field, "default": None} if default else field)
    folder.mkdir()
    (folder / f"{TOPIC}.avsc").write_text(json.dumps(schema))
    return folder


def test_registering_twice_gives_the_same_ids(hub: CliRunner, registry_url: str) -> None:
    """And every topic has one."""
    first = hub.invoke(command, ["register"], catch_exceptions=False)
    assert hub.invoke(command, ["register"], catch_exceptions=False).output == first.output
    assert f"{len(load_schemas())} schemas registered, FULL_TRANSITIVE" in first.output
    assert register(registry_url, [TOPIC]).keys() == {TOPIC}


def test_check_asks_the_registry(hub: CliRunner, registry_url: str, tmp_path: Path) -> None:
    """What is registered agrees; a field without a default does not, with one it does."""
    register(registry_url)
    done = hub.invoke(command, ["check", "--against", "registry"], catch_exceptions=False)
    assert (done.exit_code, "agree with registry" in done.output) == (0, True)
    assert check_registry(registry_url, changed(tmp_path / "with", default=True)) == []
    assert [
        text.partition(":")[0] for text in check_registry(registry_url, changed(tmp_path / "without", default=False))
    ] == [TOPIC]


def test_check_fails_by_its_exit_code(hub: CliRunner, tmp_path: Path) -> None:
    """As CI reads it: a baseline that has a topic which is gone."""
    (tmp_path / "0.0.1.json").write_text(json.dumps({"gone.v1": {"type": "record", "name": "Gone", "fields": []}}))
    done = hub.invoke(command, ["check", "--against", str(tmp_path)])
    assert done.exit_code == 1
    assert "gone.v1" in done.output


def test_the_registry_itself_refuses(registry_url: str) -> None:
    """Whoever registers past the command meets the same rule."""
    register(registry_url, [TOPIC])
    schema = copy.deepcopy(load_schemas()[TOPIC])
    schema["fields"].append({"name": "remark", "type": "string"})
    with registry_client(registry_url) as client, pytest.raises(SchemaRegistryError):
        client.register_schema(subject_of(TOPIC), Schema(canonical(schema), "AVRO"))
