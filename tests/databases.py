"""Databases of a test's own in the session's PostgreSQL."""

from __future__ import annotations

from sqlalchemy import create_engine, make_url, text


def own_database(server: str, name: str) -> str:
    """URL of a new, empty database on the server of a URL."""
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return make_url(server).set(database=name).render_as_string(hide_password=False)
