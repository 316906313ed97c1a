"""Bytes to events and messages, and back: the Confluent wire format (0x00, schema id, Avro).

Schemas are asked of the registry by id when reading and by subject when writing, once each; run time never registers.
Under a schema that is this release's own, records are read and written by functions made for it (hub.streams.avro);
under another version of it fastavro resolves the difference, a dict between.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from datetime import date
from functools import lru_cache, partial
from io import BytesIO
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple

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
from hub.streams.avro import Read, Shape, Unsupported, Write, compile_reader, compile_writer, plain, shape_of
from hub.streams.schemas import UNREACHABLE, load_schemas, registry_client, subject_of, unavailable
from hub.streams.topics import plain_name

FRAME: Final = struct.Struct(">bI")
"""What a value begins with: MAGIC and the schema's id."""

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
        self._writers: dict[str, _Writer] = {}
        self._readers: dict[tuple[str, int], _Reader] = {}
        self._own = {topic: fastavro.parse_schema(schema) for topic, schema in load_schemas().items()}

    def encode(self, topic: str, value: Event | Message) -> bytes:
        """Bytes of an event or message for a topic (`medical.settlement.v1`).

        SchemaError when the value does not fit, or the topic's schema was never registered; RegistryUnavailable.
        """
        prefix, write, schema = self._writers.get(topic) or self._writer(topic)
        try:
            if write is not None:
                data = bytearray(prefix)
                write(_spread(value) if isinstance(value, Contribution) else value, data)
                return bytes(data)
            out = BytesIO()
            out.write(prefix)
            fastavro.schemaless_writer(out, schema, _body(value))
            return out.getvalue()
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
            raise SchemaError(
                f"a value does not fit the schema of {topic} ({type(error).__name__}) — mend what made it"
            ) from error

    def decode(self, topic: str, data: bytes) -> Event | Message:
        """Event or message from bytes of a topic.

        DataFault with reason bad_magic, truncated, unknown_schema or schema_misfit; RegistryUnavailable when the
        registry cannot be asked for a schema that was not seen before.
        """
        if topic not in self._own:
            topic = plain_name(topic)
        if not data or data[0] != MAGIC:
            raise _fault(topic, "bad_magic", f"{len(data)} bytes")
        if len(data) < FRAME.size:
            raise _fault(topic, "truncated", f"{len(data)} bytes")
        schema_id = FRAME.unpack_from(data)[1]
        read, schema = self._readers.get((topic, schema_id)) or self._reader(topic, schema_id)
        try:
            if read is not None:
                value: Event | Message = read(data, FRAME.size)
                return value
            return self._resolved(topic, schema, data)
        except (EOFError, IndexError) as error:
            raise _fault(topic, "truncated", f"{len(data)} bytes") from error
        except Exception as error:
            # Many kinds are raised for bytes that are no record of the schema; each is the record's fault.
            raise _fault(topic, "schema_misfit", f"{len(data)} bytes") from error

    def _resolved(self, topic: str, schema: Any, data: bytes) -> Event | Message:
        """A record written under another version of the schema than this release's own."""
        stream = BytesIO(data)
        stream.seek(FRAME.size)
        body = fastavro.schemaless_reader(stream, schema, self._own[topic])
        if stream.tell() != len(data):
            raise ValueError("bytes behind the record")
        return _value(topic, body)

    def close(self) -> None:
        """Let go of the registry's connections."""
        self._client.__exit__()

    def __del__(self) -> None:
        """A codec dropped by a failed start lets go of its connections too."""
        with contextlib.suppress(Exception):  # at interpreter exit the client may be half gone, and nobody listens
            self.close()

    def _writer(self, named: str) -> _Writer:
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
        schema = msgspec.json.decode(registered.schema.schema_str or "null")
        write = writer_of(topic) if _same(topic, schema) else None
        made = _Writer(FRAME.pack(MAGIC, registered.schema_id), write, fastavro.parse_schema(schema))
        self._writers[named] = made
        return made

    def _reader(self, topic: str, schema_id: int) -> _Reader:
        try:
            schema = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                raise _fault(topic, "unknown_schema", f"id {schema_id}") from error
            raise unavailable(self._url) from error
        except UNREACHABLE as error:
            raise unavailable(self._url) from error
        try:
            found = msgspec.json.decode(schema.schema_str or "null")
            made = _Reader(reader_of(topic) if _same(topic, found) else None, fastavro.parse_schema(found))
        except Exception as error:
            # The registry also holds other people's schemas, in JSON Schema or Protobuf, which fail in many ways.
            raise _fault(topic, "unknown_schema", f"id {schema_id} is no Avro schema") from error
        self._readers[topic, schema_id] = made
        return made


