"""Payloads of the source events, typed: one Struct for each topic, checked against schemas/*.avsc by a test.

The Avro schema is the definition; these types exist so that rules are checked by mypy and so that state is
encoded and decoded at the speed of C (msgspec). Money is 分, dates are dates, times are UTC milliseconds.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import Struct


class DisabilityComponent(Struct, frozen=True, kw_only=True):
    """One certified component of a disability 残疾类别与等级."""

    category: str
    level: int


class IncomeItem(Struct, frozen=True, kw_only=True):
    """Income of one person over some months 收入项."""

    person: str
    type: str
    amount_fen: int
    months: int
    started_on: date | None = None


class Deduction(Struct, frozen=True, kw_only=True):
    """Amount deducted from income 扣减项."""

    type: str
    amount_fen: int


class RigidSpending(Struct, frozen=True, kw_only=True):
    """Rigid spending 刚性支出."""

    type: str
    amount_fen: int
    paid_on: date


class Resident(Struct, frozen=True, kw_only=True, tag_field="event", tag="registration.resident"):
    """户籍登记: entry in the household register (户口簿)."""

    hukou: str | None = None
    hukou_kind: str
    relation_to_head: str
    status: str
    birth_date: date | None = None
    sex: str
    id_kind: str
    township: str | None = None
    village: str | None = None
    id_check: str | None = None
    id_birth_agrees: bool | None = None
    id_sex_agrees: bool | None = None
    id_prefix_era: str | None = None


class Identity(Struct, frozen=True, kw_only=True, tag_field="event", tag="registration.identity"):
    """公民身份变更: a person's token changed (更正, 重号, 15→18, 拾婴入户)."""

    old_person: str
    new_person: str
    reason: str


class Residence(Struct, frozen=True, kw_only=True, tag_field="event", tag="registration.residence"):
    """居住登记: where a person really lives (居住证, 流动人口, 网格核实)."""

    place: str
    since: date | None = None
    until: date | None = None
    evidence: str
    lives_with: str | None = None


class Kinship(Struct, frozen=True, kw_only=True, tag_field="event", tag="registration.kinship"):
    """亲属关系: one tie, published once for each end; or the statement that a list of ties is complete."""

    other: str | None = None
    relation: str | None = None
    nature: str | None = None
    since: date | None = None
    until: date | None = None
    inventory_complete: str | None = None
    certified_on: date | None = None
    certifier: str | None = None


class RegisteredDeath(Struct, frozen=True, kw_only=True, tag_field="event", tag="registration.death"):
    """死亡注销: death entered in the household register."""

    death_date: date | None = None
    precision: str
    kind: str
    certifier: str | None = None
    cancelled_on: date | None = None
    revoked: bool


class MedicalDeath(Struct, frozen=True, kw_only=True, tag_field="event", tag="medical.death"):
    """医学死亡证明: medical certificate of death."""

    death_date: date | None = None
    precision: str
    certifier: str | None = None
    revoked: bool


class Cremation(Struct, frozen=True, kw_only=True, tag_field="event", tag="funeral.cremation"):
    """火化: cremation record of a funeral parlour."""

    cremated_on: date
    death_date: date | None = None
    facility: str | None = None


class JusticeStatus(Struct, frozen=True, kw_only=True, tag_field="event", tag="justice.status"):
    """司法状态: prison, detention, declared missing and the like."""

    kind: str
    since: date
    until: date | None = None
    term_months: int | None = None
    released_on: date | None = None
    care_given: bool | None = None
    decided_by: str | None = None


class Settlement(Struct, frozen=True, kw_only=True, tag_field="event", tag="medical.settlement"):
    """医保结算: one settlement of the medical insurance; negative where it reverses another."""

    service_from: date
    service_to: date
    settled_on: date
    kind: str
    total_fen: int
    basic_fund_fen: int
    critical_illness_fund_fen: int
    medical_aid_fen: int
    supplementary_fen: int
    personal_account_fen: int
    cash_fen: int
    compliant_self_paid_fen: int | None = None
    reverses: str | None = None


class Enrolment(Struct, frozen=True, kw_only=True, tag_field="event", tag="insurance.enrolment"):
    """参保: medical or pension insurance of one year."""

    scheme: str
    year: int
    place: str
    status: str
    subsidised_as: str | None = None


class Pension(Struct, frozen=True, kw_only=True, tag_field="event", tag="insurance.pension"):
    """养老金发放: one month's pension."""

    scheme: str
    period: str
    paid_on: date | None = None
    total_fen: int
    central_basic_part_fen: int | None = None
    status: str
    last_alive_check: date | None = None


