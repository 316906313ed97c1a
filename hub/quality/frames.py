"""Events of one topic as a pandas frame for the expectation suites: payload fields, header fields, derived flags.

A frame holds no token: whom a record is about is not needed to judge the record. Rows are referred to by
`event_id`, a hash of source, topic, record id, version and end, and by the record's own id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeVar

import msgspec
import pandas as pd

from hub.domain import codes
from hub.domain.facts import (
    PAYLOADS,
    AidHousehold,
    Benefit,
    Certificate,
    Check,
    Coverage,
    Identity,
    Investigation,
    Kinship,
    MedicalDeath,
    Payload,
    Pension,
    RegisteredDeath,
    Resident,
    Settlement,
)
from hub.domain.messages import Event
from hub.domain.times import local_date

EARLIEST_BIRTH: Final = date(1900, 1, 1)
"""A register with an earlier birth date holds a filler or a slip: nobody so old is on record."""

_TOKENS: Final = frozenset(
    {"hukou", "other", "old_person", "new_person", "lives_with", "covered_persons", "income", "aid_household"}
)
"""Payload fields that hold tokens or lists of them: never a column."""

_HOUR_MS: Final = 3_600_000

Derived = Callable[[Event], dict[str, Any]]
P = TypeVar("P", bound=Payload)


def event_id(event: Event) -> str:
    """Pseudonymous id of an event, 32 hex: the same record and version at another end has another id."""
    header = event.header
    text = "\x1f".join((header.source, event.topic, header.record_id, str(header.version), header.person or ""))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def frame_of(topic: str, events: Sequence[Event], regions: frozenset[str]) -> pd.DataFrame:
    """One row for each UPSERT of the topic. `regions` are the county codes in force. Columns exist even when empty."""
    rows = [_row(event, regions) for event in events if event.payload is not None]
    return pd.DataFrame(rows, columns=list(_columns(topic)), dtype=object)


def _columns(topic: str) -> tuple[str, ...]:
    """All columns of a topic's frame."""
    names = [
        *("event_id", "record_id", "version", "region", "person_known", "region_in_force"),
        *("event_not_after_arrival", "arrival_lag_hours"),
        *(name for name in _fields(PAYLOADS[topic]) if name not in _TOKENS),
        *DERIVED_COLUMNS.get(topic, ()),
    ]
    if topic == "registration.resident":
        names.append("hukou")
    return tuple(dict.fromkeys(names))


def _fields(payload_type: type[Payload]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(payload_type))


def _row(event: Event, regions: frozenset[str]) -> dict[str, Any]:
    header, payload = event.header, event.payload
    assert payload is not None  # noqa: S101  # the caller keeps only UPSERTs
    row: dict[str, Any] = {
        "event_id": event_id(event),
        "record_id": header.record_id,
        "version": header.version,
        "region": header.region,
        "person_known": header.person is not None,
        "region_in_force": None if header.region is None else header.region in regions,
        "event_not_after_arrival": header.event_time <= header.received_at,
        "arrival_lag_hours": (header.received_at - header.record_time) / _HOUR_MS,
    }
    for name in _fields(type(payload)):
        if name not in _TOKENS:
            row[name] = getattr(payload, name)
    derive = _DERIVE.get(event.topic)
    if derive is not None:
        row.update(derive(event))
    return row


def _not_after_arrival(day: date | None, event: Event) -> bool | None:
    return None if day is None else day <= local_date(event.header.received_at)


def _resident(event: Event) -> dict[str, Any]:
    resident = _payload(event, Resident)
    arrival = local_date(event.header.received_at)
    born = resident.birth_date
    township, region = resident.township, event.header.region
    return {
        "hukou": None if resident.hukou is None else "present",
        "birth_possible": None if born is None else EARLIEST_BIRTH <= born <= arrival,
        "township_in_region": None if township is None or region is None else township.startswith(region),
    }


def _identity(event: Event) -> dict[str, Any]:
    identity = _payload(event, Identity)
    return {"ends_differ": identity.old_person != identity.new_person}


def _kinship(event: Event) -> dict[str, Any]:
    kinship = _payload(event, Kinship)
    return {
        "other_or_inventory": kinship.other is not None or kinship.inventory_complete is not None,
        "not_own_kin": None if kinship.other is None else kinship.other != event.header.person,
    }


def _registered_death(event: Event) -> dict[str, Any]:
    return {"death_possible": _not_after_arrival(_payload(event, RegisteredDeath).death_date, event)}


