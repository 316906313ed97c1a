"""Every topic of the hub: name, key, partitions, retention. Created by `hub topics create`, checked at every start."""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from hub.domain.facts import PAYLOADS

DAY_MS: Final = 24 * 3600 * 1000
FOR_EVER: Final = -1
EVENT_BYTES: Final = 1024 * 1024
"""Largest value of a source event, headers included: some thousand times a usual one."""

LARGE_BYTES: Final = 8 * 1024 * 1024
"""For what is made of many events: a home's facts, a person's state, a sealed original with its envelope."""


class Topic(Struct, frozen=True, kw_only=True):
    """One topic. `joined` topics share one partition count, fixed at creation, and are keyed by murmur2."""

    name: str
    key: str
    joined: bool
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int = FOR_EVER
    max_bytes: int = EVENT_BYTES


def _source_topics() -> tuple[Topic, ...]:
    return tuple(Topic(name=f"{name}.v1", key="person", joined=True) for name in PAYLOADS)


SOURCE_TOPICS: Final = _source_topics()
"""Source topics are kept for ever and never compacted: they are what everything can be rebuilt from."""

CONTRIBUTIONS: Final = Topic(
    name="contributions.v1", key="home", joined=True, retention_ms=30 * DAY_MS, max_bytes=LARGE_BYTES
)
DISPOSITIONS: Final = Topic(name="dispositions.v1", key="home", joined=True)
ALERTS: Final = Topic(name="alerts.v1", key="home", joined=True, max_bytes=LARGE_BYTES)
FINDINGS: Final = Topic(name="findings.v1", key="home", joined=True, retention_ms=30 * DAY_MS)
CONFLICTS: Final = Topic(name="quality.conflicts.v1", key="person", joined=True)
RECEIPTS: Final = Topic(name="receipts.v1", key="alert id", joined=False)
RESULTS: Final = Topic(name="quality.results.v1", key="source", joined=False)
QUARANTINE: Final = Topic(name="quarantine.v1", key="quarantine id", joined=False, max_bytes=LARGE_BYTES)
POLICY: Final = Topic(name="policy.v1", key="deployment", joined=False, cleanup="compact")
PERSON_STATE: Final = Topic(
    name="hub-person-state.v1", key="person", joined=True, cleanup="compact", max_bytes=LARGE_BYTES
)
HOME_STATE: Final = Topic(name="hub-home-state.v1", key="home", joined=True, cleanup="compact", max_bytes=LARGE_BYTES)

TOPICS: Final = (
    *SOURCE_TOPICS,
    CONTRIBUTIONS,
    DISPOSITIONS,
    ALERTS,
    FINDINGS,
    CONFLICTS,
    RECEIPTS,
    RESULTS,
    QUARANTINE,
    POLICY,
    PERSON_STATE,
    HOME_STATE,
)

GENERATED: Final = (CONTRIBUTIONS, PERSON_STATE, HOME_STATE)
"""Topics of which each generation has its own: what can be built anew from the others."""

_GENERATION: Final = re.compile(r"\.g\d+(?=\.v\d+$)")


def of_generation(topic: Topic, generation: int) -> Topic:
    """A topic of GENERATED in a generation; generation 0 has the plain names. Others are common to all."""
    if generation == 0 or topic not in GENERATED:
        return topic
    plain, _, version = topic.name.rpartition(".")
    return replace(topic, name=f"{plain}.g{generation}.{version}")


def plain_name(name: str) -> str:
    """Name without a generation: `contributions.g1.v1` holds what `contributions.v1` does, under one schema."""
    return _GENERATION.sub("", name)


def topics_of(generation: int) -> tuple[Topic, ...]:
    """Every topic that a deployment of a generation uses."""
    return tuple(of_generation(topic, generation) for topic in TOPICS)
