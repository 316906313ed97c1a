"""The closed world of a decision case as facts: what the stream would have folded, stated for each member.

In a case an absent field is *verified none* and the word `unknown` is *not received*; on the stream it is the other way
round. So every member gets a 查无记录 statement for each topic, except for those the case calls unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from hub.domain.codes import TOPIC
from hub.domain.facts import (
    AidHousehold,
    Application,
    Benefit,
    Certificate,
    Check,
    Coverage,
    Cremation,
    Deduction,
    DisabilityComponent,
    IncomeItem,
    Investigation,
    JusticeStatus,
    Kinship,
    MedicalDeath,
    Payload,
    Payment,
    Pension,
    RegisteredDeath,
    Resident,
    Settlement,
)
from hub.domain.messages import Fact
from hub.domain.times import day_start_ms
from hub.policy.calendar import month_of
from hub.policy.case_words import (
    BENEFITS,
    DEDUCTIONS,
    DISABILITY,
    INCOME,
    JUSTICE,
    MEMBER_FIELDS,
    PENDING,
    RELATIONS,
    STATUS,
)

UNKNOWN: Final = "unknown"
HOUSEHOLD: Final = "case"
"""Id of the only household of a case."""


class CannotExpress(Exception):
    """A case states something that no schema of this release carries. The text names the field."""


def facts_of(member: Mapping[str, Any], case: Mapping[str, Any], household_home: bool) -> tuple[Fact, ...]:
    """Everything the registers would hold of a member; his kin is added by `kinship`."""
    unread = sorted(set(member) - MEMBER_FIELDS)
    if unread:
        raise CannotExpress(f"{member['ref']}.{unread[0]}")
    made = _Maker(member["ref"], str(case["region"]), _day(case["as_of"]))
    _register(made, member)
    _judicial(made, member)
    _disabled(made, member)
    _benefits(made, case)
    _payments(made, member)
    _medical(made, member, case)
    if household_home:
        _membership(made, member, case)
        if member["relation"] == "本人":
            _reports(made, case, case["household"]["members"], case["household"])
    else:
        _reports(made, case, [member], {**case["household"], "property": _own_property(member, case)})
    return made.finish()


def kinship(
    subject: str, ties: Sequence[tuple[str, str, str]], complete: Sequence[str], region: str, on: date
) -> list[Fact]:
    """The subject's own ties (other, relation, nature) and the kinds (children, spouse, parents) stated complete."""
    made = _Maker(subject, region, on)
    for other, relation, nature in ties:
        made.add("registration.kinship", Kinship(other=other, relation=relation, nature=nature))
    for kind in complete:
        made.add("registration.kinship", Kinship(inventory_complete=kind, certified_on=on))
    return made.facts


class _Maker:
    """Facts of one person, with record ids in the order in which they are made."""

    def __init__(self, person: str, region: str, on: date) -> None:
        self.person = person
        self.region = region
        self.on = on
        self.facts: list[Fact] = []
        self.unknown: set[str] = set()

    def add(self, topic: str, payload: Payload, record: str | None = None) -> None:
        """One record of one topic."""
        received = day_start_ms(self.on)
        name = record or f"{self.person}-{topic}-{len(self.facts):03d}"
        self.facts.append(Fact(topic, "case", name, 1, self.region, received, received, received, None, None, payload))

    def finish(self) -> tuple[Fact, ...]:
        """All facts, with 查无记录 for every topic the case does not call unknown."""
        for topic in sorted(TOPIC.keys() - self.unknown - {"source.coverage"}):
            self.add("source.coverage", Coverage(topic=topic, scope="person", delivery="full", found=False))
        return tuple(sorted(self.facts, key=lambda fact: (fact.source, fact.record_id)))


def _register(made: _Maker, member: Mapping[str, Any]) -> None:
    born = member.get("birth_date")
    status = {"注销": "cancelled_death", "迁出": "moved_out"}.get(str(member.get("hukou_status")), "registered")
    made.add(
        "registration.resident",
        Resident(
            hukou="case-hukou",
            hukou_kind="family",
            relation_to_head="self" if member["relation"] == "本人" else "other",
            status=status,
            birth_date=None if born in (None, UNKNOWN) else _day(born),
            sex={"male": "1", "female": "2"}.get(str(member.get("sex")), "0"),
            id_kind="citizen",
            township=f"{made.region}001",
        ),
    )


