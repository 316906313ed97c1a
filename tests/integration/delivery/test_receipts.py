"""Receipts as lines post them, through the API's own route, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from hub.delivery.api import MAX_BYTES, PATH, routes
from hub.delivery.lines import Budget, Budgets
from hub.delivery.outbox import Gate, take
from hub.delivery.secrets import Pair, ensure_secrets, rotate, secrets_path
from hub.delivery.signing import signed
from hub.settings import Settings
from hub.store.db import session
from hub.store.models import Case, CaseHistory, DispositionRow, ReceiptRow, Release
from tests.unit.delivery.alerts import alert_id, make_alert

NOW = 1_780_000_000_000
GATE = Gate(
    region="331100",
    releases=(Release(region="", rule="", township="", per_minute=0, released_at=0),),
    budgets=Budgets(Budget(1000, 1000), {}),
)


@pytest.fixture
def settings(store_url: str, tmp_path: Path) -> Settings:
    """A deployment on the store."""
    return Settings(data_dir=tmp_path, store_url=store_url)


@pytest.fixture
def secrets(settings: Settings) -> dict[str, Pair]:
    """The webhook secrets of the deployment."""
    return ensure_secrets(settings)


@pytest.fixture
def client(settings: Settings, secrets: dict[str, Pair], engine: Engine) -> Iterator[TestClient]:
    """A client of the API."""
    with TestClient(Starlette(routes=routes(settings, engine))) as made:
        yield made


@pytest.fixture(autouse=True)
def sent(engine: Engine) -> None:
    """What was sent."""
    shadow = Gate(region="331100", releases=(), budgets=GATE.budgets)
    with session(engine) as db:
        take(db, [make_alert(), make_alert("other", line="funeral")], GATE, NOW)
        take(db, [make_alert("shadow")], shadow, NOW)


def receipt(**changes: Any) -> dict[str, Any]:
    """A receipt as a line writes it."""
    return {
        "receipt_id": "r1",
        "alert_id": alert_id("one"),
        "revision": 1,
        "line": "social_assistance",
        "status": "accepted",
        "outcome": None,
        "reason": None,
        "made_at": NOW,
        **changes,
    }


def post(client: TestClient, secrets: dict[str, Pair], body: dict[str, Any], by: str | None = None) -> Any:
    """Post a receipt signed by its line, or by another."""
    raw = msgspec.json.encode(body)
    headers = signed(secrets[by or body["line"]].from_line, body["receipt_id"], raw)
    return client.post(PATH, content=raw, headers=headers)


def written(engine: Engine) -> tuple[int, int, int]:
    """Receipts, dispositions and history lines in the store."""
    with session(engine, writes=False) as db:
        return (
            len(db.scalars(select(ReceiptRow)).all()),
            len(db.scalars(select(DispositionRow)).all()),
            len(db.scalars(select(CaseHistory).where(CaseHistory.kind.in_(("receipt", "disposition")))).all()),
        )


def test_a_receipt_is_kept_and_stands_in_the_history(
    client: TestClient, secrets: dict[str, Pair], engine: Engine
) -> None:
    """To be published, as the line wrote it."""
    answer = post(client, secrets, receipt())
    assert (answer.status_code, answer.json()) == (200, {"receipt_id": "r1", "repeated": False})
    with session(engine, writes=False) as db:
        row = db.scalars(select(ReceiptRow)).one()
        line = db.scalars(select(CaseHistory).where(CaseHistory.kind == "receipt")).one()
    assert (row.body, row.published) == (receipt(), False)
    assert (line.actor, line.detail) == ("line:social_assistance", {"status": "accepted"})


def test_an_outcome_becomes_a_disposition_of_the_revision_it_answers(
    client: TestClient, secrets: dict[str, Pair], engine: Engine
) -> None:
    """In the same transaction as the case, with the line as its author."""
    handled = receipt(status="handled", outcome="not_eligible", reason="income_changed")
    assert post(client, secrets, handled).status_code == 200
    with session(engine, writes=False) as db:
        row = db.scalars(select(DispositionRow)).one()
        case = db.get_one(Case, alert_id("one"))
    assert (case.work_state, case.outcome) == ("closed", "not_eligible")
    assert {name: row.body[name] for name in ("outcome", "reason", "suppress", "by", "revision")} == {
        "outcome": "not_eligible",
        "reason": "income_changed",
        "suppress": True,
        "by": "line:social_assistance",
        "revision": 1,
    }
    assert row.body["evidence_hash"] == make_alert().evidence_hash


def test_a_repeat_is_answered_and_changes_nothing(client: TestClient, secrets: dict[str, Pair], engine: Engine) -> None:
    """The line may not have heard the first answer."""
    handled = receipt(status="handled", outcome="helped")
    post(client, secrets, handled)
    before = written(engine)
    assert before == (1, 1, 2)
    answer = post(client, secrets, handled)
    assert (answer.status_code, answer.json()["repeated"]) == (200, True)
    assert post(client, secrets, {**handled, "outcome": "declined"}).status_code == 409
    assert written(engine) == before


def test_only_the_line_itself_may_answer(client: TestClient, secrets: dict[str, Pair], engine: Engine) -> None:
    """Not another line, not with the secret of the other direction, not unsigned."""
    assert post(client, secrets, receipt(), by="funeral").status_code == 401
    raw = msgspec.json.encode(receipt())
    outgoing = signed(secrets["social_assistance"].to_line, "r1", raw)
    assert client.post(PATH, content=raw, headers=outgoing).status_code == 401
    assert client.post(PATH, content=raw).status_code == 401
    stranger = receipt(line="stranger")
    assert post(client, secrets, stranger, by="funeral").status_code == 401
    assert written(engine) == (0, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"alert_id": "0" * 32},
        {"revision": 2},
        {"alert_id": alert_id("other")},
        {"alert_id": alert_id("shadow")},
    ],
)
def test_a_line_answers_only_what_was_sent_to_it(
    client: TestClient, secrets: dict[str, Pair], engine: Engine, change: dict[str, Any]
) -> None:
    """Neither what it never got, nor another line's, nor what has not left."""
    assert post(client, secrets, receipt(**change)).status_code == 404
    assert written(engine) == (0, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "lost"},
        {"outcome": "won"},
        {"outcome": "helped", "reason": "because"},
        {"reason": "other"},
        {"receipt_id": "r" * 65},
        {"revision": "one"},
    ],
)
def test_an_unfit_receipt_says_what_fits(
    client: TestClient, secrets: dict[str, Pair], engine: Engine, change: dict[str, Any]
) -> None:
    """And nothing is kept of it."""
    answer = post(client, secrets, receipt(**change))
    assert answer.status_code == 400
    assert answer.json()["remedy"]
    assert written(engine) == (0, 0, 0)


