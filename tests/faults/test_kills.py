"""Each process killed once with SIGKILL in mid-flow: the same alerts, accepted once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.demo.deployment import Deployment
from hub.demo.quiet import Watcher
from hub.stack import LocalStack
from tests.faults.deployments import assert_accepted_once, assert_agrees_with_the_oracle, deployment

MID_FLOW_S = 90.0
"""Longest wait for the flow to be in the middle of the work that is to be interrupted."""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of its own, released in advance, so that delivery is part of the flow."""
    with LocalStack(tmp_path / "stack") as stack, deployment(tmp_path / "hub", stack) as ready:
        ready.hub("release", "--all")
        yield ready


def until_moving(made: Deployment, field: str) -> None:
    """Wait until a count of the flow has begun to rise, so that a kill lands in the middle."""
    watcher = Watcher(made.settings, made.engine)
    try:
        first = getattr(watcher.look(), field)
        deadline = time.monotonic() + MID_FLOW_S
        while getattr(watcher.look(), field) == first:
            assert time.monotonic() < deadline, f"{field} never moved"
            time.sleep(0.05)
    finally:
        watcher.close()


def test_every_process_is_killed_once_and_nothing_is_lost_or_doubled(made: Deployment) -> None:
    """Kill each while its own work is under way, start it again, and ask the two questions at the end."""
    made.start("receiver", "worker", "dispatcher", "quality", "web")
    made.processes.start("connector")
    work: tuple[tuple[str, str, Callable[[], None] | None], ...] = (
        ("connector", "records", None),
        ("worker", "alerts", None),
        ("dispatcher", "cases", None),
        ("quality", "results", made.second_wave),
        ("receiver", "receipts", lambda: made.pass_time(timedelta(days=10))),
        ("web", "receipts", lambda: made.pass_time(timedelta(days=45))),
    )
    for name, field, more in work:
        if more is not None:
            made.wait("earlier work", timeout_s=240)  # so that what moves next is the new work
            more()
        until_moving(made, field)
        made.processes.kill(name)
        made.processes.start(name)
    made.wait("recovery", timeout_s=420)
    assert_agrees_with_the_oracle(made)
    assert_accepted_once(made)
