"""How things are written on pages: dates, money, regions, labels. Chinese first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from hub.divisions import division_name
from hub.domain import codes
from hub.domain.facts import PAYLOADS
from hub.domain.times import local_moment
from hub.policy.parameters import KEYS
from hub.web.fields import FIELD
from hub.web.scrape import Restore

ALERT_STATE: Final = {"OPEN": "新提示", "AMENDED": "有更新", "WITHDRAWN": "已撤回"}
WORK_STATE: Final = {"new": "待处理", "working": "办理中", "closed": "已办结", "withdrawn": "已撤回"}
GRADE: Final = {"case": "待办", "lead": "线索"}
TRUTH: Final = {"yes": "成立", "no": "不成立", "unknown": "尚不能确定"}
SIGN: Final = {"yes": "✓", "no": "✗", "unknown": "?"}
DUE: Final = {"service": "服务时限", "statutory": "法定期限"}
SEVERITY: Final = {"critical": "严重", "warning": "警告", "info": "提示"}
QUALITY_OUTCOME: Final = {"pass": "通过", "fail": "不通过", "errored": "检查出错", "no_data": "无数据"}
OUTBOX_STATE: Final = {
    "shadow": "试运行未放行",
    "held": "暂缓",
    "pending": "待派送",
    "accepted": "已签收",
    "refused": "被拒收",
    "superseded": "已由新版本替代",
    "dropped": "已放弃",
}
HISTORY: Final = {
    "opened": "发出提示",
    "amended": "更新提示",
    "withdrawn": "撤回提示",
    "delivered": "业务线签收",
    "receipt": "业务线回执",
    "disposition": "登记处置",
    "revealed": "查看身份",
    "reopened": "重新打开",
    "released": "放行",
}


def label(table: Mapping[str, str], code: str | None) -> str:
    """Label of a code; a code without one is shown as it is, an absent one as a dash."""
    return "—" if code is None else table.get(code, code)


def money(fen: int | None) -> str:
    """分 as 元: `1,234.50 元`."""
    if fen is None:
        return "—"
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d} 元"


def count(number: float) -> str:
    """`92,118`."""
    return f"{number:,.0f}"


def day(value: date | None) -> str:
    """`2026年3月5日`."""
    return "—" if value is None else f"{value.year}年{value.month}月{value.day}日"


def moment(instant: int | None) -> str:
    """UTC milliseconds as `2026年3月5日 14:03`, in Asia/Shanghai."""
    if instant is None:
        return "—"
    local = local_moment(instant)
    return f"{day(local.date())} {local:%H:%M}"


def place(code: str | None) -> str:
    """Name of a county, township or village."""
    if code is None:
        return "—"
    return division_name(code) or code


def topic_name(topic: str) -> str:
    """Chinese name of a topic."""
    return label(codes.TOPIC, topic)


def field_name(field: str) -> str:
    """A field for people: `medical.settlement.cash_fen` is 医保结算·个人现金支付."""
    kind, _, key = field.partition(".")
    if kind == "parameter":
        return f"政策参数·{KEYS[key].label if key in KEYS else key}"
    topic, _, name = field.rpartition(".")
    if topic in PAYLOADS:
        return f"{topic_name(topic)}·{FIELD.get(name, name)}" if name else topic_name(topic)
    covered = field.removeprefix("source.coverage.")
    return f"数据覆盖说明·{topic_name(covered)}" if covered in PAYLOADS else field


def involved(people: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """People of an alert as (token, label), numbered within their role: 本人, 子女1, 子女2."""
    totals: dict[str, int] = {}
    for person in people:
        totals[person["role"]] = totals.get(person["role"], 0) + 1
    seen: dict[str, int] = {}
    named = []
    for person in people:
        role = person["role"]
        seen[role] = seen.get(role, 0) + 1
        name = label(codes.ROLE, role)
        named.append((person["person"], f"{name}{seen[role]}" if totals[role] > 1 else name))
    return named


QUARANTINE_STATE: Final = {
    "waiting": "待处理",
    "replayed": "已重放",
    "failed_again": "重放仍不合格",
    "dropped": "已放弃",
}
FIGURE: Final = {
    "hub_connector_lag_seconds": "最新记录距今（秒）",
    "hub_worker_lag_records": "未处理的记录",
    "hub_worker_lag_seconds": "滞后（秒）",
    "hub_worker_restoring_partitions": "正在恢复的分区",
    "hub_quality_lag_records": "未检查的记录",
    "hub_quality_lag_seconds": "滞后（秒）",
    "hub_dispatcher_lag_records": "未接收的提示",
    "hub_dispatcher_lag_seconds": "滞后（秒）",
    "hub_outbox_depth": "未签收的提示",
    "hub_outbox_age_seconds": "最早待派送已等（秒）",
}
INGEST_KIND: Final = {"published": "已发布", "annulled": "已撤销", "quarantined": "已隔离", "unchanged": "未变化"}
PROCESS: Final = {
    "connector": "采集",
    "worker": "流处理",
    "quality": "数据质量",
    "dispatcher": "派送",
    "web": "网页",
    "receiver": "参考接收端",
}
PROCESS_DETAIL: Final = {
    "": "—",
    "reading": "正在读取",
    "receiving": "正在接收",
    "serving": "正在服务",
    "waiting": "等待 Kafka、模式注册中心或数据库",
    "not sending": "没有在派送",
    "waiting for partitions": "等待分派分区",
    "stopping": "正在停止",
    "waiting for Kafka, the registry or the store": "等待 Kafka、模式注册中心或数据库",
}
"""What processes say of themselves; anything else they say is shown as it is."""

STAGE: Final = {"person": "个人", "subject": "家庭"}


def process_detail(detail: str) -> str:
    """What a process says of itself, in Chinese."""
    slots = detail.removesuffix(" slots")
    return f"负责 {slots} 个分区" if slots != detail and slots.isdigit() else label(PROCESS_DETAIL, detail)


def restoring(restore: Restore) -> str:
    """`正在恢复状态：已读 12,000/40,000 条，约剩 8 秒（个人 3/8 分区，家庭 8/8 分区）`."""
    whole = restore.records_read + restore.records_left
    seconds = restore.seconds_left
    left = "剩余时间尚不能估计" if seconds is None else f"约剩 {count(math.ceil(seconds))} 秒"
    stages = "，".join(f"{label(STAGE, at.stage)} {at.partitions_done}/{at.partitions} 分区" for at in restore.stages)
    return f"正在恢复状态：已读 {count(restore.records_read)}/{count(whole)} 条，{left}（{stages}）"


CAUSE: Final = {"facts": "记录有变化", "time": "到期复判", "policy": "政策变化", "disposition": "因处置"}
REVEAL_REASON: Final = {"contact": "联系本人", "visit": "入户核实", "verify": "核对材料"}
RECEIPT: Final = {"accepted": "已签收", "rejected": "已拒收", "handled": "已办理"}
ACTOR: Final = {"hub": "枢纽", "web": "经办人", "caseworker": "经办人", "dispatcher": "派送", "operator": "运维"}


def actor_name(actor: str, lines: Mapping[str, str]) -> str:
    """Who did it: a line by its name, else a role."""
    bare = actor.removeprefix("line:")
    return lines.get(bare) or ACTOR.get(actor.partition(":")[0], actor)
