"""How things are written on pages: dates, money, regions, labels. Chinese first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from hub.divisions import division_name
from hub.domain import codes
from hub.domain.facts import PAYLOADS
from hub.domain.times import local_moment

FIELD: Final = {
    "birth_date": "出生日期",
    "death_date": "死亡日期",
    "cremated_on": "火化日期",
    "cancelled_on": "户口注销日期",
    "revoked": "撤销标记",
    "hukou": "户号",
    "status": "状态",
    "relation": "亲属关系",
    "nature": "关系性质",
    "inventory_complete": "亲属清单完整声明",
    "other": "亲属另一方",
    "income": "收入",
    "covered_persons": "被核对人",
    "property_dibao": "低保财产核对结果",
    "property_margin": "边缘财产核对结果",
    "property_tekun": "特困财产核对结果",
    "property_low_income": "低收入财产核对结果",
    "property_rigid": "刚性支出财产核对结果",
    "authorised_until": "核对授权有效期",
    "authorised_on": "核对授权日期",
    "refused_on": "拒绝核对日期",
    "deductions": "扣减项",
    "deductions_complete": "扣减项完整声明",
    "rigid_spending": "刚性支出",
    "components": "残疾类别与等级",
    "amount_fen": "金额",
    "cash_fen": "个人现金支付",
    "personal_account_fen": "个人账户支付",
    "compliant_self_paid_fen": "政策范围内自付",
    "settled_on": "结算日期",
    "paying_region": "发放地",
    "period": "所属期",
    "paid_on": "发放日期",
    "returned_on": "退回日期",
    "since": "起始日期",
    "until": "终止日期",
    "type": "类别",
    "benefit": "救助类别",
    "kind": "种类",
    "counted": "计入家庭人口",
    "member_count": "家庭人口数",
    "lives_together": "共同生活",
    "term_months": "刑期",
    "released_on": "释放日期",
    "care_given": "是否仍在照料",
    "township": "所在乡镇",
    "total_fen": "合计金额",
    "last_alive_check": "生存认证日期",
}
"""Labels of payload fields that pages name; another field is shown by its own name."""

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
    """Chinese name of a topic, as its payload's docstring begins."""
    payload = PAYLOADS.get(topic)
    if payload is None or payload.__doc__ is None:
        return topic
    return payload.__doc__.partition(":")[0]


def field_name(field: str) -> str:
    """A field for people: `medical.settlement.cash_fen` is 医保结算·个人现金支付."""
    if field.startswith("parameter."):
        return f"政策参数·{field.removeprefix('parameter.')}"
    if field.startswith("source.coverage."):
        return f"数据覆盖说明·{topic_name(field.removeprefix('source.coverage.'))}"
    topic, _, name = field.rpartition(".")
    if topic not in PAYLOADS:
        return field
    return f"{topic_name(topic)}·{FIELD.get(name, name)}"


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
INGEST_KIND: Final = {"published": "已发布", "annulled": "已撤销", "quarantined": "已隔离", "unchanged": "未变化"}
PROCESS: Final = {
    "connector": "采集",
    "worker": "流处理",
    "quality": "数据质量",
    "dispatcher": "派送",
    "web": "网页",
    "receiver": "参考接收端",
}
CAUSE: Final = {"facts": "记录有变化", "time": "到期复判", "policy": "政策变化", "disposition": "因处置"}
REVEAL_REASON: Final = {"contact": "联系本人", "visit": "入户核实", "verify": "核对材料"}
RECEIPT: Final = {"accepted": "已签收", "rejected": "已拒收", "handled": "已办理"}
ACTOR: Final = {"hub": "枢纽", "web": "经办人", "caseworker": "经办人", "dispatcher": "派送", "operator": "运维"}


def actor_name(actor: str, lines: Mapping[str, str]) -> str:
    """Who did it: a line by its name, else a role."""
    bare = actor.removeprefix("line:")
    return lines.get(bare) or ACTOR.get(actor.partition(":")[0], actor)