class Certificate(Struct, frozen=True, kw_only=True, tag_field="event", tag="disability.certificate"):
    """残疾人证: disability certificate."""

    components: tuple[DisabilityComponent, ...] = ()
    issued_on: date
    valid_until: date | None = None
    status: str
    care_need_from: date | None = None


class AidHousehold(Struct, frozen=True, kw_only=True, tag_field="event", tag="assistance.household"):
    """救助家庭成员: membership in a 共同生活家庭 as certified; one record a member."""

    aid_household: str
    relation_to_applicant: str
    lives_together: bool
    since: date
    until: date | None = None
    counted: bool
    counted_reason: str | None = None
    member_count: int
    certified_on: date


class Application(Struct, frozen=True, kw_only=True, tag_field="event", tag="assistance.application"):
    """救助申请: application for a benefit and its procedure."""

    benefit: str
    aid_household: str | None = None
    cause_id: str | None = None
    accepted_on: date
    authorised_on: date | None = None
    refused_on: date | None = None
    finance_check_on: date | None = None
    inquiry_started_on: date | None = None
    publicised_from: date | None = None
    publicised_to: date | None = None
    decided_on: date | None = None
    result: str | None = None
    delegated: bool
    complex: bool


class Check(Struct, frozen=True, kw_only=True, tag_field="event", tag="assistance.check"):
    """核对报告: report of the household's economic verification (居民家庭经济状况核对)."""

    aid_household: str
    period_from: date
    period_to: date
    covered_persons: tuple[str, ...] = ()
    income: tuple[IncomeItem, ...] = ()
    property_dibao: str
    property_margin: str
    property_tekun: str
    property_low_income: str
    property_rigid: str
    authorised_until: date | None = None


class Investigation(Struct, frozen=True, kw_only=True, tag_field="event", tag="assistance.investigation"):
    """入户调查: home visit."""

    aid_household: str
    visited_on: date
    covered_persons: tuple[str, ...] = ()
    income: tuple[IncomeItem, ...] = ()
    supporters_complete: bool | None = None
    support_paid_fen: int | None = None
    support_received_fen: int | None = None
    deductions_complete: bool
    deductions: tuple[Deduction, ...] = ()
    rigid_spending: tuple[RigidSpending, ...] = ()
    employment: str | None = None
    labour_finding: str | None = None


class Benefit(Struct, frozen=True, kw_only=True, tag_field="event", tag="assistance.benefit"):
    """在享救助: a benefit held."""

    type: str
    aid_household: str | None = None
    status: str
    since: date
    until: date | None = None
    amount_fen: int | None = None
    paying_region: str
    valid_until: date | None = None
    last_review_on: date | None = None
    income_pattern: str | None = None
    taper_started_on: date | None = None


class Payment(Struct, frozen=True, kw_only=True, tag_field="event", tag="assistance.payment"):
    """救助资金发放: money paid to a person's account (一卡通/社保卡)."""

    benefit: str
    period: str
    paid_on: date
    amount_fen: int
    returned_on: date | None = None
    paying_region: str
    account_holder_differs: bool | None = None


class Coverage(Struct, frozen=True, kw_only=True, tag_field="event", tag="source.coverage"):
    """数据覆盖说明: what a source is complete for; or, with a person, that nothing was found (查无记录)."""

    topic: str
    scope: str
    complete_from: date | None = None
    complete_to: date | None = None
    delivery: str
    count: int | None = None
    found: bool | None = None
    asked_at: int | None = None


Payload = (
    Resident
    | Identity
    | Residence
    | Kinship
    | RegisteredDeath
    | MedicalDeath
    | Cremation
    | JusticeStatus
    | Settlement
    | Enrolment
    | Pension
    | Certificate
    | AidHousehold
    | Application
    | Check
    | Investigation
    | Benefit
    | Payment
    | Coverage
)
"""Payload of any source topic; msgspec tells them apart by the tag, which is the topic without its version."""

PAYLOADS: Final[dict[str, type[Payload]]] = {
    "registration.resident": Resident,
    "registration.identity": Identity,
    "registration.residence": Residence,
    "registration.kinship": Kinship,
    "registration.death": RegisteredDeath,
    "medical.death": MedicalDeath,
    "funeral.cremation": Cremation,
    "justice.status": JusticeStatus,
    "medical.settlement": Settlement,
    "insurance.enrolment": Enrolment,
    "insurance.pension": Pension,
    "disability.certificate": Certificate,
    "assistance.household": AidHousehold,
    "assistance.application": Application,
    "assistance.check": Check,
    "assistance.investigation": Investigation,
    "assistance.benefit": Benefit,
    "assistance.payment": Payment,
    "source.coverage": Coverage,
}
"""Topic without version → its payload type."""
