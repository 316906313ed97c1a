"""The way in on real parts: restarts, late commits, snapshots, changed people, a kill before settling."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from connectors.loading import load_mapping
from connectors.service import accept_shrink
from hub.errors import RegistryUnavailable, StoreUnavailable, TopologyMismatch
from hub.stack.process import free_port
from hub.store.db import open_store, session
from hub.store.models import IngestCount
from hub.vault.cards import open_vault
from tests.integration.connectors.conftest import PARTITIONS, Deployment
from tests.integration.connectors.departments import PEOPLE, Department, describe

DAY_MS = 24 * 3600 * 1000


def changes(deployment: Deployment, source: str) -> list[tuple[str, str, int]]:
    """Record, change and version of everything a source published."""
    return [(e.header.record_id, e.header.change, e.header.version) for e in deployment.events(source)]


def test_a_restart_neither_skips_nor_floods(on_both: Deployment, folder: Path) -> None:
    source = f"restart-{on_both.engine.dialect.name[:4]}"
    department = Department(folder, source)
    on_both.describe(source, describe(source))
    for n in range(50):
        department.put(n)
    assert on_both.take(source) == {"published": 50}
    assert on_both.take(source) == {"unchanged": 50}, "the overlap is read again and says nothing"
    department.put(50, gxsj="2026-05-01 12:01:00")
    department.put(3, bbh=2, gxsj="2026-05-01 12:01:00", xzqh="331121")
    counts = on_both.take(source)
    assert counts["published"] == 2
    assert len(on_both.events(source)) == 52
    tokens = on_both.vault.tokens
    everyone = {tokens.person_token(PEOPLE[n]) for n in range(51)}
    assert everyone == {event.header.person for event in on_both.events(source)}
    with session(on_both.engine, writes=False) as db:
        rows = db.scalars(select(IngestCount).where(IngestCount.source == source)).all()
    assert {row.kind: row.count for row in rows}["published"] == 52


def test_keys_and_partitions(deployment: Deployment, folder: Path) -> None:
    """Every event lies under its person's token, so that joins find it."""
    department = Department(folder, "keys")
    deployment.describe("keys", describe("keys"))
    for n in range(40):
        department.put(n)
    deployment.take("keys")
    sent = deployment.sent("keys")
    assert [one.key for one in sent] == [one.event.header.person for one in sent]
    assert len({one.partition for one in sent}) == PARTITIONS


def test_a_late_commit_is_found_and_an_old_one_at_the_reconciliation(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "late")
    deployment.describe("late", describe("late"))
    department.put(1)
    deployment.take("late")
    department.put(2, gxsj="2026-05-01 11:55:00")
    department.put(3, gxsj="2026-04-01 08:00:00")
    assert deployment.take("late")["published"] == 1
    text = describe("late").replace("reconcile_every: 1d", "reconcile_every: 0s")
    deployment.describe("late", text)
    assert deployment.take("late")["published"] == 1
    assert {event.header.record_id for event in deployment.events("late")} == {"R1", "R2", "R3"}


def test_what_vanished_from_a_snapshot_is_annulled(on_both: Deployment, folder: Path) -> None:
    source = f"vanish-{on_both.engine.dialect.name[:4]}"
    department = Department(folder, source)
    on_both.describe(source, describe(source, delivery="delivery: snapshot\n    hold_if_shrinks_by: 0.3"))
    for n in range(10):
        department.put(n)
    on_both.take(source)
    department.run("DELETE FROM czrk WHERE rybh IN ('R1', 'R2')")
    assert on_both.take(source) == {"unchanged": 8, "annulled": 2}
    assert on_both.take(source) == {"unchanged": 8}
    annulled = [event for event in on_both.events(source) if event.header.change == "ANNUL"]
    assert {(e.header.record_id, e.header.version, e.payload) for e in annulled} == {("R1", 2, None), ("R2", 2, None)}
    people = {on_both.vault.tokens.person_token(PEOPLE[n]) for n in (1, 2)}
    assert people == {event.header.person for event in annulled}
    department.put(1)
    assert on_both.take(source) == {"unchanged": 8, "published": 1}
    assert ("R1", "UPSERT", 3) in changes(on_both, source), "what came back stands above its annulment"


