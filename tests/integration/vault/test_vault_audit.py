"""The audit chain on SQLite and on PostgreSQL: it only grows, and tells when it did not."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, Table, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

import hub
from hub.cli.vault import command
from hub.errors import VaultError
from hub.settings import Settings, settings
from hub.vault.audit import AuditChain
from hub.vault.cards import Vault, open_vault
from hub.vault.keys import generate
from hub.vault.models import AUDIT, AUDIT_HEAD

NOBODY: Final = "9" * 32
REVIEW: Final = ("caseworker.review", "web:zhou", "alert-1")


def rows(engine: Engine, table: Table) -> list[dict[str, object]]:
    """All rows, in the order of the key."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def unguarded(engine: Engine) -> None:
    """Drop the triggers of the audit table, as its owner can."""
    dropped = {
        "sqlite": ["DROP TRIGGER vault_audit_no_update", "DROP TRIGGER vault_audit_no_delete"],
        "postgresql": ["DROP TRIGGER vault_audit_only_grows ON vault_audit"],
    }
    with engine.begin() as connection:
        for statement in dropped[engine.dialect.name]:
            connection.execute(text(statement))


# --- the audit chain -----------------------------------------------------------------------------------------------


@pytest.fixture
def trail(vault: Vault, engine: Engine) -> Engine:
    """A trail of five rows without its triggers."""
    for n in range(5):
        vault.open(NOBODY, ["name"], "caseworker.review", "web:zhou", f"alert-{n}")
    unguarded(engine)
    return engine


def test_the_database_refuses_to_change_the_trail(vault: Vault, engine: Engine) -> None:
    """UPDATE and DELETE (and TRUNCATE on PostgreSQL) fail while the triggers stand."""
    vault.open(NOBODY, ["name"], *REVIEW)
    statements = ["UPDATE vault_audit SET reason = 'x'", "DELETE FROM vault_audit"]
    if engine.dialect.name == "postgresql":
        statements.append("TRUNCATE vault_audit")
    for statement in statements:
        with pytest.raises(DBAPIError, match="only grows"), engine.begin() as connection:
            connection.execute(text(statement))
    assert len(rows(engine, AUDIT)) == 1


def test_a_whole_trail(vault: Vault, trail: Engine) -> None:
    """Every link that was printed before is an anchor; any other is none."""
    links = [str(row["link"]) for row in rows(trail, AUDIT)]
    report = vault.verify_audit()
    assert (report.whole, report.rows, report.head) == (True, 5, links[-1])
    assert all(vault.verify_audit(link).whole for link in links)
    assert not vault.verify_audit("f" * 64).whole


@pytest.mark.parametrize("column", [column.name for column in AUDIT.columns if column.name != "seq"])
def test_a_changed_row_is_found(vault: Vault, trail: Engine, column: str) -> None:
    """Whatever column it was; the first broken row is named."""
    before = rows(trail, AUDIT)[2][column]
    value = before + 1 if isinstance(before, int) else f"{str(before)[:-1]}z"
    with trail.begin() as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 3).values({column: value}))
    report = vault.verify_audit()
    assert (report.whole, report.broken, report.rows) == (False, 3, 2)


@pytest.mark.parametrize(("gone", "broken"), [([1], 1), ([3], 3), ([5], 5), ([4, 5], 4), ([1, 2, 3, 4, 5], 1)])
def test_a_missing_row_is_found(vault: Vault, trail: Engine, gone: list[int], broken: int) -> None:
    """At the start, in the middle, at the end."""
    with trail.begin() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq.in_(gone)))
    report = vault.verify_audit()
    assert report.broken == broken
    assert "missing" in str(report.why)


def test_a_row_of_another_past_is_found(vault: Vault, trail: Engine) -> None:
    """A true row, but of a trail that went on differently: it hangs on the rows before it."""
    old = rows(trail, AUDIT)
    with trail.begin() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq > 2))
        connection.execute(update(AUDIT_HEAD).values(seq=2, link=old[1]["link"]))
    for n in range(3):
        vault.open(NOBODY, ["name"], "caseworker.review", "web:zhou", f"other-{n}")
    assert vault.verify_audit().whole
    with trail.begin() as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.seq == 4).values(old[3]))
    assert vault.verify_audit().broken == 4


