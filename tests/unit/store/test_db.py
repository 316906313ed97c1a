"""The store opens, migrates, upserts and queues writers, on SQLite here and on PostgreSQL in tests/integration."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select

from hub.errors import ConfigurationError
from hub.store.db import migrate, open_store, session, upsert
from hub.store.models import Base, ConsumerOffset, IngestCount


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A migrated SQLite store."""
    address = f"sqlite:///{tmp_path / 'hub.db'}"
    migrate(address)
    return address


def test_migrations_make_exactly_the_models(url: str) -> None:
    """A model changed without a migration would start on a fresh machine and break on an old one."""
    with open_store(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrating_twice_changes_nothing(url: str) -> None:
    """Every process migrates at its start."""
    migrate(url)


def test_upsert_overwrites_only_what_it_is_told(url: str) -> None:
    """`update=()` keeps the row that is there; `where` guards against older values."""
    engine = open_store(url)
    row = {"consumer": "c", "topic": "t", "partition": 0, "next_offset": 5}
    with session(engine) as db:
        upsert(db, ConsumerOffset, [row])
    with session(engine) as db:
        upsert(db, ConsumerOffset, [{**row, "next_offset": 9}], update=())
        assert db.scalar(select(ConsumerOffset.next_offset)) == 5
    with session(engine) as db:
        upsert(db, ConsumerOffset, [{**row, "next_offset": 3}], where=ConsumerOffset.next_offset < 3)
        assert db.scalar(select(ConsumerOffset.next_offset)) == 5
        upsert(db, ConsumerOffset, [{**row, "next_offset": 7}])
        assert db.scalar(select(ConsumerOffset.next_offset)) == 7


def test_upsert_takes_more_rows_than_one_statement_holds(url: str) -> None:
    """SQLite limits bound parameters; the rows are cut into statements."""
    engine = open_store(url)
    rows = [{"consumer": "c", "topic": "t", "partition": n, "next_offset": n} for n in range(1000)]
    with session(engine) as db:
        upsert(db, ConsumerOffset, rows)
        assert len(db.scalars(select(ConsumerOffset)).all()) == 1000


def test_writers_queue_and_none_is_lost(url: str) -> None:
    """Read, add one, write, from four threads: with a late lock two of them would read the same number."""
    with session(open_store(url)) as db:
        db.add(IngestCount(source="s", topic="t", kind="published", count=0, updated_at=0))

    def add_many() -> None:
        engine = open_store(url)
        for _ in range(25):
            with session(engine) as db:
                row = db.scalars(select(IngestCount)).one()
                row.count = row.count + 1
        engine.dispose()

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with session(open_store(url), writes=False) as db:
        assert db.scalar(select(IngestCount.count)) == 100


def test_a_failed_transaction_leaves_nothing(url: str) -> None:
    """An error inside the block rolls all of it back."""
    engine = open_store(url)
    with pytest.raises(RuntimeError), session(engine) as db:
        db.add(IngestCount(source="s", topic="t", kind="published", count=1, updated_at=0))
        db.flush()
        raise RuntimeError("stop here")
    with session(engine, writes=False) as db:
        assert db.scalars(select(IngestCount)).all() == []


def test_a_wrong_url_says_what_to_write() -> None:
    """The error teaches."""
    with pytest.raises(ConfigurationError, match="HUB_STORE_URL"):
        open_store("no url")
