"""What is in a backup folder, that it comes back as it was, and everything over which a restore is refused."""

from __future__ import annotations

import base64
import shutil
import stat
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer as KafkaProducer
from confluent_kafka import TopicPartition
from sqlalchemy import select

from hub.backup import databases, manifest
from hub.backup.files import records
from hub.backup.manifest import PARTS, Manifest, TopicNote
from hub.backup.run import KEYS, backup, restore
from hub.backup.topics import decode_offsets, file_of
from hub.delivery.secrets import ensure_secrets
from hub.discovery.state import HomeState, PersonState, RuleState, encode_home, encode_person
from hub.domain.messages import Contribution
from hub.errors import BackupRefused
from hub.settings import Settings
from hub.stack import LocalStack
from hub.store.db import migrate, open_store, session
from hub.store.models import CaseHistory, ConsumerOffset, DeliveryCount, IngestPosition, Process, QuarantineRow
from hub.streams.admin import create_topics
from hub.streams.codec import Codec
from hub.streams.partitioner import partition_of
from hub.streams.reading import to_end
from hub.streams.schemas import register
from hub.streams.state import OFFSETS, encode_offsets
from hub.streams.topics import CONTRIBUTIONS, HOME_STATE, PERSON_STATE
from hub.vault.cards import IdentityCard, open_vault
from hub.vault.keys import load_keys
from tests.databases import own_database
from tests.unit.quality.samples import event

SETTLEMENTS = "medical.settlement.v1"
PERSON = "a" * 32
PARTITIONS = 3
AT = partition_of(PERSON.encode(), PARTITIONS)
ORIGIN = "s/registration.resident"


def settings_on(stack: LocalStack, folder: Path, store_url: str = "") -> Settings:
    """A deployment of these tests."""
    return Settings(
        data_dir=folder,
        brokers=stack.bootstrap,
        registry_url=stack.registry_url,
        partitions=PARTITIONS,
        store_url=store_url,
    )


def fill_topics(settings: Settings) -> None:
    """Settlements with transaction marks between them and an aborted one; states, and what was told by later ones."""
    codec = Codec(settings.registry_url)
    sender = KafkaProducer({"bootstrap.servers": settings.brokers, "transactional.id": "t", "linger.ms": 1})
    sender.init_transactions(30)

    def told(home: str, sequence: int) -> None:
        made = Contribution(home, PERSON, ("self",), "LIVE", 0, sequence, ())
        sender.produce(CONTRIBUTIONS.name, codec.encode(CONTRIBUTIONS.name, made), home, AT)

    for number in range(6):
        sender.begin_transaction()
        made = event("medical.settlement")
        made = made._replace(header=msgspec.structs.replace(made.header, person=PERSON, version=number + 1))
        sender.produce(SETTLEMENTS, codec.encode(SETTLEMENTS, made), PERSON, AT, timestamp=1_000_000 + number)
        if number < 4:
            told("person:h", number + 1)
            state = PersonState(0, number + 1, "reads")
            sender.produce(PERSON_STATE.name, encode_person(state), PERSON, AT)
            sender.produce(PERSON_STATE.name, encode_offsets({SETTLEMENTS: 2 * number + 1}), OFFSETS, AT)
        if number == 3:
            home = HomeState(rules={"dibao": RuleState("yes", sequence=1)})
            sender.produce(HOME_STATE.name, encode_home(home), "person:h", AT)
            sender.produce(HOME_STATE.name, encode_offsets({CONTRIBUTIONS.name: 5}), OFFSETS, AT)
        sender.commit_transaction(30)
    sender.begin_transaction()
    sender.produce(SETTLEMENTS, b"aborted", PERSON, AT)
    sender.flush(30)
    sender.abort_transaction(30)
    sender.close()
    codec.close()


def fill_databases(settings: Settings) -> None:
    """Rows of every type of column, and one sealed card."""
    migrate(settings.store)
    engine = open_store(settings.store)
    with session(engine) as db:
        db.add(ConsumerOffset(consumer="quality", topic=SETTLEMENTS, partition=AT, next_offset=6))
        db.add(ConsumerOffset(consumer="elsewhere", topic="not.ours.v1", partition=0, next_offset=77))
        db.add(IngestPosition(source="s", stream="t", position={"mark": [1, "甲", None]}, updated_at=5))
        db.add(DeliveryCount(day=date(2026, 3, 16), rule="dibao", kind="open", count=2))
        db.add(Process(name="worker", instance="gone", url="http://x", started_at=1, heartbeat_at=1))
        row: dict[str, Any] = {
            "stage": "worker", "source": "s", "locator": "l", "reason": "bad_magic", "value_class": "v",
            "message": "m", "attempt": 0, "received_at": 1, "state": "waiting", "changed_at": 1,
        }  # fmt: skip
        db.add_all(QuarantineRow(quarantine_id=f"{n:032x}", original=bytes(range(256)), **row) for n in range(1200))
        db.add_all(
            CaseHistory(alert_id="a", revision=1, at=at, kind="opened", actor="x", detail={"为何": [at]})
            for at in range(3)
        )
    engine.dispose()
    with closing(open_vault(settings)) as vault:
        vault.put_many([IdentityCard(person=PERSON, origin=ORIGIN, record_time=1, name="张三")])


