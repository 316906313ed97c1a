"""A broker with the hub's topics, the session's registry, a store on each database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from hub.settings import Settings
from hub.stack import LocalStack
from hub.store.db import migrate, open_store
from hub.streams.admin import create_topics
from hub.streams.codec import Codec
from hub.streams.producers import Producer, producer
from hub.streams.schemas import register

_schemas = count()


@pytest.fixture(scope="module")
def brokers(own_stack: LocalStack) -> str:
    """bootstrap.servers of a broker with all topics and nothing in them."""
    create_topics(Settings(brokers=own_stack.bootstrap, partitions=2))
    return own_stack.bootstrap


@pytest.fixture(scope="module")
def codec(registry_url: str) -> Iterator[Codec]:
    """A codec on a registry that has all schemas."""
    register(registry_url)
    made = Codec(registry_url)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of an empty store on each database."""
    made = Settings(data_dir=tmp_path_factory.mktemp("store"))
    if request.param == "sqlite":
        migrate(made.store)
        yield made
        return
    server = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    schema = f"quality_{os.getpid()}_{next(_schemas)}"
    admin = create_engine(server)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = server.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    migrate(url)
    yield made.model_copy(update={"store_url": url})
    with admin.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture
def engine(store: Settings) -> Iterator[Engine]:
    """The store."""
    found = open_store(store.store)
    yield found
    found.dispose()


@pytest.fixture
def place(store: Settings, brokers: str, registry_url: str) -> Settings:
    """Settings of an empty store, with broker and registry."""
    return store.model_copy(update={"brokers": brokers, "registry_url": registry_url, "partitions": 2})


@pytest.fixture(scope="module")
def out(brokers: str) -> Iterator[Producer]:
    """A producer as every process has it."""
    with closing(producer(Settings(brokers=brokers))) as made:
        yield made
