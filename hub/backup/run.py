"""Making a backup of a running deployment, and bringing one back into an empty one.

The order of a backup, and why nothing has to be stopped for it:

    store       first. Its rows follow from the topics up to the offsets beside them; what comes later in the topics is
                read on from there. What was delivered since is delivered again, and accepted once (alert id, revision).
    topics      states before what they told before what they were made from (`hub.backup.cut`).
    registry    after the topics: a schema is registered before the first record under it.
    vault       last: a card is written before the record of its person leaves, so every person of the topics has one.
    key file    only where asked for, into a file of its own. Otherwise the manifest names the ids of its keys.

Without topics, which stay on a replicated broker, a backup brings back store, vault and registry beside them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, select
from sqlalchemy.engine import make_url

from hub.backup import databases, manifest, refill, registry, topics
from hub.backup.files import Out
from hub.backup.manifest import PARTS, File, Manifest, Part
from hub.delivery.secrets import secrets_path
from hub.errors import BackupRefused, ConfigurationError, StateFromTheFuture
from hub.settings import Settings
from hub.store.db import known_revisions, migrate, open_store, revisions
from hub.store.models import ConsumerOffset
from hub.vault.keys import load_keys
from hub.vault.models import VERSION
from hub.vault.models import metadata as vault_metadata

STORE: Final = "store.avro"
VAULT: Final = "vault.avro"
REGISTRY: Final = "registry.avro"
KEYS: Final = "keys/keys.json"
SECRETS: Final = "keys/webhook-secrets.json"
Say = Callable[[str], None]


def backup(settings: Settings, folder: Path, *, with_topics: bool, with_keys: bool, say: Say) -> Manifest:
    """Write a backup into a folder that is not there yet, or empty. BackupRefused, ConfigurationError, Transient."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupRefused(f"{folder} is not empty — name a folder of its own for each backup")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = load_keys(settings.keys)
    files: dict[str, File] = {}
    parts: list[Part] = ["store"]
    store = open_store(settings.store)
    try:
        revision, head = revisions(store)
        if revision is None:
            raise ConfigurationError(f"the store holds no tables (this release's are at {head}) — see HUB_STORE_URL")
        with databases.one_moment(store) as moment:
            positions = _positions(moment)
            _rows(moment, databases.store_tables(moment), folder, STORE, files, say)
    finally:
        store.dispose()
    held = topics.notes(settings)
    if with_topics:
        parts.append("topics")
        held, written = topics.dump(settings, folder, held, positions, say)
        files |= written
    parts.append("registry")
    with Out(folder, REGISTRY, registry.SUBJECT) as out:
        registry.dump(settings.registry_url, out, say)
    files[out.name] = out.entry
    vault_version = _vault(settings, folder, files, say)
    if vault_version:
        parts.append("vault")
    if with_keys:
        parts.append("keys")
        _copy_keys(settings, folder, files)
    made = Manifest(
        format=manifest.FORMAT,
        release=manifest.release(),
        made_at=manifest.now_ms(),
        parts=tuple(part for part in PARTS if part in parts),
        files=files,
        partitions=settings.partitions,
        generation=settings.generation,
        revision=revision,
        vault_version=vault_version,
        keys=keys.ids(),
        topics=held,
    )
    manifest.write(folder, made)
    return made


def restore(settings: Settings, folder: Path, parts: Sequence[Part], say: Say) -> Manifest:
    """Bring parts of a backup back into places that are empty; all is checked before anything is written.

    BackupRefused for a damaged or newer backup, a target that is not empty, or one that does not fit; Transient.
    """
    told = manifest.read(folder)
    chosen = [part for part in PARTS if part in parts and part in told.parts]
    absent = [part for part in parts if part not in told.parts]
    if absent:
        raise BackupRefused(f"the backup holds no {', '.join(absent)} — it holds {', '.join(told.parts)}")
    _fits(settings, told, chosen)
    manifest.verify(folder, told, _files_of(told, chosen), say)
    _empty(settings, told, chosen)
    ids: dict[int, int] = {}
    for part in chosen:
        if part == "registry":
            ids = registry.fill(settings.registry_url, folder, REGISTRY, say)
            changed = {old: new for old, new in ids.items() if old != new}
            if changed and "topics" not in chosen:
                raise BackupRefused(
                    f"the registry gave {len(changed)} schemas other ids than the topics name — give it an empty "
                    "database, then restore again"
                )
        elif part == "topics":
            refill.fill(settings, folder, told.topics, ids, say)
        elif part == "vault":
            _fill_vault(settings, folder, say)
        elif part == "store":
            _fill_store(settings, folder, told, moves="topics" in chosen, say=say)
        else:
            _bring_keys(settings, folder, told)
    return told


def _positions(moment: Connection) -> dict[tuple[str, int], list[int]]:
    table = ConsumerOffset.__table__
    found: dict[tuple[str, int], list[int]] = {}
    for row in moment.execute(select(table.c.topic, table.c.partition, table.c.next_offset)):
        found.setdefault((row.topic, row.partition), []).append(row.next_offset)
    return found


def _rows(moment: Connection, tables: list[Any], folder: Path, name: str, files: dict[str, File], say: Say) -> None:
    with Out(folder, name, databases.ROW) as out:
        databases.dump(moment, tables, out, say)
    files[name] = out.entry