def test_a_flood_is_cut_off(client: TestClient) -> None:
    """Before anything is parsed."""
    assert client.post(PATH, content=b" " * (MAX_BYTES + 1)).status_code == 413


def test_a_late_answer_to_an_older_revision_leaves_the_case(
    client: TestClient, secrets: dict[str, Pair], engine: Engine
) -> None:
    """It is an outcome of the evidence it answered, and the case shows newer evidence."""
    with session(engine) as db:
        take(db, [make_alert(revision=2, state="AMENDED", evidence_hash="f" * 32)], GATE, NOW)
    assert post(client, secrets, receipt(status="handled", outcome="helped")).status_code == 200
    with session(engine, writes=False) as db:
        case = db.get_one(Case, alert_id("one"))
        row = db.scalars(select(DispositionRow)).one()
    assert (case.work_state, case.outcome, case.lock) == ("new", None, 2)
    assert (row.body["revision"], row.body["evidence_hash"]) == (1, "e" * 32)


def test_a_late_word_does_not_open_a_closed_case(client: TestClient, secrets: dict[str, Pair], engine: Engine) -> None:
    """Receipts may overtake each other."""
    post(client, secrets, receipt(receipt_id="r2", status="handled", outcome="helped"))
    post(client, secrets, receipt(receipt_id="r1", status="handled", outcome="accepted"))
    with session(engine, writes=False) as db:
        case = db.get_one(Case, alert_id("one"))
    assert (case.work_state, case.outcome) == ("closed", "helped")


def test_a_rotated_secret_is_honoured_at_once_and_the_old_one_still(
    client: TestClient, secrets: dict[str, Pair], settings: Settings
) -> None:
    """Without a restart of the pages."""
    rotate(settings, "social_assistance")
    assert post(client, secrets, receipt()).status_code == 200
    rotate(settings, "social_assistance")
    assert post(client, secrets, receipt(receipt_id="r2")).status_code == 401


def test_without_secrets_lines_are_asked_to_come_again(
    client: TestClient, secrets: dict[str, Pair], settings: Settings
) -> None:
    """A receipt must not be lost to a file that is not there yet."""
    secrets_path(settings).unlink()
    answer = post(client, secrets, receipt())
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