class _Writer(NamedTuple):
    """How a topic is written: prefix, the function made for its schema (None: fastavro), the schema."""

    prefix: bytes
    write: Write | None
    schema: Any


class _Reader(NamedTuple):
    """How a schema's records are read: the function made for it (None: fastavro), the schema."""

    read: Read | None
    schema: Any


def _fault(topic: str, reason: str, value_class: str) -> DataFault:
    return DataFault(
        topic, "unreadable", "value", reason, value_class, "find out who produced it and send it again in the format"
    )


# --- under the release's own schemas ----------------------------------------------------------------------------------


@lru_cache
def reader_of(topic: str) -> Read | None:
    """The function that reads a topic's records under its schema in schemas/. None where that takes fastavro."""
    try:
        return compile_reader(load_schemas()[topic], _shape(topic))
    except Unsupported:
        return None


@lru_cache
def writer_of(topic: str) -> Write | None:
    """The function that writes a topic's values under its schema in schemas/; a contribution as `_spread` has it."""
    try:
        return compile_writer(load_schemas()[topic], _shape(topic))
    except Unsupported:
        return None


def _same(topic: str, schema: Any) -> bool:
    """Whether a schema is this release's own of a topic, whatever it says by way of explanation."""
    return topic in load_schemas() and plain(schema) == plain(load_schemas()[topic])


def _shape(topic: str) -> Shape:
    if topic == CONTRIBUTIONS:
        return _contribution_shape()
    if topic in MESSAGES:
        kind = MESSAGES[topic]
        return shape_of(kind, dict.fromkeys(_INSTANTS[kind], _YEARS))
    name = topic.removesuffix(".v1")
    header = shape_of(Header, dict.fromkeys(_INSTANTS[Header], _YEARS))
    inner = {"header": header, "payload": shape_of(PAYLOADS[name])}
    return Shape(partial(Event, name), {"header": "v.header", "payload": "v.payload"}, inner=inner)


class _Spread(NamedTuple):
    """A contribution with its facts by column, as the schema has them."""

    home: str
    person: str
    roles: tuple[str, ...]
    state: str
    generation: int
    sequence: int
    reads: str
    columns: dict[str, list[Fact]]


_BY_RECORD: Final = attrgetter("topic", "source", "record_id")
_OWN_FIELDS: Final = tuple(name for name in _Spread._fields if name != "columns")
_OWN: Final = attrgetter(*_OWN_FIELDS)


def _spread(value: Contribution) -> _Spread:
    columns: dict[str, list[Fact]] = {}
    for fact in value.facts:
        columns.setdefault(_COLUMN[fact.topic], []).append(fact)
    return _Spread(
        value.home, value.person, value.roles, value.state, value.generation, value.sequence, value.reads, columns
    )


def _gathered(
    home: str, person: str, roles: tuple[str, ...], state: Any, generation: int, sequence: int, reads: str,
    **columns: tuple[Fact, ...],
) -> Contribution:  # fmt: skip
    facts = tuple(sorted(chain.from_iterable(columns.values()), key=_BY_RECORD))
    return Contribution(home, person, roles, state, generation, sequence, facts, reads)


def _contribution_shape() -> Shape:
    inner = {
        column: Shape(
            partial(Fact, topic),
            {name: f"v.{name}" for name in _FACT_FIELDS} | {"payload": "v.payload"},
            inner={"payload": shape_of(PAYLOADS[topic])},
        )
        for topic, column in _COLUMN.items()
    }
    attributes = {name: f"v.{name}" for name in _OWN_FIELDS}
    attributes |= {column: f"v.columns.get({column!r})" for column in inner}
    literals = {"state": frozenset(("LIVE", "ENDED"))}
    return Shape(_gathered, attributes, literals, inner=inner)


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
