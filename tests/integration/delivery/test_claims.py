"""What the sender takes next, and what becomes of it, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select

from hub.delivery.claims import Claims, Key
from hub.delivery.holds import set_endpoint
from hub.delivery.lines import Budget, Budgets
from hub.delivery.outbox import Gate, take
from hub.domain.messages import Alert
from hub.store.db import session
from hub.store.models import CaseHistory, Endpoint, Outbox, Release
from tests.unit.delivery.alerts import alert_id, make_alert

NOW = 1_780_000_000_000
SCHEDULE = (5.0, 300.0)
LINES = ("social_assistance", "funeral")
OPEN = Gate(
    region="331100",
    releases=(Release(region="", rule="", township="", per_minute=0, released_at=0),),
    budgets=Budgets(Budget(1000, 1000), {}),
)


def put(engine: Engine, *alerts: Alert) -> None:
    """Alerts, pending."""
    with session(engine) as db:
        take(db, alerts, OPEN, NOW)


@pytest.fixture
def claims(engine: Engine) -> Claims:
    """With room for two at a time and two further attempts."""
    return Claims(engine, SCHEDULE, 2)


def due(claims: Claims, now: int = NOW, flying: dict[Key, str] | None = None) -> list[tuple[str, int]]:
    """What is to be sent, by line and revision."""
    return [(row.line, row.revision) for row in claims.due(LINES, flying or {}, now)]


def take_one(claims: Claims, now: int = NOW) -> Outbox:
    """The next revision to send."""
    return claims.due(LINES, {}, now)[0]


def row_of(engine: Engine, name: str = "one", revision: int = 1) -> Outbox:
    """An outbox row as it stands."""
    with session(engine, writes=False) as db:
        return db.get_one(Outbox, (alert_id(name), revision))


def test_each_line_gets_its_room_and_no_other_lines_backlog(engine: Engine, claims: Claims) -> None:
    """Many for one line must not keep the other line's one waiting."""
    put(engine, *(make_alert(str(n)) for n in range(10)), make_alert("other", line="funeral"))
    assert due(claims) == [("funeral", 1), ("social_assistance", 1), ("social_assistance", 1)]


def test_what_is_on_the_wire_is_not_taken_again_and_fills_its_line(engine: Engine, claims: Claims) -> None:
    """One flying leaves room for one, two for none."""
    put(engine, *(make_alert(str(n)) for n in range(4)))
    rows = claims.due(LINES, {}, NOW)
    flying: dict[Key, str] = {(row.alert_id, row.revision): row.line for row in rows[:1]}
    (second,) = claims.due(LINES, flying, NOW)
    assert (second.alert_id, second.revision) not in flying
    flying[second.alert_id, second.revision] = second.line
    assert due(claims, flying=flying) == []


def test_revisions_of_an_alert_go_in_order(engine: Engine, claims: Claims) -> None:
    """A later one waits while an earlier one is pending, due or not; then it goes."""
    put(engine, make_alert(), make_alert(revision=2, state="AMENDED"))
    first = take_one(claims)
    assert due(claims) == [("social_assistance", 1)]
    claims.failed(first, "http_503", None, NOW)
    assert due(claims, NOW + 1000) == []
    claims.accepted(take_one(claims, NOW + 6000), NOW + 6000)
    assert due(claims, NOW + 6000) == [("social_assistance", 2)]


@pytest.mark.parametrize("ended", ["accepted", "refused"])
def test_a_line_it_does_not_know_is_left_alone(engine: Engine, claims: Claims, ended: str) -> None:
    """And what is settled is not taken again."""
    put(engine, make_alert(), make_alert("stranger", line="stranger"))
    row = take_one(claims)
    if ended == "accepted":
        claims.accepted(row, NOW)
    else:
        claims.refused(row, "http_400")
    assert row_of(engine).state == ended
    assert due(claims) == []


def test_failures_follow_the_schedule_and_then_it_is_given_up(engine: Engine, claims: Claims) -> None:
    """Two further attempts, then refused with the last answer; nothing is deleted."""
    put(engine, make_alert())
    now = NOW
    for delay_ms in (5_000, 300_000):
        assert claims.failed(take_one(claims, now), "http_500", None, now)
        assert due(claims, now + delay_ms - 1) == []
        now += delay_ms
        assert due(claims, now) == [("social_assistance", 1)]
    assert not claims.failed(take_one(claims, now), "timeout", None, now)
    row = row_of(engine)
    assert (row.state, row.attempts, row.last_error) == ("refused", 3, "timeout")


def test_retry_after_holds_the_whole_line(engine: Engine, claims: Claims) -> None:
    """A line that asks for ten minutes is left alone for ten minutes, and the other one is not."""
    put(engine, make_alert("a"), make_alert("b"), make_alert("c", line="funeral"))
    (row,) = [row for row in claims.due(LINES, {}, NOW) if row.alert_id == alert_id("a")]
    claims.failed(row, "http_429", 600.0, NOW)
    assert due(claims, NOW + 599_999) == [("funeral", 1)]
    # Then it is asked with one delivery, not with all that waits.
    assert due(claims, NOW + 600_000) == [("funeral", 1), ("social_assistance", 1)]


def test_an_endpoint_that_answers_again_gets_its_room_back(engine: Engine, claims: Claims) -> None:
    """One success ends the pause."""
    put(engine, *(make_alert(str(n)) for n in range(5)))
    claims.failed(take_one(claims), "unreachable", None, NOW)
    later = NOW + 5_000
    assert len(due(claims, later)) == 1
    claims.accepted(take_one(claims, later), later)
    assert len(due(claims, later)) == 2


def test_deliveries_that_fail_together_count_once(engine: Engine, claims: Claims) -> None:
    """Else a short outage would pause a busy line for minutes."""
    put(engine, make_alert("a"), make_alert("b"))
    for row in claims.due(LINES, {}, NOW):
        claims.failed(row, "http_503", None, NOW)
    with session(engine, writes=False) as db:
        assert [(row.failures, row.not_before) for row in db.scalars(select(Endpoint))] == [(1, NOW + 5_000)]


def test_gone_disables_the_line_until_somebody_enables_it(engine: Engine, claims: Claims) -> None:
    """Nothing is lost meanwhile, and nothing is sent."""
    put(engine, make_alert("a"), make_alert("b"))
    claims.gone(take_one(claims), "http_410", NOW)
    assert due(claims, NOW + 10**12) == []
    assert {row_of(engine, name).state for name in ("a", "b")} == {"pending"}
    with session(engine) as db:
        set_endpoint(db, "social_assistance", "open", NOW)
    assert len(due(claims)) == 2


def test_a_paused_line_gets_nothing(engine: Engine, claims: Claims) -> None:
    """And stays paused when a delivery that was on the wire fails."""
    put(engine, make_alert())
    row = take_one(claims)
    with session(engine) as db:
        set_endpoint(db, "social_assistance", "paused", NOW)
    claims.failed(row, "timeout", None, NOW)
    assert due(claims, NOW + 10**9) == []


def test_an_acceptance_is_written_once(engine: Engine, claims: Claims) -> None:
    """Told twice, after a restart that sent twice, it stands in the history once."""
    put(engine, make_alert())
    row = take_one(claims)
    claims.accepted(row, NOW + 1)
    claims.accepted(row, NOW + 2)
    with session(engine, writes=False) as db:
        history = db.scalars(select(CaseHistory).where(CaseHistory.kind == "delivered")).all()
    assert [(line.actor, line.at) for line in history] == [("line:social_assistance", NOW + 1)]
    assert row_of(engine).accepted_at == NOW + 1
