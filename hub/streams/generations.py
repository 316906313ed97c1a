"""Generations of state: the next one is built beside the old from the source log, compared, and takes over.

    build      workers of generation g fold everything from the first record on, into topics of their own, unheard
    compare    what would be told if g took over now: a trial run of the first sweep, nothing written
    switch     g takes over: 1. a record says that nobody tells any more; 2. writers of every older generation are
               fenced; 3. wait until g has folded in whatever they may have; 4. a record says that g tells

Two generations cannot both tell. A worker opens its writers, then reads policy.v1, then commits. One that read before
record 1 opened before step 2, and is fenced there; one that read after it leaves. Workers of g tell after record 4.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import KafkaException, TopicPartition

from hub.discovery.law import Law
from hub.domain.messages import Activation, Alert, Conflict, Review
from hub.errors import ConfigurationError, NotActive
from hub.ops.clock import Clock
from hub.settings import Settings
from hub.streams import activation
from hub.streams.codec import Codec
from hub.streams.commit import Writer
from hub.streams.reading import ended, ends_of, reader, silent
from hub.streams.restore import restore
from hub.streams.stage import Stage
from hub.streams.stages import stage_names, stages_taking_over
from hub.streams.state import PartitionState, Slot
from hub.streams.topics import (
    CONTRIBUTIONS,
    DISPOSITIONS,
    HOME_STATE,
    PERSON_STATE,
    SOURCE_TOPICS,
    of_generation,
)
from hub.streams.worker import GROUP

BEARABLE: Final = 1_000
"""Records that a build may be behind when a switch begins: it makes them up while nobody tells, in a second or so."""

CATCH_UP_S: Final = 300.0
"""Longest wait of a switch; nobody tells meanwhile, and it may be run again."""

TELL_GROUP_S: Final = 1.0
REVIEWED_AT_ONCE: Final = 1_000
ANSWER_S: Final = 30.0

Ends = Mapping[tuple[str, int], int]
"""(topic, partition) → offset behind which nothing is looked at."""


class Comparison(NamedTuple):
    """What the first sweep of a generation would tell: alert revisions, changed conflicts by (kind, state), and how
    many homes it would look at. `behind` are records that the build has not read, by topic, counted up to BEARABLE.
    """

    alerts: list[Alert]
    conflicts: Counter[tuple[str, str]]
    homes: int
    behind: dict[str, int]


def group_of(generation: int) -> str:
    """Consumer group of a generation's workers."""
    return f"{GROUP}-g{generation}" if generation else GROUP


def compare(settings: Settings, law: Law, generation: int) -> Comparison:
    """Try the first sweep of a generation on its states as they are now. Nothing is written.

    One partition after the other is in memory. BrokerUnavailable, StateUnreadable, StateFromTheFuture.
    """
    person, subject = stages_taking_over(settings, law, generation)
    alerts: list[Alert] = []
    conflicts: Counter[tuple[str, str]] = Counter()
    homes = 0
    now = Clock(settings).now_ms()
    for partition in range(settings.partitions):
        for value in _swept(settings, subject, partition, now):
            if isinstance(value, Alert):
                alerts.append(value)
            elif isinstance(value, int):
                homes += value
        for value in _swept(settings, person, partition, now):
            if isinstance(value, Conflict):
                conflicts[value.kind, value.state] += 1
    alerts.sort(key=lambda alert: (alert.rule, alert.state, alert.alert_id))
    return Comparison(alerts, conflicts, homes, _behind(settings, generation, BEARABLE))


def _swept(settings: Settings, stage: Stage, partition: int, now: int) -> Iterator[Any]:
    """Numbers of states swept at a time, and what the sweep of a partition would publish."""
    state = PartitionState(stage, partition)
    restore(settings, [state], threading.Event())
    stage.takeover.begin(state)
    missing: list[str] = stage.takeover.missing(partition, len(stage.takeover.missing(partition, 2**31)))
    keys = iter([key for key in state.keys() if stage.stale(state.get(key))] + missing)  # noqa: SIM118  no dict
    while chunk := list(islice(keys, REVIEWED_AT_ONCE)):
        yield len(chunk)
        result = stage.step(state, [Review(key, date.min) for key in chunk], now)
        yield from (output.value for output in result.outputs)
    stage.takeover.end(partition)


def switch(
    settings: Settings, law: Law, generation: int, say: Callable[[str], None] = lambda _text: None
) -> Activation:
    """Let a generation that was built take over; what is active after that. Run it again if it was interrupted.

    ConfigurationError when that generation does not follow the active one; NotActive when its build is too far
    behind to begin, or did not catch up in CATCH_UP_S seconds; BrokerUnavailable.
    """
    codec = Codec(settings.registry_url)
    held = activation.held_by(law, generation)
    try:
        active = activation.read(settings, codec)
        if active is not None and (active.generation, active.switching_to) == (generation, None):
            return active
        _begin(active, generation)
        if active is not None and active.switching_to is None:
            _refuse_laggard(settings, generation)
        activation.write(settings, codec, lambda now: _begin(now, generation))
        say("nobody tells now; fencing workers of older generations")
        _fence(settings, generation)
        say(f"waiting until generation {generation} has folded in what they had")
        _catch_up(settings, generation)
        return activation.write(settings, codec, lambda now: _finish(now, held))
    finally:
        codec.close()


