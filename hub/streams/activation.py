"""What is in force: the policy pack and the generation that tells, by the newest record of policy.v1.

A rolling restart has workers with two packs side by side. Without a record each would decide again what the other
decided, as partitions move between them. So a worker decides only under the active pack. One that holds another pack
waits unready and owns no partition; one that was deciding when another pack became active ends and waits likewise.

No home goes back. A worker that takes a partition over first opens the partition's writer, which fences whoever had
it, and reads policy.v1 to its end after that. Whatever was decided there under a newer record was committed before,
hence the record itself lies before that end, and is read (docs/decisions/0009-generations.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Producer as KafkaProducer

from hub.discovery.law import Law
from hub.discovery.state import FORMER
from hub.domain.messages import Activation
from hub.errors import BrokerUnavailable, NotActive
from hub.ops.logs import logger
from hub.settings import Settings
from hub.streams.codec import Codec
from hub.streams.producers import COMMON, FENCING
from hub.streams.reading import check_whole, ended, reader, silent
from hub.streams.topics import POLICY

KEY: Final = "deployment"
FIRST_START: Final = "first start"
LOOK_S: Final = 1.0
"""How often a waiting worker looks whether its turn has come."""

ANSWER_S: Final = 30.0
"""Longest wait for the broker: one leader election."""

ATTEMPTS: Final = 5
"""How often a write is tried again when another one came in between."""

_log = logger("streams")


class Held(NamedTuple):
    """What a process holds: the hash of its pack, what its rules read, its generation, and whether it only builds.

    `state_codec` is the layout in which it writes states (`hub.streams.upgrade`).
    """

    policy_hash: str
    reads: str
    generation: int
    building: bool = False
    state_codec: int = FORMER


def held_by(law: Law, generation: int, *, building: bool = False) -> Held:
    """What a process with this law holds."""
    return Held(law.policy_hash(None), law.reads(), generation, building)


def refusal(held: Held, active: Activation | None) -> str | None:
    """Why a process may not work under what is active, and what to do; None when it may."""
    generation = active.generation if active is not None else 0
    if held.building:
        if generation >= held.generation:
            return (
                f"generation {generation} tells already — stop this build, and start workers with "
                f"HUB_GENERATION={generation}"
            )
        return None
    if active is not None and active.switching_to is not None:
        return (
            f"generation {active.switching_to} is taking over from {generation} — wait, or run `hub generation switch` "
            "again if it was interrupted"
        )
    if held.generation < generation:
        return (
            f"generation {generation} is the active one and this worker is of generation {held.generation} — "
            f"start it with HUB_GENERATION={generation}"
        )
    if held.generation > generation:
        return (
            f"generation {generation} is the active one, not yet {held.generation} — build it by `hub generation "
            f"build` and run `hub generation switch`, or start this worker with HUB_GENERATION={generation}"
        )
    if active is None or (active.policy_hash, active.reads) == (held.policy_hash, held.reads):
        return None
    if active.policy_hash != held.policy_hash:
        return (
            f"policy pack {active.policy_hash} is the active one and this worker holds {held.policy_hash} — run `hub "
            "policy activate` where this pack is wanted, or start the worker with the active one"
        )
    return (
        f"the active rules read {active.reads} and those of this worker {held.reads} — run `hub policy activate` with "
        "this release, or start the worker from the active one"
    )


class Gate:
    """Lets a worker decide only under what it holds. `wait` before it starts, `check` when it takes partitions over,
    `look` while it works. Call each from one thread at a time; `close` at the end.
    """

    def __init__(self, settings: Settings, held: Held) -> None:
        self.held = held
        self._settings = settings
        self._codec = Codec(settings.registry_url)
        self._looking = threading.Lock()
        self._following: Consumer | None = None
        self._waits_for: str | None = "it is not known yet what is active"

    def standing(self) -> str | None:
        """Why this worker waits, for people and /ready; None when it does not."""
        return self._waits_for

    def wait(self, stop: threading.Event) -> bool:
        """Wait for one's turn; False when `stop` came first. An empty topic is given what this worker holds."""
        while not stop.is_set():
            active = read(self._settings, self._codec)
            if active is None and not self.held.building and self.held.generation == 0:
                active = write(self._settings, self._codec, lambda now: now or activation(self.held, FIRST_START))
            refused = refusal(self.held, active)
            if refused != self._waits_for:
                self._waits_for = refused
                if refused is None:
                    _log.info("active", policy=self.held.policy_hash, generation=self.held.generation)
                else:
                    _log.warning("waiting to become active", detail=refused)
            if refused is None:
                return True
            stop.wait(LOOK_S)
        return False

    def check(self) -> None:
        """Read policy.v1 to its end as it is now. NotActive, BrokerUnavailable."""
        self._admit(read(self._settings, self._codec))

    def look(self) -> None:
        """Take in what has come since the last look, without waiting for the broker. NotActive."""
        if self._following is None:
            self._following = reader(self._settings, "hub-policy-follow")
            self._following.assign([TopicPartition(POLICY.name, 0, OFFSET_BEGINNING)])
        newest: bytes | None = None
        for message in self._following.consume(100, timeout=0):
            if message.error() is None:
                newest = message.value()
            else:
                check_whole(message)  # what else there is passes, or ends the worker elsewhere
        if newest is not None:
            self._admit(_decode(self._codec, newest))

    def close(self) -> None:
        """Let go of the connections."""
        if self._following is not None:
            self._following.close()
        self._codec.close()

    def _admit(self, active: Activation | None) -> None:
        refused = refusal(self.held, active)
        if refused is not None:
            raise NotActive(refused)


