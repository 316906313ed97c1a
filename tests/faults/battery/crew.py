"""The workers of a case, and who starts them again: as a supervisor would, whatever ended them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from hub.stack import ManagedProcess, free_port
from hub.stack.process import answers
from tests.faults.battery.nursery import ROOT, Child, Nursery

RESTARTS: Final = 12
MENDINGS: Final = 4
"""Ends, and ends that ask for something to be mended, after which a worker is given up: it will not mend itself."""

KILLED: Final = -signal.SIGKILL
RESTART_S: Final = 0.3
TELL_S: Final = 5.0
READY_S: Final = 60.0


class Program:
    """A worker that is a program of its own from its first instruction, for what must be in place before that."""

    def __init__(self, name: str, group: str, log: Path, env: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.faults.battery.worker", group]
        self._process = ManagedProcess(name, command, log, cwd=ROOT, env=env)
        self._process.start()

    @property
    def exit_code(self) -> int | None:
        """Once it has ended."""
        return self._process.exit_code

    @property
    def running(self) -> bool:
        """Until it has ended."""
        return self._process.running

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.running:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()


class Member:
    """One worker, through all its starts. `kills` are obeyed one after the other; with none left it runs to the end."""

    def __init__(
        self, name: str, group: str, env: dict[str, str], folder: Path, kills: Iterable[str], nursery: Nursery | None
    ) -> None:
        self.name = name
        self._nursery = nursery
        self.kills = list(kills)
        self.exits: list[int] = []
        self.wanted = True
        self.paused = False
        self._group = group
        self.env = env
        self._folder = folder
        self._starts = 0
        self._ended_at = 0.0
        self.process = self._start()

    def _start(self) -> Child | Program:
        self._starts += 1
        self.store = self._folder / f"{self.name}-{self._starts}.store.json"
        self.port = free_port()
        orders = {
            "HUB_WORKER_PORT": str(self.port),
            "BATTERY_STORE": str(self.store),
            "BATTERY_KILL": self.kills[0] if self.kills else "",
        }
        log, env = self._folder / f"{self.name}.log", {**self.env, **orders}
        if self._nursery is not None:
            return self._nursery.start(self._group, env, log)
        return Program(f"worker {self.name}", self._group, log, env)

    def tend(self, group: Callable[[], str]) -> None:
        """Start it again, in a group, if it ended and should not have."""
        code = self.process.exit_code
        if code is None:
            return
        if len(self.exits) < self._starts:
            self.exits.append(code)
            if code == KILLED and self.kills:
                del self.kills[0]
            self._ended_at = time.monotonic()
        if self.wanted and not self.given_up and time.monotonic() - self._ended_at > RESTART_S:
            self._group = group()
            self.process = self._start()

    @property
    def given_up(self) -> bool:
        """It ended too often to be started again."""
        return len(self.exits) > RESTARTS or self.exits.count(1) > MENDINGS

    @property
    def ready(self) -> bool:
        """Whether it owns its partitions."""
        return self.process.running and not self.paused and answers(f"http://127.0.0.1:{self.port}/ready")

    def held(self) -> dict[str, Any] | None:
        """What it holds now by its own word; None when it does not answer."""
        self.store.unlink(missing_ok=True)
        self.process.signal(signal.SIGUSR1)
        deadline = time.monotonic() + TELL_S
        while not self.store.exists():
            if time.monotonic() > deadline or not self.process.running:
                return None
            time.sleep(0.02)
        told: dict[str, Any] = msgspec.json.decode(self.store.read_bytes())
        return told


class Crew:
    """All workers of a case. `env` goes to each; `tend` is to be called often."""

    def __init__(self, env: dict[str, str], folder: Path, group: str, nursery: Nursery) -> None:
        self.members: list[Member] = []
        self.env = env
        self.same_group = True
        self._folder = folder
        self._group = group
        self._groups = 1
        self._nursery = nursery

    @property
    def groups(self) -> list[str]:
        """Every group a worker was started in."""
        return [f"{self._group}-{number}" for number in range(1, self._groups + 1)]

    def add(
        self, env: Mapping[str, str] = MappingProxyType({}), *, kills: Iterable[str] = (), forked: bool = True
    ) -> Member:
        """Start one more worker; not `forked`: as a program of its own, from the main thread."""
        name, nursery = f"w{len(self.members) + 1}", self._nursery if forked else None
        member = Member(name, self.groups[-1], {**self.env, **env}, self._folder, kills, nursery)
        self.members.append(member)
        return member

    def tend(self) -> None:
        """Start again what ended. Where the group need not stay the same, a new one saves waiting for the dead."""
        for member in self.members:
            member.tend(self._same if self.same_group else self._next)

    def _same(self) -> str:
        return self.groups[-1]

    def _next(self) -> str:
        self._groups += 1
        return self.groups[-1]

    def alive(self) -> list[Member]:
        """Those that run."""
        return [member for member in self.members if member.process.running and not member.paused]

    def lost(self) -> bool:
        """Whether nobody is left who could do the work."""
        return all(member.given_up or not member.wanted for member in self.members)

    def dismiss(self, member: Member) -> None:
        """Ask one to leave in order, and do not start it again."""
        member.wanted = False
        member.process.signal(signal.SIGTERM)

    def until(self, good: Callable[[], bool], patience_s: float) -> bool:
        """Tend until something is so; False when patience ended first or nobody is left."""
        deadline = time.monotonic() + patience_s
        while not good():
            if time.monotonic() > deadline or self.lost():
                return False
            self.tend()
            time.sleep(0.05)
        return True

    def rest(self, seconds: float) -> None:
        """Tend for some time."""
        self.until(lambda: False, seconds)

    def end(self) -> None:
        """Kill all of them: what they have not committed does not count."""
        for member in self.members:
            member.wanted = False
            member.process.kill()
