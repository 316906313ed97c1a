"""Identity cards, sealed person by person; opened for a registered purpose, with one audit row a person.

Each person has a data key (AES-256), wrapped under a key of the key file. Cards and source record ids are sealed
under the data key with AES-256-GCM, bound to person, origin and version, so that no row can be exchanged for another.
Erasure destroys the data key: what backups and logs still hold of the sealed rows stays closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct
from sqlalchemy import Engine, delete, event, insert, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from hub.errors import PurposeRefused, StateFromTheFuture, VaultError
from hub.ops.clock import Clock
from hub.settings import Settings
from hub.store.db import in_lists, open_store, session
from hub.vault.audit import START, Action, AuditChain, AuditReport, Entry, Outcome, require_code
from hub.vault.data_keys import DataKeys, require_tokens
from hub.vault.envelope import Wrapping, altered, card_bound, record_bound, seal, unseal
from hub.vault.keys import Keys, fingerprint, load_keys
from hub.vault.models import AUDIT_HEAD, CARD, META, PERSON_KEY, RECORD, VERSION, metadata
from hub.vault.purposes import CARD_FIELDS, Purpose, PurposeRegister, allow, load_purposes
from hub.vault.sealed import Sealer
from hub.vault.tokens import Tokens

_CREATE_LOCK: Final = 33110002  # PostgreSQL advisory lock of our own choosing: two first starts queue


class IdentityCard(Struct, frozen=True, kw_only=True):
    """Who a token is, as one stream of one source says it.

    `origin` is `source/topic`; the newest card of an origin by `record_time` (UTC ms) replaces the older. A field
    that is None says nothing.
    """

    person: str
    origin: str
    record_time: int
    name: str | None = None
    number: str | None = None
    address: str | None = None
    phone: str | None = None
    birth_date: str | None = None
    sex: str | None = None

    def __repr__(self) -> str:
        """Nothing personal: a repr reaches logs and tracebacks."""
        return f"IdentityCard(origin={self.origin!r})"


class RecordId(Struct, frozen=True, kw_only=True):
    """Under which id its source knows a record, whose id in events is hashed."""

    person: str
    source: str
    record_id: str
    original: str

    def __repr__(self) -> str:
        """Nothing personal: the original contains a citizen number."""
        return f"RecordId(source={self.source!r})"


class Opening(Struct, frozen=True):
    """What an opening gave. `fields` holds what is known of what was asked; empty unless the outcome is `opened`."""

    outcome: Literal["opened", "no_card", "erased"]
    fields: dict[str, str]

    def __repr__(self) -> str:
        """Outcome and names of fields only."""
        return f"Opening({self.outcome}, {sorted(self.fields)})"


class Vault:
    """The vault on one database. Processes use `open_vault`."""

    def __init__(self, engine: Engine, keys: Keys, purposes: PurposeRegister, now_ms: Callable[[], int]) -> None:
        self.tokens: Final = Tokens(keys)
        self.sealer: Final = Sealer(keys)
        self.purposes: Final = purposes
        self._engine = engine
        self._keys = keys
        self._now_ms = now_ms
        self._chain = AuditChain(keys.audit)
        self._wrapping = Wrapping(keys.wrapping)
        self._insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._data_keys = DataKeys(self._wrapping, self._insert)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _overwrite_what_is_deleted)

    def close(self) -> None:
        """Give the database connections back."""
        self._engine.dispose()

    def create(self) -> None:
        """Make the tables where they are not there yet; safe at every start. Then check that these keys fit.

        StateFromTheFuture for a vault of a later release, VaultError for one made with another key file.
        """
        ids = {"token_key": fingerprint(self._keys.token_secret), "audit_key": fingerprint(self._keys.audit)}
        with session(self._engine) as db:
            if self._engine.dialect.name == "postgresql":
                db.connection().exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})")
            if not inspect(db.connection()).has_table(META.name):
                metadata.create_all(db.connection())
                row = {"id": 1, "version": VERSION, "token_version": self._keys.token_version, **ids}
                db.execute(insert(META).values(row))
                db.execute(insert(AUDIT_HEAD).values(id=1, seq=0, link=START))
            made = db.execute(select(META)).mappings().one()
        if made["version"] > VERSION:
            raise StateFromTheFuture(
                f"the vault has version {made['version']}, this release knows {VERSION} — upgrade the hub"
            )
        wrong = [name for name, key_id in ids.items() if made[name] != key_id]
        if wrong or made["token_version"] != self._keys.token_version:
            # Going on would give every person a second token.
            raise VaultError(
                "this vault was made with another key file — point HUB_KEY_FILE to the one it was made with "
                f"(token key {made['token_key']}, audit key {made['audit_key']}; `hub keys show` lists ids)"
            )

    # --- write -------------------------------------------------------------------------------------------------

    def put_many(self, cards: Sequence[IdentityCard]) -> frozenset[str]:
        """Write cards in one transaction; writing them again changes nothing that can be seen.

        Returns the tokens that were erased: their cards are not written. A card older than the one held is ignored.
        """
        with session(self._engine) as db:
            data_keys = self._data_keys.made(db, {card.person for card in cards})
            rows = []
            # In one order everywhere, so that two writers on PostgreSQL cannot wait for each other.
            for card in sorted(cards, key=lambda card: (card.person, card.origin, card.record_time)):
                data_key = data_keys[card.person]
                if data_key is None:
                    continue
                content = {name: value for name in CARD_FIELDS if (value := getattr(card, name)) is not None}
                bound = card_bound(VERSION, card.person, card.origin, card.record_time)
                rows.append(
                    {
                        "person": card.person,
                        "origin": card.origin,
                        "record_time": card.record_time,
                        "version": VERSION,
                        "sealed": seal(AESGCM(data_key), msgspec.msgpack.encode(content), bound),
                    }
                )
            statement = self._insert(CARD)
            new = statement.excluded
            self._execute(
                db,
                statement.on_conflict_do_update(
                    index_elements=["person", "origin"],
                    set_={name: new[name] for name in ("record_time", "version", "sealed")},
                    where=CARD.c.record_time <= new.record_time,
                ),
                rows,
            )
        return frozenset(person for person, data_key in data_keys.items() if data_key is None)

    def map_records(self, records: Sequence[RecordId]) -> frozenset[str]:
        """Keep under which id a source knows its records, for the files that go back to it. Returns erased tokens."""
        with session(self._engine) as db:
            data_keys = self._data_keys.made(db, {record.person for record in records})
            rows = []
            for record in sorted(records, key=lambda record: (record.source, record.record_id)):
                data_key = data_keys[record.person]
                if data_key is None:
                    continue
                bound = record_bound(record.person, record.source, record.record_id)
                rows.append(
                    {
                        "source": record.source,
                        "record_id": record.record_id,
                        "person": record.person,
                        "sealed": seal(AESGCM(data_key), record.original.encode(), bound),
                    }
                )
            statement = self._insert(RECORD)
            new = statement.excluded
            self._execute(
                db,
                statement.on_conflict_do_update(
                    index_elements=["source", "record_id"], set_={"person": new.person, "sealed": new.sealed}
                ),
                rows,
            )
        return frozenset(person for person, data_key in data_keys.items() if data_key is None)

    def erase(self, person: str, *, actor: str, reason: str) -> bool:
        """Destroy a person's data key and what it sealed (PIPL 47). Returns whether there was anything to destroy.

        The token stays marked, so that a record that comes again does not bring the person back.
        """
        require_code("actor", actor)
        require_code("reason", reason)
        require_tokens([person])
        now = self._now_ms()
        with session(self._engine) as db:
            key = db.execute(
                select(PERSON_KEY.c.wrapped).where(PERSON_KEY.c.person == person).with_for_update()
            ).first()
            if key is None:
                gone = {"person": person, "key_id": self._wrapping.active, "wrapped": None, "erased_at": now}
                db.execute(self._insert(PERSON_KEY).on_conflict_do_nothing(), [gone])
            erased = {"wrapped": None, "erased_at": now}
            db.execute(
                update(PERSON_KEY).where(PERSON_KEY.c.person == person, PERSON_KEY.c.erased_at.is_(None)).values(erased)
            )
            db.execute(delete(CARD).where(CARD.c.person == person))
            db.execute(delete(RECORD).where(RECORD.c.person == person))
            entry = Entry(
                at=now,
                action="erase",
                person=person,
                purpose="erasure",
                actor=actor,
                reason=reason,
                outcome="erased",
            )
            self._chain.append(db, [entry])
        if self._engine.dialect.name == "sqlite":
            raw = self._engine.raw_connection()  # outside a transaction, or it would do nothing
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the old pages leave the write-ahead log too
            raw.close()
        return key is not None and key.wrapped is not None

    # --- open --------------------------------------------------------------------------------------------------

    def open(self, person: str, fields: Collection[str], purpose: str, actor: str, reason: str) -> Opening:
        """Open one person's card; see `open_many`."""
        return self.open_many([person], fields, purpose, actor, reason)[person]

    def open_many(
        self, people: Iterable[str], fields: Collection[str], purpose: str, actor: str, reason: str
    ) -> dict[str, Opening]:
        """Open cards: the asked fields of each person, and one audit row a person, in one transaction.

        `purpose` is an id of the register, `actor` is channel:account (as `web:li`, `dispatcher`), `reason` a code or
        reference. PurposeRefused (audited) when the purpose does not cover a field or the channel; VaultError when a
        card was altered. Where several origins know a field, the newest record wins.
        """
        tokens = sorted(set(people))
        self._permit("open", tokens, fields, purpose, actor, reason)
        openings: dict[str, Opening] = {}
        with session(self._engine) as db:
            held = self._data_keys.held(db, tokens)
            cards: dict[str, list[Any]] = {}
            for chunk in in_lists(tokens):
                for row in db.execute(select(CARD).where(CARD.c.person.in_(chunk))):
                    cards.setdefault(row.person, []).append(row)
            for token in tokens:
                if token in held and held[token] is None:
                    openings[token] = Opening("erased", {})
                elif token not in cards:
                    openings[token] = Opening("no_card", {})
                else:
                    known = self._merge(held.get(token), cards[token])
                    openings[token] = Opening("opened", {name: known[name] for name in fields if name in known})
            self._audit(
                db, "open", fields, purpose, actor, reason, [(token, openings[token].outcome) for token in tokens]
            )
        return openings

    def open_records(
        self, source: str, record_ids: Iterable[str], purpose: str, actor: str, reason: str
    ) -> dict[str, str]:
        """Ids as the source knows them, by the hashed ids of its events; those not held, or erased, are left out.

        One audit row a record, with its person. Errors as `open_many`.
        """
        self._permit("open_record", [], ("record_id",), purpose, actor, reason)
        opened: dict[str, str] = {}
        with session(self._engine) as db:
            rows = [
                row
                for chunk in in_lists(set(record_ids))
                for row in db.execute(select(RECORD).where(RECORD.c.source == source, RECORD.c.record_id.in_(chunk)))
            ]
            held = self._data_keys.held(db, {row.person for row in rows})
            for row in rows:
                data_key = held.get(row.person)
                if data_key is None:
                    raise altered()
                bound = record_bound(row.person, source, row.record_id)
                opened[row.record_id] = unseal(AESGCM(data_key), row.sealed, bound).decode()
            outcomes: list[tuple[str, Outcome]] = [(row.person, "opened") for row in rows]
            self._audit(db, "open_record", ("record_id",), purpose, actor, reason, outcomes)
        return opened

    def verify_audit(self, anchor: str | None = None) -> AuditReport:
        """Walk the audit chain; `anchor` is a link noted down earlier that must still be in it."""
        with session(self._engine, writes=False) as db:
            return self._chain.verify(db, anchor)

    # --- inside ------------------------------------------------------------------------------------------------

    def _permit(
        self, action: Action, people: Sequence[str], fields: Collection[str], purpose: str, actor: str, reason: str
    ) -> Purpose:
        """Check an opening before anything is read; a refusal is audited, then raised."""
        require_code("actor", actor)
        require_code("reason", reason)
        require_tokens(people)
        found: Purpose | None = None
        try:
            found = self.purposes.get(purpose)
            allow(found, fields, actor)
        except PurposeRefused:
            with session(self._engine) as db:
                known = found.id if found else "unregistered"
                self._audit(db, action, (), known, actor, reason, [(person, "refused") for person in people or [""]])
            raise
        return found

    def _audit(
        self,
        db: Session,
        action: Action,
        fields: Collection[str],
        purpose: str,
        actor: str,
        reason: str,
        outcomes: Sequence[tuple[str, Outcome]],
    ) -> None:
        now = self._now_ms()
        self._chain.append(
            db,
            [
                Entry(
                    at=now,
                    action=action,
                    person=person,
                    fields=tuple(fields),
                    purpose=purpose,
                    actor=actor,
                    reason=reason,
                    outcome=outcome,
                )
                for person, outcome in outcomes
            ],
        )

    def _merge(self, data_key: bytes | None, rows: list[Any]) -> dict[str, str]:
        """What is known of a person: later records over earlier ones, field by field."""
        if data_key is None:
            raise altered()
        cipher = AESGCM(data_key)
        known: dict[str, str] = {}
        for row in sorted(rows, key=lambda row: (row.record_time, row.origin)):
            bound = card_bound(row.version, row.person, row.origin, row.record_time)
            known |= msgspec.msgpack.decode(unseal(cipher, row.sealed, bound), type=dict[str, str])
        if "number" in known:
            known["number_last4"] = known["number"][-4:]
        return known

    @staticmethod
    def _execute(db: Session, statement: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            db.execute(statement, rows)


def open_vault(settings: Settings) -> Vault:
    """The vault of this deployment, its tables made if need be. The caller closes it.

    ConfigurationError without a fit key file; `Vault.create` says what else.
    """
    keys = load_keys(settings.keys)
    vault = Vault(open_store(settings.vault), keys, load_purposes(), Clock(settings).now_ms)
    try:
        vault.create()
    except BaseException:
        vault.close()
        raise
    return vault


def _overwrite_what_is_deleted(connection: Any, _record: Any) -> None:
    """SQLite leaves deleted bytes in the file unless told otherwise; a destroyed key must be gone."""
    connection.execute("PRAGMA secure_delete=ON")
