"""Makes tests/upgrade/former.bin: what a deployment of the former release leaves behind, written by that release.

Run by the former release's own code, on what it alone can do (nothing of this release is imported):

    git worktree add ../former 2c26653
    (cd ../former && PYTHONPATH=. python "$OLDPWD/tests/upgrade/make_former.py" OUT)

The file is msgpack in zstd: schemas as registered, both waves of source events as Avro, the states of both stages
between the waves as written to the changelogs, what was open then and what came to be open after the second wave and
some weeks, and the store as SQL text.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import cramjam
import fastavro
import msgspec

import hub
from hub.discovery.topology import LocalTopology
from hub.domain.messages import Event
from hub.domain.times import at_noon_ms
from hub.packs import load_book
from hub.simulate import check, departments
from hub.store.db import migrate, open_store, session
from hub.store.models import ConsumerOffset, IngestRecord
from hub.streams.codec import _body
from hub.streams.schemas import canonical, load_schemas
from hub.vault.keys import generate
from hub.vault.tokens import Tokens

RELEASE = "2c26653"
AS_OF = date(2026, 3, 16)
NOON = at_noon_ms(AS_OF)
LATER = at_noon_ms(AS_OF + timedelta(days=45))
SEED, HOUSEHOLDS = 20260316, 10


def encoded(event: Event) -> tuple[str, str, bytes]:
    """Topic, key and Avro of an event, without the frame that holds a registry's id."""
    topic = f"{event.topic}.v1"
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(load_schemas()[topic]), _body(event))
    return topic, event.header.person or event.header.source, out.getvalue()


def store(folder: Path) -> str:
    """A store at the former release's revision, with rows, as SQL text."""
    path = folder / "hub.db"
    migrate(f"sqlite:///{path}")
    engine = open_store(f"sqlite:///{path}")
    with session(engine) as db:
        db.add(ConsumerOffset(consumer="dispatcher", topic="alerts.v1", partition=0, next_offset=0))
        db.add(
            IngestRecord(
                source="s", topic="medical.settlement", record_id="r", person="a" * 32, version=3, source_version=2,
                own_from=3, digest="d", live=False, batch=1, received_at=NOON,
            )
        )  # fmt: skip
    engine.dispose()
    with sqlite3.connect(path) as plain:
        text = "\n".join(plain.iterdump())
    plain.close()
    return text


def main(out: Path) -> None:
    """Write the file."""
    print("made by", Path(hub.__file__).parent)  # noqa: T201
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "offices"
        departments.first(root, departments.Manifest(seed=SEED, households=HOUSEHOLDS, as_of=AS_OF))
        source = check.read(root, Path("connectors/sources"), Tokens(generate()))
        first = source.read(NOON)
        departments.second(root)
        second = source.read(NOON + 1000)
        source.close()
        topology = LocalTopology(load_book(overlay="demo"), clock=NOON)
        topology.send(first)
        (partition,) = topology._partitions
        states = dict(partition.persons._values), dict(partition.homes._values)
        made = {
            "release": RELEASE,
            "now": NOON,
            "later": LATER,
            "schemas": {topic: canonical(schema) for topic, schema in load_schemas().items()},
            "first": [encoded(event) for event in first],
            "second": [encoded(event) for event in second],
            "persons": states[0],
            "homes": states[1],
            "open": sorted(topology.open_set(), key=repr),
            "store": store(folder),
        }
        topology.send(second)
        made["open_after"] = sorted(topology.open_set(), key=repr)
        topology.advance(LATER)
        made["open_later"] = sorted(topology.open_set(), key=repr)
    out.write_bytes(bytes(cramjam.zstd.compress(msgspec.msgpack.encode(made), 19)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
