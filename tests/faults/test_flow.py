"""The whole flow on the real parts, from departments' files to acknowledged alerts, against the oracle."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from hub.demo.poison import send_poison
from hub.stack import LocalStack
from hub.store.db import session
from hub.store.models import Case, DispositionRow, Outbox, QuarantineRow
from tests.databases import own_database
from tests.faults.deployments import assert_accepted_once, assert_agrees_with_the_oracle, deployment, home_state
from tests.topics import empty


def dispose_in_the_browser(page: Page, site: str) -> str:
    """From the queue to a case, and a disposition registered there; the alert's id."""
    page.goto(f"{site}/cases?rule=elder_age_allowance")
    page.get_by_role("table").get_by_role("link").first.click()
    page.get_by_label("结果").select_option("not_eligible")
    page.get_by_role("button", name="登记").click()
    expect(page.get_by_text("已登记，将回传给判定流程。")).to_be_visible()
    return page.url.partition("?")[0].rpartition("/")[2]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_records_become_acknowledged_alerts(
    database: str, stack: LocalStack, tmp_path: Path, page: Page, request: pytest.FixtureRequest
) -> None:
    """First load in shadow, release, second wave, time passing; each time the open alerts are the oracle's."""
    store_url = ""
    if database == "postgresql":
        store_url = own_database(request.getfixturevalue("postgres_url"), "flow")
    empty(stack.bootstrap)
    with deployment(tmp_path / "hub", stack, store_url=store_url) as made:
        made.start()
        send_poison(made.settings)
        made.wait("first load")
        with session(made.engine, writes=False) as db:
            states = set(db.scalars(select(Outbox.state)))
            assert "shadow" in states
            assert states <= {"shadow", "superseded"}, "nothing leaves before it is released"
            reasons = set(db.scalars(select(QuarantineRow.reason)))
        assert {"bad_magic", "truncated", "unknown_schema", "null_key", "citizen_id_check"} <= reasons
        assert_agrees_with_the_oracle(made)
        made.hub("doctor")  # fails unless it finds every part, and every process by its name

        made.hub("release", "--all")
        made.wait("release")
        assert_accepted_once(made)

        answered_id = dispose_in_the_browser(page, f"http://127.0.0.1:{made.settings.web_port}")
        made.wait("disposition")
        with session(made.engine, writes=False) as db:
            case = db.get_one(Case, answered_id)
        assert (case.work_state, case.outcome) == ("closed", "not_eligible")
        assert home_state(made, case.home).rules[case.rule].stage == "suppressed", "the stream has heard of it"

        made.pass_time(timedelta(days=10))
        made.wait("the hold after a death")
        made.second_wave()
        made.wait("second wave")
        assert_agrees_with_the_oracle(made)
        made.pass_time(timedelta(days=45))
        made.wait("time passing")
        assert_agrees_with_the_oracle(made)
        assert_accepted_once(made)
        with session(made.engine, writes=False) as db:
            alerts = set(db.scalars(select(Case.alert_state)))
            answered = db.scalars(select(DispositionRow.published)).all()
        assert alerts == {"OPEN", "AMENDED", "WITHDRAWN"}
        assert answered
        assert all(answered), "every disposition went back to the stream"
