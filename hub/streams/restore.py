"""Restores the states of partitions from their changelogs: into memory whole, into a store on disk what it lacks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from hub.errors import LogDamaged, StateFromTheFuture, StateUnreadable
from hub.ops.logs import logger
from hub.settings import Settings
from hub.streams import metrics
from hub.streams.progress import LOG_EVERY_S, RestoreProgress
from hub.streams.reading import CHUNK, SILENCE_S, ended, ends_of, reader, silent, to_end
from hub.streams.state import PartitionState

TOMBSTONES_KEPT_MS: Final = 20 * 3600 * 1000
"""A store that lagged behind for longer is built anew. Kafka keeps the record of a deletion for delete.retention.ms,
24 h unless set otherwise, and a store that missed one would keep the state for ever. Some hours are left for clocks."""

Place = tuple[str, int]
"""(changelog topic, partition)."""

_log = logger("streams")


def restore(
    settings: Settings,
    states: Iterable[PartitionState],
    cancelled: threading.Event,
    progress: RestoreProgress | None = None,
) -> bool:
    """Read the changelog of each partition to its end; False when `cancelled` first.

    Call it after the partitions' writers were opened: opening ends the transaction a former owner left open, so that
    the end of the log is the end of what was committed, and nobody else can write behind it.
    BrokerUnavailable when Kafka falls silent; StateFromTheFuture or StateUnreadable, naming topic, partition and
    offset, by what is found; StateUnavailable when a store on disk fails.
    """
    by_place = {(state.stage.state_topic.name, state.partition): state for state in states}
    if not by_place:
        return True
    progress = RestoreProgress() if progress is None else progress
    # A position that is no longer there must not be taken for the end of the log.
    consumer = reader(settings, "hub-restore", auto_offset_reset="error")
    try:
        ends = {place: _end(settings, consumer, place, state) for place, state in by_place.items()}
        progress.begin({_of(state): ends[place] - state.position for place, state in by_place.items()})
        consumer.assign(
            [TopicPartition(*place, state.position or OFFSET_BEGINNING) for place, state in by_place.items()]
        )
        return _read_to_end(settings, consumer, by_place, ends, cancelled, progress)
    except KafkaException as error:
        raise silent(settings, error) from error
    finally:
        consumer.close()
        progress.end()


def _end(settings: Settings, consumer: Consumer, place: Place, state: PartitionState) -> int:
    """The end of a changelog. A store that cannot be read on from where it stands is told to begin anew."""
    low, high = _watermarks(settings, consumer, place)
    behind_s = time.time() - state.written_at / 1000
    if not state.position:
        why = ""
    elif state.position > high:
        why = "it stands beyond the end of the changelog"
    elif state.position < low:
        why = "the changelog no longer holds what it lacks"
    elif state.position + 1 < high and behind_s * 1000 > TOMBSTONES_KEPT_MS:  # + 1: the marker of its own last commit
        why = "it was left behind for longer than deletions are kept"
    else:
        why = ""
    if why:
        _log.warning("state on disk is built anew", topic=place[0], partition=place[1], why=why)
        state.rebuild()
    return max(low, high)


def _watermarks(settings: Settings, consumer: Consumer, place: Place) -> tuple[int, int]:
    """First offset and end of a partition, as far as committed. A leader election is waited for."""
    deadline = time.monotonic() + SILENCE_S
    while True:
        try:
            found: tuple[int, int] | None = consumer.get_watermark_offsets(TopicPartition(*place), timeout=10.0)
        except KafkaException:
            found = None
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise silent(settings)
        time.sleep(0.2)


def check_ends(settings: Settings, states: Sequence[PartitionState]) -> None:
    """LogDamaged where an input ends before what was folded in: what is sent next gets offsets that count as read."""
    ends = ends_of(settings, {topic for state in states for topic in state.stage.input_names})
    for state in states:
        for topic in state.stage.input_names:
            folded, end = state.offsets.get(topic, 0), ends.get((topic, state.partition), 0)
            if folded > end:
                raise LogDamaged(
                    f"{topic}, partition {state.partition} ends at {end}, but {folded} of it were folded in: "
                    "Kafka lost some, or the topic was made anew — bring them back (a replica, `hub restore`), or "
                    "rebuild the states from what is there (`hub generation build`)"
                )


def _read_to_end(
    settings: Settings,
    consumer: Consumer,
    by_place: Mapping[Place, PartitionState],
    ends: Mapping[Place, int],
    cancelled: threading.Event,
    progress: RestoreProgress,
) -> bool:
    missing = set(by_place)
    heard = told = time.monotonic()
    while missing:
        if cancelled.is_set():
            return False
        messages = consumer.consume(CHUNK, timeout=0.1)  # waits that long when fewer are there
        now = time.monotonic()
        if messages:
            heard = now
        elif now - heard > SILENCE_S:
            raise silent(settings)
        behind: dict[Place, int] = {}
        read: Counter[Place] = Counter()
        stands: list[tuple[Place, int]] = []
        for message in messages:
            place = (message.topic(), message.partition())
            if message.error() is None:
                read[place] += 1
                behind[place] = message.offset() + 1
                try:
                    by_place[place].load(message.key(), message.value())
                except (StateUnreadable, UnicodeDecodeError, AttributeError) as error:  # the last: a record without key
                    raise _misread(place, message.offset(), error) from error
            elif ended(settings, message):
                stands.append((place, message.offset()))
        for place, position in behind.items():
            state = by_place[place]
            _guarded(settings, place, state, position)
            left = max(0, ends[place] - position)
            progress.moved(*_of(state), read=read[place], left=left, keys=state.so_far)
            metrics.RESTORED.labels(state.stage.name).inc(read[place])
        for place, position in stands:
            state = by_place[place]
            _guarded(settings, place, state, position, last=True)
            progress.moved(*_of(state), read=0, left=0, keys=state.so_far)
            progress.done(*_of(state))
            metrics.RESTORING.labels(state.stage.name).dec()
            missing.discard(place)
        progress.show()
        if now - told > LOG_EVERY_S:
            told = now
            seen = progress.snapshot()
            _log.info(seen.text(), records=seen.records_read, left=seen.records_left, seconds_left=seen.seconds_left)
    return True


def _guarded(settings: Settings, place: Place, state: PartitionState, position: int, *, last: bool = False) -> None:
    """Let a state take over what it was given; when a value cannot be read, say which record it came with."""
    try:
        state.loaded(position)
        if last:
            state.settle()
    except (StateUnreadable, StateFromTheFuture) as error:
        if state.misread is None:
            raise
        raise _misread(place, _newest(settings, place, state.misread.encode()), error) from error


def _newest(settings: Settings, place: Place, key: bytes) -> int:
    """Offset of the newest record of a key. Reads the whole partition, for a restore that ends over it anyway."""
    messages = to_end(settings, "hub-restore", [TopicPartition(*place, OFFSET_BEGINNING)])
    return max((message.offset() for message in messages if message.key() == key), default=-1)


def _misread(place: Place, offset: int, error: Any) -> StateUnreadable | StateFromTheFuture:
    kind = type(error) if isinstance(error, StateUnreadable | StateFromTheFuture) else StateUnreadable
    text = error if kind is type(error) else "a record of the changelog is none of the hub's — find out who wrote it"
    return kind(f"{place[0]}, partition {place[1]}, offset {offset}: {text}")


def _of(state: PartitionState) -> tuple[str, int]:
    return state.stage.name, state.partition
