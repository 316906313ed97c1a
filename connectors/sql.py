"""Reads tables: by a watermark with an overlap and a reconciliation now and then, or whole at every poll.

The department's writers must not wait for us: a SQLite file is opened read-only and read to the end at once,
PostgreSQL is read through a server-side cursor in a read-only transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, column, create_engine, literal_column, select, table, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from connectors.columns import child_columns, row_columns
from connectors.loading import mapping_hash
from connectors.mapping import ChildTable, SourceMapping, Stream, Watermark
from connectors.source import BATCH_ROWS, Batch, Cells, Position, Positions, Row
from connectors.values import ZONES, text_of
from hub.errors import ConfigurationError, SourceUnavailable

_IN: Final = 500  # values in one IN list, below the least limit of SQLite (999)


class SqlSource:
    """Polls the tables of one source."""

    def __init__(self, mapping: SourceMapping, root: Path) -> None:
        self._mapping = mapping
        self._hash = mapping_hash(mapping)
        self._engine = _engine(mapping, root)

    def poll(self, stream: Stream, positions: Positions, now_ms: int) -> Iterator[Batch]:
        """Batches of a stream. SourceUnavailable when the database does not answer."""
        try:
            with self._engine.connect() as connection:
                yield from self._stream(connection, stream, positions.position(stream.id), now_ms)
        except SQLAlchemyError as error:
            # Without the driver's text: it quotes rows.
            cause = type(getattr(error, "orig", None) or error).__name__
            place = stream.table or f"the query of {stream.id}"
            raise SourceUnavailable(
                f"{self._mapping.source}: {place} cannot be read now ({cause}) — "
                "see that the database answers, has it, and lets this user read it"
            ) from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _stream(self, connection: Connection, stream: Stream, position: Position, now_ms: int) -> Iterator[Batch]:
        watermark = stream.watermark
        if watermark is None:
            yield from self._whole(connection, stream)
            return
        reconciled = position.get("reconciled_at")
        due = reconciled is None or now_ms - reconciled >= watermark.reconcile_every.total_seconds() * 1000
        if due or position.get("mapping") != self._hash:
            yield from self._reconcile(connection, stream, watermark, now_ms)
        elif "watermark" in position:
            yield from self._changes(connection, stream, watermark, position, now_ms)

    def _whole(self, connection: Connection, stream: Stream) -> Iterator[Batch]:
        """A snapshot: everything, between a first and a last batch, of which there is at least one."""
        held: list[Row] | None = None
        first = True
        for rows in self._rows(connection, stream, self._select(stream)):
            if held is not None:
                yield Batch(stream, held, {}, first=first)
                first = False
            held = rows
        yield Batch(stream, held or [], {}, first=first, last=True)

    def _reconcile(self, connection: Connection, stream: Stream, watermark: Watermark, now_ms: int) -> Iterator[Batch]:
        """The whole table, also the first time: finds what was committed late, or without a watermark."""
        newest: Any = None
        query = self._select(stream).order_by(column(watermark.column))
        for rows in self._rows(connection, stream, query):
            newest = _newest(newest, rows, watermark)
            yield Batch(stream, rows, {})
        position: Position = {"reconciled_at": now_ms, "mapping": self._hash}
        if newest is not None:
            position["watermark"] = _encode(self._capped(newest, watermark, now_ms))
        else:
            del position["reconciled_at"]  # an empty table: look again at the next poll
        yield Batch(stream, [], {stream.id: position})

    def _changes(
        self, connection: Connection, stream: Stream, watermark: Watermark, position: Position, now_ms: int
    ) -> Iterator[Batch]:
        newest = _decode(position["watermark"])
        query = (
            self._select(stream)
            .where(column(watermark.column) >= _before(newest, watermark))
            .order_by(column(watermark.column))
        )
        for rows in self._rows(connection, stream, query):
            newest = _newest(newest, rows, watermark)
            now = {"watermark": _encode(self._capped(newest, watermark, now_ms))}
            yield Batch(stream, rows, {stream.id: {**position, **now}})

    def _capped(self, newest: Any, watermark: Watermark, now_ms: int) -> Any:
        """One row dated in the future must not hide all that follow: it is read again until its day comes."""
        now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZONES[self._mapping.zone])
        if isinstance(newest, datetime):
            return min(newest, now if newest.tzinfo else now.replace(tzinfo=None))
        if isinstance(newest, str) and watermark.format is not None:
            return min(newest, now.strftime(watermark.format))
        return newest

    def _select(self, stream: Stream) -> Select[Any]:
        return select(literal_column("*")).select_from(_from(stream.table, stream.query))

    def _rows(self, connection: Connection, stream: Stream, query: Select[Any]) -> Iterator[list[Row]]:
        for cells in self._cells(connection, query, row_columns(stream), stream.table or f"the query of {stream.id}"):
            children = {
                name: self._children(connection, stream, name, child, cells) for name, child in stream.children.items()
            }
            yield [
                Row(
                    one,
                    children={
                        name: found.get(text_of(one[stream.children[name].of]), ()) for name, found in children.items()
                    },
                )
                for one in cells
            ]

    def _children(
        self, connection: Connection, stream: Stream, name: str, child: ChildTable, parents: Sequence[Cells]
    ) -> Mapping[str, Sequence[Cells]]:
        """Parent's key as text → its rows."""
        keys = sorted({parent[child.of] for parent in parents if parent[child.of] is not None}, key=text_of)
        found: dict[str, list[Cells]] = {}
        for start in range(0, len(keys), _IN):
            query: Select[Any] = select(literal_column("*")).select_from(_from(child.table, child.query))
            query = query.where(column(child.key).in_(keys[start : start + _IN]))
            query = query.order_by(*(column(one) for one in child.order_by))
            place = child.table or f"the query of {name}"
            for cells in self._cells(connection, query, child_columns(stream, name), place):
                for one in cells:
                    found.setdefault(text_of(one[child.key]), []).append(one)
        return found

    def _cells(
        self, connection: Connection, query: Select[Any], needed: set[str], place: str
    ) -> Iterator[list[dict[str, Any]]]:
        streamed = connection.execution_options(stream_results=connection.dialect.name != "sqlite")
        result = streamed.execute(query)
        names = tuple(result.keys())
        if missing := sorted(needed - set(names)):
            raise ConfigurationError(
                f"{self._mapping.source}: {place} has no column {', '.join(missing)} — mend the mapping, or the query"
            )
        if connection.dialect.name == "sqlite":
            everything = result.all()
            for start in range(0, len(everything), BATCH_ROWS):
                yield [dict(zip(names, row, strict=True)) for row in everything[start : start + BATCH_ROWS]]
            return
        while rows := result.fetchmany(BATCH_ROWS):
            yield [dict(zip(names, row, strict=True)) for row in rows]


