"""An empty store on each database, and a whole deployment's delivery."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from hub.settings import Settings
from hub.stack import LocalStack
from hub.store.db import migrate, open_store
from hub.streams.admin import create_topics
from hub.streams.schemas import register
from tests.databases import own_database
from tests.integration.delivery.bench import Bench

_schemas = count()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty, migrated store of its own."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'hub.db'}"
        migrate(url)
        yield url
        return
    server = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    schema = f"delivery_{os.getpid()}_{next(_schemas)}"
    admin = create_engine(server)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = server.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    migrate(url)
    yield url
    with admin.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    """The store, opened."""
    found = open_store(store_url)
    yield found
    found.dispose()


@pytest.fixture(scope="module")
def hub_stack(own_stack: LocalStack) -> LocalStack:
    """A broker with the hub's topics, a registry with its schemas."""
    settings = Settings(brokers=own_stack.bootstrap, registry_url=own_stack.registry_url, partitions=3)
    create_topics(settings)
    register(settings.registry_url)
    return own_stack


@pytest.fixture(params=["sqlite"])
def bench(request: pytest.FixtureRequest, hub_stack: LocalStack, tmp_path: Path) -> Iterator[Bench]:
    """A deployment of its own on the module's broker; `indirect` parameters choose PostgreSQL."""
    store_url = ""
    if request.param == "postgresql":
        name = f"dispatcher_{os.getpid()}_{abs(hash(request.node.name)) % 10**6}"
        store_url = own_database(request.getfixturevalue("postgres_url"), name)
    made = Bench(hub_stack, tmp_path, store_url, request.node.name)
    yield made
    made.close()
