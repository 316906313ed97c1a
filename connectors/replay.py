"""Brings quarantined records back: opened, read by the mapping as it is now, and taken in like any other row."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import Engine, select, update

from connectors.convert import Converter
from connectors.files import FileFault, file_batches, file_key, sequence_of
from connectors.ingest import Ingest
from connectors.lock import source_lock
from connectors.mapping import SourceMapping, Stream
from connectors.original import OriginalFile, OriginalRow, unpack
from connectors.parts import Parts
from connectors.records import Records
from connectors.service import LOCK_WAIT_S
from connectors.source import Batch
from hub.errors import DataFault, VaultError
from hub.settings import Settings
from hub.store.db import session
from hub.store.models import QuarantineRow
from hub.streams.intake import owner_key, spreads

State = Literal["replayed", "failed_again", "dropped", "refused"]
"""`refused`: nothing was tried, and the row stays as it is."""


class Result(NamedTuple):
    """What became of one quarantined record, with the reason in words."""

    quarantine_id: str
    state: State
    text: str


class Replay:
    """Replays records of one deployment."""

    def __init__(self, settings: Settings, engine: Engine, parts: Parts, mappings: Sequence[SourceMapping]) -> None:
        self._root = settings.source_root
        self._engine = engine
        self._parts = parts
        self._mappings = {mapping.source: mapping for mapping in mappings}

    def replay(self, rows: Iterable[QuarantineRow]) -> list[Result]:
        """Replay rows of the store's quarantine table, and note on each what came of it."""
        results = []
        for row in sorted(rows, key=lambda one: (one.source, one.received_at, one.quarantine_id)):
            result = self._one(row)
            if result.state != "refused":
                self._note(row, result)
            results.append(result)
        return results

    def _one(self, row: QuarantineRow) -> Result:
        read = {"connector": self._connector, "worker": self._worker}.get(row.stage)
        if read is None:
            return Result(row.quarantine_id, "refused", _refusal(row))
        try:
            original = self._parts.vault.sealer.unseal(row.original)
        except VaultError as error:
            return Result(row.quarantine_id, "refused", str(error))
        return read(row, original)

    def _note(self, row: QuarantineRow, result: Result) -> None:
        failed = result.state == "failed_again"
        with session(self._engine) as db:
            db.execute(
                update(QuarantineRow)
                .where(QuarantineRow.quarantine_id == row.quarantine_id)
                .values(
                    state=result.state,
                    attempt=QuarantineRow.attempt + (1 if failed else 0),
                    message=result.text if failed else QuarantineRow.message,
                    changed_at=self._parts.clock.now_ms(),
                )
            )

    def _worker(self, row: QuarantineRow, original: bytes) -> Result:
        """A message the worker refused: sent again as it is, under the key it should have had, if it decodes now."""
        topic = row.topic or ""
        try:
            value = self._parts.codec.decode(topic, original)
        except DataFault as fault:
            return Result(row.quarantine_id, "failed_again", str(fault))
        key = owner_key(value)
        if key is None:
            text = "it names no person — have its producer send it again"
            return Result(row.quarantine_id, "failed_again", text)
        for partition in range(self._parts.partitions) if spreads(value) else (None,):
            self._parts.producer.send(topic, key, original, partition=partition)
        self._parts.producer.flush()
        return Result(row.quarantine_id, "replayed", "sent again under the key of its person")

    def _connector(self, row: QuarantineRow, original: bytes) -> Result:
        mapping = self._mappings.get(row.source)
        if mapping is None:
            text = f"no mapping for {row.source} — set HUB_SOURCES to the folder that holds it"
            return Result(row.quarantine_id, "refused", text)
        body = unpack(original)
        stream = next((one for one in mapping.streams if one.id == body.stream), None)
        if stream is None:
            text = f"{row.source} has no stream {body.stream} any more — give the stream its old id"
            return Result(row.quarantine_id, "failed_again", text)
        ingest = Ingest(mapping, Records(self._engine, mapping.source), self._parts)
        with source_lock(self._engine, mapping.source, LOCK_WAIT_S):
            ingest.reload()
            if isinstance(body, OriginalFile):
                return self._file(row, body, stream, ingest)
            return self._row(row, body, stream, ingest)

    def _row(self, row: QuarantineRow, body: OriginalRow, stream: Stream, ingest: Ingest) -> Result:
        if (fault := _fault(ingest.mapping, stream, self._parts, body)) is not None:
            return Result(row.quarantine_id, "failed_again", str(fault))
        known = ingest.records.find(stream.topic, [row.record_id] if row.record_id else [])
        held = known.get(row.record_id or "", {})
        if any(one.received_at > row.received_at for one in held.values()):
            return Result(row.quarantine_id, "dropped", "the source has sent the record since; that one stands")
        counts, _newest = ingest.apply(Batch(stream, [body.row], {}))
        if any(kind not in ("quarantined",) and count > 0 for (_topic, kind), count in counts.items()):
            return Result(row.quarantine_id, "replayed", "taken in")
        return Result(row.quarantine_id, "failed_again", "the event fits no message — see its reason, mend the source")

    def _file(self, row: QuarantineRow, body: OriginalFile, stream: Stream, ingest: Ingest) -> Result:
        """A whole file: from the sealed bytes, or, where it was too large to keep, from where it lies."""
        content = body.content
        if content is None:
            path = self._root / (ingest.mapping.folder or "") / Path(body.name).name
            if not path.is_file():
                text = f"{body.name} was too large to keep and is gone — have it dropped again"
                return Result(row.quarantine_id, "failed_again", text)
            content = path.read_bytes()
        sequence = sequence_of(stream, body.name)
        position = ingest.records.position(file_key(stream, body.name))
        try:
            for batch in file_batches(stream, io.BytesIO(content), body.name, sequence, position):
                ingest.apply(batch)
        except FileFault as fault:
            found = fault.unreadable
            return Result(row.quarantine_id, "failed_again", f"{body.name}: {found.reason} ({found.value_class})")
        return Result(row.quarantine_id, "replayed", "the file was taken in; see the list for rows that still fail")


