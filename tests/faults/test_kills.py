"""Each process killed once with SIGKILL in mid-flow: the same alerts, accepted once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.demo.deployment import Deployment
from hub.demo.quiet import Watcher
from hub.stack import LocalStack
from tests.faults.deployments import assert_accepted_once, assert_agrees_with_the_oracle, deployment
from tests.topics import empty

MID_FLOW_S = 120.0
"""Longest wait for the flow to be in the middle of the work that is to be interrupted."""


@pytest.fixture
def made(stack: LocalStack, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of its own, released in advance, so that delivery is part of the flow."""
    empty(stack.bootstrap)
    with deployment(tmp_path / "hub", stack) as ready:
        ready.hub("release", "--all")
        yield ready


class Killer:
    """Kills a process when its own work has begun and before it is over."""

    def __init__(self, made: Deployment) -> None:
        self._made = made
        self._watcher = Watcher(made.settings, made.engine)
        self._before = self._watcher.look()
        self._killed: dict[str, tuple[str, int]] = {}

    def kill(self, name: str, field: str) -> None:
        """Wait until a count rises above what it was before the work was given out, kill, start again."""
        first, deadline = getattr(self._before, field), time.monotonic() + MID_FLOW_S
        while (now := getattr(self._watcher.look(), field)) == first:
            assert time.monotonic() < deadline, f"{field} never moved"
        self._made.processes.kill(name)
        self._made.processes.launch(name)
        self._killed[name] = (field, now)

    def wait(self, what: str) -> None:
        """Wait until the work is over; every kill since the last wait must have come before its end."""
        self._before = self._made.wait(what, timeout_s=420)
        for name, (field, then) in self._killed.items():
            assert getattr(self._before, field) > then, f"{name} was killed when nothing was left to do"
        self._killed.clear()


def test_every_process_is_killed_once_and_nothing_is_lost_or_doubled(made: Deployment) -> None:
    """Kill each while its own work is under way, start it again, and ask the two questions at the end."""
    killer = Killer(made)
    made.start("receiver", "worker", "quality", "web")
    made.processes.launch("connector")
    killer.kill("connector", "records")
    killer.kill("quality", "results")
    killer.kill("worker", "alerts")
    made.processes.launch("dispatcher")  # not before there are alerts, so that it has work to be killed in
    killer.kill("dispatcher", "cases")
    killer.kill("receiver", "receipts")
    killer.wait("first load")
    made.second_wave()
    made.pass_time(timedelta(days=10))
    killer.kill("web", "receipts")
    killer.wait("second wave, and the hold after a death")
    assert_agrees_with_the_oracle(made)
    assert_accepted_once(made)
