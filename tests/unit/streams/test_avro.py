"""Functions made for a schema write and read what fastavro does, and refuse what the types refuse."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.facts import PAYLOADS
from hub.domain.messages import Contribution, Event, Fact, Header
from hub.streams.avro import Shape, Unsupported, compile_reader, compile_writer, varint
from hub.streams.codec import CONTRIBUTIONS, MESSAGES, _body, _spread, _value, reader_of, writer_of
from hub.streams.schemas import load_schemas
from tests.unit.quality.samples import event

TOPICS = (*(f"{name}.v1" for name in PAYLOADS), *MESSAGES, CONTRIBUTIONS)
PARSED = {topic: fastavro.parse_schema(schema) for topic, schema in load_schemas().items()}
INSTANTS = ("event_time", "record_time", "received_at", "made_at", "decided_at", "caused_at", "seen_at", "activated_at")

st.register_type_strategy(int, st.integers(-(2**31), 2**31 - 1))


def values(topic: str) -> st.SearchStrategy[Any]:
    """Any value of a topic's type."""
    if topic == CONTRIBUTIONS:
        facts = st.one_of(
            *(
                st.builds(Fact, st.just(name), payload=st.from_type(payload), **rest_of_fact())
                for name, payload in PAYLOADS.items()
            )
        )
        unique = st.lists(facts, max_size=5, unique_by=lambda fact: (fact.topic, fact.source, fact.record_id))
        ordered = unique.map(lambda rows: tuple(sorted(rows, key=lambda f: (f.topic, f.source, f.record_id))))
        return st.builds(Contribution, facts=ordered)
    if topic in MESSAGES:
        return st.from_type(MESSAGES[topic])
    name = topic.removesuffix(".v1")
    return st.builds(Event, st.just(name), st.from_type(Header), st.none() | st.from_type(PAYLOADS[name]))


def rest_of_fact() -> dict[str, Any]:
    """Strategies for what a fact says beside its topic and payload."""
    hints = {name: hint for name, hint in Fact.__annotations__.items() if name not in ("topic", "payload")}
    kinds = {"str": st.text(max_size=8), "str | None": st.none() | st.text(max_size=8), "int": st.integers(0, 2**62)}
    return {name: kinds.get(hint, st.none() | st.dates()) for name, hint in hints.items()}


def by_fastavro(topic: str, value: Any) -> bytes:
    """A value as fastavro writes it."""
    out = BytesIO()
    fastavro.schemaless_writer(out, PARSED[topic], _body(value))
    return out.getvalue()


def read_by_fastavro(topic: str, data: bytes) -> Any:
    """A value as fastavro and msgspec read it. Raises for bytes that are none."""
    stream = BytesIO(data)
    body = fastavro.schemaless_reader(stream, PARSED[topic], None)
    if stream.tell() != len(data):
        raise ValueError("bytes behind the record")
    return _value(topic, body)


def written(topic: str, value: Any) -> bytes:
    """A value as the function made for it writes it."""
    write = writer_of(topic)
    assert write is not None
    out = bytearray()
    write(_spread(value) if isinstance(value, Contribution) else value, out)
    return bytes(out)


def read(topic: str, data: bytes) -> Any:
    """A value as the function made for it reads it."""
    function = reader_of(topic)
    assert function is not None, "the hub's own schemas are all covered"
    return function(data, 0)


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=12)
@given(data=st.data())
def test_the_same_bytes_and_the_same_values_as_fastavro(topic: str, data: st.DataObject) -> None:
    """Whatever the types allow."""
    value = data.draw(values(topic))
    encoded = written(topic, value)
    assert encoded == by_fastavro(topic, value)
    assert read(topic, encoded) == read_by_fastavro(topic, encoded) == value


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=25)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_read_alike(topic: str, data: st.DataObject) -> None:
    """Nothing else is raised than the codec turns into a fault, and nothing is read that fastavro reads otherwise."""
    good = bytearray(written(topic, data.draw(values(topic))))
    for place in data.draw(st.lists(st.integers(0, max(0, len(good) - 1)), min_size=1, max_size=3)):
        good[place] = data.draw(st.integers(0, 255))
    bad = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        found = read(topic, bad)
    except (IndexError, ValueError, OverflowError):
        return
    assert found == read_by_fastavro(topic, bad)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_bytes_that_end_too_soon_say_so(cut: int) -> None:
    """The codec tells *truncated* from other misfits by it."""
    data = written("registration.resident.v1", event("registration.resident"))
    with pytest.raises(IndexError):
        read("registration.resident.v1", data[:-cut])


