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
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, select

from hub.discovery.state import CODEC, FORMER
from hub.domain.messages import Activation
from hub.errors import BrokerUnavailable, NotActive, StateFromTheFuture
from hub.ops.announce import HEARTBEAT_S
from hub.settings import Settings
from hub.store.db import revisions, session
from hub.store.models import Process
from hub.streams import metrics
from hub.streams.activation import read, write
from hub.streams.admin import check_topics
from hub.streams.codec import Codec
from hub.streams.schemas import check_registry
from hub.streams.state import OFFSETS
from hub.streams.topics import HOME_STATE, PERSON_STATE, POLICY, of_generation

ANSWER_S: Final = 30.0
"""Longest wait for the broker: one leader election."""

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
    codec = Codec(settings.registry_url)
    try:
        written = _written(settings, _active(settings, codec))
    finally:
        codec.close()
    metrics.STATE_LAYOUT.labels("reads").set(CODEC)
    metrics.STATE_LAYOUT.labels("writes").set(written)
    return written


def standing(settings: Settings, store: Engine) -> Standing:
    """Where the upgrade of a deployment stands. BrokerUnavailable, RegistryUnavailable, StoreUnavailable."""
    codec = Codec(settings.registry_url)
    try:
        active = _active(settings, codec)
    finally:
        codec.close()
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


def _active(settings: Settings, codec: Codec) -> Activation | None:
    """What is in force; TopologyMismatch before the topic that says so was made."""
    check_topics(settings, [POLICY])
    return read(settings, codec)


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
    consumer = _consumer(settings)
    try:
        known = consumer.list_topics(timeout=ANSWER_S).topics
        for topic in (PERSON_STATE.name, HOME_STATE.name):
            for partition in known[topic].partitions if topic in known else ():
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S)
                if high > low:
                    return True
    except KafkaException as error:
        raise _silent() from error
    finally:
        consumer.close()
    return False


def _each(
    settings: Settings, topic: str, newest: dict[bytes, tuple[int, int]], progress: Callable[[int, int], None]
) -> None:
    consumer = _consumer(settings)
    try:
        described = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
        partitions = sorted(described.partitions)
        ends = {at: consumer.get_watermark_offsets(TopicPartition(topic, at), timeout=ANSWER_S)[1] for at in partitions}
        consumer.assign([TopicPartition(topic, at, OFFSET_BEGINNING) for at in partitions])
        passed, total, told = dict.fromkeys(partitions, 0), sum(ends.values()), 0
        open_ends, heard = set(partitions), time.monotonic()
        while open_ends:
            messages = consumer.consume(5_000, timeout=0.2)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > ANSWER_S:
                raise _silent()
            for message in messages:
                failure, key, value = message.error(), message.key(), message.value()
                if failure is not None:
                    if failure.code() == KafkaError._PARTITION_EOF:
                        open_ends.discard(message.partition())
                    continue
                passed[message.partition()] = message.offset()
                if key is None or key.startswith(OFFSETS[:1]):
                    continue
                if value is None or len(value) < 2:
                    newest.pop(key, None)
                else:
                    newest[key] = (value[0], value[1])
            if sum(passed.values()) - told > TOLD:
                told = sum(passed.values())
                progress(told, total)
    except KafkaException as error:
        raise _silent() from error
    finally:
        consumer.close()


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "hub-upgrade",  # required by the client; the group is not joined and nothing is committed
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 3,
        }
    )


def _silent() -> BrokerUnavailable:
    return BrokerUnavailable("Kafka does not answer — see that it runs and that HUB_BROKERS names it, then try again")
