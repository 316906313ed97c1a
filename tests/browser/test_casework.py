"""The caseworker's way: queue, filter, case, identity, disposition; and what stands in the store afterwards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Browser, Page, Request, expect
from sqlalchemy import select

from hub.ops.health import HealthServer
from hub.store.db import open_store, session
from hub.store.models import Case, CaseHistory, DispositionRow, Process
from hub.vault.models import AUDIT
from tests.browser import people
from tests.browser.conftest import Site, picture
from tests.browser.seed import SCRIPT


def audited(site: Site) -> Sequence[Any]:
    """Rows of the vault's audit, past the vault."""
    engine = open_store(site.settings.vault)
    with session(engine, writes=False) as db:
        rows = db.execute(select(AUDIT)).all()
    engine.dispose()
    return rows


def history(site: Site, name: str, kind: str) -> Sequence[CaseHistory]:
    """Lines of one kind in a case's history."""
    with session(site.engine, writes=False) as db:
        return db.scalars(
            select(CaseHistory).where(CaseHistory.alert_id == site.cases[name], CaseHistory.kind == kind)
        ).all()


def case(site: Site, name: str) -> Case:
    """A case as it is stored now."""
    with session(site.engine, writes=False) as db:
        found = db.get(Case, site.cases[name])
    assert found is not None
    return found


def made(site: Site, name: str) -> Sequence[DispositionRow]:
    """Dispositions of a case."""
    with session(site.engine, writes=False) as db:
        return db.scalars(select(DispositionRow).where(DispositionRow.alert_id == site.cases[name])).all()


def reveal(page: Page, who: str) -> None:
    """Ask for one person's identity."""
    page.get_by_label("查看谁").select_option(label=who)
    page.get_by_label("查看事由").select_option(label="入户核实")
    page.get_by_role("button", name="查看身份").click()


def dispose(page: Page, outcome: str, note: str = "") -> None:
    """Fill in and send the disposition form."""
    page.get_by_label("结果").select_option(label=outcome)
    page.get_by_label("备注").fill(note)
    page.get_by_role("button", name="登记").click()


def test_from_the_queue_to_the_disposition(site: Site, page: Page, strangers: list[str]) -> None:
    """One audit row, one line of history, a closed case and one unpublished row; nothing personal in an address."""
    addresses: list[str] = []

    def note(request: Request) -> None:
        addresses.append(request.url)

    page.on("request", note)
    page.goto(f"{site.url}/cases")
    page.get_by_label("业务线").select_option(label="社会救助码上协同")
    page.get_by_label("县（市、区）").select_option(label="莲都区")
    page.get_by_role("button", name="筛选").click()
    expect(page.get_by_role("heading", name="共 1 件")).to_be_visible()
    page.get_by_role("link", name="可能符合最低生活保障条件").click()
    people_shown = page.get_by_role("region", name="涉及的人")
    expect(people_shown).not_to_contain_text("叶")

    tokens = [person["person"] for person in case(site, "dibao").body["people"]]
    reveal(page, "家庭成员1")
    expect(people_shown).to_contain_text("叶秀兰")
    expect(people_shown).to_contain_text(people.number("ye")[-4:])
    expect(people_shown).to_contain_text("13905780001")
    picture(page, "revealed")
    assert people.number("ye") not in page.content()
    assert "叶建军" not in page.content()
    rows = audited(site)
    assert [(row.action, row.person, row.purpose, row.actor, row.outcome) for row in rows] == [
        ("open", tokens[0], "caseworker.review", "web:caseworker", "opened")
    ]
    assert [line.detail for line in history(site, "dibao", "revealed")] == [{"who": "家庭成员1", "why": "visit"}]

    page.goto(site.case("dibao"))
    assert "叶秀兰" not in page.content()
    expect(page.get_by_role("region", name="经过")).to_contain_text("家庭成员1，入户核实")

    dispose(page, "已落实救助", "已入户，材料齐全")
    expect(page.get_by_role("status")).to_contain_text("已登记")
    closed = case(site, "dibao")
    assert (closed.work_state, closed.outcome, closed.lock) == ("closed", "helped", 2)
    [row] = made(site, "dibao")
    assert (row.published, row.note, row.body["outcome"], row.body["suppress"]) == (
        False,
        "已入户，材料齐全",
        "helped",
        True,
    )
    assert row.body["evidence_hash"] == closed.body["evidence_hash"]
    assert len(history(site, "dibao", "disposition")) == 1
    assert len(audited(site)) == 1
    assert strangers == []
    personal = [*tokens, *people.CARDS["ye"][:2], people.number("ye")]
    assert not any(word in address for word in personal for address in addresses)


def test_a_person_without_a_card(site: Site, page: Page) -> None:
    """The page says that nothing is known; the asking is audited all the same."""
    page.goto(site.case("funeral"))
    reveal(page, "本人")
    expect(page.get_by_text("身份库中没有可供此目的查看的内容")).to_be_visible()
    assert [row.outcome for row in audited(site)] == ["no_card"]


def test_an_opening_needs_its_reason(site: Site, page: Page) -> None:
    """A form sent past the browser's check, without a reason or with another person, opens nothing."""
    page.goto(site.case("dibao"))
    csrf = page.locator("input[name=csrf]").first.input_value()
    address = f"{site.case('dibao')}/identity"
    good = {"csrf": csrf, "who": "0", "purpose": "caseworker.review", "reason": "visit"}
    for wrong in ({"reason": ""}, {"reason": "curious"}, {"who": "7"}, {"who": "-1"}, {"purpose": "delivery.funeral"}):
        assert page.request.post(address, form={**good, **wrong}).status == 400
    assert audited(site) == []
    assert history(site, "dibao", "revealed") == []


