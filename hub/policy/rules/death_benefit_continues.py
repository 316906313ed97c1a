"""死亡后仍在发放: somebody is said to be dead while money is paid on for later months, or a benefit stays live.

社会保险经办条例 Art 25–26: the payer verifies before it stops, so this only asks for verification. The month of death
is payable. A household's benefit does not end with a member (the household is recounted), unless he lived alone. One
source alone, or any sign of life after the death, makes it a lead 核实生存状态 and never “paid after death”.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from hub.domain.codes import BENEFIT, SCHEME
from hub.domain.facts import AidHousehold, Benefit, Payment, Pension
from hub.domain.homes import Home, Member
from hub.domain.messages import Evidence, Missing
from hub.policy.calendar import first_of_next_month, month_of
from hub.policy.conclude import conclude
from hub.policy.findings import Finding, Rule
from hub.policy.holdings import HOUSEHOLD_BENEFITS, LIVE, READS_BENEFIT, in_force, turns
from hub.policy.kleene import NO, UNKNOWN, YES, Clause, all_of, any_of, earliest
from hub.policy.lives import READS_DEATH, READS_LIFE, WINDOWS_LIFE, Life, life_of, said_dead
from hub.policy.parameters import Policy
from hub.policy.view import View, evidence

ID: Final = "death_benefit_continues"
CONFIRMED: Final = "疑似死亡后仍在发放待遇，请先核实"
TO_VERIFY: Final = "请核实生存状态：有死亡记录，待遇仍在发放"
ART_26: Final = "社会保险经办条例 Art 26"


def decide(home: Home, policy: Policy, on: date) -> Finding | None:
    """Applies to whoever a source says is dead."""
    view = View(home, policy, on)
    person = view.myself
    if person is None or not said_dead(person):
        return None
    life = life_of(view, person, "self")
    parts = [_died(life)]
    if life.claims:
        paid, live = _paid(view, person, life), _live(view, person, life)
        parts.append(any_of("death.continues", "死亡后仍有待遇", paid, live, article=ART_26))
    tree = all_of(ID, "死亡后仍在发放", *parts)
    days = policy.number("death.hold_days", on)
    return conclude(
        ID,
        view,
        tree,
        CONFIRMED if life.confirmed else TO_VERIFY,
        articles=(ART_26,),
        people=((person, "self"),),
        grade="case" if life.confirmed else "lead",
        hold_until=None if days is None or life.known_on is None else life.known_on + timedelta(days=days),
    )


def _died(life: Life) -> Clause:
    if not life.claims:
        return Clause("death.claimed", NO, "死亡记录已撤销或尚未生效", changes_on=life.changes_on)
    if life.sign_of_life:
        text = "有死亡记录，但此后仍有就医或生存认证记录"
    elif life.confirmed:
        text = "死亡已由两个以上数源或法院宣告印证"
    else:
        text = "仅一个数源有死亡记录"
    shown = (*life.evidence, *life.sign_of_life)
    return Clause("death.claimed", YES, text, evidence=shown, changes_on=life.changes_on)


def _after(life: Life, period: str) -> bool | None:
    """Whether a month lies after the month of death; None where the date is too vague to say."""
    latest = life.last if life.last is not None else life.known_on
    if latest is not None and period > month_of(latest):
        return True
    return False if life.first is not None and period <= month_of(life.first) else None


def _date_missing(view: View, person: Member, life: Life) -> tuple[Missing, ...]:
    return (Missing(field=f"{life.claims[0].topic}.death_date", person=person.person, role="self"),)


def _paid(view: View, person: Member, life: Life) -> Clause:
    """Money for a month after the death that nobody returned."""
    id = "death.paid"
    alone = any(entry.member_count == 1 for _, entry in person.of(AidHousehold))
    found: list[tuple[bool | None, str, str, Evidence]] = []
    for fact, payment in person.of(Payment):
        if payment.returned_on is None and (alone or payment.benefit not in HOUSEHOLD_BENEFITS):
            shown = evidence(fact, "assistance.payment", "period", payment.period, person.person)
            name = BENEFIT.get(payment.benefit, payment.benefit)
            found.append((_after(life, payment.period), payment.period, name, shown))
    for fact, pension in person.of(Pension):
        if pension.status == "paying" and pension.total_fen > 0:
            shown = evidence(fact, "insurance.pension", "period", pension.period, person.person)
            found.append((_after(life, pension.period), pension.period, SCHEME.get(pension.scheme, "养老金"), shown))
    paid_on = sorted((period, name, shown) for late, period, name, shown in found if late)
    if paid_on:
        names = "、".join(sorted({name for _, name, _ in paid_on}))
        text = f"死亡当月之后仍有{len(paid_on)}笔发放（{names}）"
        return Clause(id, YES, text, ART_26, tuple(shown for *_, shown in paid_on))
    doubtful = tuple(shown for late, _, _, shown in found if late is None)
    if doubtful:
        return Clause(
            id, UNKNOWN, "死亡月份不明，无法判断发放早晚", ART_26, doubtful, _date_missing(view, person, life)
        )
    known_to = life.last or life.known_on
    next_month = first_of_next_month(known_to) if known_to is not None else None
    if next_month is not None and view.on < next_month:
        return Clause(id, NO, "死亡当月的待遇可以发放", ART_26, changes_on=next_month)
    since = next_month or date.min
    proofs = [view.absence(topic, person, since) for topic in ("assistance.payment", "insurance.pension")]
    return Clause(
        id,
        NO if all(proof.proven for proof in proofs) else UNKNOWN,
        "未见死亡当月之后的发放" if all(proof.proven for proof in proofs) else "死亡当月之后的发放情况未知",
        ART_26,
        tuple(item for proof in proofs for item in proof.evidence),
        tuple(item for proof in proofs for item in proof.missing),
        earliest(proof.changes_on for proof in proofs),
    )


def _live(view: View, person: Member, life: Life) -> Clause:
    """A benefit of the person's own that is still live in a month after the death."""
    id = "death.benefit_live"
    own = [pair for pair in person.of(Benefit) if pair[1].type not in HOUSEHOLD_BENEFITS and pair[1].status in LIVE]
    late = _after(life, month_of(view.on))
    known_to = life.last or life.known_on
    changes = [turns(benefit, view.on) for _, benefit in own]
    if known_to is not None and view.on < first_of_next_month(known_to):
        changes.append(first_of_next_month(known_to))
    live = sorted(
        (benefit.type, evidence(fact, "assistance.benefit", "type", benefit.type, person.person))
        for fact, benefit in own
        if in_force(benefit, view.on)
    )
    if not live:
        if own:
            return Clause(id, NO, "个人待遇均已终止", ART_26, changes_on=earliest(changes))
        proof = view.absence("assistance.benefit", person, view.on)
        truth, text = (NO, "没有在享的个人待遇") if proof.proven else (UNKNOWN, "是否仍有在享待遇未知")
        return Clause(id, truth, text, ART_26, proof.evidence, proof.missing, earliest((*changes, proof.changes_on)))
    change = earliest(changes)
    shown = tuple(item for _, item in live)
    names = "、".join(dict.fromkeys(BENEFIT.get(kind, kind) for kind, _ in live))
    if late:
        return Clause(id, YES, f"死亡次月起{names}仍为在享状态", ART_26, shown, changes_on=change)
    if late is None:
        missing = _date_missing(view, person, life)
        return Clause(id, UNKNOWN, "死亡月份不明，无法判断待遇是否应已终止", ART_26, shown, missing, change)
    return Clause(id, NO, "死亡当月的待遇可以保留", ART_26, shown, changes_on=change)


_SELF: Final = frozenset(
    {
        "assistance.payment.benefit",
        "assistance.payment.period",
        "assistance.payment.returned_on",
        "insurance.pension.scheme",
        "insurance.pension.period",
        "insurance.pension.status",
        "insurance.pension.total_fen",
        "assistance.household.member_count",
    }
)
RULE: Final = Rule(
    id=ID,
    title="死亡后仍在发放",
    line="social_assistance",
    homes=frozenset({"person"}),
    reads={"self": _SELF | READS_DEATH | READS_LIFE | READS_BENEFIT},
    articles=(ART_26,),
    decide=decide,
    windows=WINDOWS_LIFE,
)
