"""Judicial statuses: prison, detoxification, detention, declared missing and the like, in force on a day."""

from __future__ import annotations

from datetime import date

from hub.domain.facts import JusticeStatus
from hub.policy.calendar import after


def justice_end(status: JusticeStatus) -> date | None:
    """Last day of a status: the day of release where there is one, else as decided; None while it is open."""
    return status.released_on if status.released_on is not None else status.until


def in_force(status: JusticeStatus, on: date) -> bool:
    """Whether a status is in force on a day."""
    ends = justice_end(status)
    return status.since <= on and (ends is None or on <= ends)


def turns(status: JusticeStatus, on: date) -> date | None:
    """First later day on which `in_force` changes."""
    ends = justice_end(status)
    if status.since > on:
        return status.since if ends is None or ends >= status.since else None
    return after(ends) if ends is not None and ends >= on else None
