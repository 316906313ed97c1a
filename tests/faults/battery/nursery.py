"""Where workers are born: a process that has imported everything once, and forks a worker in a few milliseconds.

Importing the worker's program takes longer than most cases need for their work, and a case starts up to a dozen. A
child is a process like any other: own session, own log, own signals; it dies with the nursery, and that with the
battery. `python -m tests.faults.battery.nursery` is the nursery's side: one JSON order a line in, one JSON event out.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Final, NoReturn

import msgspec
from msgspec import Struct

from hub.errors import StackError
from hub.stack.process import _orphan_net

ROOT: Final = Path(__file__).parents[3]
BORN_S: Final = 60.0
"""A nursery imports for some seconds; a busy machine makes many of them."""

PR_SET_PDEATHSIG: Final = 1


class Order(Struct, frozen=True):
    """Give birth to one worker."""

    number: int
    group: str
    env: dict[str, str]
    log: str


class Told(Struct, frozen=True):
    """A worker was born (`exit` None), or has ended."""

    number: int
    pid: int
    exit: int | None = None


class Child:
    """A worker of the nursery."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.exit_code: int | None = None
        self._pid: int | None = None
        self._born = threading.Event()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._born.wait(BORN_S), "the nursery does not answer"
        assert self._pid is not None
        return self._pid

    @property
    def running(self) -> bool:
        """Until it has ended."""
        return self.exit_code is None

    def hear(self, told: Told) -> None:
        """What the nursery tells of it."""
        self._pid = told.pid
        self.exit_code = told.exit
        self._born.set()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + BORN_S
        while self.running:
            assert time.monotonic() < deadline, "a killed worker did not end"
            time.sleep(0.01)


class Nursery:
    """The battery's side. Start it from the main thread; `close` ends it and all its children."""

    def __init__(self) -> None:
        self._process = Popen(
            [*_orphan_net(signal.SIGKILL), sys.executable, "-m", "tests.faults.battery.nursery"],
            stdin=PIPE,
            stdout=PIPE,
            cwd=ROOT,
            start_new_session=True,
        )
        self._children: list[Child] = []
        self._listener = threading.Thread(target=self._listen, name="nursery", daemon=True)
        self._listener.start()

    def start(self, group: str, env: Mapping[str, str], log: Path) -> Child:
        """A new worker. StackError when the nursery has ended: the worker's program cannot be imported."""
        if self._process.poll() is not None:
            raise StackError("the nursery has ended", "see above why the worker's program cannot be imported")
        child = Child(len(self._children))
        self._children.append(child)
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(msgspec.json.encode(Order(child.number, group, dict(env), str(log))) + b"\n")
        stdin.flush()
        return child

    def close(self) -> None:
        """End it: its children go with it."""
        self._process.kill()
        self._process.wait()
        self._listener.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _listen(self) -> None:
        stdout: IO[bytes] | None = self._process.stdout
        for line in stdout or ():
            told = msgspec.json.decode(line, type=Told)
            self._children[told.number].hear(told)


def _give_birth(order: Order) -> NoReturn:
    """In the child: become a process of its own, and the worker."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    log = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(order.env)
    from tests.faults.battery.worker import main

    try:
        main(order.group)
    finally:
        os._exit(1)


def main() -> None:
    """Import the worker, then obey orders until the battery hangs up."""
    import tests.faults.battery.worker  # noqa: F401 - what the children need, once

    gc.freeze()
    orders = msgspec.json.Decoder(Order)
    numbers: dict[int, int] = {}
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], 0.05)
        if ready:
            chunk = os.read(0, 1 << 16)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                order = orders.decode(line)
                pid = os.fork()
                if pid == 0:
                    _give_birth(order)
                numbers[pid] = order.number
                _tell(Told(order.number, pid))
        while numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _tell(Told(numbers.pop(pid), pid, os.waitstatus_to_exitcode(status)))


def _tell(told: Told) -> None:
    os.write(1, msgspec.json.encode(told) + b"\n")


if __name__ == "__main__":
    main()
