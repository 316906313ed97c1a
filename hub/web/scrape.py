"""Asking the other processes how they are: their readiness and the few metrics the operator's page shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from hub.ops.announce import HEARTBEAT_S
from hub.ops.health import LOOPBACK
from hub.store.models import Process

TIMEOUT_S: Final = 1.5
"""A process on the same machine answers in milliseconds; the page must not hang on one that does not."""

SHOWN: Final = ("lag", "restoring", "outbox_depth", "outbox_age")
"""Parts of metric names that the operator's page lists."""


class StageRestore(Struct, frozen=True, kw_only=True):
    """A stage whose state is being restored; the rest of what /ready says of it is not shown."""

    stage: str
    partitions: int
    partitions_done: int


class Restore(Struct, frozen=True, kw_only=True):
    """A restore under way, as a worker says on /ready. `records_left` is an upper bound."""

    records_read: int
    records_left: int
    seconds_left: float | None
    stages: tuple[StageRestore, ...]


class Health(Struct, frozen=True, kw_only=True):
    """A process as it answers now."""

    name: str
    instance: str
    url: str
    started_at: int
    heartbeat_at: int
    silent: bool
    ready: bool
    detail: str
    figures: tuple[tuple[str, str, float], ...]
    restore: Restore | None = None


async def ask(processes: Sequence[Process], now_ms: int) -> list[Health]:
    """Ask all processes at once. One that does not answer is shown as such."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        return list(await asyncio.gather(*(_ask(client, process, now_ms) for process in processes)))


async def _ask(client: aiohttp.ClientSession, process: Process, now_ms: int) -> Health:
    ready, detail = False, "不应答"
    shown: tuple[tuple[str, str, float], ...] = ()
    restore: Restore | None = None
    if process.url.partition("//")[2].rpartition(":")[0].strip("[]") in LOOPBACK:
        try:
            async with client.get(f"{process.url}/ready", allow_redirects=False) as answer:
                body = json.loads(await answer.text())
                ready, detail = answer.status == 200, str(body.get("detail", ""))
                restore = msgspec.convert(body["restore"], Restore) if "restore" in body else None
            async with client.get(f"{process.url}/metrics", allow_redirects=False) as answer:
                shown = figures(await answer.text())
        except (aiohttp.ClientError, TimeoutError, ValueError, msgspec.MsgspecError):
            ready = False
    return Health(
        name=process.name,
        instance=process.instance,
        url=process.url,
        started_at=process.started_at,
        heartbeat_at=process.heartbeat_at,
        silent=now_ms - process.heartbeat_at > 3 * HEARTBEAT_S * 1000,
        ready=ready,
        detail=detail,
        figures=shown,
        restore=restore,
    )


def figures(text: str) -> tuple[tuple[str, str, float], ...]:
    """(metric, labels, value) of the metrics the page lists that are not 0.

    Partitions are taken together, or a worker alone would fill screens: the longest wait, the sum of the rest.
    """
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(text):
        if family.type != "gauge" or not any(part in family.name for part in SHOWN):
            continue
        for sample in family.samples:
            labels = ", ".join(value for name, value in sorted(sample.labels.items()) if name != "partition")
            held = found.get((sample.name, labels), 0.0)
            longest = sample.name.endswith("_seconds")
            found[sample.name, labels] = max(held, sample.value) if longest else held + sample.value
    return tuple((name, labels, value) for (name, labels), value in sorted(found.items()) if value)