def _vault(settings: Settings, folder: Path, files: dict[str, File], say: Say) -> int:
    if not _there(settings.vault):
        return 0
    engine = open_store(settings.vault)
    try:
        with databases.one_moment(engine) as moment:
            version = databases.vault_version(moment)
            if version:
                _rows(moment, databases.vault_tables_of(moment), folder, VAULT, files, say)
            return version
    finally:
        engine.dispose()


def _there(url: str) -> bool:
    """Whether a database is there; opening an absent SQLite file would make it."""
    parsed = make_url(url)
    return parsed.get_backend_name() != "sqlite" or bool(parsed.database and Path(parsed.database).exists())


def _copy_keys(settings: Settings, folder: Path, files: dict[str, File]) -> None:
    for source, name in ((settings.keys, KEYS), (secrets_path(settings), SECRETS)):
        if source.exists():
            _copy(source, folder / name)
            files[name] = File(sha256=manifest.digest(folder / name), size=(folder / name).stat().st_size)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out, source.open("rb") as content:
        shutil.copyfileobj(content, out)
        out.flush()
        os.fsync(out.fileno())


def _files_of(told: Manifest, chosen: Sequence[Part]) -> list[str]:
    of: dict[Part, Callable[[str], bool]] = {
        "store": lambda name: name == STORE,
        "vault": lambda name: name == VAULT,
        "registry": lambda name: name == REGISTRY,
        "topics": lambda name: name.startswith("topics/"),
        "keys": lambda name: name.startswith("keys/"),
    }
    return sorted(name for name in told.files if any(of[part](name) for part in chosen))


def _fits(settings: Settings, told: Manifest, chosen: Sequence[Part]) -> None:
    """Partitions, generation and keys are those of the backup."""
    wrong = []
    if told.partitions != settings.partitions:
        wrong.append(f"it has {told.partitions} partitions — set HUB_PARTITIONS={told.partitions}")
    if "topics" in chosen and told.generation != settings.generation:
        wrong.append(f"it is of generation {told.generation} — set HUB_GENERATION={told.generation}")
    if told.revision is not None and told.revision not in known_revisions():
        wrong.append(f"its store is at {told.revision}, which this release does not know — use the one that made it")
    if told.vault_version > VERSION:
        wrong.append(f"its vault has version {told.vault_version}, this release knows {VERSION} — use a newer release")
    if "vault" in chosen and "keys" not in chosen:
        if not settings.keys.exists():
            wrong.append(f"without its key file no card opens — put the file that was kept apart at {settings.keys}")
        elif load_keys(settings.keys).ids() != told.keys:
            wrong.append(f"{settings.keys} is not the key file it was made with — `hub keys show` lists ids")
    if wrong:
        raise BackupRefused(f"the backup does not fit: {'; '.join(wrong)}")


def _empty(settings: Settings, told: Manifest, chosen: Sequence[Part]) -> None:
    """Nothing is written over."""
    found = []
    if "registry" in chosen and (held := registry.subjects(settings.registry_url)):
        found.append(f"the registry holds {len(held)} subjects")
    if "topics" in chosen and (full := refill.occupied(settings, told.topics)):
        found.append(f"{len(full)} topics hold records ({full[0]})")
    for part, url, tables in (
        ("store", settings.store, databases.store_tables),
        ("vault", settings.vault, databases.vault_tables_of),
    ):
        if part in chosen and _there(url):
            engine = open_store(url)
            try:
                with databases.one_moment(engine) as moment:
                    if rows := databases.occupied(moment, tables(moment)):
                        found.append(f"the {part} has rows in {rows[0]}")
            finally:
                engine.dispose()
    if "keys" in chosen and settings.keys.exists() and load_keys(settings.keys).ids() != told.keys:
        found.append(f"{settings.keys} is another key file")
    if found:
        raise BackupRefused(f"the target is not empty: {'; '.join(found)} — restore into an empty one")


def _fill_store(settings: Settings, folder: Path, told: Manifest, *, moves: bool, say: Say) -> None:
    def change(table: str, row: dict[str, Any]) -> dict[str, Any]:
        if moves and table == ConsumerOffset.__tablename__:
            row["next_offset"] = refill.moved(told.topics, row["topic"], row["partition"], row["next_offset"])
        return row

    migrate(settings.store, told.revision or "head")
    engine = open_store(settings.store)
    try:
        with engine.execution_options(sqlite_begin="IMMEDIATE").connect() as connection, connection.begin():
            databases.fill(connection, databases.store_tables(connection), folder, STORE, change, say)
    finally:
        engine.dispose()
    migrate(settings.store)


def _fill_vault(settings: Settings, folder: Path, say: Say) -> None:
    engine: Engine = open_store(settings.vault)
    try:
        with engine.execution_options(sqlite_begin="IMMEDIATE").connect() as connection, connection.begin():
            vault_metadata.create_all(connection)
            databases.fill(
                connection, databases.vault_tables_of(connection), folder, VAULT, lambda _table, row: row, say
            )
            if databases.vault_version(connection) > VERSION:
                raise StateFromTheFuture("the vault of the backup is of a newer release — restore it with that one")
    finally:
        engine.dispose()


def _bring_keys(settings: Settings, folder: Path, told: Manifest) -> None:
    for name, target in ((KEYS, settings.keys), (SECRETS, secrets_path(settings))):
        if name in told.files and not target.exists():
            _copy(folder / name, target)