def test_a_snapshot_that_shrank_is_held_until_accepted(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "shrink")
    deployment.describe("shrink", describe("shrink", delivery="delivery: snapshot\n    hold_if_shrinks_by: 0.3"))
    for n in range(10):
        department.put(n)
    deployment.take("shrink")
    department.run("DELETE FROM czrk WHERE rybh > 'R4'")
    department.put(2, bbh=2, xzqh="331121")
    assert deployment.take("shrink") == {"unchanged": 4, "published": 1}, "what is there is taken in all the same"
    (hold,) = deployment.holds
    assert (hold.vanished, hold.of, hold.unreadable) == (5, 10, 0)
    assert deployment.take("shrink") == {"unchanged": 5}
    mapping = load_mapping(deployment.settings.sources / "shrink.yaml")
    assert accept_shrink(deployment.engine, mapping, 0) == ["residents"]
    assert deployment.take("shrink") == {"unchanged": 5, "annulled": 5}
    assert deployment.holds == []
    department.run("DELETE FROM czrk")
    deployment.take("shrink")
    assert [hold.vanished for hold in deployment.holds] == [5], "an acceptance counts once"


def test_a_bad_row_is_not_a_vanished_one(deployment: Deployment, folder: Path) -> None:
    """Its record is there; only what cannot be told apart from a missing one holds the annulments."""
    department = Department(folder, "badrow")
    deployment.describe("badrow", describe("badrow", delivery="delivery: snapshot\n    hold_if_shrinks_by: 0.5"))
    for n in range(10):
        department.put(n)
    deployment.take("badrow")
    department.put(1, csrq="19990230", bbh=2)
    assert deployment.take("badrow") == {"unchanged": 9, "quarantined": 1}
    department.run("UPDATE czrk SET rybh = '' WHERE rybh = 'R2'")
    assert deployment.take("badrow") == {"unchanged": 8, "quarantined": 1}
    assert [(hold.vanished, hold.unreadable) for hold in deployment.holds] == [(1, 1)]
    assert [event for event in deployment.events("badrow") if event.header.change == "ANNUL"] == []


def test_a_corrected_number_moves_the_record(on_both: Deployment, folder: Path) -> None:
    source = f"moved-{on_both.engine.dialect.name[:4]}"
    department = Department(folder, source)
    on_both.describe(source, describe(source))
    department.put(1, bbh=4)
    on_both.take(source)
    department.put(1, bbh=5, sfzh=PEOPLE[2], csrq=PEOPLE[2][6:14], gxsj="2026-05-01 12:02:00")
    assert on_both.take(source) == {"published": 1, "annulled": 1}
    old, new = (on_both.vault.tokens.person_token(PEOPLE[n]) for n in (1, 2))
    found = {(e.header.person, e.header.change, e.header.version) for e in on_both.events(source)}
    assert found == {(old, "UPSERT", 4), (old, "ANNUL", 5), (new, "UPSERT", 5)}


def test_an_older_version_is_no_error(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "older")
    deployment.describe("older", describe("older"))
    department.put(1, bbh=9)
    deployment.take("older")
    department.put(1, bbh=3, xzqh="331121")
    assert deployment.take("older") == {"superseded": 1}
    assert changes(deployment, "older") == [("R1", "UPSERT", 9)]


