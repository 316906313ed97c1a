"""Many copies under one supervisor, as real processes: started again, ended together, gone with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.ops.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, SOUND_S, Child, supervise

PATIENCE_S = 60.0
SLEEPER = """
import os, pathlib, signal, sys, time
notes = pathlib.Path(sys.argv[1]) / os.environ["COPY"]
def told(*_):
    notes.open("a").write("told\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, told)
notes.open("a").write(f"{os.getpid()}\\n")
if (code := int(sys.argv[2])) and os.environ["COPY"] == "0" and len(notes.read_text().split()) == 1:
    while not (notes.parent / "1").exists():
        time.sleep(0.05)
    sys.exit(code)
while True:
    time.sleep(0.05)
"""
"""Notes its pid, and that it was told to stop. The first copy's first start ends with a given code if that is not 0."""


def until(good: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE_S
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Run:
    """Two sleepers under a supervisor in a thread."""

    def __init__(self, folder: Path, code: int) -> None:
        self.folder = folder
        self.stop = threading.Event()
        self.ended: list[int] = []
        self._thread = threading.Thread(target=self._work, args=(code,))
        self._thread.start()

    def _work(self, code: int) -> None:
        command = [sys.executable, "-c", SLEEPER, str(self.folder), str(code)]
        self.ended.append(supervise(2, command, lambda index: {"COPY": str(index)}, self.stop))

    def notes(self, copy: int) -> list[str]:
        """What a copy noted."""
        file = self.folder / str(copy)
        return file.read_text().split() if file.exists() else []

    def end(self) -> int:
        """Stop it, if it has not ended; its exit code."""
        self.stop.set()
        return self.code()

    def code(self) -> int:
        """Exit code once it ends by itself."""
        self._thread.join(PATIENCE_S)
        [code] = self.ended
        return code


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[int], Run]]:
    """Starts one."""
    made: list[Run] = []

    def start(code: int) -> Run:
        made.append(Run(tmp_path, code))
        return made[-1]

    yield start
    for each in made:
        each.end()


def test_told_to_stop_it_tells_all(run: Callable[[int], Run]) -> None:
    """In order, and ends with 0."""
    made = run(0)
    until(lambda: len(made.notes(0)) == len(made.notes(1)) == 1)
    assert made.end() == 0
    assert [made.notes(copy)[1:] for copy in (0, 1)] == [["told"], ["told"]]


def test_what_may_pass_is_started_again(run: Callable[[int], Run]) -> None:
    """75, and the other killed by a signal; the rest goes on."""
    made = run(75)
    until(lambda: len(made.notes(0)) == 2)
    [other] = made.notes(1)
    os.kill(int(other), signal.SIGKILL)
    until(lambda: len(made.notes(1)) == 2)
    assert made.end() == 0
    assert len(made.notes(0)) == 3, "started twice and told to stop"


def test_what_needs_mending_ends_all(run: Callable[[int], Run]) -> None:
    """With its code; the others are told to stop."""
    made = run(1)
    assert made.code() == 1
    assert len(made.notes(0)) == 1
    assert made.notes(1)[1:] == ["told"]


def test_pauses_double_and_a_sound_run_forgives() -> None:
    """Up to the longest, so that who is away is not hammered."""
    child = Child(0, ["true"], {})
    child._started_at = time.monotonic()
    assert [child.again() for _ in range(8)] == [min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(8)]
    child._started_at = time.monotonic() - SOUND_S
    assert child.again() == FIRST_PAUSE_S


def test_a_killed_supervisor_takes_its_copies_with_it(tmp_path: Path) -> None:
    """No copy is left to hold partitions and ports."""
    child = "from hub.ops.supervisor import end_with_parent; end_with_parent()\n" + SLEEPER
    parent = (
        "import sys, threading; from hub.ops.supervisor import supervise; "
        f"supervise(2, [sys.executable, '-c', {child!r}, {str(tmp_path)!r}, '0'], "
        "lambda index: {'COPY': str(index)}, threading.Event())"
    )
    started = subprocess.Popen([sys.executable, "-c", parent])
    try:
        until(lambda: (tmp_path / "0").exists() and (tmp_path / "1").exists())
    finally:
        started.kill()
        started.wait()
    pids = [int((tmp_path / name).read_text().split()[0]) for name in ("0", "1")]
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids))
    assert all("told" in (tmp_path / name).read_text() for name in ("0", "1")), "in order"
