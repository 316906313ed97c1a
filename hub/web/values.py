"""Values of evidence and details of history for people: codes by their labels, days, money, places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from hub.domain import codes
from hub.web import present

_BY_FIELD: Final[Mapping[str, Mapping[str, str]]] = {
    "registration.resident.status": codes.RESIDENT_STATUS,
    "registration.kinship.relation": codes.RELATION,
    "registration.kinship.nature": codes.KINSHIP_NATURE,
    "registration.kinship.inventory_complete": codes.INVENTORY,
    "justice.status.kind": codes.JUSTICE,
    "medical.settlement.kind": codes.SETTLEMENT,
    "insurance.enrolment.scheme": codes.SCHEME,
    "insurance.pension.scheme": codes.SCHEME,
    "disability.certificate.status": codes.CERTIFICATE_STATUS,
    "assistance.benefit.type": codes.BENEFIT,
    "assistance.benefit.status": codes.BENEFIT_STATUS,
    "assistance.payment.benefit": codes.BENEFIT,
    "assistance.household.counted_reason": codes.NOT_COUNTED,
    **{
        f"assistance.check.property_{kind}": codes.PROPERTY
        for kind in ("dibao", "margin", "tekun", "low_income", "rigid")
    },
}
"""topic.field → code list of its values."""

_CLASS: Final = {
    "empty": "空",
    "holds": "成立",
    "does not hold": "不成立",
    "number": "数字",
    "negative number": "负数",
    "date": "日期",
    "several columns": "多个字段",
}
_LENGTH: Final = re.compile(r"text of (\d+) characters")

_COMPOUND: Final[Mapping[str, Mapping[str, str]]] = {
    "assistance.check.income": codes.INCOME,
    "assistance.investigation.income": codes.INCOME,
    "assistance.investigation.deductions": codes.DEDUCTION,
    "assistance.investigation.rigid_spending": codes.RIGID_SPENDING,
    "disability.certificate.components": codes.DISABILITY | {"level": ""},
}
"""topic.field → code list of the first word; the second is 分 (over how many months), or a level."""

_TRUTH: Final = {"true": "是", "false": "否"}
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_FEN: Final = re.compile(r"(-?\d+)(?:/(\d+))?")
_PLACED: Final = re.compile(r"(\d{6})(?: (.+))?")


def value(topic: str, field: str, text: str) -> str:
    """A value of evidence: `331124 2026-01` of a payment is 松阳县 2026年1月. What is no code is shown as it is."""
    label = _BY_FIELD.get(f"{topic}.{field}", {}).get(text) or _TRUTH.get(text)
    if label:
        return label
    first, _, rest = text.partition(" ")
    kinds = _COMPOUND.get(f"{topic}.{field}", {})
    if first in kinds and rest:
        return kinds[first] + (f"{rest}级" if field == "components" else f" {_amount(rest)}")
    if field == "topic":
        return present.topic_name(text)
    if field.endswith("_fen"):
        return _amount(text)
    placed = _PLACED.fullmatch(text)
    if placed and present.place(placed[1]) != placed[1]:
        rest = placed[2]
        return present.place(placed[1]) + (f" {value(topic, field, rest)}" if rest else "")
    if _DAY.fullmatch(text):
        return present.day(date.fromisoformat(text))
    month = _MONTH.fullmatch(text)
    return f"{month[1]}年{int(month[2])}月" if month else text


def _amount(text: str) -> str:
    found = _FEN.fullmatch(text)
    if found is None:
        return text
    return present.money(int(found[1])) + (f"（{found[2]} 个月）" if found[2] else "")


def value_class(text: str) -> str:
    """Class of a failing value, as hub.quality.frames names it."""
    length = _LENGTH.fullmatch(text)
    return f"{length[1]} 个字符的文本" if length else present.label(_CLASS, text)


def told(detail: Mapping[str, Any]) -> str:
    """What a line of history adds to its kind: outcome and reason, cause, the line's answer, who was looked at."""
    parts = [
        present.label(table, detail[name])
        for name, table in (
            ("outcome", codes.OUTCOME),
            ("reason", codes.OUTCOME_REASON),
            ("cause", present.CAUSE),
            ("status", present.RECEIPT),
            ("who", {}),
            ("why", present.REVEAL_REASON),
        )
        if detail.get(name)
    ]
    if detail.get("attempts", 1) > 1:
        parts.append(f"第 {detail['attempts']} 次派送")
    return "，".join(parts)
