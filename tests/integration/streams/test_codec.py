"""The codec against the real registry: what goes out comes back, and each kind of bad bytes has its reason."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import fastavro
import msgspec
import pytest
from confluent_kafka.schema_registry import Schema
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hub.domain.facts import PAYLOADS, Resident
from hub.domain.messages import Contribution, Event, Fact, Header
from hub.errors import DataFault, RegistryUnavailable, SchemaError
from hub.stack.process import free_port
from hub.streams.codec import MESSAGES, Codec, _body
from hub.streams.schemas import load_schemas, register, registry_client
from tests.unit.quality.samples import event

LONG = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def codec(registry_url: str) -> Iterator[Codec]:
    """A codec on a registry that has all schemas."""
    register(registry_url)
    made = Codec(registry_url)
    yield made
    made.close()


def strategy(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type, integers within what Avro can hold."""
    return st.from_type(hint)


st.register_type_strategy(int, st.integers(-(2**31), 2**31 - 1))


@pytest.mark.parametrize("topic", PAYLOADS)
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_events_come_back(codec: Codec, topic: str, data: st.DataObject) -> None:
    """Any header and payload of the types."""
    sent = Event(topic, data.draw(strategy(Header)), data.draw(st.none() | strategy(PAYLOADS[topic])))
    assert codec.decode(f"{topic}.v1", codec.encode(f"{topic}.v1", sent)) == sent


@pytest.mark.parametrize("topic", MESSAGES)
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_messages_come_back(codec: Codec, topic: str, data: st.DataObject) -> None:
    """Any message of the types."""
    sent = data.draw(strategy(MESSAGES[topic]))
    assert codec.decode(topic, codec.encode(topic, sent)) == sent


def test_contributions_come_back_with_every_topic(codec: Codec) -> None:
    """One fact of each topic, in the order homes keep them."""
    facts = tuple(
        Fact(topic, "s", "r", 1, None, 1, 2, 3, None, None, event(topic).payload) for topic in sorted(PAYLOADS)
    )
    sent = Contribution("person:a", "a", ("self",), "LIVE", 1, 2, facts)
    assert codec.decode("contributions.v1", codec.encode("contributions.v1", sent)) == sent


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda good: b"\x01" + good[1:], "bad_magic"),
        (lambda good: b"", "bad_magic"),
        (lambda good: good[:3], "truncated"),
        (lambda good: good[:-4], "truncated"),
        (lambda good: good[:1] + struct.pack(">I", 987654) + good[5:], "unknown_schema"),
        (lambda good: good + b"\x00", "schema_misfit"),
    ],
)
def test_bad_bytes_have_their_reason(codec: Codec, damage: Any, reason: str) -> None:
    """Data faults go to quarantine under these codes."""
    good = codec.encode("registration.resident.v1", event("registration.resident"))
    with pytest.raises(DataFault) as fault:
        codec.decode("registration.resident.v1", damage(good))
    assert fault.value.reason == reason


def test_a_schema_that_is_no_avro_is_the_records_fault(codec: Codec, registry_url: str) -> None:
    """Others use the registry too; who frames a message with such an id must not end every process that reads it."""
    with registry_client(registry_url) as client:
        foreign = client.register_schema(
            "foreign-value", Schema('syntax = "proto3"; message A { string x = 1; }', "PROTOBUF")
        )
    good = codec.encode("registration.resident.v1", event("registration.resident"))
    with pytest.raises(DataFault) as fault:
        codec.decode("registration.resident.v1", good[:1] + struct.pack(">I", foreign) + good[5:])
    assert fault.value.reason == "unknown_schema"


def test_a_record_of_another_version_is_resolved(codec: Codec, registry_url: str) -> None:
    """An earlier writer knew one field less; its records are read with the field's default, and checked like any."""
    earlier = copy.deepcopy(load_schemas()["registration.resident.v1"])
    payload = next(field for field in earlier["fields"] if field["name"] == "payload")["type"][1]
    payload["fields"] = [field for field in payload["fields"] if field["name"] != "village"]
    with registry_client(registry_url) as client:
        known = client.register_schema("earlier-value", Schema(json.dumps(earlier), "AVRO"))
    sent = event("registration.resident")
    assert isinstance(sent.payload, Resident)
    assert sent.payload.village is not None
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(earlier), _body(sent))
    framed = struct.pack(">bI", 0, known)
    read = codec.decode("registration.resident.v1", framed + out.getvalue())
    assert read == sent._replace(payload=msgspec.structs.replace(sent.payload, village=None))
    with pytest.raises(DataFault) as fault:
        codec.decode("registration.resident.v1", framed + out.getvalue() + b"\x00")
    assert fault.value.reason == "schema_misfit"


@pytest.mark.parametrize("instant", [2**63 - 1, -(2**63)])
@pytest.mark.parametrize("name", ["event_time", "record_time", "received_at"])
def test_a_time_that_falls_on_no_day_is_the_records_fault(codec: Codec, name: str, instant: int) -> None:
    """A long holds it, and whoever asks for its day would end."""
    good = event("medical.settlement")
    bad = good._replace(header=msgspec.structs.replace(good.header, **{name: instant}))
    with pytest.raises(DataFault) as fault:
        codec.decode("medical.settlement.v1", codec.encode("medical.settlement.v1", bad))
    assert fault.value.reason == "schema_misfit"


def test_a_registry_that_is_away_is_no_data_fault(codec: Codec) -> None:
    """Nothing may be quarantined because the registry is down."""
    good = codec.encode("registration.resident.v1", event("registration.resident"))
    away = Codec(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RegistryUnavailable):
        away.decode("registration.resident.v1", good)
    with pytest.raises(RegistryUnavailable):
        away.encode("registration.resident.v1", event("registration.resident"))
    away.close()


def test_a_value_that_does_not_fit_is_refused(codec: Codec) -> None:
    """A null where the schema wants a text."""
    bad = event("registration.death")
    with pytest.raises(SchemaError, match="does not fit"):
        codec.encode("medical.death.v1", bad._replace(header=None))  # type: ignore[arg-type]  # the misfit is the test
