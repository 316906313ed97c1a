"""Opening the store on SQLite or PostgreSQL, sessions, upserts, migrations: what differs between the two is here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from hub.errors import ConfigurationError, StateFromTheFuture, StoreUnavailable

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another one under SQLite: longer than any transaction of the hub."""

_MAX_BOUND = 900
"""Bound parameters a statement may hold on the oldest SQLite that Python 3.11 ships with (999), with room to spare."""

_IN = 500
"""Values of one IN list, below the least limit of SQLite (999)."""

Item = TypeVar("Item")


def open_store(url: str) -> Engine:
    """Engine of a store URL. ConfigurationError for a URL that is none. PostgreSQL is reached through psycopg 3."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "HUB_STORE_URL is no database URL — write one like postgresql://hub@db/hub, or leave it empty for SQLite"
        ) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        hide_parameters=True,  # an error's text must not carry a row
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Transactions are begun by us (below): the driver's own late BEGIN would upgrade a read lock and deadlock.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


@contextmanager
def session(engine: Engine, *, writes: bool = True) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on an error.

    Under SQLite a writing transaction takes its lock at the start, so that two processes queue and never collide.
    StoreUnavailable when the database does not answer.
    """
    bound = engine.execution_options(sqlite_begin="IMMEDIATE" if writes else "DEFERRED")
    db = Session(bound, expire_on_commit=False)
    try:
        yield db
        db.commit()
    except OperationalError as error:
        db.rollback()
        raise StoreUnavailable(
            f"the store does not answer ({type(error.orig).__name__}) — see that it runs, then try again"
        ) from error
    except BaseException:
        db.rollback()
        raise
    finally:
        db.close()


def upsert(
    db: Session,
    model: type[DeclarativeBase],
    rows: Sequence[dict[str, Any]],
    *,
    update: Iterable[str] | None = None,
    where: Any = None,
) -> int:
    """Insert rows, or update those whose primary key exists; returns the rows written.

    `update` names the columns to overwrite (default: all but the key; empty: keep the row that is there). `where`
    is a condition on the existing row, as `Case.revision < revision`. Rows must all have the same columns.
    """
    if not rows:
        return 0
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    keys = [column.name for column in model.__table__.primary_key]
    columns = list(rows[0])
    changed = [name for name in (columns if update is None else update) if name not in keys]
    written = 0
    chunk = max(1, _MAX_BOUND // len(columns))
    for start in range(0, len(rows), chunk):
        statement = dialect.insert(model).values(list(rows[start : start + chunk]))
        if changed:
            excluded = statement.excluded
            statement = statement.on_conflict_do_update(
                index_elements=keys, set_={name: excluded[name] for name in changed}, where=where
            )
        else:
            statement = statement.on_conflict_do_nothing(index_elements=keys)
        result = db.execute(statement)
        written += max(0, getattr(result, "rowcount", 0))
    return written


def in_lists(values: Iterable[str]) -> Iterator[list[str]]:
    """Values in order, cut into lists that one IN may hold."""
    ordered = sorted(values)
    for start in range(0, len(ordered), _IN):
        yield ordered[start : start + _IN]


def write_what_fits(db: Session, items: Sequence[Item], write: Callable[[Sequence[Item]], None]) -> list[Item]:
    """Write items together; where the database refuses a value, each alone. Returns those it refuses, of which
    nothing is written.

    PostgreSQL refuses a text that is longer than its column or that holds a NUL; no schema keeps either out.
    """
    try:
        with db.begin_nested():
            write(items)
    except DataError:
        if len(items) == 1:
            return list(items)
        return [refused for item in items for refused in write_what_fits(db, [item], write)]
    return []


def revisions(engine: Engine) -> tuple[str | None, str]:
    """The revision a store's tables are at (None: there are none), and this release's. StoreUnavailable."""
    try:
        with engine.connect() as connection:
            here = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise StoreUnavailable(
            f"the store does not answer ({type(error.orig).__name__}) — see that it runs, then try again"
        ) from error
    return here, ScriptDirectory.from_config(_alembic()).get_current_head() or ""


def known_revisions() -> frozenset[str]:
    """Every revision that this release can bring a store to."""
    return frozenset(one.revision for one in ScriptDirectory.from_config(_alembic()).walk_revisions())


def migrate(url: str, revision: str = "head") -> None:
    """Bring the store's tables to this release (Alembic, `upgrade head`), or to a revision. Safe at every start.

    StateFromTheFuture for a store that a newer release has migrated.
    """
    config = _alembic()
    engine = open_store(url)
    try:
        with engine.execution_options(sqlite_begin="IMMEDIATE").connect() as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                # Two processes may start at once: the second waits for the first (a number of our own choosing).
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(33110001)")
            here = MigrationContext.configure(connection).get_current_revision()
            if here is not None and here not in {
                one.revision for one in ScriptDirectory.from_config(config).walk_revisions()
            }:
                raise StateFromTheFuture(
                    f"the store was migrated to {here} by a newer release — start that release again, or restore the "
                    "backup made before it"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except OperationalError as error:
        raise StoreUnavailable(
            f"the store does not answer ({type(error.orig).__name__}) — see that it runs, then try again"
        ) from error
    finally:
        engine.dispose()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
