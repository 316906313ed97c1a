"""Which layout of states workers write: the former release's, until somebody says that nobody will go back to it.

Release N reads what N and N - 1 write. It writes N - 1's layout until `hub upgrade finalise`, so that an upgrade may
be taken back by starting N - 1 again. The word is the field `state_codec` of the newest record of policy.v1, which
says what is in force in a deployment: it lies where the states lie, is copied with them, and only one writer at a time
can change it (`hub.streams.activation.write`). A worker reads it once, at its start.

A deployment without any state has nothing to go back to: its first worker writes the newest layout at once.
"""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, TopicPartition
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, select

from hub.discovery.state import CODEC, FORMER
from hub.domain.messages import Activation
from hub.errors import NotActive, StateFromTheFuture
from hub.ops.announce import HEARTBEAT_S
from hub.settings import Settings
from hub.store.db import revisions, session
from hub.store.models import Process
from hub.streams import metrics
from hub.streams.activation import current, write
from hub.streams.admin import check_topics
from hub.streams.codec import Codec
from hub.streams.reading import ends_of, to_end
from hub.streams.schemas import check_registry
from hub.streams.state import OFFSETS
from hub.streams.topics import HOME_STATE, PERSON_STATE, POLICY, of_generation

PROCESS_S: Final = 5.0
"""Longest wait for a process to say what it reads."""

TOLD: Final = 50_000
"""Values between two words on how far a count has come."""

METRIC: Final = "hub_worker_state_layout"


class Standing(Struct, frozen=True, kw_only=True):
    """How far an upgrade has come. `obstacles`: what `finalise` would refuse over, each with what to do."""

    reads: tuple[int, ...]
    writes: int
    said: bool
    store: tuple[str | None, str]
    obstacles: tuple[str, ...]

    @property
    def finalised(self) -> bool:
        """Whether nobody can go back to the release before."""
        return self.writes == CODEC


def written_layout(settings: Settings) -> int:
    """The layout in which a worker that starts now writes states, and its metrics say so. BrokerUnavailable."""
    written = _written(settings, _active(settings))
    metrics.STATE_LAYOUT.labels("reads").set(CODEC)
    metrics.STATE_LAYOUT.labels("writes").set(written)
    return written


def standing(settings: Settings, store: Engine) -> Standing:
    """Where the upgrade of a deployment stands. BrokerUnavailable, RegistryUnavailable, StoreUnavailable."""
    active = _active(settings)
    here, head = revisions(store)
    return Standing(
        reads=(FORMER, CODEC),
        writes=_written(settings, active),
        said=active is not None,
        store=(here, head),
        obstacles=tuple(_obstacles(settings, store, active, here, head)),
    )


def finalise(settings: Settings, store: Engine) -> bool:
    """Let workers that start from now on write this release's layout; False when that was said already.

    NotActive while something speaks against it, naming all of it; nothing is written then.
    """
    found = standing(settings, store)
    if found.said and found.finalised:
        return False
    if found.obstacles:
        raise NotActive(f"not finalised: {'; '.join(found.obstacles)}")

    def change(now: Activation | None) -> Activation:
        if now is None:
            raise NotActive("nothing is active any more — see `hub policy status`")
        at = time.time_ns() // 1_000_000
        return msgspec.structs.replace(now, state_codec=CODEC, by="upgrade finalise", activated_at=at)

    codec = Codec(settings.registry_url)
    try:
        write(settings, codec, change)
    finally:
        codec.close()
    return True


def layouts(settings: Settings, progress: Callable[[int, int], None]) -> dict[str, Counter[tuple[int, int]]]:
    """By state topic of the generation in use, how many keys hold a value of each (codec, fold). BrokerUnavailable.

    Reads the topics to their end and keeps their keys in memory; `progress` is told offsets passed and in all.
    """
    found = {}
    for plain in (PERSON_STATE, HOME_STATE):
        name = of_generation(plain, settings.generation).name
        newest: dict[bytes, tuple[int, int]] = {}
        _each(settings, name, newest, progress)
        found[name] = Counter(newest.values())
    return found


def _active(settings: Settings) -> Activation | None:
    """What is in force; TopologyMismatch before the topic that says so was made."""
    check_topics(settings, [POLICY])
    return current(settings)


def _written(settings: Settings, active: Activation | None) -> int:
    if active is None:
        return FORMER if _any_state(settings) else CODEC
    if active.state_codec > CODEC:
        raise StateFromTheFuture(
            f"states are written in layout {active.state_codec} here, and this release knows {FORMER} and {CODEC} — "
            "start the newer release again"
        )
    return max(FORMER, active.state_codec)


def _obstacles(settings: Settings, store: Engine, active: Activation | None, here: str | None, head: str) -> list[str]:
    found = []
    if active is None:
        found.append("no worker of this release has ever worked here — start `hub worker`, and see that it is ready")
    elif active.switching_to is not None:
        found.append(f"generation {active.switching_to} is taking over — let `hub generation switch` come to its end")
    if here != head:
        found.append(f"the store is at {here or 'nothing'}, not {head} — start a process of this release on it")
    found += [
        f"{problem} — see `hub schemas check --against registry`" for problem in check_registry(settings.registry_url)
    ]
    return found + _older_workers(store)


def _older_workers(store: Engine) -> list[str]:
    """Workers that have announced themselves lately and do not read this release's layout."""
    lately = time.time_ns() // 1_000_000 - 3 * int(HEARTBEAT_S * 1000)
    with session(store, writes=False) as db:
        workers = db.execute(
            select(Process.instance, Process.url).where(Process.name == "worker", Process.heartbeat_at >= lately)
        ).all()
    found = []
    for instance, url in workers:
        layout = _reads(url)
        if layout is None:
            found.append(f"worker {instance} does not answer at {url} — see whether it works, or wait until it is gone")
        elif layout < CODEC:
            found.append(f"worker {instance} is of the release before — start it again from this one")
    return found


def _reads(url: str) -> int | None:
    """The newest layout a worker reads by its own word, 0 for one that says nothing of it; None: no answer."""
    if not url.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=PROCESS_S) as answer:  # noqa: S310  # checked above
            text = answer.read().decode()
    except (OSError, ValueError):
        return None
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == METRIC and sample.labels.get("kind") == "reads":
                return int(sample.value)
    return 0


def _any_state(settings: Settings) -> bool:
    return any(ends_of(settings, [PERSON_STATE.name, HOME_STATE.name]).values())


def _each(
    settings: Settings, topic: str, newest: dict[bytes, tuple[int, int]], progress: Callable[[int, int], None]
) -> None:
    ends = ends_of(settings, [topic])
    passed, total, told = dict.fromkeys(ends, 0), sum(ends.values()), 0
    for message in to_end(settings, "hub-upgrade", [TopicPartition(*place, OFFSET_BEGINNING) for place in ends]):
        passed[topic, message.partition()] = message.offset()
        if sum(passed.values()) - told > TOLD:
            told = sum(passed.values())
            progress(told, total)
        key, value = message.key(), message.value()
        if key is None or key.startswith(OFFSETS[:1]):
            continue
        if value is None or len(value) < 2:
            newest.pop(key, None)
        else:
            newest[key] = (value[0], value[1])
