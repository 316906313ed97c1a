"""The floor: the same pure functions in a bare confluent-kafka loop, one process, all partitions, no group.

It keeps a changelog and restores from it, but what it promises is less than the hub's: outputs and states are flushed
before the next batch and no transaction binds them, so a kill may leave them apart.
`python -m tests.benchmarks.bare`.
"""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from hub.streams.producers import COMMON
from tests.benchmarks import workload
from tests.benchmarks.process import given

BATCH: Final = 4_000
"""Records of one `consume`, as the hub's FETCH_RECORDS."""


class States:
    """Encoded values of one partition."""

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self.values: dict[str, bytes] = {}
        self._decode = decode

    def get(self, key: str, /) -> Any:
        """The decoded state, None where there is none."""
        data = self.values.get(key)
        return None if data is None else self._decode(data)


def main() -> None:
    """Restore, then work until SIGTERM."""
    told = given()
    told.tell("started", engine="bare", version=confluent_kafka.__version__)
    stopping: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    names = {name: f"{told.prefix}.{name}" for name in (workload.PERSON_STATE, workload.HOME_STATE)}
    person, home = workload.PersonStep(told.prefix), workload.HomeStep(told.prefix)
    stages: dict[str, tuple[Callable[..., Any], str, Callable[[bytes], Any]]] = {
        "person": (person.step, names[workload.PERSON_STATE], workload.decode_person),
        "home": (home.step, names[workload.HOME_STATE], workload.decode_home),
    }
    stage_of = {workload.MEMBER: "person", workload.PAYMENT: "person", f"{told.prefix}.{workload.CONTRIBUTION}": "home"}
    parts = range(told.partitions)
    states = {(stage, part): States(stages[stage][2]) for stage in stages for part in parts}
    began = time.monotonic()
    _restore(told.bootstrap, {stages[stage][1]: stage for stage in stages}, states)
    told.tell("restored", seconds=time.monotonic() - began, keys=sum(len(held.values) for held in states.values()))

    codec = workload.WorkCodec()
    producer = Producer({**COMMON, "bootstrap.servers": told.bootstrap, "queue.buffering.max.messages": 1_000_000})
    failed: list[KafkaError] = []

    def acknowledged(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            failed.append(error)

    consumer = _consumer(told.bootstrap, told.prefix)
    consumer.assign([TopicPartition(topic, part) for topic in stage_of for part in parts])
    told.tell("ready")
    while not stopping:
        by_slot: dict[tuple[str, int], list[Any]] = defaultdict(list)
        for message in consumer.consume(BATCH, timeout=0.02):
            if message.error() is None:
                topic = message.topic()
                by_slot[stage_of[topic], message.partition()].append(codec.decode(topic, message.value()))
        if not by_slot:
            continue
        for (stage, part), records in by_slot.items():
            step, changelog, _ = stages[stage]
            result = step(states[stage, part], records, 0)
            for output in result.outputs:
                value = codec.encode(output.topic, output.value)
                producer.produce(output.topic, value, output.key, on_delivery=acknowledged)
            for key, state in result.changes.items():
                data = states[stage, part].values[key] = workload.encode_state(state)
                producer.produce(changelog, data, key, part, on_delivery=acknowledged)
            producer.poll(0)
        producer.flush()
        if failed:
            raise SystemExit(f"a message was not taken: {failed[0].name()}")
        consumer.commit(asynchronous=True)
    consumer.close()


def _consumer(bootstrap: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": False,
            "fetch.wait.max.ms": 50,
        }
    )


def _restore(bootstrap: str, stage_of: dict[str, str], states: dict[tuple[str, int], States]) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bare", "enable.partition.eof": True})
    topic_of = {stage: topic for topic, stage in stage_of.items()}
    missing = {(topic_of[stage], part) for stage, part in states}
    consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for topic, part in missing])
    while missing:
        for message in consumer.consume(5_000, timeout=0.1):
            place = (message.topic(), message.partition())
            if message.error() is not None:
                missing.discard(place)
            else:
                states[stage_of[place[0]], place[1]].values[message.key().decode()] = message.value()
    consumer.close()


if __name__ == "__main__":
    main()
