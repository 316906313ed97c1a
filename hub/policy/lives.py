"""Whether a person has died, and when: registers that disagree, arrive late and are taken back.

Claims come from 死亡注销 (revoked where a court took a declaration back), 医学死亡证明, 火化 and 宣告死亡. The earliest
reliable date prevails (`death.reliable_sources`, a parameter); only where no reliable source gives one, the family's
statement at the cremation counts. A sign of life after every claimed date makes the death unknown again;
care received is one for some years (`death.sign_months`), an alive check for ever.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from hub.domain.facts import (
    Cremation,
    JusticeStatus,
    MedicalDeath,
    Pension,
    RegisteredDeath,
    Settlement,
)
from hub.domain.homes import Member
from hub.domain.messages import Evidence, Fact, Missing, Truth
from hub.domain.times import local_date
from hub.policy.calendar import add_months, after
from hub.policy.justice import in_force, turns
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, earliest
from hub.policy.view import View, evidence, resident

READS_DEATH: Final = frozenset(
    {
        "registration.death.death_date",
        "registration.death.precision",
        "registration.death.kind",
        "registration.death.revoked",
        "medical.death.death_date",
        "medical.death.precision",
        "medical.death.revoked",
        "funeral.cremation.cremated_on",
        "funeral.cremation.death_date",
        "justice.status.kind",
        "justice.status.since",
        "justice.status.until",
        "justice.status.released_on",
        "registration.resident.status",
        "insurance.pension.last_alive_check",
    }
)
"""What a death rests on, and the sign of life that is at hand for kin too."""
SIGN_MONTHS: Final = "death.sign_months"
"""How long care received speaks against a death; an alive check does so for ever."""
WINDOWS_LIFE: Final[dict[str, tuple[int | str, ...]]] = {"medical.settlement": (SIGN_MONTHS,)}
"""What a rule declares that reads settlements as signs of life."""
READS_LIFE: Final = frozenset(
    {
        "medical.settlement.service_to",
        "medical.settlement.total_fen",
    }
)
"""What else may contradict it: contributed where the person itself is decided, too much to send to its kin's homes."""


class Claim(Struct, frozen=True):
    """One source's word that somebody died, between `first` and `last` (equal where the day is known)."""

    topic: str
    declared: bool
    first: date | None
    last: date | None
    fact: Fact
    evidence: tuple[Evidence, ...]


class Life(Struct, frozen=True):
    """What is known of a death.

    `dead`: yes with a claim that no sign of life contradicts; unknown with a contradicted one; no where the register
    shows the person in it and nobody claims a death; unknown without a register entry. `confirmed`: two sources agree
    on the death, or a court declared it. `first`, `last` bound the prevailing date; None where no source gives one.
    """

    dead: Truth
    claims: tuple[Claim, ...]
    confirmed: bool = False
    first: date | None = None
    last: date | None = None
    known_on: date | None = None
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()
    sign_of_life: tuple[Evidence, ...] = ()
    changes_on: date | None = None


def said_dead(member: Member) -> bool:
    """Whether a record that was not taken back speaks of the member's death: such rules apply whatever the day."""
    return any(
        (isinstance(fact.payload, RegisteredDeath | MedicalDeath) and not fact.payload.revoked)
        or isinstance(fact.payload, Cremation)
        or (isinstance(fact.payload, JusticeStatus) and fact.payload.kind == "declared_dead")
        for fact in member.facts
    )


def _claims(member: Member, on: date) -> tuple[tuple[Claim, ...], date | None]:
    """Every claim not taken back, in the order of the facts, and the first later day on which one begins or ends."""
    found: list[Claim] = []
    changes: list[date | None] = []
    for fact in member.facts:
        death = fact.payload
        if isinstance(death, RegisteredDeath | MedicalDeath):
            if not death.revoked:
                declared = isinstance(death, RegisteredDeath) and death.kind == "declared"
                found.append(_claim(fact, member, declared, death.death_date, death.precision, "death_date"))
        elif isinstance(death, Cremation):
            if death.death_date is not None:
                found.append(_claim(fact, member, False, death.death_date, "day", "death_date"))
            else:
                found.append(_claim(fact, member, False, death.cremated_on, "day", "cremated_on"))
        elif isinstance(death, JusticeStatus) and death.kind == "declared_dead":
            changes.append(turns(death, on))
            if in_force(death, on):
                found.append(_claim(fact, member, True, death.since, "day", "since"))
    return tuple(found), earliest(changes)