def test_a_row_put_in_is_found(vault: Vault, trail: Engine) -> None:
    """Chained by whoever has not the key, even if he moves the head along."""
    last = rows(trail, AUDIT)[-1]
    forged = AuditChain(generate().audit)
    values = {**last, "seq": 6}
    values["link"] = forged._link(str(last["link"]), values)
    with trail.begin() as connection:
        connection.execute(insert(AUDIT).values(values))
        connection.execute(update(AUDIT_HEAD).values(seq=6, link=values["link"]))
    assert vault.verify_audit().broken == 6


def test_a_trail_put_back_to_an_earlier_day_lacks_its_anchor(vault: Vault, trail: Engine) -> None:
    """Rows and head cut together are whole in themselves; only what was noted elsewhere tells."""
    held = rows(trail, AUDIT)
    with trail.begin() as connection:
        connection.execute(delete(AUDIT).where(AUDIT.c.seq > 3))
        connection.execute(update(AUDIT_HEAD).values(seq=3, link=held[2]["link"]))
    assert vault.verify_audit().whole
    assert vault.verify_audit(str(held[2]["link"])).whole
    assert vault.verify_audit(str(held[4]["link"])).anchor_found is False


def test_a_head_that_names_another_link_is_found(vault: Vault, trail: Engine) -> None:
    """Else the next row would be chained to nothing."""
    with trail.begin() as connection:
        connection.execute(update(AUDIT_HEAD).values(link="0" * 64))
    assert vault.verify_audit().broken == 5


OPENER: Final = """
import sys
from hub.settings import Settings
from hub.vault.cards import IdentityCard, open_vault

vault = open_vault(Settings())
print("ready", flush=True)
sys.stdin.readline()
for n in range(40):
    people = [f"{(n + k) % 50:032x}" for k in range(5)]
    vault.put_many([IdentityCard(person=p, origin=sys.argv[1], record_time=n, name=p) for p in people])
    for person, opening in vault.open_many(people, ["name"], "caseworker.review", sys.argv[1], f"round-{n}").items():
        if opening.fields != {"name": person}:
            sys.exit(f"wrong opening {opening}")
"""


def test_two_processes_write_and_open_at_once(place: Settings) -> None:
    """Neither loses a row, both use one data key a person, and the chain is whole: first starts at once included."""
    environment = {
        **os.environ,
        "HUB_VAULT_URL": place.vault_url,
        "HUB_KEY_FILE": str(place.keys),
        "PYTHONPATH": str(Path(hub.__file__).parents[1]),
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, actor],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for actor in ("web:one", "web:two")
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            _, errors = process.communicate(timeout=120)
            assert (process.returncode, errors) == (0, "")
    finally:
        for process in running:
            process.kill()
            process.communicate()
    with closing(open_vault(place)) as vault:
        report = vault.verify_audit()
    assert (report.whole, report.rows) == (True, 400)


def test_the_command_verifies_the_trail(place: Settings, trail: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints the newest link, takes it back as an anchor, and fails on a broken trail by naming the row."""
    monkeypatch.setenv("HUB_VAULT_URL", place.vault_url)
    monkeypatch.setenv("HUB_KEY_FILE", str(place.keys))
    settings.cache_clear()
    try:
        output = CliRunner().invoke(command, ["audit", "verify"], catch_exceptions=False).output
        link = rows(trail, AUDIT)[-1]["link"]
        assert output == f"whole: 5 rows\nnewest link: {link}\n"
        CliRunner().invoke(command, ["audit", "verify", "--anchor", str(link)], catch_exceptions=False)
        with pytest.raises(VaultError, match="anchor"):
            CliRunner().invoke(command, ["audit", "verify", "--anchor", "f" * 64], catch_exceptions=False)
        with trail.begin() as connection:
            connection.execute(update(AUDIT).where(AUDIT.c.seq == 2).values(actor="web:other"))
        with pytest.raises(VaultError, match="row 2"):
            CliRunner().invoke(command, ["audit", "verify"], catch_exceptions=False)
    finally:
        settings.cache_clear()
