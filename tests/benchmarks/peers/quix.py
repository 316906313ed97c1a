"""quixstreams as its documentation teaches it: two dataframes, RocksDB state with changelog, one message at a time.

Memberships and payments are joined in one dataframe by `concat`, which is how its documentation shares state between
topics. Settings that help throughput are set as documented: a lingering producer, checkpoints by time, bytes as state.
Runs in an environment of its own (see `setup`): `python -m tests.benchmarks.peers.quix at-least-once|exactly-once`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

import quixstreams
from quixstreams import Application
from quixstreams.models import Deserializer, Serializer, Topic

from hub.discovery.shapes import StepResult
from tests.benchmarks import workload
from tests.benchmarks.peers import assert_version
from tests.benchmarks.process import Given, given

COMMIT_S: Final = {"at-least-once": 5.0, "exactly-once": 0.5}
"""Between two checkpoints: the default, except that exactly once nothing is seen before one ends."""

_STATE: Final = b"s"
"""Key of the one value that each message key has."""

_CODEC: Final = workload.WorkCodec()


class Decode(Deserializer):  # type: ignore[misc]  # not installed where types are checked
    """Avro to dicts."""

    def __call__(self, value: bytes, ctx: Any) -> Any:
        """The dict that bytes of a topic hold."""
        return _CODEC.decode(ctx.topic, value)


class Encode(Serializer):  # type: ignore[misc]  # not installed where types are checked
    """Dicts to Avro."""

    def __call__(self, value: Any, ctx: Any) -> bytes:
        """Bytes of a dict for a topic."""
        return _CODEC.encode(ctx.topic, value)


class OneState:
    """The state of the message's key, as the steps see it."""

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self._decode = decode
        self.state: Any = None
        """State of the message under way; set before each step."""

    def get(self, _key: str, /) -> Any:
        """The decoded state, None where there is none."""
        data = self.state.get_bytes(_STATE)
        return None if data is None else self._decode(data)


Step = Callable[[Any, list[Any], int], StepResult[Any]]


def stage(step: Step, decode: Callable[[bytes], Any]) -> Callable[..., list[Any]]:
    """A step over one record as a stateful function that returns what is to be told."""
    states = OneState(decode)

    def work(record: Any, _key: Any, _timestamp: int, _headers: Any, state: Any) -> list[Any]:
        states.state = state
        result = step(states, [record], 0)
        for changed in result.changes.values():
            state.set_bytes(_STATE, workload.encode_state(changed))
        return [output.value for output in result.outputs]

    return work


class Told(Application):  # type: ignore[misc]  # not installed where types are checked
    """Tells when state is restored. Two private methods are overridden, of a version that is pinned exactly."""

    told: Given

    def _on_assign(self, consumer: Any, partitions: Any) -> None:
        began = time.monotonic()
        super()._on_assign(consumer, partitions)
        manager = self._state_manager
        if not partitions:
            return
        if not manager.recovery_required:
            self.tell(began, 0)
            return
        recover = manager.do_recovery

        def do_recovery() -> None:
            manager.do_recovery = recover
            held = manager._recovery_manager.partitions.values()
            records = sum(max(0, one.changelog_highwater - max(0, one.offset)) for by in held for one in by.values())
            recover()
            self.tell(began, records)

        manager.do_recovery = do_recovery

    def tell(self, began: float, records: int) -> None:
        """Restored since `began`; `records` of changelogs, which is at most so many keys."""
        self.told.tell("restored", seconds=time.monotonic() - began, keys=records)
        self.told.tell("ready")


def build(told: Given, guarantee: str) -> Told:
    """The application: two dataframes."""
    app = Told(
        broker_address=told.bootstrap,
        consumer_group=told.prefix,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_S[guarantee],
        processing_guarantee=guarantee,
        state_dir=told.state_dir,
        consumer_extra_config={"fetch.wait.max.ms": 50, "queued.min.messages": 100_000},
        producer_extra_config={
            "linger.ms": 20,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 1_000_000,
        },
        consumer_poll_timeout=0.1,
        loglevel="WARNING",
    )
    app.told = told

    def topic(name: str) -> Topic:
        return app.topic(
            name, key_serializer="string", key_deserializer="bytes", value_serializer=Encode(),
            value_deserializer=Decode(),
        )  # fmt: skip

    contributions, alerts = (topic(f"{told.prefix}.{name}") for name in (workload.CONTRIBUTION, workload.ALERT))
    facts = app.dataframe(topic(workload.MEMBER)).concat(app.dataframe(topic(workload.PAYMENT)))
    person = stage(workload.PersonStep(told.prefix).step, workload.decode_person)
    home = stage(workload.HomeStep(told.prefix).step, workload.decode_home)
    facts.apply(person, stateful=True, expand=True, metadata=True).to_topic(contributions, key=_household)
    app.dataframe(contributions).apply(home, stateful=True, expand=True, metadata=True).to_topic(alerts, key=_household)
    return app


def _household(value: dict[str, Any]) -> str:
    household: str = value["household"]
    return household


def main() -> None:
    """Work until SIGTERM."""
    guarantee = sys.argv[1]
    name = "quixstreams" if guarantee == "at-least-once" else "quixstreams-eos"
    told = given()
    assert_version(name, quixstreams.__version__)
    told.tell("started", engine=name, version=quixstreams.__version__)
    build(told, guarantee).run()


if __name__ == "__main__":
    main()
