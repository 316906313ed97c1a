"""Where the states of this process live, by HUB_STATE: in memory, or in a folder a partition under HUB_STATE_DIR.

A folder says whose it is (`identity.json`) and is held by one process at a time (`lock`), so workers of one machine may
share HUB_STATE_DIR: a partition that comes back, to whichever of them, finds what was kept of it and reads on from
there. Nothing in a folder that is another's is touched. What is kept may be removed while nobody holds it: the
changelog has it all, and the next start builds it anew.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from msgspec import Struct

from hub.errors import BrokerUnavailable, StateElsewhere, StateFromTheFuture, StateUnavailable
from hub.ops.logs import logger
from hub.settings import Settings
from hub.streams.disk import DiskStore, Limits
from hub.streams.stage import Stage
from hub.streams.state import PartitionState

APP: Final = "civil-affairs-hub"
LAYOUT: Final = 1
"""Layout of the rows in a store on disk. Another one is built anew from the changelog, a newer one is left alone."""

LOCK_WAIT_S: Final = 20.0
"""How long to wait for a folder that another worker of this machine is about to let go of: it flushes it first."""

ASK_S: Final = 30.0
"""How long Kafka may take to say which cluster it is: longer than one leader election."""

Ask = Callable[[Settings, str], tuple[str, str]]
"""Ids of the cluster and of a topic."""

IDENTITY, LOCK, DATABASE = "identity.json", "lock", "db"

_log = logger("streams")


class Identity(Struct, frozen=True, kw_only=True):
    """Whose state a folder holds. `topic_id` is Kafka's own of the changelog: a topic made anew has another one.

    `prefix` is what values begin with as this release writes them, (codec, fold) in hex.
    """

    app: str
    layout: int
    cluster: str
    topic: str
    topic_id: str
    partition: int
    stage: str
    prefix: str


class Places:
    """Opens the states of this process. May be used from several threads."""

    def __init__(self, settings: Settings, ask: Ask | None = None) -> None:
        self._settings = settings
        self._ask = ask or ask_kafka
        self._asking = threading.Lock()
        self._limits: Limits | None = None
        self._cluster = ""
        self._topic_ids: dict[str, str] = {}

    def open(self, stage: Stage, partition: int, cancelled: threading.Event) -> PartitionState | None:
        """The state of a partition as far as it is kept here; `restore` comes next. None when `cancelled` first.

        StateElsewhere for a folder that is another's, StateFromTheFuture for one that a newer release wrote,
        StateUnavailable where another process holds it or the disk fails, BrokerUnavailable.
        """
        if self._settings.state == "memory":
            return PartitionState(stage, partition)
        identity, limits = self._identity(stage, partition)
        folder = self._settings.states / stage.state_topic.name / str(partition)
        lock = _take(folder, cancelled)
        return None if lock is None else PartitionState(stage, partition, OwnStore(folder, lock, identity, limits))

    def _identity(self, stage: Stage, partition: int) -> tuple[Identity, Limits]:
        topic = stage.state_topic.name
        with self._asking:
            if self._limits is None:
                self._limits = Limits(self._settings.state_cache_mb, self._settings.state_write_mb)
            if topic not in self._topic_ids:
                self._cluster, self._topic_ids[topic] = self._ask(self._settings, topic)
            identity = Identity(
                app=APP,
                layout=LAYOUT,
                cluster=self._cluster,
                topic=topic,
                topic_id=self._topic_ids[topic],
                partition=partition,
                stage=stage.name,
                prefix=stage.prefix.hex(),
            )
            return identity, self._limits


class OwnStore(DiskStore):
    """A disk store in a folder of its own, held until it is closed."""

    def __init__(self, folder: Path, lock: int, identity: Identity, limits: Limits) -> None:
        self._lock = lock
        try:
            found = _check(folder, identity)
            if found is None:
                _write(folder, identity)  # before there is anything that somebody could wonder about
            super().__init__(folder / DATABASE, limits)
            if found is not None and found != identity:
                if (found.topic_id, found.layout) != (identity.topic_id, identity.layout):
                    _log.warning("made for an earlier changelog or layout: built anew", folder=str(folder))
                    self.clear()
                _write(folder, identity)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Flush, let go of the files, and then of the folder."""
        try:
            super().close()
        finally:
            os.close(self._lock)


def _take(folder: Path, cancelled: threading.Event) -> int | None:
    """Hold a folder: a descriptor that holds it until it is closed, by us or by our end. None when cancelled first."""
    try:
        if folder.exists() and not (folder / IDENTITY).exists() and any(e.name != LOCK for e in folder.iterdir()):
            raise StateElsewhere(
                f"{folder} holds files and does not say whose state it is — let HUB_STATE_DIR name a folder of its own"
            )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateUnavailable(
            f"{folder} cannot be used ({error.strerror}) — mend it, or let HUB_STATE_DIR name another folder"
        ) from error
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if cancelled.is_set():
                os.close(held)
                return None
            if time.monotonic() > deadline:
                os.close(held)
                raise StateUnavailable(
                    f"{folder} is held by another process of this machine — end it if it hangs (`fuser "
                    f"{folder / LOCK}` names it), or give this worker a HUB_STATE_DIR of its own"
                ) from None
            time.sleep(0.05)
        else:
            return held


def _check(folder: Path, mine: Identity) -> Identity | None:
    """Whose a folder is, if it is ours; None for a new one. Changes nothing."""
    try:
        written = (folder / IDENTITY).read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(written, type=Identity)
    except msgspec.MsgspecError:
        raise StateElsewhere(
            f"{folder / IDENTITY} cannot be read — remove the folder if it is the hub's: it is built anew from the "
            "changelog"
        ) from None
    for name in ("app", "cluster", "topic", "stage", "partition"):
        if getattr(found, name) != getattr(mine, name):
            raise StateElsewhere(
                f"{folder} holds state of {name} {getattr(found, name)}, this is {name} {getattr(mine, name)} — let "
                "HUB_STATE_DIR name a folder of this deployment's own"
            )
    if found.layout > mine.layout or bytes.fromhex(found.prefix) > bytes.fromhex(mine.prefix):
        raise StateFromTheFuture(
            f"{folder} was written by a newer release (layout {found.layout}, values {found.prefix}; this one knows "
            f"{mine.layout}, {mine.prefix}) — start the newer release again, or remove the folder: it is built anew "
            "from the changelog, as far as this release reads that"
        )
    return found


def _write(folder: Path, identity: Identity) -> None:
    """Say whose a folder is, whole or not at all."""
    fresh = folder / f"{IDENTITY}.new"
    try:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(identity)))
        fresh.replace(folder / IDENTITY)
    except OSError as error:
        raise StateUnavailable(
            f"{folder} cannot be written ({error.strerror}) — make space or mend its permissions, then start again"
        ) from error


def ask_kafka(settings: Settings, topic: str) -> tuple[str, str]:
    """Ids of the cluster and of a topic. BrokerUnavailable."""
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 3})
    try:
        cluster = admin.describe_cluster(request_timeout=ASK_S).result().cluster_id
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=ASK_S)[topic].result()
    except KafkaException as error:
        raise BrokerUnavailable(
            f"Kafka at {settings.brokers} does not say which cluster it is — see its log, then start again"
        ) from error
    return str(cluster), str(found.topic_id)
