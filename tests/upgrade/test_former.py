"""Without a broker: former states are read, decide the same, and stay readable for the former release."""

from __future__ import annotations

import json
import sqlite3
from io import BytesIO
from pathlib import Path

import fastavro
import pytest

from hub.discovery.state import CODEC, FORMER, PRUNES, decode_home, decode_person, encode_home, encode_person, prefix_of
from hub.discovery.topology import LocalTopology
from hub.domain.messages import Event
from hub.errors import StateFromTheFuture
from hub.packs import load_book
from hub.store.db import migrate, open_store, revisions, session
from hub.store.models import ConsumerOffset, IngestRecord
from hub.streams.codec import _value
from hub.streams.compatibility import full_problems
from hub.streams.schemas import load_schemas
from tests.upgrade import former_state
from tests.upgrade.former import former

BOOK = load_book(overlay="demo")


def events(of: list[tuple[str, str, bytes]]) -> list[Event]:
    """Events that the former release encoded, read by this release's schemas."""
    made = []
    for topic, _key, data in of:
        writer = fastavro.parse_schema(json.loads(former().schemas[topic]))
        body = fastavro.schemaless_reader(BytesIO(data), writer, fastavro.parse_schema(load_schemas()[topic]))
        value = _value(topic, body)
        assert isinstance(value, Event)
        made.append(value)
    return made


def upgraded(written: int) -> LocalTopology:
    """This release on the former's states, which it has looked through once."""
    topology = LocalTopology(BOOK, clock=former().now, written=written)
    topology.load(former().persons, former().homes)
    topology.adopt(BOOK)
    return topology


def test_former_values_are_read_and_written_back_as_they_were() -> None:
    """Byte by byte for a reader of the former release."""
    assert len(former().persons) > 100
    for data in former().persons.values():
        assert data[:2] == prefix_of(FORMER)
        kept = encode_person(decode_person(data), FORMER)
        assert former_state.decode_person(kept) == former_state.decode_person(data)
    for data in former().homes.values():
        kept = encode_home(decode_home(data), FORMER)
        assert former_state.decode_home(kept) == former_state.decode_home(data)


@pytest.mark.parametrize("written", [FORMER, CODEC])
def test_what_was_open_is_open_and_the_same_is_decided_after(written: int) -> None:
    """Before and after the second wave, and when some weeks have passed. Nothing is told again by the upgrade alone."""
    topology = upgraded(written)
    assert topology.open_set() == set(former().open)
    assert topology.alerts() == ()
    topology.send(events(former().second))
    assert topology.open_set() == set(former().open_after)
    topology.advance(former().later)
    assert topology.open_set() == set(former().open_later)
    assert set(former().open) != set(former().open_after) != set(former().open_later)


def test_until_finalise_the_former_release_reads_all_that_is_written() -> None:
    """Floors it would misunderstand are not written, whatever the clock says."""
    topology = upgraded(FORMER)
    topology.send(events(former().second))
    topology.advance(former().now + 8 * 366 * 86_400_000)
    persons, homes = topology.values()
    assert len(persons) >= len(former().persons)
    for data in persons.values():
        former_state.decode_person(data)
        assert not any(floor.pruned for floor in decode_person(data).floors)
    for data in homes.values():
        former_state.decode_home(data)


def test_after_finalise_the_former_release_ends_itself_and_pruning_begins() -> None:
    topology = upgraded(CODEC)
    topology.advance(former().now + 8 * 366 * 86_400_000)
    persons, _homes = topology.values()
    assert {data[:2] for data in persons.values()} <= {prefix_of(CODEC), prefix_of(FORMER)}
    written = [data for data in persons.values() if data[:2] == prefix_of(CODEC)]
    assert any(floor.pruned for data in written for floor in decode_person(data).floors)
    for data in written:
        with pytest.raises(former_state.StateFromTheFuture):
            former_state.decode_person(data)
    assert PRUNES > FORMER, "or the former release would have had to know what a pruned record leaves"


def test_the_store_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with sqlite3.connect(path) as plain:
        plain.executescript(former().store)
    plain.close()
    migrate(f"sqlite:///{path}")
    engine = open_store(f"sqlite:///{path}")
    with session(engine, writes=False) as db:
        assert db.query(ConsumerOffset).count() == 1
        assert db.query(IngestRecord).one().own_from == 3
    here, head = revisions(engine)
    engine.dispose()
    assert here == head


def test_a_store_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    migrate(url)
    engine = open_store(url)
    with session(engine) as db:
        db.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(StateFromTheFuture, match="9999 by a newer release"):
        migrate(url)


def test_every_former_schema_lives_on() -> None:
    for topic, text in former().schemas.items():
        assert full_problems(load_schemas()[topic], json.loads(text)) == [], topic