def _refusal(row: QuarantineRow) -> str:
    """Why a row of another stage than the connectors' and the worker's cannot be replayed, and what to do."""
    if row.stage == "dispatcher":
        return (
            f"it lay on {row.topic} and is no source record, so there is no source topic to send it to — find out who "
            "writes there beside the worker and stop it; if the worker did, report it with its log: the line hears of "
            "that home again with its next revision"
        )
    return f"this release does not know the stage {row.stage} — replay it with the release that wrote it"


def _fault(mapping: SourceMapping, stream: Stream, parts: Parts, body: OriginalRow) -> DataFault | None:
    """Why the row still does not fit, None when it does."""
    converter = Converter(mapping, stream, parts.vault.tokens)
    if body.row.unreadable is not None:
        return DataFault(
            mapping.source,
            "unreadable",
            body.row.unreadable.field,
            body.row.unreadable.reason,
            body.row.unreadable.value_class,
            "have the source send the record again: no mapping can make a row of what was kept",
        )
    try:
        if converter.passes(body.row):
            converter.convert(body.row, converter.key(body.row), parts.clock.now_ms())
    except DataFault as fault:
        return fault
    except KeyError as error:
        return DataFault(
            mapping.source,
            "unreadable",
            str(error.args[0]),
            "missing_field",
            "no such column when it was read",
            "have the source send the record again",
        )
    return None


def waiting(
    engine: Engine, *, ids: Sequence[str] = (), source: str | None = None, states: Sequence[str] = ()
) -> list[QuarantineRow]:
    """Rows of the quarantine table, newest first; an id may be given by its first characters."""
    query = select(QuarantineRow).order_by(QuarantineRow.received_at.desc(), QuarantineRow.quarantine_id)
    if source is not None:
        query = query.where(QuarantineRow.source == source)
    if states:
        query = query.where(QuarantineRow.state.in_(states))
    with session(engine, writes=False) as db:
        rows = list(db.scalars(query).all())
    return [row for row in rows if not ids or any(row.quarantine_id.startswith(one) for one in ids)]