def test_a_case_that_changed_meanwhile(site: Site, page: Page) -> None:
    """The later of two sees that the case changed, keeps what was typed, and may then send it."""
    page.goto(site.case("orphan"))
    with session(site.engine) as db:
        changed = db.get(Case, site.cases["orphan"])
        assert changed is not None
        changed.lock += 1
    dispose(page, "核实后不符合", "父亲仍在世")
    expect(page.get_by_role("status")).to_contain_text("刚被别人或新的记录改动过")
    picture(page, "stale")
    assert made(site, "orphan") == []
    assert case(site, "orphan").work_state == "new"
    expect(page.get_by_label("备注")).to_have_value("父亲仍在世")
    expect(page.get_by_label("结果")).to_have_value("not_eligible")
    page.get_by_role("button", name="登记").click()
    expect(page.get_by_role("status")).to_contain_text("已登记")
    [row] = made(site, "orphan")
    assert (row.note, case(site, "orphan").work_state) == ("父亲仍在世", "closed")


def test_a_form_from_elsewhere_is_refused(site: Site, page: Page) -> None:
    """Without the cookie's token, or with another, neither form does anything."""
    page.goto(site.case("dibao"))
    outcome = {"outcome": "helped", "reason": "", "note": "", "lock": "1"}
    who = {"who": "0", "purpose": "caseworker.review", "reason": "visit"}
    for wrong in ({}, {"csrf": ""}, {"csrf": "x" * 32}):
        assert page.request.post(f"{site.case('dibao')}/disposition", form={**outcome, **wrong}).status == 403
        assert page.request.post(f"{site.case('dibao')}/identity", form={**who, **wrong}).status == 403
    assert made(site, "dibao") == []
    assert audited(site) == []
    assert case(site, "dibao").work_state == "new"


def test_a_note_is_text(site: Site, page: Page) -> None:
    """What was typed into a note is shown as typed, and no script of it runs."""
    page.goto(site.case("defacto"))
    dispose(page, "无法联系", SCRIPT)
    expect(page.get_by_role("region", name="登记处置")).to_contain_text(SCRIPT)
    assert page.locator("main script, main img").count() == 0
    assert page.title().startswith("可能属于事实无人抚养儿童")
    assert case(site, "defacto").work_state == "working"


def test_the_forms_without_javascript(site: Site, browser: Browser) -> None:
    """Identity and disposition with scripts switched off."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.case("elder_age"))
    reveal(page, "本人")
    expect(page.get_by_text("潘阿凤")).to_be_visible()
    dispose(page, "已受理")
    expect(page.get_by_text("已登记，将回传给判定流程。")).to_be_visible()
    assert case(site, "elder_age").work_state == "working"
    assert len(audited(site)) == 1
    context.close()


def test_a_withdrawn_case_keeps_its_state(site: Site, page: Page) -> None:
    """An outcome of a withdrawn alert is kept for the figures and opens nothing again."""
    page.goto(site.case("funeral"))
    dispose(page, "已在享或已办理")
    expect(page.get_by_role("status")).to_contain_text("已登记")
    stored = case(site, "funeral")
    assert (stored.work_state, stored.outcome) == ("withdrawn", "already_served")


def test_the_operator_sees_who_answers(site: Site, page: Page) -> None:
    """A process is ready, does not answer, or has not been heard of."""
    page.goto(f"{site.url}/operator")
    table = page.get_by_role("table", name="心跳")
    expect(table.get_by_role("row").filter(has_text="web-1")).to_contain_text("就绪")
    expect(table.get_by_role("row").filter(has_text="worker-1")).to_contain_text("不应答")
    expect(table.get_by_role("row").filter(has_text="dispatcher-1")).to_contain_text("失联")
    refused = page.get_by_role("table", name="按派送状态").get_by_role("row").filter(has_text="社会救助")
    expect(refused.get_by_role("cell")).to_have_text(["社会救助码上协同", "0", "0", "0", "5", "1", "0", "0", "—"])


def test_the_operator_sees_each_worker_and_how_far_its_restore_has_come(site: Site, page: Page) -> None:
    """Two workers that answer, each at its own address: one restores, one works."""
    restore = {
        "records_read": 12_000,
        "records_left": 28_000,
        "seconds_left": 7.3,
        "stages": [{"stage": "person", "partitions": 8, "partitions_done": 3}],
    }
    servers = [
        HealthServer("127.0.0.1", 0, ready=lambda: (False, "restoring state"), more=lambda: {"restore": restore}),
        HealthServer("127.0.0.1", 0, ready=lambda: (True, "8 slots")),
    ]
    now = time.time_ns() // 1_000_000
    with session(site.engine) as db:
        for number, server in enumerate(servers):
            beat = Process(name="worker", instance=f"many-{number}", url=server.url, started_at=now, heartbeat_at=now)
            db.add(beat)
    try:
        page.goto(f"{site.url}/operator")
        table = page.get_by_role("table", name="心跳")
        first = table.get_by_role("row").filter(has_text="many-0")
        expect(first).to_contain_text("未就绪")
        expect(first).to_contain_text("正在恢复状态：已读 12,000/40,000 条，约剩 8 秒（个人 3/8 分区）")
        second = table.get_by_role("row").filter(has_text="many-1")
        expect(second).to_contain_text("就绪")
        expect(second).to_contain_text("负责 8 个分区")
        picture(page, "operator-restoring")
    finally:
        for server in servers:
            server.close()
