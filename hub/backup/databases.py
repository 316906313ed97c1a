"""The SQL store and the vault, row by row, so that SQLite comes back as PostgreSQL and the other way round.

Everything is read in one transaction that sees one moment. What a card says stays sealed: rows are copied as they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Date, Engine, Integer, MetaData, Table, func, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from hub.backup.files import Out, records
from hub.errors import BackupRefused, StoreUnavailable
from hub.store.models import Base
from hub.vault.models import META
from hub.vault.models import metadata as vault_tables

ROW: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Row",
    "namespace": "hub.backup",
    "fields": [{"name": "table", "type": "string"}, {"name": "values", "type": "bytes"}],
}
"""`values`: msgpack, column name → value; days as ISO text."""

FEW: Final = 500
TOLD: Final = 50_000
NOT_KEPT: Final = frozenset({"process"})
"""Who was running is nothing to bring back."""

NOT_OURS: Final = frozenset({"alembic_version"})


@contextmanager
def one_moment(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees the database as it is now, however long it is read. StoreUnavailable."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    except SQLAlchemyError as error:
        raise StoreUnavailable(
            f"the database does not answer ({type(error).__name__}) — see that it runs, then try again"
        ) from error


def store_tables(connection: Connection) -> list[Table]:
    """The store's tables as they are there, in an order in which they can be filled."""
    ours = set(inspect(connection).get_table_names()) & set(Base.metadata.tables)
    return _reflected(connection, ours - NOT_OURS)


def vault_tables_of(connection: Connection) -> list[Table]:
    """The vault's tables as they are there; none where no card was ever written."""
    return _reflected(connection, set(inspect(connection).get_table_names()) & set(vault_tables.tables))


def dump(connection: Connection, tables: Iterable[Table], out: Out, say: Callable[[str], None]) -> None:
    """Every row of some tables."""
    for table in tables:
        if table.name in NOT_KEPT:
            continue
        found = connection.execution_options(stream_results=True, yield_per=FEW).execute(select(table))
        for count, row in enumerate(found.mappings(), 1):
            out.add({"table": table.name, "values": msgspec.msgpack.encode(dict(row))})
            if count % TOLD == 0:
                say(f"{table.name}: {count} rows")
    say(f"{out.name}: {out.records} rows")


def fill(
    connection: Connection,
    tables: list[Table],
    folder: Path,
    name: str,
    change: Callable[[str, dict[str, Any]], dict[str, Any]],
    say: Callable[[str], None],
) -> None:
    """Insert what was dumped; `change` may alter a row of a table on its way. BackupRefused for a table that is not
    there.
    """
    by_name = {table.name: table for table in tables}
    waiting: list[dict[str, Any]] = []
    current: Table | None = None
    count = 0
    for record in records(folder, name):
        table = by_name.get(record["table"])
        if table is None:
            raise BackupRefused(f"{name} holds rows of {record['table']}, which this release has not — use a newer one")
        if current is not None and (current is not table or len(waiting) >= FEW):
            connection.execute(insert(current), waiting)
            waiting = []
        current = table
        waiting.append(change(table.name, _row(table, msgspec.msgpack.decode(record["values"]))))
        count += 1
        if count % TOLD == 0:
            say(f"{name}: {count} rows")
    if current is not None and waiting:
        connection.execute(insert(current), waiting)
    for table in tables:
        _count_on(connection, table)
    say(f"{name}: {count} rows")


def occupied(connection: Connection, tables: Iterable[Table]) -> list[str]:
    """Tables that hold a row already, but for those that do not count."""
    return [
        table.name
        for table in tables
        if table.name not in NOT_KEPT and connection.execute(select(table).limit(1)).first() is not None
    ]


def vault_version(connection: Connection) -> int:
    """Version of the vault's tables; 0 where there is no vault."""
    if not inspect(connection).has_table(META.name):
        return 0
    return int(connection.execute(select(META.c.version)).scalar() or 0)


def _reflected(connection: Connection, names: set[str]) -> list[Table]:
    found = MetaData()
    found.reflect(connection, only=sorted(names))
    return list(found.sorted_tables)


def _row(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    for column in table.columns:
        value = values.get(column.name)
        if isinstance(column.type, Date) and isinstance(value, str):
            values[column.name] = date.fromisoformat(value)
    return values


def _count_on(connection: Connection, table: Table) -> None:
    """PostgreSQL counts keys of its own: from the highest that was brought back."""
    if connection.dialect.name != "postgresql":
        return
    for column in table.primary_key.columns:
        if isinstance(column.type, Integer) and column.server_default is not None:
            highest = connection.execute(select(func.max(column))).scalar()
            if highest is not None:
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                connection.execute(select(func.setval(sequence, highest)))