def _judicial(made: _Maker, member: Mapping[str, Any]) -> None:
    told = member.get("facts") or []
    if told == UNKNOWN:
        made.unknown |= {"justice.status", "registration.death"}
        return
    for item in told:
        kind = item["type"]
        since = item.get("at", item.get("from"))
        if kind == "death":
            _death(made, None if since in (None, UNKNOWN) else _day(since), str(item.get("source", "")))
        elif kind in JUSTICE:
            until = item.get("until")
            no_care = item.get("no_care")
            made.add(
                "justice.status",
                JusticeStatus(
                    kind=JUSTICE[kind],
                    since=_day(since),
                    until=None if until in (None, UNKNOWN) else _day(until),
                    care_given=None if no_care in (None, UNKNOWN) else not no_care,
                ),
            )
        else:
            raise CannotExpress(f"{member['ref']}.facts.{kind}")


def _death(made: _Maker, day: date | None, source: str) -> None:
    if "医" in source or "卫" in source:
        made.add("medical.death", MedicalDeath(death_date=day, precision="day", revoked=False))
    elif "殡" in source or "火化" in source:
        made.add("funeral.cremation", Cremation(cremated_on=day or made.on, death_date=day))
    else:
        made.add("registration.death", RegisteredDeath(death_date=day, precision="day", kind="natural", revoked=False))


def _disabled(made: _Maker, member: Mapping[str, Any]) -> None:
    held = member.get("disability")
    if held == UNKNOWN:
        made.unknown.add("disability.certificate")
    elif held:
        if held.get("category") not in DISABILITY:
            raise CannotExpress(f"{member['ref']}.disability.category")
        until = held.get("until")
        component = DisabilityComponent(category=DISABILITY[held["category"]], level=int(held["level"]))
        made.add(
            "disability.certificate",
            Certificate(
                components=(component,),
                issued_on=made.on - timedelta(days=365),
                valid_until=None if until is None else _day(until),
                status="valid",
            ),
        )


def _benefits(made: _Maker, case: Mapping[str, Any]) -> None:
    if case.get("benefits") == UNKNOWN:
        made.unknown.add("assistance.benefit")
        return
    for item in case.get("benefits") or []:
        if item["person"] != made.person or item.get("status") in PENDING:
            continue
        if item["type"] not in BENEFITS:
            raise CannotExpress(f"benefits.type {item['type']}")
        until = item.get("to")
        status = STATUS.get(str(item.get("status")), "active")
        ended = until == UNKNOWN or (until is not None and _day(until) < made.on)
        amount = item.get("amount")
        made.add(
            "assistance.benefit",
            Benefit(
                type=BENEFITS[item["type"]],
                status="ended" if ended and status == "active" else status,
                since=_day(item["from"]),
                until=None if until in (None, UNKNOWN) else _day(until),
                amount_fen=None if amount is None else fen(amount),
                paying_region=str(item["region"]),
            ),
        )


def _payments(made: _Maker, member: Mapping[str, Any]) -> None:
    if member.get("payments") == UNKNOWN:
        made.unknown |= {"assistance.payment", "insurance.pension"}
        return
    for item in member.get("payments") or []:
        period = item["period"]
        month = month_of(period) if isinstance(period, date) else str(period)
        returned = item.get("returned_on")
        amount = fen(item.get("amount", 0))
        if "养老金" in item["type"]:
            scheme = "pension_resident" if "居民" in item["type"] else "pension_employee"
            made.add(
                "insurance.pension",
                Pension(
                    scheme=scheme,
                    period=month,
                    paid_on=_day(item["paid_on"]),
                    total_fen=amount or 1,
                    status="ended" if returned else "paying",
                ),
            )
        elif item["type"] in BENEFITS:
            made.add(
                "assistance.payment",
                Payment(
                    benefit=BENEFITS[item["type"]],
                    period=month,
                    paid_on=_day(item["paid_on"]),
                    amount_fen=amount,
                    returned_on=None if returned is None else _day(returned),
                    paying_region=str(item.get("region", made.region)),
                ),
            )
        else:
            raise CannotExpress(f"{made.person}.payments.type {item['type']}")
    if member.get("alive_check"):
        made.add(
            "insurance.pension",
            Pension(
                scheme="pension_resident",
                period="1900-01",
                total_fen=0,
                status="ended",
                last_alive_check=_day(member["alive_check"]),
            ),
        )