def activation(held: Held, by: str, switching_to: int | None = None) -> Activation:
    """The record that makes what a process holds the active one."""
    return Activation(
        policy_hash=held.policy_hash,
        reads=held.reads,
        generation=held.generation,
        switching_to=switching_to,
        by=by,
        activated_at=time.time_ns() // 1_000_000,
        state_codec=held.state_codec,
    )


def read(settings: Settings, codec: Codec) -> Activation | None:
    """What is active now: the topic is read to its end. None when nothing was ever activated; BrokerUnavailable."""
    consumer = reader(settings, "hub-policy-read")
    newest: bytes | None = None
    deadline = time.monotonic() + ANSWER_S
    try:
        consumer.assign([TopicPartition(POLICY.name, 0, OFFSET_BEGINNING)])
        while True:
            for message in consumer.consume(100, timeout=0.2):
                failure = message.error()
                if failure is None:
                    newest = message.value()
                elif failure.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise BrokerUnavailable(f"{POLICY.name} does not exist — run `hub topics create`, then start again")
                elif ended(settings, message):
                    return None if newest is None else _decode(codec, newest)
            if time.monotonic() > deadline:
                raise silent(settings)
    except KafkaException as error:
        raise silent(settings) from error
    finally:
        consumer.close()


def current(settings: Settings) -> Activation | None:
    """The same for one look."""
    codec = Codec(settings.registry_url)
    try:
        return read(settings, codec)
    finally:
        codec.close()


def write(settings: Settings, codec: Codec, change: Callable[[Activation | None], Activation]) -> Activation:
    """Replace what is active by what `change` makes of it; what is active after that. BrokerUnavailable.

    Nobody comes in between: all writers share one transactional id, so whoever opened it last fences the others, and
    reads after that. `change` may raise; nothing is written then, nor when it returns what is active already. The
    layout of states never goes back, whatever `change` says of it.
    """
    for _attempt in range(ATTEMPTS):
        producer = KafkaProducer(
            {**COMMON, "bootstrap.servers": settings.brokers, "transactional.id": "hub-policy", "log_level": 3}
        )
        try:
            producer.init_transactions(ANSWER_S)
            before = read(settings, codec)
            after = change(before)
            if before is not None and after.state_codec < before.state_codec:
                # Nothing but `hub upgrade finalise` moves the layout, and there is no way back from it.
                after = msgspec.structs.replace(after, state_codec=before.state_codec)
            if after == before:
                return after
            producer.begin_transaction()
            producer.produce(POLICY.name, codec.encode(POLICY.name, after), KEY)
            producer.commit_transaction(ANSWER_S)
        except KafkaException as error:
            if error.args[0].code() not in FENCING:
                raise silent(settings) from error
        else:
            return after
        finally:
            producer.purge()
            producer.close()
    raise BrokerUnavailable("others go on activating at the same moment — see who, then try again")


def activate_policy(settings: Settings, codec: Codec, held: Held) -> tuple[Activation | None, Activation]:
    """Put a pack in force in the generation that is active; what was active before, and what is now."""
    seen: list[Activation | None] = []

    def change(now: Activation | None) -> Activation:
        seen.append(now)
        if now is None:
            return activation(held._replace(generation=0), "policy activate")
        if (now.policy_hash, now.reads) == (held.policy_hash, held.reads):
            return now
        return activation(held._replace(generation=now.generation), "policy activate", now.switching_to)

    after = write(settings, codec, change)
    return seen[-1], after


def _decode(codec: Codec, value: bytes) -> Activation:
    decoded = codec.decode(POLICY.name, value)
    if not isinstance(decoded, Activation):
        raise TypeError(f"{POLICY.name} holds a {type(decoded).__name__}")
    return decoded
