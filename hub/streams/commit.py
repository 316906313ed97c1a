"""The commit protocol: outputs, changed states and source offsets move together, in one Kafka transaction.

Both easy orders are wrong. Outputs first, then a crash: on replay other batches form, the same net change may never
be seen again, and what was published stays wrong. State first, then a crash: the replayed fact is a no-op and its
output is never sent. So each slot (stage, partition) has one transactional producer, named after it, and what a batch
led to becomes visible as a whole or not at all (docs/decisions/0005-commit-by-transaction.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, NoReturn

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as KafkaProducer

from hub.errors import BrokerUnavailable, Fenced, SchemaError
from hub.settings import Settings
from hub.streams import metrics
from hub.streams.producers import COMMON, FENCING
from hub.streams.state import OFFSETS, Slot, encode_offsets
from hub.streams.topics import LARGE_BYTES

COMMIT_TIMEOUT_S: Final = 30.0
"""Longest wait for a commit: one leader election. After it the process ends and reads on from what was committed."""

OPEN_TIMEOUT_S: Final = 60.0
"""Longest wait for an id: the broker first ends the transaction that a former owner left open."""

Passing = Callable[[str], None]
"""Called at named points of the protocol. Nothing in production; a fault test widens or ends a process there."""


def unhindered(_point: str) -> None:
    """Pass on."""


class Outgoing(NamedTuple):
    """One encoded message. `partition` None: by murmur2 of the key."""

    topic: str
    key: bytes
    value: bytes
    partition: int | None


class Writer:
    """The one writer of a slot. `open` takes the slot over and fences whoever had it; `commit` is the protocol."""

    def __init__(self, settings: Settings, slot: Slot, changelog: str, passing: Passing = unhindered) -> None:
        self.slot = slot
        self._changelog = changelog
        self._passing = passing
        timeout_ms = int(settings.transaction_timeout_s * 1000)
        self._producer = KafkaProducer(
            {
                **COMMON,
                "bootstrap.servers": settings.brokers,
                "transactional.id": f"hub-{slot.stage}-{slot.partition}",
                "transaction.timeout.ms": timeout_ms,
                "delivery.timeout.ms": timeout_ms,  # librdkafka: at most the transaction's own timeout
                "message.max.bytes": LARGE_BYTES,
                "log_level": 3,
            }
        )

    def open(self) -> None:
        """Take the slot over: ends a former owner's transaction and fences it. BrokerUnavailable, Fenced."""
        try:
            self._producer.init_transactions(OPEN_TIMEOUT_S)
        except KafkaException as error:
            self._refuse(error)

    def commit(self, outputs: list[Outgoing], states: Mapping[str, bytes], offsets: Mapping[str, int]) -> int | None:
        """Make what a batch led to visible as a whole.

        1. Begin a transaction of this slot.
        2. Publish the outputs.
        3. Publish each changed state to the changelog.
        4. Publish the source offsets to the changelog: `offsets` is everything folded in so far, next per topic.
        5. Commit: waits for every acknowledgement and fails if one message failed.

        Answers with the changelog's position behind all this: a store on disk that applied it reads on from there.
        None where the broker did not say (an acknowledgement that was lost and answered by a repetition).

        The caller takes the states over only after this has returned. An error at any step leaves nothing
        visible, and the process must end: BrokerUnavailable (its next start reads on from the last commit, whichever
        way an unanswered commit went), Fenced, SchemaError for a message no topic takes.
        """
        behind: list[int] = []
        try:
            # Step 1
            self._producer.begin_transaction()
            self._passing("after_begin")
            # Step 2
            for topic, key, value, partition in outputs:
                self._produce(topic, key, value, partition)
            self._passing("after_outputs")
            # Step 3
            for name, state in states.items():
                self._produce(self._changelog, name.encode(), state, self.slot.partition)
            self._passing("after_states")
            # Step 4
            self._produce(
                self._changelog, OFFSETS, encode_offsets(offsets), self.slot.partition, partial(_note, behind)
            )
            self._passing("after_produce_before_commit")
            # Step 5
            self._producer.commit_transaction(COMMIT_TIMEOUT_S)
        except KafkaException as error:
            metrics.TRANSACTIONS.labels(self.slot.stage, "failed").inc()
            self._refuse(error)
        metrics.TRANSACTIONS.labels(self.slot.stage, "committed").inc()
        self._passing("after_commit")
        return behind[0] if behind else None

    def close(self) -> None:
        """Let the slot go, and the connections. Nothing is open between two commits, so nothing is waited for."""
        if self._producer is None:
            return
        with contextlib.suppress(KafkaException):  # a fenced producer says so once more
            self._producer.purge()
            self._producer.flush(0)
        # Dropped, not closed: closing ends a transaction that a failed commit left, which is the next owner's to do,
        # and waits for a broker that may be gone.
        self._producer = None

    def _produce(
        self, topic: str, key: bytes, value: bytes, partition: int | None, told: Callable[..., None] | None = None
    ) -> None:
        while True:
            try:
                if partition is None:
                    self._producer.produce(topic, value=value, key=key)
                else:
                    self._producer.produce(topic, value=value, key=key, partition=partition, on_delivery=told)
            except BufferError:
                self._producer.poll(0.05)  # the queue is full: let some be sent
            else:
                return

    def _refuse(self, error: KafkaException) -> NoReturn:
        """Turn a failure into one of ours, by what it says. The transaction is left to the next owner to end."""
        cause = error.args[0]
        name = f"{self.slot.stage}, partition {self.slot.partition}"
        if cause.code() in FENCING:
            raise Fenced(
                f"another process took {name} over, or this one was suspended within a commit — it stops; nothing it "
                "had not committed is visible, and it may be started again"
            ) from error
        if cause.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise SchemaError(
                f"a message of {name} exceeds {LARGE_BYTES} bytes — split what makes it, or raise LARGE_BYTES and "
                "max.message.bytes of its topic together"
            ) from error
        raise BrokerUnavailable(
            f"Kafka did not commit {name} ({cause.name()}) — see its log, then start again"
        ) from error


def _note(behind: list[int], error: KafkaError | None, message: Message) -> None:
    """Remember the place behind a record that was taken; what was not taken fails the commit."""
    offset = message.offset()
    if error is None and offset is not None and offset >= 0:
        behind.append(offset + 1)
