"""The Avro schemas of schemas/: loaded, named types put in where they are first used, registered and checked.

A schema file may name a type that another file defines (`hub.Header`, `hub.medical.Settlement`); what is registered
is whole, so that any Avro client can read it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from hub.errors import RegistryUnavailable, SchemaError
from hub.streams.compatibility import full_problems

FOLDER: Final = Path(__file__).parents[2] / "schemas"
RELEASED: Final = FOLDER / "released"
"""One JSON file a release, topic → whole schema, written by `hub schemas freeze` and never changed after."""
COMPATIBILITY: Final = "FULL_TRANSITIVE"
"""Topics are kept for ever and replayed: every release must read what any release wrote, and the other way round."""

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
REGISTRY_TIMEOUT_S: Final = 10.0
UNREACHABLE: Final = (OSError, httpx2.TransportError)
"""How the client says that nobody answers: it talks through httpx2."""


@lru_cache(maxsize=4)
def load_schemas(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Topic (`medical.settlement.v1`) → its whole schema. SchemaError names the file and the type that is missing."""
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.avsc")):
        try:
            files[path.stem] = json.loads(path.read_text())
        except ValueError as error:
            raise SchemaError(f"{path.name} is no JSON ({error}) — mend it") from error
    named: dict[str, dict[str, Any]] = {}
    for schema in files.values():
        _collect(schema, "", named)
    return {
        topic: _inline(schema, "", named, set(), topic)
        for topic, schema in files.items()
        if not topic.startswith("hub.")
    }


def _full_name(schema: dict[str, Any], namespace: str) -> str:
    name = str(schema["name"])
    space = schema.get("namespace", namespace)
    return name if "." in name or not space else f"{space}.{name}"


def _collect(schema: Any, namespace: str, named: dict[str, dict[str, Any]]) -> None:
    """Note every named type that some file defines."""
    if isinstance(schema, list):
        for branch in schema:
            _collect(branch, namespace, named)
    elif isinstance(schema, dict):
        if schema.get("type") in ("record", "enum", "fixed"):
            full = _full_name(schema, namespace)
            named.setdefault(full, schema)
            inner = full.rpartition(".")[0]
            for field in schema.get("fields", ()):
                _collect(field["type"], inner, named)
        else:
            for part in ("items", "values", "type"):
                if isinstance(schema.get(part), dict | list):
                    _collect(schema[part], namespace, named)


def _inline(schema: Any, namespace: str, named: dict[str, dict[str, Any]], seen: set[str], topic: str) -> Any:
    """The schema with each named type written out at its first use and named by its full name after that."""
    if isinstance(schema, list):
        return [_inline(branch, namespace, named, seen, topic) for branch in schema]
    if isinstance(schema, str):
        if schema in PRIMITIVES:
            return schema
        full = schema if "." in schema or not namespace else f"{namespace}.{schema}"
        if full in seen:
            return full
        if full not in named:
            raise SchemaError(f"schemas/{topic}.avsc names the type {full}, which no file defines — define it")
        return _inline(named[full], full.rpartition(".")[0], named, seen, topic)
    kind = schema["type"]
    if kind in ("record", "enum", "fixed"):
        full = _full_name(schema, namespace)
        if full in seen:
            return full
        seen.add(full)
        space, _, name = full.rpartition(".")
        whole = {**schema, "name": name, "namespace": space}
        if "fields" in schema:
            whole["fields"] = [
                {**field, "type": _inline(field["type"], space, named, seen, topic)} for field in schema["fields"]
            ]
        return whole
    whole = dict(schema)
    for part in ("items", "values", "type"):
        if isinstance(schema.get(part), dict | list) or (part != "type" and isinstance(schema.get(part), str)):
            whole[part] = _inline(schema[part], namespace, named, seen, topic)
    return whole


def canonical(schema: dict[str, Any]) -> str:
    """The text that is registered: compact JSON, documentation kept for whoever browses the registry."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def subject_of(topic: str) -> str:
    """Registry subject of a topic's values."""
    return f"{topic}-value"


def registry_client(registry_url: str) -> SchemaRegistryClient:
    """A client of the registry; it connects when first asked. That it asked is no news for a log."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    return SchemaRegistryClient({"url": registry_url, "timeout": REGISTRY_TIMEOUT_S})


def register(registry_url: str, topics: Iterable[str] | None = None) -> dict[str, int]:
    """Register schemas under `<topic>-value` with FULL_TRANSITIVE; topic → schema id. Registering again is harmless.

    SchemaError when the registry refuses one as incompatible; RegistryUnavailable when it does not answer.
    """
    schemas = load_schemas()
    ids: dict[str, int] = {}
    with registry_client(registry_url) as client:
        for topic in sorted(topics or schemas):
            try:
                ids[topic] = client.register_schema(subject_of(topic), Schema(canonical(schemas[topic]), "AVRO"))
                client.set_compatibility(subject_of(topic), COMPATIBILITY)
            except SchemaRegistryError as error:
                if error.http_status_code in (409, 422):
                    raise SchemaError(
                        f"the registry refuses {topic} as incompatible — add fields only, each with a default"
                    ) from error
                raise unavailable(registry_url) from error
            except UNREACHABLE as error:
                raise unavailable(registry_url) from error
    return ids


def freeze(version: str, folder: Path = FOLDER, released: Path = RELEASED) -> Path:
    """Write the schemas of a release down. SchemaError when that release was frozen already."""
    path = released / f"{version}.json"
    if path.exists():
        raise SchemaError(f"{path.name} was frozen already and stays as it is — choose the next version")
    released.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(topic)}: {canonical(_bare(schema))}" for topic, schema in load_schemas(folder).items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return path


def _bare(schema: Any) -> Any:
    """A schema without its documentation, which compatibility does not look at."""
    if isinstance(schema, list):
        return [_bare(part) for part in schema]
    if isinstance(schema, dict):
        return {key: value if key == "default" else _bare(value) for key, value in schema.items() if key != "doc"}
    return schema


def check_released(folder: Path = FOLDER, released: Path = RELEASED) -> list[str]:
    """What keeps the schemas of `folder` from living beside those of every release; empty when nothing does."""
    current = load_schemas(folder)
    found = []
    for path in sorted(released.glob("*.json")):
        for topic, old in json.loads(path.read_text()).items():
            if topic not in current:
                found.append(f"{topic}: release {path.stem} has it, and its records are kept for ever")
                continue
            found += [f"{topic} against release {path.stem}: {text}" for text in full_problems(current[topic], old)]
    return found


def check_registry(registry_url: str, folder: Path = FOLDER) -> list[str]:
    """The same, asked of a registry and all versions it holds. A topic it does not hold yet is no problem."""
    found = []
    with registry_client(registry_url) as client:
        for topic, schema in sorted(load_schemas(folder).items()):
            try:
                good = client.test_compatibility_all_versions(subject_of(topic), Schema(canonical(schema), "AVRO"))
            except SchemaRegistryError as error:
                if error.http_status_code == 404:
                    continue
                raise unavailable(registry_url) from error
            except UNREACHABLE as error:
                raise unavailable(registry_url) from error
            if not good:
                found.append(f"{topic}: the registry finds it incompatible with a registered version")
    return found


def unavailable(registry_url: str) -> RegistryUnavailable:
    """The registry does not answer."""
    return RegistryUnavailable(f"the schema registry at {registry_url} does not answer — start it, then try again")
