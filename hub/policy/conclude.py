"""From a decided tree to a `Finding`: explanation, evidence and their hash, review date."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Final, Literal

import msgspec

from hub.domain.codes import TOPIC
from hub.domain.homes import Member
from hub.domain.messages import Involved, Missing, Truth
from hub.policy.findings import Finding
from hub.policy.kleene import UNKNOWN, YES, Clause, conditions, missing_order
from hub.policy.parameters import KEYS
from hub.policy.view import View

_INNER: Final = str.maketrans("《》", "〈〉")
_OPENING: Final[Mapping[Truth, str]] = {"yes": "", "no": "不予提示", "unknown": "暂不能判断"}


def conclude(
    rule: str,
    view: View,
    tree: Clause,
    title: str,
    *,
    articles: tuple[str, ...],
    people: tuple[tuple[Member, str], ...] = (),
    amount_fen: int | None = None,
    grade: Literal["case", "lead"] = "case",
    hold_until: date | None = None,
) -> Finding:
    """The finding of a rule. `title` is what an alert would be called; amount and hold are kept for a *yes* only."""
    reasons = tree.reasons
    cited = tuple(dict.fromkeys(reason.article for reason in reasons if reason.article)) or articles
    holds = tree.truth == YES
    return Finding(
        rule=rule,
        subject=view.home.id,
        truth=tree.truth,
        title=title,
        explanation=_explain(tree, title, reasons),
        articles=cited,
        conditions=conditions(tree),
        evidence=tuple(sorted({item for reason in reasons for item in reason.evidence}, key=_evidence_order)),
        missing=tuple(sorted(set(tree.missing), key=missing_order)),
        people=tuple(sorted(Involved(person=member.person, role=role) for member, role in people)),
        evidence_hash=_hash(rule, view.home.id, tree.truth, reasons),
        amount_fen=amount_fen if holds else None,
        grade=grade,
        review_on=tree.changes_on,
        hold_until=hold_until if holds else None,
        due_working_days=view.policy.number("service.working_days", view.on) if holds else None,
    )


def _hash(rule: str, subject: str, truth: Truth, reasons: tuple[Clause, ...]) -> str:
    """Over what settled the answer and the values it relied on; record ids and versions do not count."""
    relied = sorted(
        (
            reason.id,
            sorted(
                reason.basis
                if reason.basis is not None
                else (f"{item.topic}.{item.field}={item.value}@{item.person or ''}" for item in reason.evidence)
            ),
        )
        for reason in reasons
    )
    return hashlib.blake2b(msgspec.msgpack.encode((rule, subject, truth, relied)), digest_size=16).hexdigest()


def _explain(tree: Clause, title: str, reasons: tuple[Clause, ...]) -> str:
    lines = [f"{reason.text}（{cite(reason.article)}）" if reason.article else reason.text for reason in reasons]
    text = f"{_OPENING[tree.truth] or title}：{'；'.join(dict.fromkeys(lines))}。"
    if tree.truth == UNKNOWN and tree.missing:
        text += f"尚缺：{'、'.join(dict.fromkeys(label(item) for item in tree.missing))}。"
    contrasts = [reason.contrast for reason in reasons if reason.contrast]
    return text + "".join(f"{contrast}。" for contrast in dict.fromkeys(contrasts))


def cite(article: str) -> str:
    """A citation as a Chinese reader expects it: 《浙江省社会救助条例》第9条. A title within a title takes 〈 〉."""
    name, _, number = article.partition(" Art ")
    inner = name.translate(_INNER)
    return f"《{inner}》第{number}条" if number else article


def label(item: Missing) -> str:
    """A missing input as a caseworker names it."""
    kind, _, rest = item.field.partition(".")
    if kind == "parameter":
        return f"政策参数“{KEYS[rest].label}”"
    if item.field.startswith("source.coverage."):
        topic = item.field.removeprefix("source.coverage.")
        return f"{TOPIC.get(topic, topic)}的数据覆盖说明"
    topic, _, _ = item.field.rpartition(".")
    return TOPIC.get(topic, topic)


def _evidence_order(item: object) -> tuple[str, ...]:
    return tuple(str(part) for part in msgspec.structs.astuple(item))  # type: ignore[arg-type]  # every item is a Struct
