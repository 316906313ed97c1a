"""The processes themselves, on a real broker: dispatcher, receiver and pages, killed, failed and replayed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import func, select

from hub.delivery.secrets import secrets_path
from hub.domain.messages import Disposition, Receipt
from hub.store.db import session
from hub.store.models import (
    Case,
    CaseHistory,
    ConsumerOffset,
    DispositionRow,
    Endpoint,
    Process,
    QuarantineRow,
    ReceiptRow,
)
from hub.streams.topics import ALERTS, DISPOSITIONS, RECEIPTS
from hub.vault.cards import open_vault
from tests.integration.delivery.bench import Bench, until
from tests.unit.delivery.alerts import alert_id

COUNT = 300
"""Alerts of the test of intake: enough that it is killed in the middle of delivering them."""


both = pytest.mark.parametrize("bench", ["sqlite", "postgresql"], indirect=True)


@both
def test_an_alert_is_delivered_answered_and_comes_back_as_events(bench: Bench) -> None:
    """Shadow, release, delivery, receipts, dispositions: through every process and both topics."""
    bench.start("web")
    bench.start("receiver", "--answer", "handle")
    bench.publish(*(bench.alert(number) for number in range(40)))
    bench.start("dispatch")
    assert until(lambda: len({row.alert_id for row in bench.outbox()} & bench.ours(40)) == 40)
    assert {row.state for row in bench.outbox()} <= {"shadow", "superseded"}
    assert bench.received() == []

    bench.hub("release", "--all")
    assert until(lambda: bench.all_delivered(40))
    bench.assert_accepted_once()
    decided = {alert for alert in bench.ours(40) if alert[0] in "0123"}
    assert decided, "no alert of the test falls under the receiver's policy"
    assert until(lambda: bench.count(ReceiptRow, ReceiptRow.alert_id.in_(bench.ours(40))) == 40 + len(decided))
    assert until(
        lambda: (
            bench.count(ReceiptRow, ~ReceiptRow.published)
            == bench.count(DispositionRow, ~DispositionRow.published)
            == 0
        )
    )
    receipts = bench.read(RECEIPTS.name, Receipt)
    assert len(receipts) == 40 + len(decided)
    assert all(key == receipt.alert_id for key, receipt in receipts)
    dispositions = bench.read(DISPOSITIONS.name, Disposition)
    assert {disposition.alert_id for _key, disposition in dispositions} == decided
    assert all(key == disposition.home for key, disposition in dispositions)
    assert all(disposition.by == "line:social_assistance" for _key, disposition in dispositions)
    with session(bench.store, writes=False) as db:
        closed = set(db.scalars(select(Case.alert_id).where(Case.work_state == "closed")))
        kinds = db.scalars(
            select(CaseHistory.kind).where(CaseHistory.alert_id == min(decided)).order_by(CaseHistory.id)
        ).all()
    assert closed & bench.ours(40) == {alert for alert in decided if alert[0] in "012"}
    assert kinds[:3] == ["opened", "released", "delivered"]
    assert sorted(kinds[3:]) == ["disposition", "receipt", "receipt"]


@both
def test_killed_between_the_post_and_its_record_it_sends_again_and_is_recognised(bench: Bench) -> None:
    """The line has stored the alert and not answered; the dispatcher dies; the next one sends the same id."""
    bench.hub("release", "--all")
    bench.start("receiver", "--slow", "4")
    bench.publish(bench.alert(0))
    bench.start("dispatch")
    assert until(lambda: any(row.alert_id in bench.ours(1) for row in bench.received()))
    bench.kill("dispatch")
    assert bench.ours(1).isdisjoint(alert for alert, _revision in bench.accepted()), "killed too late"
    bench.stop("receiver")
    bench.start("receiver")
    bench.start("dispatch")
    assert until(lambda: bench.all_delivered(1))
    bench.assert_accepted_once()
    (row,) = [row for row in bench.received() if row.alert_id in bench.ours(1)]
    assert row.times_seen == 2


def test_a_receiver_that_fails_at_first_accepts_each_once(bench: Bench) -> None:
    """503, then 429 with its own word on when; the last of the failures is forgotten in the end."""
    bench.hub("release", "--all")
    bench.start("receiver", "--fail", "503:3")
    bench.publish(*(bench.alert(number) for number in range(5)))
    bench.start("dispatch")
    assert until(lambda: bench.all_delivered(5))
    bench.stop("receiver")
    bench.start("receiver", "--fail", "429:3", "--retry-after", "1")
    bench.publish(*(bench.alert(number) for number in range(5, 10)))
    assert until(lambda: bench.all_delivered(10))
    bench.assert_accepted_once()
    assert sum(row.attempts - 1 for row in bench.outbox()) >= 4
    assert bench.count(Endpoint, Endpoint.failures > 0) == 0


def test_gone_keeps_everything_until_the_line_is_enabled(bench: Bench) -> None:
    """The endpoint is disabled, other lines get theirs, and `hub hold enable` lets the rest go."""
    bench.hub("release", "--all")
    bench.start("receiver", "--gone")
    bench.publish(*(bench.alert(number) for number in range(3)))
    bench.start("dispatch")
    disabled = (Endpoint.line == "social_assistance", Endpoint.state == "disabled")
    assert until(lambda: bench.count(Endpoint, *disabled) == 1)
    bench.stop("receiver")
    bench.start("receiver")
    bench.publish(bench.alert(3, line="elder_care"))
    assert until(lambda: (alert_id(f"{bench.prefix}-3"), 1) in bench.accepted())
    assert not bench.ours(3) & {row.alert_id for row in bench.received()}
    bench.hub("hold", "enable", "social_assistance")
    assert until(lambda: bench.all_delivered(4))
    bench.assert_accepted_once()


@both
def test_killed_while_taking_in_it_goes_on_where_its_rows_end(bench: Bench) -> None:
    """Nothing is skipped and nothing doubled, however often; nor when the whole topic is read again."""
    bench.hub("release", "--all")
    bench.start("receiver")
    bench.publish(*(bench.alert(n) for n in range(COUNT)))
    bench.publish(*(bench.alert(n, revision=2, state="AMENDED", amount_fen=1) for n in range(0, COUNT, 10)))
    for seen_before in (0, COUNT // 4, COUNT):
        bench.start("dispatch", ready=False)
        while bench.count(CaseHistory) <= seen_before:
            time.sleep(0.01)
        bench.kill("dispatch")
    bench.start("dispatch")
    assert until(lambda: len({row.alert_id for row in bench.outbox()} & bench.ours(COUNT)) == COUNT)
    assert until(lambda: bench.all_delivered(COUNT))
    bench.assert_accepted_once()
    ours = [(row.alert_id, row.revision) for row in bench.outbox() if row.alert_id in bench.ours(COUNT)]
    assert len(ours) == COUNT + COUNT // 10
    with session(bench.store, writes=False) as db:
        opened = select(func.count()).where(CaseHistory.kind == "opened", CaseHistory.alert_id.in_(bench.ours(COUNT)))
        assert db.scalar(opened) == COUNT

    bench.stop("dispatch")
    history, cases = bench.count(CaseHistory), snapshot(bench)
    bench.read_from_the_beginning()
    seen = {row.webhook_id: row.times_seen for row in bench.received()}
    bench.start("dispatch")
    bench.publish(bench.alert(COUNT))
    assert until(lambda: bench.all_delivered(COUNT + 1))
    assert snapshot(bench) == {**snapshot(bench), **cases}
    assert bench.count(CaseHistory) == history + 2  # the new one: opened, delivered
    assert {row.webhook_id: row.times_seen for row in bench.received()} == {**seen, bench_webhook(bench, COUNT): 1}


@pytest.mark.parametrize("table", ["consumer_offset", "outbox", "service_case"])
def test_rows_and_offsets_are_written_together_or_not_at_all(bench: Bench, table: str) -> None:
    """A write that fails ends the process with nothing written; the next one takes everything in."""
    bench.publish(*(bench.alert(number) for number in range(5)))
    on = "UPDATE" if table == "consumer_offset" else "INSERT"
    with session(bench.store) as db:
        stop = f"CREATE TRIGGER stop BEFORE {on} ON {table} BEGIN SELECT RAISE(ABORT, 'told to fail'); END"
        db.connection().exec_driver_sql(stop)
    process = bench.start("dispatch", ready=False)
    assert until(lambda: not process.running)
    assert process.exit_code != 0
    assert bench.outbox() == []
    with session(bench.store) as db:
        assert {row.partition: row.next_offset for row in db.scalars(select(ConsumerOffset))} == bench.begins
        db.connection().exec_driver_sql("DROP TRIGGER stop")
    bench.start("dispatch")
    assert until(lambda: {row.alert_id for row in bench.outbox()} == bench.ours(5))


def test_an_unreadable_alert_is_kept_sealed_and_the_next_one_goes(bench: Bench) -> None:
    """One row in quarantine with the original, not a stopped process."""
    poison = f"not avro {bench.prefix}".encode()
    bench.publish_bytes(poison)
    bench.publish(bench.alert(0))
    bench.start("dispatch")
    assert until(lambda: any(row.alert_id in bench.ours(1) for row in bench.outbox()))
    assert until(lambda: bench.count(QuarantineRow) > 0)
    with session(bench.store, writes=False) as db:
        rows = list(db.scalars(select(QuarantineRow).where(QuarantineRow.topic == ALERTS.name)))
    vault = open_vault(bench.settings)
    try:
        (row,) = [row for row in rows if vault.sealer.unseal(row.original) == poison]
    finally:
        vault.close()
    assert (row.stage, row.reason, row.state) == ("dispatcher", "bad_magic", "waiting")
    assert poison not in row.original


@pytest.mark.parametrize("bench", ["postgresql"], indirect=True)
def test_an_alert_that_the_database_refuses_is_kept_sealed_and_the_others_go(bench: Bench) -> None:
    """It decodes, and holds a text that no column takes: it would end every dispatcher in turn."""
    bench.publish(
        bench.alert(0), bench.alert(1, title="x" * 300), bench.alert(2, title="x\0"), bench.alert(3), bench.alert(4)
    )
    bench.start("dispatch")
    good = {alert_id(f"{bench.prefix}-{number}") for number in (0, 3, 4)}
    assert until(lambda: good <= {row.alert_id for row in bench.outbox()})
    assert until(lambda: bench.count(QuarantineRow) == 2)
    assert {row.alert_id for row in bench.outbox()} & bench.ours(5) == good
    with session(bench.store, writes=False) as db:
        rows = {(row.stage, row.topic, row.reason, row.state) for row in db.scalars(select(QuarantineRow))}
        history = db.scalar(select(func.count()).where(CaseHistory.alert_id.in_(bench.ours(5))))
    assert rows == {("dispatcher", ALERTS.name, "schema_misfit", "waiting")}
    assert history == 3


def test_a_dispatcher_that_cannot_sign_ends_and_says_why(bench: Bench) -> None:
    """Reading on without sending would look healthy; what it took in waits for the next one."""
    bench.hub("release", "--all")
    process = bench.start("dispatch")
    secrets_path(bench.settings).unlink()
    bench.publish(bench.alert(0))
    assert until(lambda: not process.running)
    assert process.exit_code == 1
    assert "hub dispatch --init" in process.log_tail()
    assert [(row.alert_id, row.state) for row in bench.outbox()] == [(alert_id(f"{bench.prefix}-0"), "pending")]


def test_it_ends_in_order_when_asked(bench: Bench) -> None:
    """SIGTERM: what is on the wire is recorded, the announcement is taken back, the exit is clean."""
    bench.hub("release", "--all")
    bench.start("receiver", "--slow", "1")
    bench.publish(bench.alert(0))
    process = bench.start("dispatch")
    assert until(lambda: bench.count(Process, Process.name == "dispatcher") == 1)
    assert until(lambda: any(row.alert_id in bench.ours(1) for row in bench.received()))
    bench.stop("dispatch")
    assert process.exit_code == 0, process.log_tail()
    assert (alert_id(f"{bench.prefix}-0"), 1) in bench.accepted()
    assert bench.count(Process, Process.name == "dispatcher") == 0


def snapshot(bench: Bench) -> dict[str, tuple[Any, ...]]:
    """Cases as they stand."""
    with session(bench.store, writes=False) as db:
        return {
            case.alert_id: (case.revision, case.work_state, case.lock, case.body) for case in db.scalars(select(Case))
        }


def bench_webhook(bench: Bench, number: int) -> str:
    """Webhook id of one of the test's alerts."""
    (found,) = [row.webhook_id for row in bench.outbox() if row.alert_id == alert_id(f"{bench.prefix}-{number}")]
    return found
