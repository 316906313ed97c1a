"""Bytes to events and messages, and back: the Confluent wire format (0x00, schema id, Avro) by fastavro.

Schemas are asked of the registry by id when reading and by subject when writing, once each; run time never registers.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from datetime import date
from io import BytesIO
from typing import Any, Final

import fastavro
import msgspec
from confluent_kafka.schema_registry.error import SchemaRegistryError

from hub.domain.facts import PAYLOADS
from hub.domain.messages import (
    Activation,
    Alert,
    Conflict,
    Contribution,
    Disposition,
    Event,
    Fact,
    FindingChange,
    Header,
    Message,
    QualityResult,
    Quarantined,
    Receipt,
)
from hub.domain.times import day_start_ms
from hub.errors import DataFault, SchemaError
from hub.streams.schemas import UNREACHABLE, load_schemas, registry_client, subject_of, unavailable
from hub.streams.topics import plain_name

_FRAME: Final = struct.Struct(">bI")
MAGIC: Final = 0

MESSAGES: Final[dict[str, type[Any]]] = {
    "alerts.v1": Alert,
    "findings.v1": FindingChange,
    "dispositions.v1": Disposition,
    "receipts.v1": Receipt,
    "quality.conflicts.v1": Conflict,
    "quality.results.v1": QualityResult,
    "quarantine.v1": Quarantined,
    "policy.v1": Activation,
}
"""Topics whose value is one Struct of hub.domain.messages, field for field."""

CONTRIBUTIONS: Final = "contributions.v1"
_FACT_FIELDS: Final = tuple(name for name in Fact.__struct_fields__ if name not in ("topic", "payload"))
_DATED: Final[tuple[type[Any], ...]] = (Header, *MESSAGES.values())
_INSTANTS: Final = {
    kind: tuple(name for name in kind.__struct_fields__ if name.endswith(("_at", "_time"))) for kind in _DATED
}
_YEARS: Final = range(day_start_ms(date(1, 1, 2)), day_start_ms(date(9999, 12, 31)))
"""Instants that are a day in every zone; a long holds many that are none, and end whoever asks for theirs."""

_COLUMN: Final = {topic: topic.replace(".", "_") for topic in PAYLOADS}


class Codec:
    """Encodes and decodes values of all topics. One object serves one thread."""

    def __init__(self, registry_url: str) -> None:
        self._url = registry_url
        self._client = registry_client(registry_url)
        self._writers: dict[str, tuple[bytes, Any]] = {}
        self._readers: dict[int, Any] = {}
        self._own = {topic: fastavro.parse_schema(schema) for topic, schema in load_schemas().items()}

    def encode(self, topic: str, value: Event | Message) -> bytes:
        """Bytes of an event or message for a topic (`medical.settlement.v1`).

        SchemaError when the value does not fit, or the topic's schema was never registered; RegistryUnavailable.
        """
        prefix, schema = self._writers.get(topic) or self._writer(topic)
        out = BytesIO()
        out.write(prefix)
        try:
            fastavro.schemaless_writer(out, schema, _body(value))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise SchemaError(
                f"a value does not fit the schema of {topic} ({type(error).__name__}) — mend what made it"
            ) from error
        return out.getvalue()

    def decode(self, topic: str, data: bytes) -> Event | Message:
        """Event or message from bytes of a topic.

        DataFault with reason bad_magic, truncated, unknown_schema or schema_misfit; RegistryUnavailable when the
        registry cannot be asked for a schema that was not seen before.
        """
        if topic not in self._own:
            topic = plain_name(topic)
        if not data or data[0] != MAGIC:
            raise _fault(topic, "bad_magic", f"{len(data)} bytes")
        if len(data) < _FRAME.size:
            raise _fault(topic, "truncated", f"{len(data)} bytes")
        schema_id = _FRAME.unpack_from(data)[1]
        writer = self._readers.get(schema_id) or self._reader(topic, schema_id)
        stream = BytesIO(data)
        stream.seek(_FRAME.size)
        try:
            body = fastavro.schemaless_reader(stream, writer, self._own[topic])
        except (EOFError, IndexError) as error:
            raise _fault(topic, "truncated", f"{len(data)} bytes") from error
        except Exception as error:
            # fastavro raises many kinds for bytes that are no record of the schema; each is the record's fault.
            raise _fault(topic, "schema_misfit", f"{len(data)} bytes") from error
        if stream.tell() != len(data):
            raise _fault(topic, "schema_misfit", f"{len(data)} bytes")
        try:
            return _value(topic, body)
        except (msgspec.ValidationError, KeyError) as error:
            raise _fault(topic, "schema_misfit", f"{len(data)} bytes") from error

    def close(self) -> None:
        """Let go of the registry's connections."""
        self._client.__exit__()

    def __del__(self) -> None:
        """A codec dropped by a failed start lets go of its connections too."""
        with contextlib.suppress(Exception):  # at interpreter exit the client may be half gone, and nobody listens
            self.close()

    def _writer(self, named: str) -> tuple[bytes, Any]:
        topic = named if named in self._own else plain_name(named)
        if topic not in self._own:
            raise SchemaError(f"there is no schemas/{topic}.avsc — add it and run `hub schemas register`")
        try:
            registered = self._client.get_latest_version(subject_of(topic))
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                raise SchemaError(f"the schema of {topic} is not registered — run `hub schemas register`") from error
            raise unavailable(self._url) from error
        except UNREACHABLE as error:
            raise unavailable(self._url) from error
        schema = fastavro.parse_schema(msgspec.json.decode(registered.schema.schema_str or "null"))
        self._writers[named] = (_FRAME.pack(MAGIC, registered.schema_id), schema)
        return self._writers[named]

    def _reader(self, topic: str, schema_id: int) -> Any:
        try:
            schema = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                raise _fault(topic, "unknown_schema", f"id {schema_id}") from error
            raise unavailable(self._url) from error
        except UNREACHABLE as error:
            raise unavailable(self._url) from error
        try:
            self._readers[schema_id] = fastavro.parse_schema(msgspec.json.decode(schema.schema_str or "null"))
        except Exception as error:
            # The registry also holds other people's schemas, in JSON Schema or Protobuf, which fail in many ways.
            raise _fault(topic, "unknown_schema", f"id {schema_id} is no Avro schema") from error
        return self._readers[schema_id]


