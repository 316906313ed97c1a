"""How pages word things: no bare code, no English article, and a label for whatever rules and suites may name."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from hub.domain.facts import PAYLOADS
from hub.ops.health import HealthServer
from hub.policy.catalogue import RULES
from hub.settings import Settings
from hub.store.models import Process
from hub.web import present, scrape, values
from hub.web.fields import FIELD
from hub.web.sources import departments

SETTINGS = Settings()


def test_every_field_has_a_label() -> None:
    """Of every payload, and every column that a suite looks at."""
    fields = {field.name for payload in PAYLOADS.values() for field in msgspec.structs.fields(payload)}
    for suite in SETTINGS.expectations.glob("*.json"):
        for expectation in json.loads(suite.read_text())["expectations"]:
            fields |= {expectation["kwargs"][key] for key in ("column", "column_A") if key in expectation["kwargs"]}
    assert fields - set(FIELD) == set()
    read = {field for rule in RULES.values() for named in rule.reads.values() for field in named}
    assert [field for field in sorted(read) if "_" in present.field_name(field)] == []


@pytest.mark.parametrize(
    ("topic", "field", "text", "shown"),
    [
        ("assistance.check", "property_dibao", "compliant", "符合"),
        ("assistance.payment", "paying_region", "331124", "松阳县"),
        ("assistance.payment", "period", "331124 2026-01", "松阳县 2026年1月"),
        ("assistance.benefit", "since", "331123 2025-03-01", "遂昌县 2025年3月1日"),
        ("assistance.benefit", "type", "dibao", "最低生活保障"),
        ("registration.resident", "birth_date", "1952-06-08", "1952年6月8日"),
        ("registration.resident", "status", "cancelled_death", "死亡注销"),
        ("medical.settlement", "cash_fen", "-182100", "-1,821.00 元"),
        ("assistance.check", "income", "wage 2880000/12", "工资性收入 28,800.00 元（12 个月）"),
        ("assistance.investigation", "deductions", "illness 32000", "因病刚性支出 320.00 元"),
        ("disability.certificate", "components", "limb 2", "肢体2级"),
        ("disability.certificate", "components", "level 1", "1级"),
        ("assistance.household", "counted", "true", "是"),
        ("source.coverage", "topic", "medical.settlement", "医保结算"),
        ("justice.status", "kind", "prison", "监狱服刑"),
        ("assistance.household", "member_count", "3", "3"),
        ("assistance.benefit", "type", "something_new", "something_new"),
    ],
)
def test_a_value_of_evidence(topic: str, field: str, text: str, shown: str) -> None:
    """Codes by their list, 分 as 元, days and months, places."""
    assert values.value(topic, field, text) == shown


def test_a_line_of_history() -> None:
    """Outcome before reason; an attempt is told from the second on."""
    assert values.told({"outcome": "source_wrong", "reason": "record_wrong"}) == "数源有误，记录错误，已通知数源单位"
    assert values.told({"cause": "time"}) == "到期复判"
    assert values.told({"who": "家庭成员2", "why": "visit"}) == "家庭成员2，入户核实"
    assert values.told({"attempts": 3}) == "第 3 次派送"
    assert values.told({"attempts": 1, "outcome": "helped", "reason": None}) == "已落实救助"
    assert values.told({}) == ""


@pytest.mark.parametrize(
    ("fen", "shown"),
    [(0, "0.00 元"), (5, "0.05 元"), (123450, "1,234.50 元"), (-100, "-1.00 元"), (None, "—")],
)
def test_money(fen: int | None, shown: str) -> None:
    """分 as 元."""
    assert present.money(fen) == shown


def test_days_and_places() -> None:
    """A moment is in Shanghai, eight hours ahead; a place has its county before it."""
    assert present.day(date(2026, 3, 5)) == "2026年3月5日"
    assert present.moment(1_772_640_000_000) == "2026年3月5日 00:00"
    assert present.place("331102001") == "莲都区紫金街道"
    assert present.place("999999") == "999999"
    assert present.place(None) == "—"


def test_fields_and_parameters() -> None:
    """A whole topic where no field is named; a parameter by its label."""
    assert present.field_name("medical.settlement.cash_fen") == "医保结算·个人现金支付"
    assert present.field_name("medical.settlement.") == "医保结算"
    assert present.field_name("source.coverage.medical.settlement") == "数据覆盖说明·医保结算"
    assert present.field_name("parameter.dibao_monthly_fen") == "政策参数·最低生活保障标准（每人每月）"
    assert present.field_name("parameter.not_there") == "政策参数·not_there"


def test_people_are_numbered_within_their_role() -> None:
    """A number only where there are several."""
    people = [{"person": "a", "role": "self"}, {"person": "b", "role": "child"}, {"person": "c", "role": "child"}]
    assert present.involved(people) == [("a", "本人"), ("b", "子女1"), ("c", "子女2")]


def test_value_classes() -> None:
    """As hub.quality.frames names them."""
    assert values.value_class("empty") == "空"
    assert values.value_class("text of 18 characters") == "18 个字符的文本"


def test_departments_are_named_by_their_mappings(tmp_path: Path) -> None:
    """Every mapping that is shipped names its department; a folder that is not there names nobody."""
    assert departments(SETTINGS.sources)["yibao"] == "丽水市医疗保障局"
    assert departments(tmp_path / "nowhere") == {}


def test_figures_take_partitions_together() -> None:
    """Records are added up, the longest wait stands for all; what is 0 or not listed is left out."""
    text = """
