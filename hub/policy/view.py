"""How a rule reads a home on a day: evidence, parameters, and absence that only a coverage statement can prove.

Missing is never zero. A record that was not received is unknown, unless a source says that it is complete for this
topic, place and period (source.coverage, scope region), or answered for this very person that nothing was found
(scope person, found false).
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from hub.domain.facts import Coverage, Resident
from hub.domain.homes import Home, Member
from hub.domain.messages import Evidence, Fact, Missing
from hub.policy.calendar import after
from hub.policy.kleene import earliest
from hub.policy.parameters import KEYS, NATION, Policy


class Absence(NamedTuple):
    """Whether *not found* may be read as *none*: the statement behind it, or what is missing; till when it holds."""

    proven: bool
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()
    changes_on: date | None = None


class View:
    """One home on one day under one policy. Made for one decision and thrown away."""

    __slots__ = ("home", "myself", "on", "policy")

    def __init__(self, home: Home, policy: Policy, on: date) -> None:
        """`myself` is the person of a person home, or None while nothing but its kin has contributed."""
        self.home = home
        self.policy = policy
        self.on = on
        self.myself: Member | None = None
        for member in home.members:
            if "self" in member.roles:
                self.myself = member
                break

    def absence(self, topic: str, member: Member | None, since: date, until: date | None = None) -> Absence:
        """Whether no record of `topic` from `since` to `until` (today) means none, for a member or for the home."""
        wanted_to = until or self.on
        region = _region_of(member) or self.policy.region
        best: tuple[Fact, Coverage] | None = None
        for fact, stated in self._statements(topic, member, region):
            enough = (stated.complete_from is None or stated.complete_from <= since) and (
                stated.complete_to is None or stated.complete_to >= wanted_to
            )
            if enough and (best is None or _prefer(fact, stated) < _prefer(*best)):
                best = fact, stated
        if best is None:
            person = member.person if member is not None else None
            return Absence(False, missing=(Missing(field=f"source.coverage.{topic}", person=person),))
        fact, stated = best
        holds_to = stated.complete_to if until is None else None
        return Absence(
            True,
            (evidence(fact, "source.coverage", "topic", topic, None),),
            changes_on=after(holds_to) if holds_to else None,
        )

    def missing_parameter(self, key: str) -> Missing:
        """The policy figure itself is absent."""
        KEYS[key]
        return Missing(field=f"parameter.{key}")

    def parameters_change(self, *keys: str) -> date | None:
        """First later day on which one of these figures changes."""
        return earliest(self.policy.next_change(key, self.on) for key in keys)

    def name(self, member: Member, label: str, role: str) -> str:
        """A member without personal data: label, and an ordinal where several hold the role."""
        same = self.home.with_role(role)
        return label if len(same) < 2 else f"{label}{same.index(member) + 1}"

    def _statements(self, topic: str, member: Member | None, region: str) -> list[tuple[Fact, Coverage]]:
        found = [
            (fact, stated)
            for fact, stated in self.home.coverage
            if stated.topic == topic and stated.scope == "region" and lies_in(region, fact.region)
        ]
        if member is not None:
            found += [
                (fact, stated)
                for fact, stated in member.of(Coverage)
                if stated.topic == topic and stated.scope == "person" and stated.found is False
            ]
        return found


def evidence(fact: Fact, topic: str, field: str, value: object, person: str | None) -> Evidence:
    """One value a decision relied on, as text."""
    return Evidence(
        topic=topic,
        field=field,
        value=_text(value),
        person=person,
        source=fact.source,
        record_id=fact.record_id,
        version=fact.version,
    )


def lies_in(region: str, wider: str | None) -> bool:
    """Whether a county lies in a region (or is it): codes lose their trailing pairs of zeros."""
    if wider is None:
        return False
    if wider == NATION:
        return True
    stem = wider[:2] if wider[2:6] == "0000" else wider[:4] if wider[4:6] == "00" else wider[:6]
    return region.startswith(stem)


def resident(member: Member) -> tuple[Fact, Resident] | None:
    """The newest entry in the household register; a person who moved may have one for each register."""
    found = member.of(Resident)
    if not found:
        return None
    return found[0] if len(found) == 1 else max(found, key=lambda pair: newest_first(pair[0]))


def newest_first(fact: Fact) -> tuple[int, str, str]:
    """Sort key by the source's time; source and record id make it total."""
    return fact.record_time, fact.source, fact.record_id


def _region_of(member: Member | None) -> str | None:
    entry = resident(member) if member is not None else None
    if entry is None:
        return None
    fact, held = entry
    return held.township[:6] if held.township else fact.region


def _prefer(fact: Fact, stated: Coverage) -> tuple[int, str, str]:
    """Statements still kept up first, then those that reach furthest."""
    reach = -stated.complete_to.toordinal() if stated.complete_to else -date.max.toordinal() - 1
    return reach, fact.source, fact.record_id


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)
