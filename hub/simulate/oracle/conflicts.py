"""Where sources ought to be found to disagree about a person, from the newest version of that person's records.

The kinds are those of `hub.domain.codes.CONFLICT`; what each means is said at its function. Written apart from
`hub.discovery`, like all of the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from hub.domain.facts import (
    AidHousehold,
    Benefit,
    Coverage,
    Cremation,
    Identity,
    MedicalDeath,
    Payload,
    Pension,
    RegisteredDeath,
    Resident,
    Settlement,
)
from hub.domain.messages import Fact
from hub.domain.times import local_date

Payloads = list[tuple[Fact, Payload]]


def kinds_of(person: str, facts: Sequence[Fact], statements: Sequence[Fact]) -> list[str]:
    """Kinds of conflict about one person. `statements` are the coverage statements about regions."""
    payloads = [(fact, fact.payload) for fact in facts if fact.payload is not None]
    found = {
        "dead_and_alive": _lives_on(payloads),
        "deaths_differ": _died_twice(payloads),
        "birth_dates_differ": _born_twice(payloads),
        "unknown_in_registration": _unregistered(payloads, statements),
        "two_live_households": _lives_in_two(payloads),
        "replaced_identity": _goes_on(person, payloads),
    }
    return [kind for kind, holds in found.items() if holds]


class _Grave(NamedTuple):
    """First and last day on which a source lets somebody have died."""

    first: date
    last: date


def _lives_in_two(payloads: Payloads) -> bool:
    """Two certified households, each without an end."""
    return len({p.aid_household for _, p in payloads if isinstance(p, AidHousehold) and p.until is None}) > 1


def _graves(payloads: Payloads) -> list[_Grave]:
    """Deaths with a day, not revoked, each as wide as its precision."""
    graves = []
    for _, told in payloads:
        if isinstance(told, RegisteredDeath | MedicalDeath) and not told.revoked and told.death_date:
            day = told.death_date
            if told.precision == "year":
                graves.append(_Grave(day.replace(month=1, day=1), day.replace(month=12, day=31)))
            elif told.precision == "month":
                after = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
                graves.append(_Grave(day.replace(day=1), after - timedelta(days=1)))
            else:
                graves.append(_Grave(day, day))
        elif isinstance(told, Cremation) and told.death_date:
            graves.append(_Grave(told.death_date, told.death_date))
    return graves


def _died_twice(payloads: Payloads) -> bool:
    """Two deaths that cannot have been on one day."""
    graves = _graves(payloads)
    return any(one.last < other.first for one in graves for other in graves)


def _lives_on(payloads: Payloads) -> bool:
    """A sign of life after the last day on which the earliest-ending death can have been.

    Signs: care received (no reversal, and not reversed itself), an alive check, a benefit that counts as active after.
    A cremation without a date of death is a death on the day of cremation at the latest.
    """
    ends = [grave.last for grave in _graves(payloads)]
    ends += [told.cremated_on for _, told in payloads if isinstance(told, Cremation) and told.death_date is None]
    if not ends:
        return False
    died = min(ends)
    back = {(fact.source, told.reverses) for fact, told in payloads if isinstance(told, Settlement) and told.reverses}
    for fact, told in payloads:
        if isinstance(told, Settlement):
            taken_back = told.reverses is not None or told.total_fen < 0 or (fact.source, fact.record_id) in back
            if not taken_back and told.service_from > died:
                return True
        elif isinstance(told, Pension):
            if told.last_alive_check is not None and told.last_alive_check > died:
                return True
        elif isinstance(told, Benefit) and told.status == "active":
            if told.since > died or local_date(fact.record_time) > died:
                return True
            if told.last_review_on is not None and told.last_review_on > died:
                return True
    return False


def _born_twice(payloads: Payloads) -> bool:
    """Two birth dates in the household register, or one that the citizen number contradicts."""
    entries = [told for _, told in payloads if isinstance(told, Resident) and told.birth_date]
    return len({entry.birth_date for entry in entries}) > 1 or any(entry.id_birth_agrees is False for entry in entries)


def _unregistered(payloads: Payloads, statements: Sequence[Fact]) -> bool:
    """Records outside registration, none in the household register, and a statement that the register is complete.

    The statement is the register's answer about this person, or one for the region and the day of such a record.
    """
    if any(isinstance(told, Resident) for _, told in payloads):
        return False
    elsewhere = [
        fact for fact, told in payloads if not isinstance(told, Coverage) and not fact.topic.startswith("registration.")
    ]
    answered = any(
        isinstance(told, Coverage) and told.topic == "registration.resident" and told.found is False
        for _, told in payloads
    )
    return any(
        answered or any(_states(statement, fact.region, local_date(fact.event_time)) for statement in statements)
        for fact in elsewhere
    )


def _states(statement: Fact, region: str | None, day: date) -> bool:
    stated = statement.payload
    if not isinstance(stated, Coverage) or stated.topic != "registration.resident":
        return False
    if region is None or statement.region is None:
        return False
    pairs = [statement.region[at : at + 2] for at in range(0, len(statement.region), 2)]
    while pairs and pairs[-1] == "00":
        pairs.pop()
    begun = stated.complete_from is None or stated.complete_from <= day
    kept_up = stated.complete_to is None or day <= stated.complete_to
    return region.startswith("".join(pairs)) and begun and kept_up


def _goes_on(person: str, payloads: Payloads) -> bool:
    """A replaced token of which records are made later than the (earliest) replacement."""
    replaced = [
        fact.record_time
        for fact, told in payloads
        if isinstance(told, Identity) and told.old_person == person and told.new_person != person
    ]
    return bool(replaced) and any(
        fact.record_time > min(replaced) for fact, told in payloads if not isinstance(told, Identity | Coverage)
    )