def abandon(settings: Settings) -> Activation | None:
    """Give a switch up that was interrupted: the generation before tells again."""
    codec = Codec(settings.registry_url)
    try:
        active = activation.read(settings, codec)
        if active is None or active.switching_to is None:
            return active
        return activation.write(settings, codec, _give_up)
    finally:
        codec.close()


def _begin(now: Activation | None, generation: int) -> Activation:
    if now is None:
        raise ConfigurationError(
            "nothing is active yet, so there is nothing to switch from — start `hub worker` of generation 0"
        )
    if generation <= now.generation:
        raise ConfigurationError(
            f"generation {now.generation} is the active one, and {generation} cannot follow it: it does not know what "
            f"was told since — build generation {now.generation + 1}"
        )
    if now.switching_to not in (None, generation):
        raise ConfigurationError(
            f"generation {now.switching_to} is taking over — finish or abandon that switch (`hub generation switch "
            "--abandon`)"
        )
    return now if now.switching_to == generation else _changed(now, generation, "generation switch")


def _finish(now: Activation | None, held: activation.Held) -> Activation:
    if now is None or now.switching_to != held.generation:
        raise ConfigurationError("the switch was abandoned meanwhile — see `hub generation status`")
    return activation.activation(held, "generation switch")


def _give_up(now: Activation | None) -> Activation:
    if now is None or now.switching_to is None:
        raise ConfigurationError("the switch came to its end meanwhile — see `hub generation status`")
    return _changed(now, None, "generation switch abandoned")


def _changed(now: Activation, switching_to: int | None, by: str) -> Activation:
    return msgspec.structs.replace(now, switching_to=switching_to, by=by, activated_at=time.time_ns() // 1_000_000)


def _refuse_laggard(settings: Settings, generation: int) -> None:
    behind = _behind(settings, generation, BEARABLE + 1)
    if max(behind.values(), default=0) > BEARABLE:
        names = ", ".join(f"{topic} {number}+" for topic, number in sorted(behind.items()) if number > BEARABLE)
        raise NotActive(
            f"the build of generation {generation} is far behind ({names} records) — let `hub generation build` run on"
        )


def _fence(settings: Settings, generation: int) -> None:
    """End what older workers have open, and fence them: whatever they commit after this fails."""
    for older in range(generation):
        names = zip(stage_names(older), (PERSON_STATE, HOME_STATE), strict=True)
        for name, state_topic in names:
            for partition in range(settings.partitions):
                writer = Writer(settings, Slot(name, partition), of_generation(state_topic, older).name)
                try:
                    writer.open()
                finally:
                    writer.close()


def _catch_up(settings: Settings, generation: int) -> None:
    """Wait until the build has read what lay in the sources when it was called, and then what it contributed itself."""
    deadline = time.monotonic() + CATCH_UP_S
    contributions = of_generation(CONTRIBUTIONS, generation).name
    for topics in ([topic.name for topic in SOURCE_TOPICS], [contributions, DISPOSITIONS.name]):
        ends = ends_of(settings, topics)
        while unread := _unread(settings, group_of(generation), ends, BEARABLE):
            if time.monotonic() > deadline:
                raise NotActive(
                    f"generation {generation} has not read {sum(unread.values())} records or more ({', '.join(unread)})"
                    " — see that `hub generation build` runs, then run `hub generation switch` again; --abandon lets "
                    "the generation before tell again"
                )
            time.sleep(TELL_GROUP_S)


def _behind(settings: Settings, generation: int, limit: int) -> dict[str, int]:
    topics = [topic.name for topic in SOURCE_TOPICS]
    topics += [of_generation(CONTRIBUTIONS, generation).name, DISPOSITIONS.name]
    return _unread(settings, group_of(generation), ends_of(settings, topics), limit)


def _unread(settings: Settings, group: str, ends: Ends, limit: int) -> dict[str, int]:
    """Committed records before `ends` that a group was not told to have read, by topic, counted up to `limit` each.

    What a worker tells its group is never ahead of its state, and some seconds behind it. Commit markers are no
    records, so positions cannot be compared: what lies between is read.
    """
    consumer = reader(settings, group)
    try:
        told = consumer.committed([TopicPartition(*place) for place in ends], timeout=ANSWER_S)
        open_places = {
            (at.topic, at.partition): TopicPartition(at.topic, at.partition, max(0, at.offset))
            for at in told
            if max(0, at.offset) < ends[at.topic, at.partition]
        }
        found: dict[str, int] = defaultdict(int)
        if open_places:
            consumer.assign(list(open_places.values()))
        deadline = time.monotonic() + ANSWER_S
        while open_places and time.monotonic() < deadline:
            for message in consumer.consume(1_000, timeout=0.2):
                place = (message.topic(), message.partition())
                failure = message.error()
                if failure is None and place in open_places and message.offset() < ends[place]:
                    found[place[0]] += 1
                elif failure is not None and not ended(settings, message):
                    continue  # librdkafka reconnects by itself; what it could not read will come again
                if failure is not None or message.offset() >= ends[place] - 1 or found[place[0]] >= limit:
                    open_places.pop(place, None)
        if open_places:
            raise silent(settings)
        return {topic: number for topic, number in found.items() if number}
    except KafkaException as error:
        raise silent(settings) from error
    finally:
        consumer.close()
