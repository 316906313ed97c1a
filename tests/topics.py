"""An empty broker without starting one: every topic of the session's own is deleted."""

from __future__ import annotations

import time
from typing import Final

from confluent_kafka.admin import AdminClient

TIMEOUT_S: Final = 30.0


def empty(bootstrap: str) -> None:
    """Delete every topic but Kafka's own, and with each what any group knew of it."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 1})
    deadline = time.monotonic() + TIMEOUT_S
    present = _topics(admin)
    if present:
        for future in admin.delete_topics(present, operation_timeout=TIMEOUT_S).values():
            future.result()
    while _topics(admin):
        assert time.monotonic() < deadline, "topics were not deleted"
        time.sleep(0.05)


def _topics(admin: AdminClient) -> list[str]:
    return sorted(name for name in admin.list_topics(timeout=TIMEOUT_S).topics if not name.startswith("__"))
