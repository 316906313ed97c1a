"""What was told last, read back from the topics it was told on: where the next generation of state takes over.

A generation is built from the source log while the one before still tells, so it is built *unheard*: what it decides
is kept and not said, and its states carry `UNHEARD` before the hash or fingerprint they were made under. When it
takes over, each state is looked at once more (it is stale by that mark), and what it says is compared with what was
told last. So episodes and revisions go on, and only differences are told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from hub.discovery.conflicts import Found
from hub.discovery.state import RuleState
from hub.domain.messages import Alert, Conflict, FindingChange

UNHEARD: Final = "unheard:"
"""Stands before the policy hash of a home, or the fingerprint of a person, that was made without telling."""

_GENERATION: Final = 1 << 32
"""More changes than one rule at one home, or one person, can have within a generation."""

HomeTold = Callable[[str], Mapping[str, RuleState]]
"""Home → by rule, the alert that left last and the outcome said last."""

PersonTold = Callable[[str], dict[str, str]]
"""Person → open conflicts as they were said last, as `PersonState.conflicts`."""

_encode: Final = msgspec.msgpack.Encoder().encode


def nothing_told(_key: str) -> dict[str, RuleState]:
    """For a generation that tells from the beginning."""
    return {}


def nothing_said(_key: str) -> dict[str, str]:
    """The same, of conflicts."""
    return {}


def numbered(generation: int, sequence: int) -> int:
    """One number that orders what two generations say: any number of a generation is above all of those before."""
    return generation * _GENERATION + sequence


def rule_state(alert: Alert | None, finding: FindingChange | None) -> RuleState:
    """A rule's state at a home as its newest alert and its newest outcome left it; what neither says is unknown."""
    state = RuleState("not_applicable")
    if alert is not None:
        state = msgspec.structs.replace(
            state,
            region=alert.region,
            township=alert.township,
            episode=alert.episode,
            revision=alert.revision,
            live=alert.state != "WITHDRAWN",
            evidence_hash=alert.evidence_hash,
            amount_fen=alert.amount_fen,
            grade=alert.grade,
            opened_on=alert.opened_on,
            due_on=alert.due_on,
            due_kind=alert.due_kind,
        )
    if finding is not None:
        state = msgspec.structs.replace(
            state,
            truth=finding.truth,
            missing=finding.missing,
            region=finding.region,
            township=finding.township,
        )
    return state


def kept(found: Found) -> str:
    """What `PersonState.conflicts` keeps of a conflict: enough to close it, and to see that it changed."""
    digest = blake2b(_encode(found), digest_size=8).hexdigest()
    return f"{found.kind}|{found.field}|{digest}"


def kept_of(conflict: Conflict) -> str:
    """The same of a conflict that was told."""
    discriminator = ""
    if conflict.kind == "version_collision" and conflict.parties:
        party = conflict.parties[0]
        discriminator = f"{party.topic}|{party.source}|{party.record_id}"
    return kept(Found(conflict.kind, conflict.field, conflict.region, conflict.parties, discriminator))
