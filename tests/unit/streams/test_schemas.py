"""The Avro schemas are the definition; the typed Structs must say the same, field by field."""

from __future__ import annotations

import json
import types
import typing
from datetime import date
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest

from hub.domain.facts import PAYLOADS
from hub.domain.messages import Fact, Header
from hub.errors import SchemaError
from hub.streams.codec import MESSAGES
from hub.streams.schemas import load_schemas
from hub.streams.topics import SOURCE_TOPICS, TOPICS

SCHEMAS = load_schemas()
PYTHON = {"string": str, "long": int, "int": int, "boolean": bool, "bytes": bytes}


def struct_shape(struct: Any) -> dict[str, Any]:
    """Field → (kind, nullable, has a default) of a Struct."""
    shape = {}
    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        shape[field.name] = kind(hints[field.name])
    return shape


def kind(hint: Any) -> tuple[Any, bool]:
    """(python type, nullable); a tuple of Structs is a list of their shapes."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        return kind(members[0])[0], len(members) < len(typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return str, False
    if typing.get_origin(hint) is tuple:
        return [kind(typing.get_args(hint)[0])[0]], False
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return struct_shape(hint), False
    return hint, False


def avro_shape(schema: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    """The same shape of an Avro record."""
    full = f"{schema['namespace']}.{schema['name']}"
    named[full] = schema
    return {field["name"]: avro_kind(field["type"], named) for field in schema["fields"]}


def avro_kind(schema: Any, named: dict[str, Any]) -> tuple[Any, bool]:
    """(python type, nullable) of an Avro type."""
    if isinstance(schema, list):
        (value,) = [branch for branch in schema if branch != "null"]
        return avro_kind(value, named)[0], True
    if isinstance(schema, str):
        return (PYTHON[schema], False) if schema in PYTHON else (avro_shape(named[schema], named), False)
    if schema.get("logicalType") == "date":
        return date, False
    if schema["type"] == "array":
        return [avro_kind(schema["items"], named)[0]], False
    return avro_shape(schema, named), False


@pytest.mark.parametrize("topic", PAYLOADS)
def test_payload_types_follow_the_schemas(topic: str) -> None:
    """Names, order, kinds and nullability agree, for the header too."""
    event = SCHEMAS[f"{topic}.v1"]
    named: dict[str, Any] = {}
    header, payload = (field["type"] for field in event["fields"])
    assert avro_kind(header, named)[0] == struct_shape(Header)
    assert avro_kind(payload, named) == (struct_shape(PAYLOADS[topic]), True)
    assert list(struct_shape(PAYLOADS[topic])) == [field["name"] for field in payload[1]["fields"]]


@pytest.mark.parametrize("topic", MESSAGES)
def test_messages_follow_the_schemas(topic: str) -> None:
    """What the steps send is what the schema says."""
    assert avro_shape(SCHEMAS[topic], {}) == struct_shape(MESSAGES[topic])


def test_contributions_carry_every_topic() -> None:
    """A topic added to the sources and forgotten here could never reach a home."""
    fields = {field["name"]: field for field in SCHEMAS["contributions.v1"]["fields"]}
    for topic in PAYLOADS:
        item = fields[topic.replace(".", "_")]["type"]["items"]
        assert [field["name"] for field in item["fields"]] == [n for n in Fact.__struct_fields__ if n != "topic"]
        payload = item["fields"][-1]["type"]
        assert payload["name"] == PAYLOADS[topic].__name__


def test_every_topic_has_a_schema_but_the_state() -> None:
    """State topics hold the worker's own encoding."""
    without = {topic.name for topic in TOPICS if topic.name not in SCHEMAS}
    assert without == {"hub-person-state.v1", "hub-home-state.v1"}
    assert {topic.name for topic in SOURCE_TOPICS} == {f"{topic}.v1" for topic in PAYLOADS}


@pytest.mark.parametrize("topic", SCHEMAS)
def test_schemas_are_whole(topic: str) -> None:
    """Each parses by itself, as any Avro client must read it; every field after the first release has a default."""
    fastavro.parse_schema(json.loads(json.dumps(SCHEMAS[topic])))


def test_a_missing_type_is_named(tmp_path: Path) -> None:
    """The error says which file and which type."""
    (tmp_path / "a.b.v1.avsc").write_text(
        '{"type": "record", "name": "A", "namespace": "hub", "fields": [{"name": "x", "type": "hub.Missing"}]}'
    )
    with pytest.raises(SchemaError, match=r"a\.b\.v1.*hub\.Missing"):
        load_schemas(tmp_path)