@pytest.fixture(scope="module")
def origin(own_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A deployment with something in every part."""
    folder = tmp_path_factory.mktemp("origin")
    made = settings_on(own_stack, folder / "hub")
    from hub.vault.keys import init_keys

    init_keys(made.keys)
    ensure_secrets(made)
    create_topics(made)
    register(made.registry_url)
    fill_topics(made)
    fill_databases(made)
    return made


@pytest.fixture(scope="module")
def folder(origin: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole backup of it, keys apart."""
    made = tmp_path_factory.mktemp("backups") / "whole"
    backup(origin, made, with_topics=True, with_keys=False, say=lambda _text: None)
    return made


def quiet(_text: str) -> None:
    """Say nothing."""


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a store by table, but for who was running."""
    engine = open_store(url)
    try:
        with databases.one_moment(engine) as moment:
            tables = databases.store_tables(moment)
            return {
                table.name: sorted((tuple(row) for row in moment.execute(select(table))), key=repr)
                for table in tables
                if table.name != "process"
            }
    finally:
        engine.dispose()


def lie_in(settings: Settings, topic: str) -> list[tuple[int, bytes | None, bytes | None, int]]:
    """Committed records of AT's partition: offset, key, value, time."""
    messages = to_end(settings, "look", [TopicPartition(topic, AT, 0)])
    return [(one.offset() or 0, one.key(), one.value(), one.timestamp()[1]) for one in messages]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_everything_comes_back(
    database: str, origin: Settings, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store_url = ""
    if database == "postgresql":
        store_url = own_database(request.getfixturevalue("postgres_url"), "backups")
    with LocalStack(tmp_path / "stack") as stack:
        target = settings_on(stack, tmp_path / "hub", store_url)
        target.data_dir.mkdir()
        shutil.copy2(origin.keys, target.keys)  # kept apart, as it ought to be
        restore(target, folder, [part for part in PARTS if part != "keys"], quiet)

        before, after = rows(origin.store), rows(target.store)
        moved = [row for row in after["consumer_offset"] if row[1] == SETTLEMENTS]
        assert before.keys() == after.keys()
        assert {name: held for name, held in before.items() if name != "consumer_offset"} == {
            name: held for name, held in after.items() if name != "consumer_offset"
        }
        assert len(after["quarantine"]) == 1200
        with closing(open_vault(target)) as vault:
            opened = vault.verify_audit(None)
            assert opened.broken is None

        # The settlements lie at 0, 2, 4 … with marks between them; who had read up to 6 had read three of them.
        old, new = lie_in(origin, SETTLEMENTS), lie_in(target, SETTLEMENTS)
        assert [offset for offset, *_ in old] == [0, 2, 4, 6, 8, 10]
        assert [record[1:] for record in old] == [record[1:] for record in new]
        assert [offset for offset, *_ in new] == [0, 1, 2, 3, 4, 5]
        assert [row[3] for row in moved] == [3]
        assert [row[3] for row in after["consumer_offset"] if row[1] == "not.ours.v1"] == [77]
        states = {key: value for _, key, value, _ in lie_in(target, PERSON_STATE.name)}
        assert decode_offsets(states[OFFSETS] or b"") == {SETTLEMENTS: 4}
        assert states[PERSON.encode()] == encode_person(PersonState(0, 4, "reads"))
        homes = {key: value for _, key, value, _ in lie_in(target, HOME_STATE.name)}
        assert decode_offsets(homes[OFFSETS] or b"") == {CONTRIBUTIONS.name: 3}
        assert len(lie_in(target, CONTRIBUTIONS.name)) == 4
        codec = Codec(target.registry_url)
        assert [codec.decode(SETTLEMENTS, value or b"").header.version for _, _, value, _ in new] == [1, 2, 3, 4, 5, 6]  # type: ignore[union-attr]  # all are events
        codec.close()
        if database == "postgresql":  # its counters go on behind what was brought back
            engine = open_store(target.store)
            with session(engine) as db:
                again = CaseHistory(alert_id="a", revision=1, at=9, kind="amended", actor="x", detail={})
                db.add(again)
                db.flush()
                assert again.id == 4
            engine.dispose()
        with pytest.raises(BackupRefused, match=r"registry holds .* topics hold records .* store has rows"):
            restore(target, folder, [part for part in PARTS if part != "keys"], quiet)


def test_the_folder_holds_no_key(origin: Settings, folder: Path, tmp_path: Path) -> None:
    keys = load_keys(origin.keys)
    secrets = [keys.token_secret, keys.audit, *keys.wrapping.keys.values(), *keys.quarantine.keys.values()]
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(form(secret) in content for secret in secrets for form in (bytes, base64.b64encode))
    assert manifest.read(folder).keys == keys.ids()
    apart = tmp_path / "with"
    made = backup(origin, apart, with_topics=False, with_keys=True, say=quiet)
    assert set(made.parts) == {"store", "registry", "vault", "keys"}
    assert stat.S_IMODE((apart / KEYS).stat().st_mode) == 0o600
    assert load_keys(apart / KEYS) == keys


def test_a_backup_wants_a_folder_of_its_own(origin: Settings, folder: Path) -> None:
    with pytest.raises(BackupRefused, match="is not empty"):
        backup(origin, folder, with_topics=False, with_keys=False, say=quiet)


@pytest.fixture
def spoilt(folder: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(folder, tmp_path / "spoilt"))


@pytest.fixture
def nowhere(origin: Settings, tmp_path: Path) -> Settings:
    """A target at which nobody answers: what is refused is refused before anybody is asked."""
    made = Settings(
        data_dir=tmp_path / "target", partitions=PARTITIONS, brokers="127.0.0.1:1", registry_url="http://127.0.0.1:1"
    )
    made.data_dir.mkdir()
    shutil.copy2(origin.keys, made.keys)
    return made


def changed(folder: Path, **fields: Any) -> None:
    """The manifest says something else."""
    told = msgspec.json.decode((folder / manifest.NAME).read_bytes())
    (folder / manifest.NAME).write_bytes(msgspec.json.encode({**told, **fields}))


def refused(settings: Settings, folder: Path, match: str) -> None:
    """The restore is refused, and nothing is there afterwards."""
    there = sorted(path.name for path in settings.data_dir.iterdir())
    with pytest.raises(BackupRefused, match=match):
        restore(settings, folder, [part for part in PARTS if part != "keys"], quiet)
    assert sorted(path.name for path in settings.data_dir.iterdir()) == there


@pytest.mark.parametrize("name", ["store.avro", "vault.avro", "registry.avro", file_of(SETTLEMENTS)])
def test_a_damaged_or_absent_file_is_named(name: str, spoilt: Path, nowhere: Settings) -> None:
    content = bytearray((spoilt / name).read_bytes())
    content[len(content) // 2] ^= 1
    (spoilt / name).write_bytes(content)
    refused(nowhere, spoilt, f"damaged: {name} is not what was written")
    (spoilt / name).unlink()
    refused(nowhere, spoilt, f"damaged: {name} is absent")


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"format": 2}, "format 2 and this release knows 1"),
        ({"release": "99.0"}, "release 99.0"),
        ({"layout": 9}, "state layout 9"),
        ({"revision": "9999"}, "store is at 9999"),
        ({"vault_version": 9}, "vault has version 9"),
        ({"partitions": 8}, "HUB_PARTITIONS=8"),
        ({"generation": 4}, "HUB_GENERATION=4"),
        ({"files": 1}, "is damaged"),
        ({"keys": {"wrapping": "other"}}, "not the key file it was made with"),
    ],
)
def test_a_backup_that_does_not_fit_is_refused(
    fields: dict[str, Any], match: str, spoilt: Path, nowhere: Settings
) -> None:
    changed(spoilt, **fields)
    refused(nowhere, spoilt, match)


def test_an_interrupted_backup_is_none(spoilt: Path, nowhere: Settings) -> None:
    (spoilt / manifest.NAME).unlink()
    refused(nowhere, spoilt, "an interrupted one is no backup")


def test_without_the_key_file_nothing_is_brought_back(spoilt: Path, nowhere: Settings) -> None:
    nowhere.keys.unlink()
    refused(nowhere, spoilt, "without its key file no card opens")


def test_a_part_that_is_not_there_is_not_promised(folder: Path, nowhere: Settings) -> None:
    with pytest.raises(BackupRefused, match="holds no keys"):
        restore(nowhere, folder, ["keys"], quiet)


def test_files_are_plain_avro(folder: Path) -> None:
    """Any Avro tool reads them."""
    told: Manifest = manifest.read(folder)
    note: TopicNote = told.topics[SETTLEMENTS]
    assert sum(1 for _ in records(folder, file_of(SETTLEMENTS))) == told.files[file_of(SETTLEMENTS)].records == 6
    assert note.kept[AT] == 6
    assert note.settings["cleanup.policy"] == "delete"
