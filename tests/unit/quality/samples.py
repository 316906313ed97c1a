"""One good event of every source topic, as a department would send it on 15 March 2026."""

from __future__ import annotations

from datetime import date
from typing import Final

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
    Enrolment,
    Identity,
    IncomeItem,
    Investigation,
    JusticeStatus,
    Kinship,
    MedicalDeath,
    Payload,
    Payment,
    Pension,
    RegisteredDeath,
    Residence,
    Resident,
    RigidSpending,
    Settlement,
)
from hub.domain.messages import Event, Header
from hub.domain.times import at_noon_ms

DAY: Final = date(2026, 3, 15)
ARRIVAL: Final = at_noon_ms(DAY)
PERSON: Final = "a" * 32
OTHER: Final = "b" * 32
REGION: Final = "331102"

GOOD: Final[dict[str, Payload]] = {
    "registration.resident": Resident(
        hukou="c" * 32,
        hukou_kind="family",
        relation_to_head="self",
        status="registered",
        birth_date=date(1951, 5, 6),
        sex="2",
        id_kind="citizen",
        township="331102001",
        village="331102001001",
        id_check="ok",
        id_birth_agrees=True,
        id_sex_agrees=True,
        id_prefix_era="before_2000",
    ),
    "registration.identity": Identity(old_person=OTHER, new_person=PERSON, reason="corrected"),
    "registration.residence": Residence(
        place="331102001001", since=date(2024, 1, 1), until=date(2026, 1, 1), evidence="grid", lives_with=OTHER
    ),
    "registration.kinship": Kinship(
        other=OTHER,
        relation="son",
        nature="blood",
        since=date(1980, 1, 1),
        until=date(2026, 1, 1),
        inventory_complete="children",
    ),
    "registration.death": RegisteredDeath(
        death_date=date(2026, 3, 1),
        precision="day",
        kind="natural",
        certifier="社区",
        cancelled_on=date(2026, 3, 9),
        revoked=False,
    ),
    "medical.death": MedicalDeath(death_date=date(2026, 3, 1), precision="day", certifier="市中心医院", revoked=False),
    "funeral.cremation": Cremation(cremated_on=date(2026, 3, 3), death_date=date(2026, 3, 1), facility="丽水市殡仪馆"),
    "justice.status": JusticeStatus(
        kind="prison",
        since=date(2025, 1, 1),
        until=date(2026, 12, 31),
        term_months=24,
        released_on=date(2026, 12, 31),
        decided_by="人民法院",
    ),
    "medical.settlement": Settlement(
        service_from=date(2026, 3, 1),
        service_to=date(2026, 3, 9),
        settled_on=date(2026, 3, 10),
        kind="inpatient",
        total_fen=1000,
        basic_fund_fen=500,
        critical_illness_fund_fen=100,
        medical_aid_fen=100,
        supplementary_fen=0,
        personal_account_fen=100,
        cash_fen=200,
        compliant_self_paid_fen=150,
    ),
    "insurance.enrolment": Enrolment(
        scheme="medical_resident", year=2026, place=REGION, status="active", subsidised_as="dibao"
    ),
    "insurance.pension": Pension(
        scheme="pension_resident",
        period="2026-03",
        paid_on=date(2026, 3, 10),
        total_fen=30000,
        central_basic_part_fen=14000,
        status="paying",
    ),
    "disability.certificate": Certificate(
        components=(DisabilityComponent(category="limb", level=2),),
        issued_on=date(2020, 1, 1),
        valid_until=date(2030, 1, 1),
        status="valid",
    ),
    "assistance.household": AidHousehold(
        aid_household="H1",
        relation_to_applicant="spouse",
        lives_together=True,
        since=date(2025, 1, 1),
        until=date(2026, 1, 1),
        counted=False,
        counted_reason="prison",
        member_count=3,
        certified_on=date(2025, 1, 1),
    ),
    "assistance.application": Application(
        benefit="dibao",
        accepted_on=date(2026, 2, 1),
        inquiry_started_on=date(2026, 2, 3),
        publicised_from=date(2026, 2, 10),
        publicised_to=date(2026, 2, 17),
        decided_on=date(2026, 2, 20),
        result="granted",
        delegated=True,
        complex=False,
    ),
    "assistance.check": Check(
        aid_household="H1",
        period_from=date(2025, 3, 1),
        period_to=date(2026, 2, 28),
        covered_persons=(PERSON,),
        income=(IncomeItem(person=PERSON, type="wage", amount_fen=100_00, months=1),),
        property_dibao="compliant",
        property_margin="compliant",
        property_tekun="unknown",
        property_low_income="compliant",
        property_rigid="compliant",
    ),
    "assistance.investigation": Investigation(
        aid_household="H1",
        visited_on=date(2026, 3, 1),
        income=(IncomeItem(person=PERSON, type="farm", amount_fen=100_00, months=1),),
        deductions_complete=True,
        deductions=(Deduction(type="illness", amount_fen=1),),
        rigid_spending=(RigidSpending(type="medical", amount_fen=1, paid_on=date(2026, 1, 1)),),
    ),
    "assistance.benefit": Benefit(
        type="dibao",
        aid_household="H1",
        status="ended",
        since=date(2025, 1, 1),
        until=date(2026, 1, 31),
        amount_fen=85000,
        paying_region=REGION,
    ),
    "assistance.payment": Payment(
        benefit="dibao",
        period="2026-03",
        paid_on=date(2026, 3, 5),
        amount_fen=85000,
        returned_on=date(2026, 3, 9),
        paying_region=REGION,
    ),
    "source.coverage": Coverage(
        topic="registration.death",
        scope="region",
        complete_from=date(2020, 1, 1),
        complete_to=date(2026, 3, 1),
        delivery="full",
    ),
}
"""Every field is filled that an expectation looks at, so that no good frame has *no data*."""


def event(topic: str, payload: Payload | None = None, *, number: int = 1) -> Event:
    """A good event of a topic, or the same with another payload."""
    header = Header(
        source="sample",
        record_id=f"R{number}",
        version=1,
        change="UPSERT",
        person=PERSON,
        region=REGION,
        event_time=ARRIVAL - 3_600_000,
        record_time=ARRIVAL - 3_600_000,
        received_at=ARRIVAL,
    )
    return Event(topic, header, payload or GOOD[topic])