def test_a_tie_is_published_once_for_each_end(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "ties")
    deployment.describe("ties", describe("ties", delivery="delivery: snapshot", kinship=True))
    department.tie(1, 2, "父")
    department.tie(1, 3, "母")
    assert deployment.take("ties") == {"published": 4}
    tokens = [deployment.vault.tokens.person_token(number) for number in PEOPLE]
    found = {
        (e.header.person, getattr(e.payload, "relation", ""), getattr(e.payload, "other", ""))
        for e in deployment.events("ties")
    }
    sexes = "son" if int(PEOPLE[1][16]) % 2 else "daughter"
    assert found == {
        (tokens[1], "father", tokens[2]),
        (tokens[2], sexes, tokens[1]),
        (tokens[1], "mother", tokens[3]),
        (tokens[3], sexes, tokens[1]),
    }
    department.run("DELETE FROM qsgx WHERE gx = '母'")
    department.run("UPDATE qsgx SET b = ? WHERE gx = '父'", PEOPLE[4])
    mapping = load_mapping(deployment.settings.sources / "ties.yaml")
    deployment.take("ties")
    accept_shrink(deployment.engine, mapping, 0)
    deployment.take("ties")
    newest: dict[tuple[str, str], tuple[int, str]] = {}
    for event in deployment.events("ties"):
        at = (event.header.record_id, event.header.person or "")
        newest[at] = max(newest.get(at, (0, "")), (event.header.version, event.header.change))
    live = {person for (_record, person), (_version, change) in newest.items() if change == "UPSERT"}
    assert live == {tokens[1], tokens[4]}


KILLER = """
import os, signal, sys, threading
from connectors import records
from hub.cli.main import hub
def die(self, *args):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(records.Records, sys.argv[1], die)
hub(["connect", "--once", "--source", sys.argv[2]])
"""


def connect(deployment: Deployment, source: str, dies_at: str | None) -> subprocess.CompletedProcess[str]:
    """`hub connect --once` as a process of its own, killed at a step."""
    arguments = (
        ["-c", KILLER, dies_at, source] if dies_at else ["-m", "hub.cli.main", "connect", "--once", "--source", source]
    )
    s = deployment.settings
    environment = {
        **os.environ,
        "HUB_DATA_DIR": str(s.data_dir),
        "HUB_STORE_URL": s.store_url,
        "HUB_BROKERS": s.brokers,
        "HUB_REGISTRY_URL": s.registry_url,
        "HUB_SOURCES": str(s.sources),
        "HUB_SOURCE_ROOT": str(s.source_root),
        "HUB_PARTITIONS": str(s.partitions),
        "HUB_CONNECTOR_PORT": str(free_port()),
    }
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize("version", ["{column: bbh}", "counter"])
def test_a_kill_between_publishing_and_settling_repeats_the_same_bytes(
    on_both: Deployment, folder: Path, version: str
) -> None:
    """The protocol's reason: the second process says exactly what the first one said, moment of arrival included."""
    source = f"kill-{on_both.engine.dialect.name[:4]}-{version.strip('{}')[:3]}"
    department = Department(folder, source)
    on_both.describe(source, describe(source, version=version, kinship=True))
    for n in range(20):
        department.put(n)
    killed = connect(on_both, source, "settle")
    assert killed.returncode == -signal.SIGKILL
    first = Counter((one.partition, one.key, one.value) for one in on_both.sent(source))
    assert sum(first.values()) == 20
    # Rows that were not there come before those that were, so that batches do not fall as they fell before.
    for n in range(20, 25):
        department.put(n, gxsj="2026-04-01 12:00:00")
    again = connect(on_both, source, None)
    assert again.returncode == 0, again.stderr
    second = Counter((one.partition, one.key, one.value) for one in on_both.sent(source))
    assert len(second) == 25, "25 different messages: the repeated ones are the same to the byte"
    assert all(second[one] == 2 for one in first)
    assert on_both.take(source)["published"] == 0


def test_a_kill_before_publishing_loses_nothing(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "killed")
    deployment.describe("killed", describe("killed"))
    for n in range(5):
        department.put(n)
    assert connect(deployment, "killed", "begin").returncode == -signal.SIGKILL
    assert deployment.events("killed") == []
    result = connect(deployment, "killed", None)
    assert re.search(r"killed .* 测试局 .* 5 ", result.stdout)
    assert len(deployment.events("killed")) == 5