def _fault(topic: str, reason: str, value_class: str) -> DataFault:
    return DataFault(
        topic, "unreadable", "value", reason, value_class, "find out who produced it and send it again in the format"
    )


# --- to Avro --------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """A Struct as Avro wants it: dicts and lists, dates left as dates."""
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _body(value: Event | Message) -> dict[str, Any]:
    if isinstance(value, Event):
        return {"header": _plain(value.header), "payload": _plain(value.payload)}
    if isinstance(value, Contribution):
        return _contribution_body(value)
    body: dict[str, Any] = _plain(value)
    return body


def _contribution_body(value: Contribution) -> dict[str, Any]:
    body: dict[str, Any] = {
        "home": value.home,
        "person": value.person,
        "roles": list(value.roles),
        "state": value.state,
        "generation": value.generation,
        "sequence": value.sequence,
        "reads": value.reads,
    }
    for fact in value.facts:
        if fact.payload is None:
            raise ValueError("a contribution carries live facts only")
        item = {name: getattr(fact, name) for name in _FACT_FIELDS}
        item["payload"] = _plain(fact.payload)
        body.setdefault(_COLUMN[fact.topic], []).append(item)
    return body


# --- from Avro ------------------------------------------------------------------------------------------------------


def _value(topic: str, body: Any) -> Event | Message:
    if topic == CONTRIBUTIONS:
        return _contribution(body)
    message = MESSAGES.get(topic)
    if message is not None:
        converted: Message = msgspec.convert(body, message)
        _dated(converted)
        return converted
    name = topic.removesuffix(".v1")
    payload = body["payload"]
    return Event(
        name,
        _dated(msgspec.convert(body["header"], Header)),
        None if payload is None else _payload(name, payload),
    )


_CONVERT: Final[Callable[..., Any]] = msgspec.convert


def _dated(value: Any) -> Any:
    """The value, once each of its instants is known to be a day."""
    for name in _INSTANTS[type(value)]:
        instant = getattr(value, name)
        if instant is not None and instant not in _YEARS:
            raise msgspec.ValidationError(f"{name} falls on no day")
    return value


def _payload(topic: str, body: dict[str, Any]) -> Any:
    # The payload types are a tagged union in state; here the topic says which one, so the tag is put in.
    body["event"] = topic
    return _CONVERT(body, PAYLOADS[topic])


def _contribution(body: dict[str, Any]) -> Contribution:
    facts = [
        Fact(topic, **{name: item[name] for name in _FACT_FIELDS}, payload=_payload(topic, item["payload"]))
        for topic, column in _COLUMN.items()
        for item in body[column]
    ]
    return Contribution(
        body["home"],
        body["person"],
        tuple(body["roles"]),
        body["state"],
        body["generation"],
        body["sequence"],
        tuple(sorted(facts, key=lambda fact: (fact.topic, fact.source, fact.record_id))),
        body["reads"],
    )
