"""Homes: where findings are decided, and the view of one that a rule reads.

A home id is `kind:id`: `person:<token>` (the person itself, and its kin as roles), `household:<aid household id>`
(the certified 共同生活家庭), `candidate:<hukou token>` (a family read off the household register, which may open a
lead and never a case). `COVERAGE_HOME` is the pseudo-home that holds a partition's coverage statements.
"""

from __future__ import annotations

from typing import Final, Literal, TypeVar

from msgspec import Struct

from hub.domain.facts import Coverage, Payload
from hub.domain.messages import Fact

HomeKind = Literal["person", "household", "candidate"]
COVERAGE_HOME: Final = "coverage:all"
P = TypeVar("P", bound=Payload)


def home_id(kind: HomeKind, identifier: str) -> str:
    """`kind:identifier`."""
    return f"{kind}:{identifier}"


def home_kind(home: str) -> HomeKind:
    """Kind of a home id. ValueError for anything else."""
    kind = home.partition(":")[0]
    if kind not in ("person", "household", "candidate"):
        raise ValueError(f"not a home id of a known kind: {kind!r}")
    return kind  # type: ignore[return-value]  # narrowed by the line above


class Member(Struct, frozen=True):
    """One contributor of a home: token, what it is to the home, its live facts (payload never None)."""

    person: str
    roles: tuple[str, ...]
    facts: tuple[Fact, ...]

    def of(self, payload_type: type[P]) -> tuple[tuple[Fact, P], ...]:
        """The facts of one topic, each with its payload, in the order (source, record_id)."""
        return tuple((fact, fact.payload) for fact in self.facts if isinstance(fact.payload, payload_type))


class Home(Struct, frozen=True):
    """A home as a rule sees it. Members are ordered by token; `coverage` are the statements that may apply here."""

    id: str
    members: tuple[Member, ...]
    coverage: tuple[tuple[Fact, Coverage], ...] = ()

    @property
    def kind(self) -> HomeKind:
        """person, household or candidate."""
        return home_kind(self.id)

    @property
    def identifier(self) -> str:
        """The id without its kind; for a person home the person's token."""
        return self.id.partition(":")[2]

    def with_role(self, role: str) -> tuple[Member, ...]:
        """Members who hold a role, ordered by token."""
        return tuple(member for member in self.members if role in member.roles)

    def member(self, person: str) -> Member | None:
        """The contributor with this token, or None when it has not contributed (unknown, not absent)."""
        return next((member for member in self.members if member.person == person), None)