def test_identity_comes_before_the_event(deployment: Deployment, folder: Path) -> None:
    """A vault that does not take the card keeps the event in; once it does, the card opens."""
    department = Department(folder, "vault")
    deployment.describe("vault", describe("vault"))
    department.put(7)
    vault = open_store(deployment.settings.vault)
    with vault.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE vault_card RENAME TO elsewhere")
    counts, errors = deployment.read("vault")
    assert [type(error) for error in errors] == [StoreUnavailable]
    assert counts == {}
    assert deployment.events("vault") == []
    with vault.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO vault_card")
    vault.dispose()
    assert deployment.take("vault") == {"published": 1}
    person = deployment.vault.tokens.person_token(PEOPLE[7])
    opened = deployment.vault.open(person, ["name", "address"], "caseworker.review", "web:test", "test")
    assert opened.fields == {"name": "居民7", "address": "紫金街道7号"}


def test_an_erased_person_does_not_come_back(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "erased")
    deployment.describe("erased", describe("erased"))
    department.put(8)
    deployment.vault.erase(deployment.vault.tokens.person_token(PEOPLE[8]), actor="cli:test", reason="pipl-47")
    department.put(9)
    assert deployment.take("erased") == {"published": 1, "erased": 1}
    assert [event.header.record_id for event in deployment.events("erased")] == ["R9"]


def test_no_number_name_or_address_leaves(deployment: Deployment, folder: Path) -> None:
    """Bytes on all topics, and everything the store holds of the ingestion."""
    department = Department(folder, "clear")
    deployment.describe("clear", describe("clear", delivery="delivery: snapshot", kinship=True))
    for n in range(20):
        department.put(n)
    department.put(21, csrq="19990230")
    department.tie(1, 2, "父")
    deployment.take("clear")
    everything = b"".join(one.value + one.key.encode() for one in deployment.sent("clear"))
    everything += b"".join(repr(record).encode() for record in deployment.quarantined("clear"))
    everything += (deployment.settings.data_dir / "hub.db").read_bytes()
    everything += (deployment.settings.data_dir / "hub.db-wal").read_bytes()
    assert b"R1" in everything
    for n in range(22):
        for personal in (PEOPLE[n], f"居民{n}", f"紫金街道{n}号", f"33110200{n:04}"):
            assert personal.encode() not in everything


def test_one_stream_does_not_keep_the_others_from_being_read(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "half")
    deployment.describe("half", describe("half", kinship=True))
    department.put(1)
    department.tie(1, 2, "父")
    department.run("ALTER TABLE czrk RENAME COLUMN csrq TO birthday")
    counts, errors = deployment.read("half")
    assert counts == {"published": 2}
    assert ["czrk has no column csrq" in str(error) for error in errors] == [True]


def test_an_absent_registry_and_a_foreign_topology_are_told(deployment: Deployment, folder: Path) -> None:
    deployment.describe("absent", describe("absent"))
    s = deployment.settings
    away = s.model_copy(update={"registry_url": f"http://127.0.0.1:{free_port()}/apis/ccompat/v7"})
    with pytest.raises(RegistryUnavailable, match="does not answer — start it"):
        patient(away, "absent", 2)
    other = s.model_copy(update={"partitions": PARTITIONS + 1})
    with pytest.raises(TopologyMismatch, match=f"has {PARTITIONS} partitions, not {PARTITIONS + 1}"):
        patient(other, "absent", 2)


def patient(settings: object, source: str, patience_s: float) -> None:
    """Wait for the parts of a deployment, so long."""
    import threading

    from connectors.loading import load_sources
    from connectors.parts import open_parts
    from connectors.service import Connectors
    from hub.settings import Settings

    assert isinstance(settings, Settings)
    engine = open_store(settings.store)
    mappings = load_sources(settings.sources, [source])
    connectors = Connectors(settings, mappings, engine, open_parts(settings, open_vault(settings)), lambda *_: None)
    try:
        assert connectors.ready()[0] is False
        connectors.wait_for_parts(threading.Event(), patience_s)
    finally:
        connectors.close()
        engine.dispose()
