"""What the store keeps for ingestion: positions, the last version of each record, counts, batches under way.

A batch is written down twice: before it is published (what each record is about to become) and after it was
acknowledged (how far was read). A batch that was begun and never settled stays `open`, and its records are published
again, as they were, when their rows are read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Engine, distinct, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from connectors.decide import Held
from connectors.source import Position
from hub.store.db import in_lists, session, upsert
from hub.store.models import IngestCount, IngestPosition, IngestRecord

BATCHES: Final = "*"
"""Key, among a source's positions, of the last batch's number and of those left open."""


class Records:
    """The store's view of one source. Only the holder of the source's lock may use it; `reload` when it is taken."""

    def __init__(self, engine: Engine, source: str) -> None:
        self._engine = engine
        self._source = source
        self._positions: dict[str, Position] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._open: set[int] = set()
        self._batch = 0

    def reload(self) -> None:
        """Read positions, counts and open batches; forget open batches that left nothing."""
        with session(self._engine, writes=False) as db:
            rows = db.scalars(select(IngestPosition).where(IngestPosition.source == self._source)).all()
            self._positions = {row.stream: dict(row.position) for row in rows}
            counted = db.scalars(select(IngestCount).where(IngestCount.source == self._source)).all()
            self._counts = {(row.topic, row.kind): row.count for row in counted}
            batches = self._positions.get(BATCHES, {})
            self._batch = batches.get("last", 0)
            self._open = set()
            if was_open := batches.get("open", []):
                left = select(IngestRecord.batch).where(
                    IngestRecord.source == self._source, IngestRecord.batch.in_(was_open)
                )
                self._open = set(db.scalars(left.distinct()))

    def position(self, key: str) -> Position:
        """The stored position of a key, empty when there is none."""
        return self._positions.get(key, {})

    def find(self, topic: str, record_ids: Collection[str]) -> dict[str, dict[str, Held]]:
        """Record id → person → what is held."""
        found: dict[str, dict[str, Held]] = {}
        with session(self._engine, writes=False) as db:
            for wanted in in_lists(set(record_ids)):
                self._read(db, topic, [IngestRecord.record_id.in_(wanted)], found)
        return found

    def live(self, topic: str, prefix: str) -> int:
        """Records of a topic whose id begins so and that stand."""
        query = select(func.count(distinct(IngestRecord.record_id))).where(
            IngestRecord.source == self._source,
            IngestRecord.topic == topic,
            IngestRecord.live,
            IngestRecord.record_id.startswith(prefix, autoescape=True),
        )
        with session(self._engine, writes=False) as db:
            return db.scalars(query).one()

    def absent(self, topic: str, prefix: str, present: Collection[str]) -> dict[str, dict[str, Held]]:
        """Records that stand (or whose annulment may not have left) and are not among those present."""
        ids = select(IngestRecord.record_id).where(
            IngestRecord.source == self._source,
            IngestRecord.topic == topic,
            IngestRecord.record_id.startswith(prefix, autoescape=True),
            or_(IngestRecord.live, IngestRecord.batch.in_(self._open)),
        )
        with session(self._engine, writes=False) as db:
            gone = [record_id for record_id in db.scalars(ids.distinct()) if record_id not in present]
        return self.find(topic, gone)

    def _read(self, db: Session, topic: str, where: Iterable[Any], found: dict[str, dict[str, Held]]) -> None:
        table = IngestRecord.__table__.c
        query = select(
            table.record_id,
            table.person,
            table.version,
            table.source_version,
            table.digest,
            table.live,
            table.received_at,
            table.batch,
            table.own_from,
        ).where(table.source == self._source, table.topic == topic, *where)
        for record_id, person, version, source_version, digest, live, received_at, batch, own_from in db.execute(query):
            found.setdefault(record_id, {})[person] = Held(
                version=version,
                source_version=source_version,
                digest=digest,
                live=live,
                received_at=received_at,
                settled=batch not in self._open,
                own_from=own_from,
            )

    def begin(self, rows: Mapping[tuple[str, str, str], Held], now_ms: int) -> None:
        """Write down what is about to be published, by (topic, record id, person), and open its batch."""
        self._batch += 1
        self._open.add(self._batch)
        values = [
            {
                "source": self._source,
                "topic": topic,
                "record_id": record_id,
                "person": person,
                "version": held.version,
                "source_version": held.source_version,
                "digest": held.digest,
                "live": held.live,
                "batch": self._batch,
                "received_at": held.received_at,
                "own_from": held.own_from,
            }
            for (topic, record_id, person), held in sorted(rows.items())
        ]
        with session(self._engine) as db:
            insert = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
            statement = insert(IngestRecord)
            changed = ("version", "source_version", "digest", "live", "batch", "received_at", "own_from")
            # One statement for many rows (executemany): several times as fast as one with many values.
            db.connection().execute(
                statement.on_conflict_do_update(
                    index_elements=["source", "topic", "record_id", "person"],
                    set_={name: statement.excluded[name] for name in changed},
                ),
                values,
            )
            self._write_positions(db, {BATCHES: self._batches()}, now_ms)

    def settle(
        self, positions: Mapping[str, Position], counts: Mapping[tuple[str, str], int], begun: bool, now_ms: int
    ) -> None:
        """All was acknowledged: store positions and counts, and close the batch where one was begun."""
        if begun:
            self._open.discard(self._batch)
        changed = {key: value for key, value in positions.items() if self._positions.get(key) != value}
        if begun:
            changed[BATCHES] = self._batches()
        for key, count in counts.items():
            self._counts[key] = self._counts.get(key, 0) + count
        if not changed and not counts:
            return
        with session(self._engine) as db:
            self._write_positions(db, changed, now_ms)
            upsert(
                db,
                IngestCount,
                [
                    {
                        "source": self._source,
                        "topic": topic,
                        "kind": kind,
                        "count": self._counts[topic, kind],
                        "updated_at": now_ms,
                    }
                    for topic, kind in sorted(counts)
                ],
            )
        self._positions.update(changed)

    def _batches(self) -> Position:
        return {"last": self._batch, "open": sorted(self._open)}

    def _write_positions(self, db: Session, positions: Mapping[str, Position], now_ms: int) -> None:
        rows = [
            {"source": self._source, "stream": key, "position": value, "updated_at": now_ms}
            for key, value in sorted(positions.items())
        ]
        upsert(db, IngestPosition, rows)
