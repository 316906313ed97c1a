"""Faust as its documentation teaches it: agents over topics, Tables for what they know, one message at a time.

Bytes in and out, fastavro and the pure steps over one record, so that what is measured is Faust's own work. Settings
that help it are set as documented: larger stream buffers and fetches, a lingering producer, uvloop, no web server.
`python -m tests.benchmarks.peers.idiomatic`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import faust
import uvloop
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.benchmarks import workload
from tests.benchmarks.peers import assert_version
from tests.benchmarks.process import Given, given

STOP_S: Final = 8.0
"""Longest orderly stop; Faust's may hang."""


class States:
    """A Table of bytes as the steps see it, states decoded."""

    def __init__(self, table: Any, decode: Callable[[bytes], Any]) -> None:
        self._table = table
        self._decode = decode

    def get(self, key: str, /) -> Any:
        """The state of a key, None where there is none."""
        data = self._table.get(key.encode())
        return None if data is None else self._decode(data)

    def keep(self, changes: Mapping[str, Any]) -> None:
        """Write changed states."""
        for key, state in changes.items():
            self._table[key.encode()] = workload.encode_state(state)


def build(told: Given) -> faust.App:
    """The app: two agents, two Tables."""
    app = faust.App(
        told.prefix,
        broker=f"kafka://{told.bootstrap}",
        store="memory://",
        datadir=told.state_dir,
        topic_partitions=told.partitions,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        autodiscover=False,
        loghandlers=[],
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=16_384,
        stream_wait_empty=False,  # "if your streams are idempotent you can disable it"
        consumer_max_fetch_size=4 * 1024 * 1024,
        broker_max_poll_records=4_000,
        producer_linger=0.02,
        producer_max_batch_size=256 * 1024,
        broker_commit_interval=1.0,
    )
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    table = {"key_type": bytes, "value_type": bytes, "partitions": told.partitions}
    inputs = app.topic(workload.MEMBER, workload.PAYMENT, **raw)
    contributions = app.topic(f"{told.prefix}.{workload.CONTRIBUTION}", **raw)
    alerts = app.topic(f"{told.prefix}.{workload.ALERT}", **raw)
    tables = [app.Table(name, **table) for name in (workload.PERSON_STATE, workload.HOME_STATE)]
    persons, homes = States(tables[0], workload.decode_person), States(tables[1], workload.decode_home)
    codec = workload.WorkCodec()
    person_step, home_step = workload.PersonStep(told.prefix).step, workload.HomeStep(told.prefix).step

    async def person(stream: Any) -> None:
        async for event in stream.events():
            record = codec.decode(event.message.topic, event.value)
            result = person_step(persons, [record], 0)
            for output in result.outputs:
                await contributions.send(key=output.key.encode(), value=codec.encode(output.topic, output.value))
            persons.keep(result.changes)

    async def home(stream: Any) -> None:
        async for event in stream.events():
            record = codec.decode(event.message.topic, event.value)
            result = home_step(homes, [record], 0)
            for output in result.outputs:
                await alerts.send(key=output.key.encode(), value=codec.encode(output.topic, output.value))
            homes.keep(result.changes)

    app.agent(inputs, concurrency=1)(person)
    app.agent(contributions, concurrency=1)(home)
    _tell_when_ready(app, told, tables)
    return app


def _tell_when_ready(app: faust.App, told: Given, tables: Sequence[Any]) -> None:
    assigned: list[float] = []

    async def on_assigned(*_sender: Any, **_details: Any) -> None:
        assigned.append(time.monotonic())

    async def on_complete(*_sender: Any, **_details: Any) -> None:
        seconds = time.monotonic() - assigned[-1] if assigned else 0.0
        told.tell("restored", seconds=seconds, keys=sum(len(table) for table in tables))
        told.tell("ready")

    app.on_partitions_assigned.connect(on_assigned, weak=False)
    app.on_rebalance_complete.connect(on_complete, weak=False)


def create_changelogs(told: Given) -> None:
    """Faust raises PartitionsMismatch when it makes its own changelogs, so they are made before it starts."""
    admin = AdminClient({"bootstrap.servers": told.bootstrap})
    names = [f"{told.prefix}-{table}-changelog" for table in (workload.PERSON_STATE, workload.HOME_STATE)]
    there = admin.list_topics(timeout=30).topics
    missing = [
        NewTopic(name, told.partitions, 1, config={"cleanup.policy": "compact"}) for name in names if name not in there
    ]
    for made in admin.create_topics(missing).values() if missing else ():
        made.result(30)


async def _work(told: Given) -> None:
    app = build(told)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    starting = asyncio.ensure_future(app.start())
    while not stop.is_set():
        if app.crashed or (starting.done() and starting.exception() is not None):
            raise RuntimeError("Faust ended by itself") from (app.crash_reason or starting.exception())
        await asyncio.sleep(0.1)
    await asyncio.wait_for(app.stop(), STOP_S)


def main() -> None:
    """Work until SIGTERM."""
    told = given()
    assert_version("idiomatic", faust.__version__)
    told.tell("started", engine="idiomatic", version=faust.__version__)
    create_changelogs(told)
    logging.basicConfig(level=logging.WARNING)
    code = 1
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(told))
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # threads of Faust that hang would keep a process that has nothing left to do


if __name__ == "__main__":
    main()