def test_bytes_behind_a_record_are_no_part_of_it() -> None:
    """They would be lost without a word."""
    data = written("registration.resident.v1", event("registration.resident"))
    with pytest.raises(ValueError, match="behind"):
        read("registration.resident.v1", data + b"\x00")


def test_what_a_literal_does_not_list_is_refused() -> None:
    """Avro knows it as any text."""
    made = event("registration.resident")
    odd = made._replace(header=msgspec.structs.replace(made.header, change="MAYBE"))
    with pytest.raises(ValueError, match="change"):
        read("registration.resident.v1", written("registration.resident.v1", odd))
    tie = Contribution("person:a", "a", (), "LIVE", 1, 2, ())
    with pytest.raises(ValueError, match="state"):
        read(CONTRIBUTIONS, written(CONTRIBUTIONS, msgspec.structs.replace(tie, state="GONE")))


def test_a_value_that_does_not_fit_is_refused() -> None:
    """By an error that the codec turns into one of its own."""
    made = event("registration.resident")
    for wrong in ({"version": None}, {"version": 2**63}, {"record_id": None}, {"source": 5}, {"valid_from": "2026"}):
        odd = made._replace(header=msgspec.structs.replace(made.header, **wrong))
        with pytest.raises((AttributeError, TypeError, ValueError, OverflowError)):
            written("registration.resident.v1", odd)
    hollow = Fact("registration.resident", "s", "r", 1, None, 1, 2, 3, None, None, None)
    with pytest.raises(AttributeError):
        written(CONTRIBUTIONS, Contribution("person:a", "a", (), "LIVE", 1, 2, (hollow,)))


def test_blocks_with_their_size_are_read() -> None:
    """Other writers may cut an array into blocks and put each one's size before it."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": {"type": "array", "items": "long"}}]}
    shape = Shape(lambda x: x, {"x": "v"})
    one, two = varint(7), varint(-300)
    data = varint(-1) + varint(len(one)) + one + varint(1) + two + varint(0)
    assert compile_reader(schema, shape)(data, 0) == (7, -300)


def test_a_number_of_more_than_64_bits_is_refused() -> None:
    """It would be another number in any other reader."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "long"}]}
    function = compile_reader(schema, Shape(lambda x: x, {"x": "v"}))
    for number in (0, -1, 63, 64, -64, -65, 2**63 - 1, -(2**63)):
        assert function(varint(number), 0) == number
    with pytest.raises(ValueError, match="64 bits"):
        function(b"\xff" * 10 + b"\x01", 0)


@pytest.mark.parametrize(
    "kind",
    [
        "double",
        {"type": "map", "values": "long"},
        ["null", "long", "string"],
        {"type": "enum", "name": "E", "symbols": ["A"]},
        {"type": "long", "logicalType": "timestamp-millis"},
        {"type": "bytes", "logicalType": "decimal", "precision": 4},
    ],
)
def test_what_is_not_covered_is_said(kind: Any) -> None:
    """So that the codec takes fastavro, and nothing is read by half."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "x", "type": kind}]}
    for made in (compile_reader, compile_writer):
        with pytest.raises(Unsupported):
            made(schema, Shape(lambda x: x, {"x": "v.x"}))
