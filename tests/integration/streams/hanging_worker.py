"""A ledger worker made to hang: `python -m tests.integration.streams.hanging_worker NAME GROUP`, HANG=<how>.

Each way blocks the very thing that would have to go on, with real waits, and leaves all other threads alone:
heartbeats go on, so the group never takes the partitions away.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest

from hub.streams import engine, state, transport
from hub.streams import restore as restore_module
from hub.streams.commit import Writer
from tests.integration.streams import ledger_worker


def forever(*_args: Any, **_more: Any) -> NoReturn:
    """Wait for what never comes, on this thread."""
    threading.Event().wait()
    raise AssertionError("an event that nobody sets was set")


async def forever_async(*_args: Any, **_more: Any) -> NoReturn:
    """The same, giving way to the event loop."""
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets was set")


def commit() -> None:
    """A commit that Kafka never answers, and a client that does not give up."""
    setattr(Writer, "commit", forever)  # noqa: B010 - mypy


def loop() -> None:
    """A callback that never gives the loop back, outside any batch."""
    setattr(engine.Engine, "observe", forever)  # noqa: B010 - mypy


def restore() -> None:
    """A changelog that never ends and brings nothing."""
    setattr(engine, "restore", forever)  # noqa: B010 - mypy


def assignment() -> None:
    """A member whose callback never lets the rebalance go on."""
    setattr(transport.BatchConsumer, "on_partitions_revoked", forever_async)  # noqa: B010 - mypy


def agent() -> None:
    """An agent that was handed a batch and never gets round to it."""

    def compiled(_schema: Any, _app: Any, **_options: Any) -> Callable[..., Any]:
        return forever_async

    setattr(transport.BatchSchema, "compile", compiled)  # noqa: B010 - mypy


def fetch() -> None:
    """Fetches that are never answered, while every other request is."""
    send = AIOKafkaClient.send

    async def swallowed(self: Any, node: Any, request: Any, **more: Any) -> Any:
        if isinstance(request, FetchRequest):
            await asyncio.Event().wait()
        return await send(self, node, request, **more)

    setattr(AIOKafkaClient, "send", swallowed)  # noqa: B010 - mypy


def tick() -> None:
    """The consumer's thread never says where it stands."""
    setattr(transport.BatchThread, "behind", forever_async)  # noqa: B010 - mypy


def slow_restore() -> None:
    """No hang: few records at a time, with a rest after each."""
    setattr(restore_module, "CHUNK", 20)  # noqa: B010 - mypy
    loaded = state.PartitionState.loaded

    def slowly(self: state.PartitionState, position: int) -> None:
        time.sleep(0.5)
        loaded(self, position)

    setattr(state.PartitionState, "loaded", slowly)  # noqa: B010 - mypy


WAYS: Final[dict[str, Callable[[], None]]] = {
    way.__name__: way for way in (commit, loop, restore, assignment, agent, fetch, tick)
}

if __name__ == "__main__":
    {**WAYS, "slow_restore": slow_restore}[os.environ["HANG"]]()
    ledger_worker.main()
