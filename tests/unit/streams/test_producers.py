"""A producer that is closed is gone, also where its broker is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hub.settings import Settings
from hub.stack import free_port
from hub.streams.commit import Writer
from hub.streams.producers import COMMON, Producer
from hub.streams.state import Slot
from tests.clients import client_threads

PROMPT_S = 20.0
"""Far below the minute that an unsent message lives."""


@pytest.fixture
def nowhere(tmp_path: Path) -> Settings:
    """A deployment whose broker does not answer."""
    return Settings(data_dir=tmp_path, brokers=f"127.0.0.1:{free_port()}")


def wait_gone(before: list[str]) -> None:
    """Wait until no client runs that did not run before."""
    deadline = time.monotonic() + PROMPT_S
    while len(client_threads()) > len(before):
        assert time.monotonic() < deadline, client_threads()
        time.sleep(0.05)


def test_closing_waits_for_no_broker(nowhere: Settings) -> None:
    """What was not acknowledged is given up; no thread goes on asking."""
    before = client_threads()
    made = Producer({**COMMON, "bootstrap.servers": nowhere.brokers, "log_level": 0})
    made.send("any", "key", b"value")
    assert len(client_threads()) > len(before)
    started = time.monotonic()
    made.close()
    assert time.monotonic() - started < PROMPT_S
    wait_gone(before)


def test_a_writer_that_is_closed_lets_go_of_its_client(nowhere: Settings) -> None:
    """Though somebody still holds the object; and closing it again is nothing."""
    before = client_threads()
    writer = Writer(nowhere, Slot("unit", 0), "unit-state.v1")
    assert len(client_threads()) > len(before)
    writer.close()
    wait_gone(before)
    writer.close()