def _medical_death(event: Event) -> dict[str, Any]:
    return {"death_possible": _not_after_arrival(_payload(event, MedicalDeath).death_date, event)}


def _settlement(event: Event) -> dict[str, Any]:
    s = _payload(event, Settlement)
    paid = (
        s.basic_fund_fen
        + s.critical_illness_fund_fen
        + s.medical_aid_fen
        + s.supplementary_fen
        + s.personal_account_fen
        + s.cash_fen
    )
    return {
        "amounts_add_up": paid == s.total_fen,
        "sign_agrees_with_reversal": (s.total_fen < 0) == (s.reverses is not None),
    }


def _pension(event: Event) -> dict[str, Any]:
    pension = _payload(event, Pension)
    part = pension.central_basic_part_fen
    return {"basic_part_within_total": None if part is None else 0 <= part <= pension.total_fen}


def _certificate(event: Event) -> dict[str, Any]:
    components = _payload(event, Certificate).components
    return {
        "components": len(components),
        "components_present": bool(components),
        "components_valid": all(c.category in codes.DISABILITY and 1 <= c.level <= 4 for c in components),
    }


def _household(event: Event) -> dict[str, Any]:
    member = _payload(event, AidHousehold)
    return {"not_counted_has_reason": member.counted or member.counted_reason is not None}


def _check(event: Event) -> dict[str, Any]:
    check = _payload(event, Check)
    return {
        "income_types_known": all(item.type in codes.INCOME for item in check.income),
        "income_months_positive": all(item.months > 0 for item in check.income),
        "covers_somebody": bool(check.covered_persons),
    }


def _investigation(event: Event) -> dict[str, Any]:
    visit = _payload(event, Investigation)
    return {
        "deductions": len(visit.deductions),
        "rigid_spending": len(visit.rigid_spending),
        "income_types_known": all(item.type in codes.INCOME for item in visit.income),
        "deduction_types_known": all(item.type in codes.DEDUCTION for item in visit.deductions),
        "rigid_types_known": all(item.type in codes.RIGID_SPENDING for item in visit.rigid_spending),
        "visited_possible": _not_after_arrival(visit.visited_on, event),
    }


def _benefit(event: Event) -> dict[str, Any]:
    benefit = _payload(event, Benefit)
    return {"ended_has_date": benefit.status != "ended" or benefit.until is not None}


def _coverage(event: Event) -> dict[str, Any]:
    return {"topic_known": _payload(event, Coverage).topic in PAYLOADS}


def _payload(event: Event, payload_type: type[P]) -> P:
    payload = event.payload
    assert isinstance(payload, payload_type)  # noqa: S101  # the topic decides the type; the codec has checked it
    return payload


_DERIVE: Final[Mapping[str, Derived]] = {
    "registration.resident": _resident,
    "registration.identity": _identity,
    "registration.kinship": _kinship,
    "registration.death": _registered_death,
    "medical.death": _medical_death,
    "medical.settlement": _settlement,
    "insurance.pension": _pension,
    "disability.certificate": _certificate,
    "assistance.household": _household,
    "assistance.check": _check,
    "assistance.investigation": _investigation,
    "assistance.benefit": _benefit,
    "source.coverage": _coverage,
}

DERIVED_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "registration.resident": ("birth_possible", "township_in_region"),
    "registration.identity": ("ends_differ",),
    "registration.kinship": ("other_or_inventory", "not_own_kin"),
    "registration.death": ("death_possible",),
    "medical.death": ("death_possible",),
    "medical.settlement": ("amounts_add_up", "sign_agrees_with_reversal"),
    "insurance.pension": ("basic_part_within_total",),
    "disability.certificate": ("components_present", "components_valid"),
    "assistance.household": ("not_counted_has_reason",),
    "assistance.check": ("income_types_known", "income_months_positive", "covers_somebody"),
    "assistance.investigation": (
        "income_types_known",
        "deduction_types_known",
        "rigid_types_known",
        "visited_possible",
    ),
    "assistance.benefit": ("ended_has_date",),
    "source.coverage": ("topic_known",),
}
"""Columns that a suite may use beside the payload's own fields."""


def value_class(value: Any) -> str:
    """Class of a value for a report: what kind of thing it is, never what it says."""
    if value is None or value != value:  # NaN is the one value unlike itself
        return "empty"
    if isinstance(value, bool):
        return "does not hold" if not value else "holds"
    if isinstance(value, int | float):
        return "negative number" if value < 0 else "number"
    if isinstance(value, date):
        return "date"
    return f"text of {len(str(value))} characters"
