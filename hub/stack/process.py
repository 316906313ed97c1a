"""One child process with a log file: start, wait until it answers, stop, kill; it never outlives its parent.

Two nets catch an orphan. `atexit` stops what still runs when the parent leaves in order. The kernel's parent-death
signal (prctl PR_SET_PDEATHSIG, set by util-linux `setpriv`) ends it when the parent is killed. The kernel watches the
*thread* that started the child, so start children from a thread that lives as long as they should: the main one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hub.errors import StackError

LOG_TAIL_LINES = 15
POLL_S = 0.05  # ready-waits end within this of the truth; cheap against start-up times of seconds
PROBE_TIMEOUT_S = 2.0


def free_port() -> int:
    """A TCP port that is free on loopback now. If another program takes it first, the start fails clearly."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """True if something accepts TCP connections on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """True if a GET of this loopback URL ends with a 2xx status."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as response:  # noqa: S310 - loopback URLs built by this room
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, OSError):
        return False


class ManagedProcess:
    """A child process in its own session, with its output appended to `log_file`.

    `death_signal` is what the kernel sends it if the parent dies. `user` runs it as another account (needs root).
    The object can be started again after it has ended.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log_file: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.log_file = log_file
        self._cwd = cwd
        self._env = dict(env or {})
        self._user = user
        self._death_signal = death_signal
        self._stop_signal = stop_signal
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """True from `start` until the process has ended, whatever ended it."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the running child. Raises StackError if there is none."""
        if self._child is None or not self.running:
            raise StackError(f"{self.name} is not running", "start it first")
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """Exit status once it has ended (negative: the signal that ended it), else None."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Start the child and return at once. Raises StackError if it runs already or its program is missing."""
        if self.running:
            raise StackError(f"{self.name} runs already as process {self.pid}", "stop it before you start it again")
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            try:
                self._child = subprocess.Popen(  # noqa: S603 - commands are built by this room, no shell
                    [*_orphan_net(self._death_signal), *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._cwd,
                    env={**os.environ, **self._env},
                    user=self._user,
                    group=self._user,
                    extra_groups=[] if self._user else None,
                    start_new_session=True,
                )
            except FileNotFoundError as error:
                raise StackError(f"cannot start {self.name}: {error.filename} not found", "run `make setup`") from error
        atexit.register(self.terminate)

    def wait_ready(self, probe: str | Callable[[], bool], timeout_s: float) -> None:
        """Wait until the URL answers 2xx, or the callable says True.

        Raises StackError with the last lines of the log when the process ends first, or when time is up.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            if not self.running:
                raise StackError(f"{self.name} ended with status {self.exit_code} before it was ready", self._see_log())
            if answers(probe) if isinstance(probe, str) else probe():
                return
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready within {timeout_s:g} s", self._see_log())
            time.sleep(POLL_S)

    def terminate(self, grace_s: float = 15.0) -> None:
        """Ask the process to stop; kill it if it is still there after `grace_s` seconds. Harmless if it has ended."""
        if self._child is not None and self.running:
            self._child.send_signal(self._stop_signal)
            try:
                self._child.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.kill()
        atexit.unregister(self.terminate)

    def kill(self) -> None:
        """SIGKILL the process and what it started in its session, and wait until it is gone."""
        if self._child is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        atexit.unregister(self.terminate)

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of the log file, or an empty text if there is none."""
        if not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def _see_log(self) -> str:
        return f"read {self.log_file}; its last lines:\n{self.log_tail()}"


def _orphan_net(death_signal: signal.Signals) -> list[str]:
    """The words before a command that make the kernel end it with its parent; none where Linux is not the kernel."""
    if sys.platform != "linux":
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError("`setpriv` is missing, so a killed run could leave servers behind", "install util-linux")
    return [setpriv, "--pdeathsig", death_signal.name.removeprefix("SIG"), "--"]
