"""Judicial statuses: prison, detoxification, detention, declared missing and the like, in force on a day."""

from __future__ import annotations

from datetime import date

from hub.domain.facts import JusticeStatus


def justice_end(status: JusticeStatus) -> date | None:
    """Last day of a status: the day of release where there is one, else as decided; None while it is open."""
    return status.released_on if status.released_on is not None else status.until


def in_force(status: JusticeStatus, on: date) -> bool:
    """Whether a status is in force on a day."""
    ends = justice_end(status)
    return status.since <= on and (ends is None or on <= ends)
