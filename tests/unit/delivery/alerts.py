"""Alerts for the tests of delivery, as the worker makes them."""

from __future__ import annotations

from datetime import date
from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from hub.domain.messages import Alert, Condition, Evidence, Involved, Missing

ANNA = "a" * 31 + "1"
BERT = "b" * 31 + "2"
DECIDED_AT = 1_780_000_000_000


def alert_id(name: str) -> str:
    """An alert id as the worker mints them: 32 hex digits."""
    return blake2b(name.encode(), digest_size=16).hexdigest()


def make_alert(name: str = "one", **changes: Any) -> Alert:
    """One revision of one alert; `changes` replace fields."""
    home = f"household:{blake2b(name.encode(), digest_size=8).hexdigest()}"
    whole = Alert(
        alert_id=alert_id(name),
        revision=1,
        state="OPEN",
        rule="dibao",
        subject=home,
        home=home,
        episode=1,
        grade="case",
        line="social_assistance",
        region="331102",
        township="331102001",
        title="疑似符合最低生活保障条件",
        explanation="按现有记录，人均月收入低于当地标准。",
        articles=("浙江省社会救助条例 第9条",),
        amount_fen=85_000,
        people=(Involved(ANNA, "self"), Involved(BERT, "member")),
        conditions=(Condition("income", 0, "yes", "人均月收入低于标准", "浙江省社会救助条例 第9条"),),
        evidence=(Evidence("assistance.check", "income", "0", BERT, "hedui", "r1", 3),),
        missing=(Missing("disability.certificate.components", ANNA, "self", "canlian"),),
        cause="facts",
        decided_on=date(2026, 5, 28),
        opened_on=date(2026, 5, 28),
        due_on=date(2026, 6, 11),
        due_kind="service",
        evidence_hash="e" * 32,
        policy_hash="p" * 32,
        decided_at=DECIDED_AT,
        caused_at=DECIDED_AT - 1000,
    )
    return replace(whole, **changes)