def _medical(made: _Maker, member: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    household = case["household"]
    totals = [member.get("medical_self_paid_12m")]
    if member["relation"] == "本人":
        totals.append(household.get("self_paid_total_12m"))
        totals.append(household.get("compliant_self_paid_12m"))
    if UNKNOWN in totals:
        made.unknown.add("medical.settlement")
    bills = list(member.get("medical_bills") or []) + [
        {"settled_on": made.on - timedelta(days=30), "self_paid": value}
        for value in totals
        if value not in (None, UNKNOWN)
    ]
    for bill in bills:
        day = _day(bill["settled_on"])
        paid = fen(bill["self_paid"])
        made.add(
            "medical.settlement",
            Settlement(
                service_from=day,
                service_to=day,
                settled_on=day,
                kind="inpatient",
                total_fen=paid,
                basic_fund_fen=0,
                critical_illness_fund_fen=0,
                medical_aid_fen=0,
                supplementary_fen=0,
                personal_account_fen=0,
                cash_fen=paid,
                reverses=bill.get("reverses"),
            ),
            bill.get("record"),
        )


def _membership(made: _Maker, member: Mapping[str, Any], case: Mapping[str, Any]) -> None:
    """The certified list as 低保办法 Art 7 makes it; what the judicial register excludes is left to the rule."""
    if member.get("student") == UNKNOWN:
        raise CannotExpress(f"{member['ref']}.student")
    students = ("小学", "初中", "普通高中", "中等职业", "全日制本科", "全日制专科")
    away = member.get("lives_together") is False and not member.get("away_for_work")
    reason = None
    if member.get("own_household") or (away and member.get("student") not in students):
        reason = "not_living_together"
    if member.get("clergy") and _years_since(member.get("left_home_since"), made.on) >= 3:
        reason = "clergy"
    made.add(
        "assistance.household",
        AidHousehold(
            aid_household=HOUSEHOLD,
            relation_to_applicant=RELATIONS.get(member["relation"], "other"),
            lives_together=not away,
            since=date(1900, 1, 1),
            counted=reason is None,
            counted_reason=reason,
            member_count=len(case["household"]["members"]),
            certified_on=made.on,
        ),
    )


def _reports(
    made: _Maker, case: Mapping[str, Any], members: Sequence[Mapping[str, Any]], household: Mapping[str, Any]
) -> None:
    authorised = household.get("authorisation_finance")
    if authorised in ("refused", "拒绝"):
        made.add(
            "assistance.application",
            Application(
                benefit="dibao",
                accepted_on=made.on,
                refused_on=made.on,
                delegated=False,
                complex=False,
            ),
        )
    if authorised in (UNKNOWN, "pending", "not_given", "未授权"):
        return
    items: list[IncomeItem] = []
    covered: list[str] = []
    for member in members:
        income = member.get("income") or []
        if income != UNKNOWN and all(item.get("monthly") != UNKNOWN for item in income):
            covered.append(member["ref"])
        for item in income if income != UNKNOWN else ():
            if item["type"] not in INCOME:
                raise CannotExpress(f"{member['ref']}.income.type {item['type']}")
            if item.get("monthly") != UNKNOWN:
                amount = fen(item["monthly"]) * 12
                items.append(IncomeItem(person=member["ref"], type=INCOME[item["type"]], amount_fen=amount, months=12))
    known = household.get("property", "compliant")
    result = UNKNOWN if known is None else str(known)
    tests = {
        f"property_{test}": str(household.get(f"property_{test}", result))
        for test in ("dibao", "margin", "tekun", "low_income", "rigid")
    }
    period = {"period_from": made.on - timedelta(days=365), "period_to": made.on}
    made.add(
        "assistance.check",
        Check(aid_household=HOUSEHOLD, covered_persons=tuple(covered), income=tuple(items), **period, **tests),  # type: ignore[arg-type]  # two groups of named fields
    )
    deductions = household.get("deductions") or []
    found = deductions if deductions != UNKNOWN else []
    made.add(
        "assistance.investigation",
        Investigation(
            aid_household=HOUSEHOLD,
            visited_on=made.on,
            deductions_complete=deductions != UNKNOWN,
            deductions=tuple(
                Deduction(type=DEDUCTIONS[item["type"]], amount_fen=fen(item["monthly"])) for item in found
            ),
        ),
    )


def _own_property(member: Mapping[str, Any], case: Mapping[str, Any]) -> Any:
    return member.get("property", case["household"].get("property", "compliant"))


def _years_since(day: Any, on: date) -> int:
    if day is None:
        return 0
    begun = _day(day)
    return on.year - begun.year - ((on.month, on.day) < (begun.month, begun.day))


def fen(amount: Any) -> int:
    """元 of a case as 分."""
    return int(Decimal(str(amount)) * 100)


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