# TYPE hub_worker_lag_records gauge
hub_worker_lag_records{partition="0",topic="medical.settlement.v1"} 3
hub_worker_lag_records{partition="1",topic="medical.settlement.v1"} 4
hub_worker_lag_records{partition="0",topic="registration.death.v1"} 0
# TYPE hub_worker_lag_seconds gauge
hub_worker_lag_seconds{partition="0",topic="medical.settlement.v1"} 12
hub_worker_lag_seconds{partition="1",topic="medical.settlement.v1"} 5
# TYPE hub_worker_restoring_partitions gauge
hub_worker_restoring_partitions{stage="person"} 2
# TYPE process_open_fds gauge
process_open_fds 60
"""
    assert scrape.figures(text) == (
        ("hub_worker_lag_records", "medical.settlement.v1", 7.0),
        ("hub_worker_lag_seconds", "medical.settlement.v1", 12.0),
        ("hub_worker_restoring_partitions", "person", 2.0),
    )


@pytest.mark.parametrize("url", ["http://169.254.169.254:80", "http://hub.example:80", "http://127.0.0.1.example:1"])
def test_only_loopback_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address in the store that is not this machine's is never called: the page is no way into the network."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a request left")

    monkeypatch.setattr(aiohttp.ClientSession, "get", refuse)
    row = Process(name="worker", instance="w", url=url, started_at=0, heartbeat_at=0)
    with ThreadPoolExecutor(1) as pool:  # where a browser test came before, this thread has a loop that still runs
        [health] = pool.submit(asyncio.run, scrape.ask([row], 0)).result()
    assert (health.ready, health.detail, health.figures) == (False, "不应答", ())


RESTORE = {
    "active": True,
    "records_read": 12_000,
    "records_left": 28_000,
    "seconds_left": 7.3,
    "stages": [
        {"stage": "person", "partitions": 8, "partitions_done": 3, "keys": 9_000},
        {"stage": "subject", "partitions": 8, "partitions_done": 8, "keys": 3_000},
    ],
}
"""What a worker says on /ready while it restores."""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (RESTORE, "正在恢复状态：已读 12,000/40,000 条，约剩 8 秒（个人 3/8 分区，家庭 8/8 分区）"),
        (
            RESTORE | {"seconds_left": None, "records_read": 0},
            "正在恢复状态：已读 0/28,000 条，剩余时间尚不能估计（个人 3/8 分区，家庭 8/8 分区）",
        ),
    ],
)
def test_a_restore_is_told_in_chinese(said: dict[str, Any], shown: str) -> None:
    """From /ready of a real health server, and read over HTTP."""
    server = HealthServer("127.0.0.1", 0, ready=lambda: (False, "restoring state"), more=lambda: {"restore": said})
    try:
        health = asked(server.url)
    finally:
        server.close()
    assert not health.ready
    assert health.restore is not None
    assert present.restoring(health.restore) == shown


def test_what_does_not_fit_is_no_answer() -> None:
    """Whatever listens there, the page is shown."""
    server = HealthServer("127.0.0.1", 0, ready=lambda: (True, "3 slots"), more=lambda: {"restore": {"stages": 7}})
    try:
        assert not asked(server.url).ready
    finally:
        server.close()


@pytest.mark.parametrize(
    ("detail", "shown"),
    [("16 slots", "负责 16 个分区"), ("stopping", "正在停止"), ("some slots", "some slots"), ("", "—")],
)
def test_what_a_worker_says_is_told_in_chinese(detail: str, shown: str) -> None:
    """What has no Chinese is shown as it is."""
    assert present.process_detail(detail) == shown


def asked(url: str) -> scrape.Health:
    """What the page learns of a worker there."""
    row = Process(name="worker", instance="w", url=url, started_at=0, heartbeat_at=0)
    with ThreadPoolExecutor(1) as pool:  # where a browser test came before, this thread has a loop that still runs
        [health] = pool.submit(asyncio.run, scrape.ask([row], 0)).result()
    return health
