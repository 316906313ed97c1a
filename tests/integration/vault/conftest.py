"""An empty vault on each database, and a way past it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from hub.settings import Settings
from hub.store.db import open_store
from hub.vault.cards import Vault, open_vault
from hub.vault.keys import init_keys

_schemas = count()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of an empty vault of its own, with a key file, on each database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'vault.db'}"
        made = Settings(data_dir=tmp_path, vault_url=url)
        init_keys(made.keys)
        yield made
        return
    server = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    schema = f"vault_{os.getpid()}_{next(_schemas)}"
    admin = create_engine(server)
    with admin.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = server.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    made = Settings(data_dir=tmp_path, vault_url=url)
    init_keys(made.keys)
    yield made
    with admin.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture
def vault(place: Settings) -> Iterator[Vault]:
    """An empty vault."""
    made = open_vault(place)
    yield made
    made.close()


@pytest.fixture
def engine(place: Settings) -> Iterator[Engine]:
    """A way to the tables past the vault, as somebody with the database's password has it."""
    found = open_store(place.vault)
    yield found
    found.dispose()
