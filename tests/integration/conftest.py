"""What holds for every test with real parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE_S = 10.0
"""How long a client that was closed may take to end its threads."""


def client_threads() -> list[str]:
    """Names of librdkafka's threads in this process."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except OSError:  # it has just ended
            continue
        if name.startswith("rdk:"):
            names.append(name)
    return sorted(names)


@pytest.fixture(scope="session", autouse=True)
def no_client_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every Kafka client a test opened is closed when all have run.

    One that is not would go on asking for a broker that is gone, and its complaints would bury the tests' summary.
    """
    yield
    if request.session.testsfailed:
        return  # a failed test's traceback holds on to its clients
    deadline = time.monotonic() + PATIENCE_S
    while left := client_threads():
        assert time.monotonic() < deadline, f"clients of Kafka are still open: {left}"
        time.sleep(0.1)
