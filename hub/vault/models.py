"""Tables of the vault, on their own MetaData: the vault may live in another database than the store.

What is personal is in `sealed` and `wrapped` only. Times are UTC milliseconds.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import DDL, BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, event

from hub.vault.keys import ID_CHARACTERS
from hub.vault.tokens import TOKEN_BYTES

VERSION: Final = 1
"""Version of these tables and of the sealed forms. A vault of a later one is not opened."""

metadata: Final = MetaData()
_TOKEN = String(2 * TOKEN_BYTES)
_KEY_ID = String(ID_CHARACTERS)

META: Final = Table(
    "vault_meta",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: 1
    Column("version", Integer, nullable=False),
    Column("token_version", Integer, nullable=False),
    Column("token_key", _KEY_ID, nullable=False),  # ids of the keys this vault was made with
    Column("audit_key", _KEY_ID, nullable=False),
)

PERSON_KEY: Final = Table(
    "vault_person_key",
    metadata,
    Column("person", _TOKEN, primary_key=True),
    Column("key_id", _KEY_ID, nullable=False),  # the key that wraps the data key
    Column("wrapped", LargeBinary),  # NULL once erased: nothing sealed for this person opens any more
    Column("erased_at", BigInteger),
)

CARD: Final = Table(
    "vault_card",
    metadata,
    Column("person", _TOKEN, primary_key=True),
    Column("origin", String(200), primary_key=True),
    Column("record_time", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),  # of the field set, part of what is authenticated
    Column("sealed", LargeBinary, nullable=False),
)

RECORD: Final = Table(
    "vault_record",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("record_id", String(200), primary_key=True),  # as events carry it: hashed
    Column("person", _TOKEN, nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),  # the record's id as its source knows it
)

AUDIT: Final = Table(
    "vault_audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 … without a gap
    Column("at", BigInteger, nullable=False),
    Column("action", String(16), nullable=False),  # open, open_record, erase
    Column("person", _TOKEN, nullable=False, index=True),
    Column("fields", String(200), nullable=False),  # comma separated, ordered
    Column("purpose", String(64), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("reason", String(100), nullable=False),
    Column("outcome", String(16), nullable=False),  # opened, no_card, erased, refused
    Column("link", String(64), nullable=False),  # hub.vault.audit
)

AUDIT_HEAD: Final = Table(
    "vault_audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: 1; locked by whoever appends
    Column("seq", BigInteger, nullable=False),
    Column("link", String(64), nullable=False),
)

_ONLY_GROWS: Final = (
    (
        "sqlite",
        "CREATE TRIGGER vault_audit_no_update BEFORE UPDATE ON vault_audit "
        "BEGIN SELECT RAISE(ABORT, 'vault_audit only grows'); END",
    ),
    (
        "sqlite",
        "CREATE TRIGGER vault_audit_no_delete BEFORE DELETE ON vault_audit "
        "BEGIN SELECT RAISE(ABORT, 'vault_audit only grows'); END",
    ),
    (
        "postgresql",
        "CREATE OR REPLACE FUNCTION vault_audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'vault_audit only grows'; END $$",
    ),
    (
        "postgresql",
        "CREATE TRIGGER vault_audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON vault_audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION vault_audit_only_grows()",
    ),
)
"""The database itself refuses to change or remove a row of the audit table."""

for _dialect, _text in _ONLY_GROWS:
    _statement = DDL(_text)  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped
    event.listen(AUDIT, "after_create", _statement.execute_if(dialect=_dialect))
