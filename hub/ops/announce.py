"""Heartbeat: a process writes its name and address into the store, and the operator's page lists who is there."""

from __future__ import annotations

import os
import socket
import threading
import time

from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from hub.ops.logs import logger
from hub.store.db import open_store, session, upsert
from hub.store.models import Process

HEARTBEAT_S = 5.0
"""A process is shown as silent after three missed heartbeats."""


class Heartbeat:
    """Announces a process until `close`, which takes the announcement back."""

    def __init__(self, store_url: str, name: str, url: str) -> None:
        self._engine = open_store(store_url)
        self._row = {
            "name": name,
            "instance": f"{socket.gethostname()}-{os.getpid()}",
            "url": url,
            "started_at": time.time_ns() // 1_000_000,
        }
        self._stop = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self._beat()
            except OperationalError:
                logger("ops").warning("heartbeat not written, the store does not answer; trying again")

    def _beat(self) -> None:
        with session(self._engine) as db:
            upsert(db, Process, [{**self._row, "heartbeat_at": time.time_ns() // 1_000_000}])

    def close(self) -> None:
        """Stop and take the announcement back; a process that was killed stays listed as silent."""
        self._stop.set()
        self._thread.join(timeout=HEARTBEAT_S)
        with session(self._engine) as db:
            db.execute(
                delete(Process).where(Process.name == self._row["name"], Process.instance == self._row["instance"])
            )
        self._engine.dispose()


def announce(store_url: str, name: str, url: str) -> Heartbeat:
    """Announce this process by its name (worker, connector, …) and the address of its health server."""
    return Heartbeat(store_url, name, url)