def _from(name: str | None, query: str | None) -> Any:
    if name is None:
        return text(f"({query}) AS of_the_mapping")
    schema, _, plain = name.rpartition(".")
    return table(plain, schema=schema or None)


def _engine(mapping: SourceMapping, root: Path) -> Engine:
    try:
        url = make_url(mapping.url or "")
    except ArgumentError as error:
        raise ConfigurationError(
            f"{mapping.source}: url is no database URL — write one like postgresql://reader@host/db or sqlite:///file.db"
        ) from error
    if url.get_backend_name() == "sqlite":
        path = root / (url.database or "")
        uri = f"file:{path}"
        return create_engine(URL.create("sqlite", database=uri, query={"mode": "ro", "uri": "true"}))
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True)
    return engine


def _newest(held: Any, rows: Sequence[Row], watermark: Watermark) -> Any:
    found = [cell for row in rows if (cell := row.cells[watermark.column]) is not None]
    return max([*found, *([] if held is None else [held])], default=None)


def _before(newest: Any, watermark: Watermark) -> Any:
    """Where to start reading again: the overlap before the newest that was seen."""
    overlap = watermark.overlap
    if isinstance(newest, int) and isinstance(overlap, int):
        return newest - overlap
    if isinstance(newest, date) and isinstance(overlap, timedelta):
        return newest - overlap
    if isinstance(newest, str) and isinstance(overlap, timedelta) and watermark.format is not None:
        try:
            moment = datetime.strptime(newest, watermark.format)  # noqa: DTZ007  # only its distance matters
        except ValueError:
            raise ConfigurationError(
                f"watermark {watermark.column}: a value is not written as {watermark.format} — mend its format"
            ) from None
        return (moment - overlap).strftime(watermark.format)
    raise ConfigurationError(
        f"watermark {watermark.column}: overlap does not fit the column — give a whole number for a number, "
        "a duration for a moment, and the format of a moment kept as text"
    )


def _encode(value: Any) -> dict[str, Any]:
    """A watermark as JSON that says what it was."""
    if isinstance(value, datetime):
        return {"moment": value.isoformat()}
    if isinstance(value, date):
        return {"day": value.isoformat()}
    return {"number": value} if isinstance(value, int) else {"text": value}


def _decode(stored: Mapping[str, Any]) -> Any:
    ((kind, value),) = stored.items()
    return {"moment": datetime.fromisoformat, "day": date.fromisoformat}.get(kind, lambda plain: plain)(value)
