"""What holds for every test with real parts."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.clients import client_threads

PATIENCE_S = 10.0
"""How long a client that was closed may take to end its threads."""


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