def life_of(view: View, member: Member, role: str) -> Life:
    """The state of a member's life on the day of the view."""
    claims, changes_on = _claims(member, view.on)
    if not claims:
        return replace(_without_claim(member, role), changes_on=changes_on)
    reliable = view.policy.words("death.reliable_sources", view.on) or ()
    dated = [claim for claim in claims if claim.first is not None]
    chosen = [claim for claim in dated if claim.topic in reliable or claim.declared] or dated
    first = min((claim.first for claim in chosen if claim.first is not None), default=None)
    last = min((claim.last for claim in chosen if claim.last is not None), default=None)
    months = view.policy.number(SIGN_MONTHS, view.on)
    died = max((claim.last for claim in dated if claim.last is not None), default=None)
    signs, passes_on = _signs_of_life(member, died, view.on, months)
    confirmed = len({claim.topic for claim in claims}) > 1 or any(claim.declared for claim in claims)
    return Life(
        dead=UNKNOWN if signs else YES,
        claims=claims,
        confirmed=confirmed and not signs,
        first=first,
        last=last,
        known_on=min(local_date(claim.fact.received_at) for claim in claims),
        evidence=tuple(item for claim in claims for item in claim.evidence),
        missing=(Missing(field=f"{claims[0].topic}.death_date", person=member.person, role=role),) if signs else (),
        sign_of_life=signs,
        changes_on=earliest((changes_on, passes_on, view.parameters_change(SIGN_MONTHS))),
    )


def _claim(fact: Fact, member: Member, declared: bool, day: date | None, precision: str, field: str) -> Claim:
    topic = fact.topic
    first = last = day
    if day is not None and precision == "month":
        first, last = day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])
    elif day is not None and precision == "year":
        first, last = date(day.year, 1, 1), date(day.year, 12, 31)
    return Claim(topic, declared, first, last, fact, (evidence(fact, topic, field, day or "", member.person),))


def _without_claim(member: Member, role: str) -> Life:
    """Nobody claims a death: the register keeps people until it is told, so an entry there shows a living person."""
    entry = resident(member)
    if entry is not None and entry[1].status in ("registered", "moved_out", "abroad"):
        shown = evidence(entry[0], "registration.resident", "status", entry[1].status, member.person)
        return Life(dead=NO, claims=(), evidence=(shown,))
    field = "registration.resident.status" if entry is None else "registration.death.death_date"
    return Life(dead=UNKNOWN, claims=(), missing=(Missing(field=field, person=member.person, role=role),))


def _signs_of_life(
    member: Member, died: date | None, on: date, months: int | None
) -> tuple[tuple[Evidence, ...], date | None]:
    """Care received or an alive check after the last claimed day; the reversal of a settlement is none.

    Care counts for so many months (None: for ever). Also the first later day on which a sign of care passes.
    """
    if died is None:
        return (), None
    since = date.min if months is None else add_months(on, -months)
    signs: list[Evidence] = []
    passes: list[date] = []
    for fact in member.facts:
        sign = fact.payload
        if isinstance(sign, Settlement):
            if sign.service_to > died and sign.service_to >= since and sign.total_fen > 0:
                signs.append(evidence(fact, fact.topic, "service_to", sign.service_to, member.person))
                if months is not None and sign.service_to <= on:
                    passes.append(_passes(sign.service_to, months))
        elif isinstance(sign, Pension) and sign.last_alive_check is not None and sign.last_alive_check > died:
            signs.append(evidence(fact, fact.topic, "last_alive_check", sign.last_alive_check, member.person))
    return tuple(signs), min(passes, default=None)


def _passes(day: date, months: int) -> date:
    """First day from which a day lies more than so many months back."""
    passed = after(add_months(day, months))
    while add_months(passed, -months) <= day:  # the end of February, and of months of thirty days
        passed = after(passed)
    return passed


def alive(view: View, person: Member) -> Clause:
    """That the person itself lives."""
    life = life_of(view, person, "self")
    words = {NO: "未见死亡登记", YES: "已有死亡登记", UNKNOWN: "生存状态不明"}
    truth = {NO: YES, YES: NO, UNKNOWN: UNKNOWN}[life.dead]
    shown = (*life.evidence, *life.sign_of_life)
    return Clause("life.alive", truth, words[life.dead], None, shown, life.missing, life.changes_on)
