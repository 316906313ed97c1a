"""Disability certificates against a list of categories and levels. Four lists exist in law, each a parameter.

A list entry is `category:from-to` or `category:level`. A multiple disability is decided on its components. A frozen or
expired certificate does not say that somebody is not disabled: it is unknown. No certificate at all is *none* only
where the register is complete.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Final

from hub.domain.codes import DISABILITY
from hub.domain.facts import Certificate
from hub.domain.homes import Member
from hub.domain.messages import Fact, Missing
from hub.policy.calendar import after
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, earliest
from hub.policy.view import View, evidence, newest_first

READS_DISABILITY: Final = frozenset(
    {
        "disability.certificate.components",
        "disability.certificate.valid_until",
        "disability.certificate.status",
        "source.coverage.topic",
        "source.coverage.scope",
        "source.coverage.complete_from",
        "source.coverage.complete_to",
        "source.coverage.found",
    }
)


def certified_level(certificate: Certificate) -> int | None:
    """The heaviest level of a certificate, 1 to 4; None where it lists no component."""
    return min((component.level for component in certificate.components), default=None)


@lru_cache(maxsize=32)
def _levels(words: tuple[str, ...]) -> dict[str, range]:
    found: dict[str, range] = {}
    for word in words:
        category, _, levels = word.partition(":")
        first, _, last = levels.partition("-")
        found[category] = range(int(first), int(last or first) + 1)
    return found


def listed(view: View, member: Member, key: str, id: str, role: str, article: str) -> Clause:
    """Whether a member's disability is on the list of a parameter."""
    words = view.policy.words(key, view.on)
    change = view.parameters_change(key)
    if words is None:
        return Clause(
            id, UNKNOWN, "残疾认定范围未知", article, missing=(view.missing_parameter(key),), changes_on=change
        )
    wanted = _levels(words)
    doubtful: list[Missing] = []
    hits: list[tuple[int, str, Fact, date | None]] = []
    for fact, certificate in member.of(Certificate):
        on_list = [
            (component.level, component.category)
            for component in certificate.components
            if component.level in wanted.get(component.category, ())
        ]
        if not on_list or certificate.status == "cancelled":
            continue
        ends = certificate.valid_until
        if certificate.status == "valid" and (ends is None or ends >= view.on):
            hits.append((*min(on_list), fact, ends))
        else:
            field = f"disability.certificate.{'valid_until' if certificate.status == 'valid' else 'status'}"
            doubtful.append(Missing(field=field, person=member.person, role=role, source=fact.source))
    if hits:
        level, category, fact, _ = min(hits, key=lambda hit: (hit[0], hit[1], newest_first(hit[2])))
        shown = evidence(fact, "disability.certificate", "components", f"{category} {level}", member.person)
        text = f"{DISABILITY.get(category, category)}残疾{level}级"
        ends_on = earliest(after(ends) for *_, ends in hits if ends is not None)
        return Clause(id, YES, text, article, (shown,), changes_on=earliest((change, ends_on)))
    if doubtful:
        return Clause(id, UNKNOWN, "残疾人证已过期或冻结", article, missing=tuple(doubtful), changes_on=change)
    if member.of(Certificate):
        return Clause(id, NO, "残疾人证不在规定范围内", article, changes_on=change)
    proof = view.absence("disability.certificate", member, view.on)
    if proof.proven:
        change = earliest((change, proof.changes_on))
        return Clause(id, NO, "无规定范围内的残疾", article, proof.evidence, changes_on=change)
    return Clause(id, UNKNOWN, "残疾情况未知", article, missing=proof.missing, changes_on=change)
