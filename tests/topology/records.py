"""Source events for tests, each with the fields that matter in its arguments."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from hub.domain.facts import (
    PAYLOADS,
    AidHousehold,
    Benefit,
    Coverage,
    Cremation,
    Kinship,
    MedicalDeath,
    Payload,
    Pension,
    RegisteredDeath,
    Resident,
    Settlement,
)
from hub.domain.messages import Disposition, Event, Header
from hub.domain.times import at_noon_ms

TODAY: Final = date(2026, 3, 16)
NOON: Final = at_noon_ms(TODAY)
LIANDU: Final = "331102"


def token(letter: str) -> str:
    """A person's token: 32 times the same hex digit."""
    return letter * 32


A, B, C, D = (token(letter) for letter in "abcd")


def event(
    person: str | None,
    payload: Payload | None,
    record_id: str = "1",
    version: int = 1,
    *,
    topic: str | None = None,
    change: str = "UPSERT",
    source: str = "",
    region: str | None = LIANDU,
    received_at: int = NOON,
    recorded: date = TODAY,
) -> Event:
    """One source event; its topic is the payload's, its source is named after the topic."""
    name = topic or next(name for name, kind in PAYLOADS.items() if isinstance(payload, kind))
    at = at_noon_ms(recorded)
    header = Header(
        source=source or name.replace(".", "_"),
        record_id=record_id,
        version=version,
        change=change,  # type: ignore[arg-type]  # a test may pass any text
        person=person,
        region=region,
        event_time=at,
        record_time=at,
        received_at=received_at,
    )
    return Event(name, header, payload)


def annul(of: Event, version: int | None = None, change: str = "ANNUL") -> Event:
    """What takes an event's record back; by default one version later."""
    header = of.header
    return event(
        header.person,
        None,
        header.record_id,
        header.version + 1 if version is None else version,
        topic=of.topic,
        change=change,
        source=header.source,
        region=header.region,
    )


def resident(**fields: Any) -> Resident:
    """Entry of a man registered alone in a family 户口 without a number."""
    given: dict[str, Any] = {
        "hukou_kind": "family",
        "relation_to_head": "self",
        "status": "registered",
        "birth_date": date(1980, 5, 1),
        "sex": "1",
        "id_kind": "citizen",
        "township": "331102001",
    }
    return Resident(**(given | fields))


def kin(other: str, relation: str, **fields: Any) -> Kinship:
    """What `other` is to the person."""
    return Kinship(other=other, relation=relation, **({"nature": "blood"} | fields))


def member(household: str, count: int = 1, **fields: Any) -> AidHousehold:
    """A live, counted membership."""
    given: dict[str, Any] = {
        "relation_to_applicant": "self",
        "lives_together": True,
        "since": date(2024, 1, 1),
        "counted": True,
        "certified_on": date(2024, 1, 1),
    }
    return AidHousehold(aid_household=household, member_count=count, **(given | fields))


def benefit(kind: str = "dibao", **fields: Any) -> Benefit:
    """An active benefit since 2025, paid in Liandu."""
    given: dict[str, Any] = {"status": "active", "since": date(2025, 1, 1), "paying_region": LIANDU}
    return Benefit(type=kind, **(given | fields))


def settlement(day: date, cash_fen: int, **fields: Any) -> Settlement:
    """One day's treatment paid in cash."""
    given: dict[str, Any] = {
        "kind": "inpatient",
        "total_fen": cash_fen,
        "basic_fund_fen": 0,
        "critical_illness_fund_fen": 0,
        "medical_aid_fen": 0,
        "supplementary_fen": 0,
        "personal_account_fen": 0,
    }
    return Settlement(service_from=day, service_to=day, settled_on=day, cash_fen=cash_fen, **(given | fields))


def pension(checked: date | None) -> Pension:
    """A month's pension with its last alive check."""
    return Pension(
        scheme="pension_resident", period="2026-01", total_fen=20000, status="paying", last_alive_check=checked
    )


def registered_death(day: date | None, precision: str = "day", *, revoked: bool = False) -> RegisteredDeath:
    """Death in the household register."""
    return RegisteredDeath(death_date=day, precision=precision, kind="natural", revoked=revoked)


def medical_death(day: date | None, precision: str = "day", *, revoked: bool = False) -> MedicalDeath:
    """Medical certificate of death."""
    return MedicalDeath(death_date=day, precision=precision, revoked=revoked)


def cremation(day: date, death: date | None = None) -> Cremation:
    """A cremation."""
    return Cremation(cremated_on=day, death_date=death)


def covered(
    topic: str, record_id: str = "1", version: int = 1, *, region: str = "331100", upto: date | None = None
) -> Event:
    """A statement that a topic is complete in a region."""
    statement = Coverage(topic=topic, scope="region", complete_to=upto, delivery="full")
    return event(None, statement, f"{topic}/{record_id}", version, region=region)


def disposition(alert: Any, *, suppress: bool = True, made_at: int = NOON, number: str = "1") -> Disposition:
    """An answer to one revision of an alert."""
    return Disposition(
        disposition_id=number,
        alert_id=alert.alert_id,
        home=alert.home,
        subject=alert.subject,
        rule=alert.rule,
        revision=alert.revision,
        evidence_hash=alert.evidence_hash,
        policy_hash=alert.policy_hash,
        outcome="not_eligible" if suppress else "accepted",
        suppress=suppress,
        by="caseworker",
        made_at=made_at,
    )
