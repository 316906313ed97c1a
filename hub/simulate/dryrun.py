"""Reads departments' files through their mappings into events, in memory: no broker, no vault, no store.

For tests and for `hub simulate truth`. It uses the connectors' readers, converters and version rules as they are; only
the protocol around them (what is durable, in which order) is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from connectors.convert import Converter, Draft
from connectors.decide import Held, Step, annul, upsert
from connectors.files import FileSource
from connectors.mapping import SourceMapping, Stream
from connectors.source import Batch, Position, Row, Source
from connectors.sql import SqlSource
from hub.domain.messages import Event, Header
from hub.errors import DataFault
from hub.streams.topics import EVENT_BYTES
from hub.vault.tokens import Tokens


class Refused(NamedTuple):
    """A row, or a whole file, that would go to quarantine."""

    source: str
    stream: str
    record: str
    field: str
    reason: str


class _Positions:
    """Where each reading stands."""

    def __init__(self) -> None:
        self.kept: dict[str, Position] = {}

    def position(self, key: str) -> Position:
        """The position of a key, empty when there is none."""
        return self.kept.get(key, {})


class Reader:
    """Reads one source again and again; each `read` gives what is new since the one before."""

    def __init__(self, mapping: SourceMapping, root: Path, tokens: Tokens) -> None:
        self._mapping = mapping
        self._source: Source = (SqlSource if mapping.kind == "sql" else FileSource)(mapping, root)
        self._converters = {stream.id: Converter(mapping, stream, tokens) for stream in mapping.streams}
        self._positions = _Positions()
        self._held: dict[tuple[str, str], dict[str, Held]] = defaultdict(dict)
        self._seen: set[str] = set()
        self.refused: list[Refused] = []

    def read(self, now: int) -> Iterator[Event]:
        """Events of all rows that are new or changed at `now` (UTC ms), in the order they would be published."""
        for stream in self._mapping.streams:
            for batch in self._source.poll(stream, self._positions, now):
                yield from self._batch(batch, now)

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()

    def _batch(self, batch: Batch, now: int) -> Iterator[Event]:
        if batch.first:
            self._seen = set()
        if batch.bad_file is not None:
            reason, _, field = batch.bad_file.unreadable
            self.refused.append(Refused(self._mapping.source, batch.stream.id, batch.bad_file.name, field, reason))
        for row in batch.rows:
            yield from self._row(batch.stream, row, now)
        if batch.last and batch.stream.delivery == "snapshot":
            yield from self._vanished(batch.stream, now)
        self._positions.kept.update(batch.positions)

    def _row(self, stream: Stream, row: Row, now: int) -> Iterator[Event]:
        converter = self._converters[stream.id]
        if row.unreadable is not None:
            reason, _, field = row.unreadable
            self.refused.append(Refused(self._mapping.source, stream.id, row.locator or "", field, reason))
            return
        if not converter.passes(row):
            return
        try:
            key = converter.key(row)
            self._seen.add(key.record_id)
            found = converter.convert(row, key, now)
        except DataFault as fault:
            self.refused.append(Refused(fault.source, stream.id, fault.record, fault.field, fault.reason))
            return
        # Without a schema at hand the size is that of another compact encoding; no honest event is anywhere near.
        if any(len(msgspec.msgpack.encode(draft.payload)) > EVENT_BYTES for draft in found.drafts):
            self.refused.append(Refused(self._mapping.source, stream.id, key.record_id, "event", "oversize"))
            return
        held = self._held[stream.topic, key.record_id]
        drafts = {draft.person: draft for draft in found.drafts}
        if found.void:
            _, steps = annul(held, found.people, key.version, now)
        else:
            wanted = {person: draft.digest for person, draft in drafts.items()}
            _, steps = upsert(held, wanted, key.version, now, read_once=self._mapping.kind == "files")
        yield from self._events(stream, key.record_id, steps, drafts)

    def _vanished(self, stream: Stream, now: int) -> Iterator[Event]:
        for (topic, record_id), held in list(self._held.items()):
            if topic == stream.topic and record_id.startswith(stream.record_id.prefix) and record_id not in self._seen:
                yield from self._events(stream, record_id, annul(held, (), None, now)[1], {})

    def _events(
        self, stream: Stream, record_id: str, steps: Iterable[Step], drafts: dict[str, Draft]
    ) -> Iterator[Event]:
        for step in steps:
            if step.held is not None:
                self._held[stream.topic, record_id][step.person] = step.held
            if step.change is None:
                continue
            draft = drafts.get(step.person) if step.change == "UPSERT" else None
            recorded = step.received_at if draft is None or draft.record_time is None else draft.record_time
            header = Header(
                source=self._mapping.source,
                record_id=record_id,
                version=step.version,
                change=step.change,
                person=step.person or None,
                region=draft.region if draft else None,
                event_time=recorded if draft is None or draft.event_time is None else draft.event_time,
                record_time=recorded,
                received_at=step.received_at,
                valid_from=draft.valid_from if draft else None,
                valid_to=draft.valid_to if draft else None,
            )
            yield Event(stream.topic, header, draft.payload if draft else None)


class Departments:
    """All sources of a folder of mappings, read in turn."""

    def __init__(self, mappings: Iterable[SourceMapping], root: Path, tokens: Tokens) -> None:
        self._readers = [Reader(mapping, root, tokens) for mapping in mappings]

    def read(self, now: int) -> list[Event]:
        """Everything that is new at `now`."""
        return [event for reader in self._readers for event in reader.read(now)]

    @property
    def refused(self) -> list[Refused]:
        """What would be in quarantine; a bad row that is read again is said once."""
        return list(dict.fromkeys(one for reader in self._readers for one in reader.refused))

    def close(self) -> None:
        """Let go of all sources."""
        for reader in self._readers:
            reader.close()
