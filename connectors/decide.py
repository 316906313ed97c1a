"""Which version a record gets, under which keys, and what need not be said again. Pure.

Versions of a record are totally ordered. The source's own version is taken as it is; where the hub speaks itself (a
vanished row, a changed person, a mended mapping) it takes the next number, and what the source says later goes above.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

Outcome = Literal["published", "unchanged", "superseded"]


class Held(Struct, frozen=True, kw_only=True):
    """What was last published of a record for one person.

    `source_version` is the highest the source has shown. `own_from` is the lowest version of the record that the hub
    took by itself (None: it took none); a late version of the source at or above it may be one of these. `settled` is
    False where the event was written down to be published, and its acknowledgement never noted: it is published again
    as it was.
    """

    version: int
    source_version: int
    digest: str
    live: bool
    received_at: int
    settled: bool
    own_from: int | None = None


class Step(NamedTuple):
    """One event to publish (`change` None: nothing to publish) and what to keep of it (`held` None: keep what is)."""

    person: str
    change: Literal["UPSERT", "ANNUL"] | None
    version: int
    received_at: int
    held: Held | None


def upsert(
    held: Mapping[str, Held],
    wanted: Mapping[str, str],
    source_version: int | None,
    now_ms: int,
    *,
    read_once: bool,
) -> tuple[Outcome, list[Step]]:
    """A row: `wanted` is person → digest of the content. `source_version` None: the hub counts.

    An older version than one seen is superseded; from a source that is read once (a file) it is published all the
    same, so that the log is whole, wherever something newer is known to stand above it and the hub itself never spoke
    under its version.
    """
    seen = max((one.source_version for one in held.values()), default=-1)
    if source_version is not None and source_version < seen:
        own_from = _own_from(held)
        free = read_once and (own_from is None or source_version < own_from)
        late = [
            Step(person, "UPSERT", source_version, now_ms, None)
            for person in wanted
            if free and (above := held.get(person)) is not None and above.version > source_version
        ]
        return "superseded", late
    seen = seen if source_version is None else source_version
    version, own_from = _next(held, source_version)
    steps = [
        step
        for person, one in held.items()
        if person not in wanted
        for step in _annul(person, one, version, seen, now_ms, own_from)
    ]
    for person, digest in wanted.items():
        one = held.get(person)
        if one is not None and one.live and one.digest == digest and (one.settled or seen <= one.source_version):
            steps += _again(person, one, "UPSERT", seen)
        else:
            new = Held(
                version=version,
                source_version=seen,
                digest=digest,
                live=True,
                received_at=now_ms,
                settled=True,
                own_from=own_from,
            )
            steps.append(Step(person, "UPSERT", version, now_ms, new))
    return _outcome(steps), steps


def annul(
    held: Mapping[str, Held], people: Collection[str], source_version: int | None, now_ms: int
) -> tuple[Outcome, list[Step]]:
    """A record that is void, or gone. `people` get a floor where nothing is held, so that a late row stays void."""
    seen = max((one.source_version for one in held.values()), default=-1)
    if source_version is not None and source_version < seen:
        return "superseded", []
    seen = seen if source_version is None else source_version
    version, own_from = _next(held, source_version)
    steps = [step for person, one in held.items() for step in _annul(person, one, version, seen, now_ms, own_from)]
    if not held:
        steps = [_annulment(person, version, seen, now_ms, own_from) for person in people]
    return _outcome(steps), steps


def _next(held: Mapping[str, Held], source_version: int | None) -> tuple[int, int | None]:
    """The version to take, and the lowest that the hub has taken by itself with it: the source's own goes first."""
    top = max((one.version for one in held.values()), default=None)
    own_from = _own_from(held)
    if source_version is not None and (top is None or source_version > top):
        return source_version, own_from
    version = 1 if top is None else top + 1
    return version, version if own_from is None else min(own_from, version)


def _own_from(held: Mapping[str, Held]) -> int | None:
    return min((one.own_from for one in held.values() if one.own_from is not None), default=None)


def _annul(person: str, one: Held, version: int, seen: int, now_ms: int, own_from: int | None) -> list[Step]:
    return [_annulment(person, version, seen, now_ms, own_from)] if one.live else _again(person, one, "ANNUL", seen)


def _annulment(person: str, version: int, seen: int, now_ms: int, own_from: int | None) -> Step:
    new = Held(
        version=version,
        source_version=seen,
        digest="",
        live=False,
        received_at=now_ms,
        settled=True,
        own_from=own_from,
    )
    return Step(person, "ANNUL", version, now_ms, new)


def _again(person: str, one: Held, change: Literal["UPSERT", "ANNUL"], seen: int) -> list[Step]:
    """Nothing new: publish it again if it may not have left, note a higher version of the source."""
    new = replace(one, source_version=max(seen, one.source_version), settled=True)
    if not one.settled:
        return [Step(person, change, one.version, one.received_at, new)]
    return [Step(person, None, one.version, one.received_at, new)] if new != one else []


def _outcome(steps: Collection[Step]) -> Outcome:
    return "published" if any(step.change is not None for step in steps) else "unchanged"
