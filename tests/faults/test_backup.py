"""A deployment backed up in mid-flow and lost whole; what comes back from the folder goes on as if nothing had been."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from hub.demo.deployment import Deployment
from hub.demo.parts import write_environment
from hub.demo.quiet import Watcher
from hub.errors import StackError
from hub.stack import LocalStack
from hub.store.db import session
from hub.store.models import Case, ConsumerOffset, Outbox
from tests.databases import own_database
from tests.faults.deployments import assert_accepted_once, assert_agrees_with_the_oracle, deployment
from tests.topics import empty

MID_FLOW_S = 120.0


def lost(made: Deployment, folder: Path) -> None:
    """Work under way, a backup in the middle of it, and then nothing is left running."""
    made.start()
    made.wait("first load")
    made.hub("release", "--all")
    made.wait("release")
    assert_accepted_once(made)
    made.processes.terminate("dispatcher")  # what leaves after a backup is not in it, and lines would know more
    before = Watcher(made.settings, made.engine).look()
    made.second_wave()
    watcher, deadline = Watcher(made.settings, made.engine), time.monotonic() + MID_FLOW_S
    while watcher.look().alerts == before.alerts:
        assert time.monotonic() < deadline, "the second wave never reached the alerts"
    made.hub("backup", "--topics", "--with-keys", str(folder))
    made.processes.stop()


def test_a_lost_deployment_goes_on_from_its_backup(stack: LocalStack, tmp_path: Path, postgres_url: str) -> None:
    """SQLite comes back as PostgreSQL, into an empty broker and registry; the lines accept each revision once."""
    folder = tmp_path / "backup"
    empty(stack.bootstrap)
    with deployment(tmp_path / "hub", stack) as made:
        lost(made, folder)
        with session(made.engine, writes=False) as db:
            cases = db.scalar(select(func.count()).select_from(Case)) or 0
        with pytest.raises(StackError, match="target is not empty"):
            made.hub("restore", str(folder))
    database = own_database(postgres_url, "restored")
    with LocalStack(tmp_path / "other-stack") as other:
        made = Deployment(tmp_path / "other", other, store_url=database)
        try:
            write_environment(made.settings, made.data_dir / "settings.env")
            for kept in ("offices", "sources"):  # the departments and the mappings are still what they were
                shutil.copytree(tmp_path / "hub" / kept, made.data_dir / kept)
            shutil.copy2(tmp_path / "hub" / "clock", made.data_dir / "clock")
            for part in (tmp_path / "hub").glob("receiver.db*"):  # and so are the lines
                shutil.copy2(part, made.data_dir / part.name)
            made.hub("restore", str(folder))
            with session(made.engine, writes=False) as db:
                assert (db.scalar(select(func.count()).select_from(Case)) or 0) >= 0.5 * cases > 10
                assert db.scalar(select(func.count()).select_from(ConsumerOffset))
                sent = set(db.execute(select(Outbox.alert_id, Outbox.revision).where(Outbox.state == "accepted")))
            made.start()
            made.wait("what was left")
            assert_agrees_with_the_oracle(made)
            assert_accepted_once(made)
            with session(made.engine, writes=False) as db:
                now = set(db.execute(select(Outbox.alert_id, Outbox.revision).where(Outbox.state == "accepted")))
            assert now > sent, "the second wave's alerts have left since"
        finally:
            made.close()
