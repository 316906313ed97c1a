"""`hub doctor`: asks every part of a deployment, and says what is wrong and what to do.

Not a part of any process: it may look into all rooms, and no room looks into it.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from confluent_kafka import Producer
from msgspec import Struct
from sqlalchemy import select

from connectors.loading import load_sources
from hub.errors import HubError
from hub.ops.announce import HEARTBEAT_S
from hub.settings import Settings
from hub.store.db import migrate, open_store, session
from hub.store.models import Process
from hub.streams.admin import check_topics
from hub.streams.placement import check_placement
from hub.streams.producers import COMMON, PARTITIONER
from hub.streams.schemas import check_registry
from hub.streams.topics import CONTRIBUTIONS, DISPOSITIONS, SOURCE_TOPICS
from hub.vault.cards import open_vault
from hub.vault.keys import load_keys

FREE_BYTES: Final = 2 * 1024**3
"""Below this much free disk a state restore or a backlog may not fit: a figure of our own, far above the demo's use."""

JOINED: Final = (*SOURCE_TOPICS, CONTRIBUTIONS, DISPOSITIONS)
"""What the stages join, and so what must lie in the partition of its key."""

EXPECTED: Final = ("connector", "worker", "quality", "dispatcher", "web")


class Check(Struct, frozen=True, kw_only=True):
    """One thing looked at: good or not, and in words what was found or what to do."""

    name: str
    good: bool
    said: str


Look = Callable[[Settings], str]


def examine(settings: Settings, *, processes: bool = True) -> Iterator[Check]:
    """All checks in order, each made when it is asked for; one that fails does not stop the next."""
    for name, look in LOOKS.items():
        if look is _processes and not processes:
            continue
        try:
            yield Check(name=name, good=True, said=look(settings))
        except HubError as error:
            yield Check(name=name, good=False, said=str(error))
        except _Wrong as error:
            yield Check(name=name, good=False, said=str(error))


class _Wrong(Exception):  # never leaves this module
    """Something is wrong that no part raises by itself."""


def _keys(settings: Settings) -> str:
    load_keys(settings.keys)
    return f"{settings.keys} holds all keys and only its owner may read it"


def _store(settings: Settings) -> str:
    migrate(settings.store)
    with session(open_store(settings.store)) as db:
        db.scalars(select(Process).limit(1)).all()
    return "answers, and its tables are of this release"


def _vault(settings: Settings) -> str:
    vault = open_vault(settings)
    try:
        whole = vault.verify_audit().whole
    finally:
        vault.close()
    if not whole:
        raise _Wrong("the vault's audit chain is broken — run `hub vault audit verify` and keep the database as it is")
    return "opens, and its audit chain is whole"


def _broker(settings: Settings) -> str:
    check_topics(settings)
    check_placement(settings, JOINED)
    return "answers, all topics are as agreed, and the newest keys lie where they are looked for"


def _registry(settings: Settings) -> str:
    problems = check_registry(settings.registry_url)
    if problems:
        raise _Wrong(f"{problems[0]} ({len(problems)} in all) — run `hub schemas register`")
    return "answers, and holds every schema of this release"


def _partitioner(settings: Settings) -> str:
    if COMMON.get("partitioner") != PARTITIONER:
        raise _Wrong(
            f"producers do not partition by {PARTITIONER}, so joins would miss — restore hub.streams.producers"
        )
    # Refuses a partitioner this librdkafka does not know.
    Producer({**COMMON, "bootstrap.servers": settings.brokers}).close()
    return f"every producer partitions by {PARTITIONER}"


def _sources(settings: Settings) -> str:
    sources = load_sources(settings.sources)
    if not sources:
        raise _Wrong(f"no source in {settings.sources} — set HUB_SOURCES to the folder of mappings")
    return f"{len(sources)} mappings are valid: {', '.join(source.source for source in sources)}"


def _disk(settings: Settings) -> str:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data_dir).free
    if free < FREE_BYTES:
        raise _Wrong(f"only {free / 1024**3:.1f} GiB free under {settings.data_dir} — make room, or move HUB_DATA_DIR")
    return f"{free / 1024**3:.0f} GiB free"


def _processes(settings: Settings) -> str:
    now = time.time_ns() // 1_000_000
    with session(open_store(settings.store), writes=False) as db:
        rows = db.scalars(select(Process)).all()
    beating = Counter(row.name for row in rows if now - row.heartbeat_at <= 3 * HEARTBEAT_S * 1000)
    silent = sorted(set(EXPECTED) - beating.keys())
    if silent:
        raise _Wrong(f"no heartbeat from {', '.join(silent)} — start them, or read their logs")
    gone = len(rows) - beating.total()
    running = ", ".join(f"{name} × {number}" if number > 1 else name for name, number in sorted(beating.items()))
    return f"running: {running}{f'; {gone} that were killed are still listed' if gone else ''}"


LOOKS: Final[dict[str, Look]] = {
    "keys 密钥": _keys,
    "store 数据库": _store,
    "vault 身份库": _vault,
    "broker 消息系统": _broker,
    "registry 模式注册": _registry,
    "partitioner 分区": _partitioner,
    "sources 数源映射": _sources,
    "disk 磁盘": _disk,
    "processes 进程": _processes,
}
"""What is looked at, in the order in which one thing rests on another."""
