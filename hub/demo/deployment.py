"""One whole deployment on this machine: real parts, every process, departments' files to read. For demo and tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from hub.delivery.secrets import ensure_secrets
from hub.demo.parts import COMMANDS, Processes, demo_settings, environment_of, write_environment
from hub.demo.quiet import POLL_S, Standing, Watcher
from hub.domain.times import SHANGHAI, local_date
from hub.errors import StackError
from hub.ops.clock import Clock
from hub.settings import Settings
from hub.simulate import departments
from hub.simulate.oracle import Agreement, compare
from hub.simulate.thirdparty import departments as thirdparty
from hub.stack import LocalStack
from hub.store.db import migrate, open_store
from hub.streams.admin import create_topics
from hub.streams.schemas import register
from hub.vault.keys import init_keys

THIRDPARTY: Final = "tp-"
"""Mappings of records that somebody else made begin so; a deployment without those records must not read them."""

COMMAND_S: Final = 120.0
"""Longest a one-off command may take."""


class Deployment:
    """Prepared, started, fed and watched step by step; `close` stops all of it.

    Files lie under `data_dir`; the stack is the caller's, who may kill its parts. `thirdparty` adds records that
    somebody else made, `with_synthea` medical bills of these persons.
    """

    def __init__(
        self,
        data_dir: Path,
        stack: LocalStack,
        *,
        store_url: str = "",
        partitions: int = 4,
        thirdparty: bool = False,
        with_synthea: bool = False,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.data_dir = data_dir
        self._thirdparty = thirdparty
        self._with_synthea = with_synthea
        self.settings = demo_settings(data_dir, stack, store_url, partitions)
        self.processes = Processes(self.settings)
        self._say = say
        self._engine: Engine | None = None
        self._watcher: Watcher | None = None

    @property
    def offices(self) -> Path:
        """Where the departments' databases and drops lie."""
        return self.data_dir / "offices"

    @property
    def engine(self) -> Engine:
        """The store."""
        if self._engine is None:
            self._engine = open_store(self.settings.store)
        return self._engine

    def prepare(self) -> None:
        """What `hub` commands prepare once (store, keys, topics and so on), and settings for a shell."""
        write_environment(self.settings, self.data_dir / "settings.env")
        self.set_clock(datetime.now(SHANGHAI))
        migrate(self.settings.store)
        self.settings.sources.mkdir(parents=True)
        for mapping in Settings().sources.glob("*.yaml"):
            if self._thirdparty or not mapping.name.startswith(THIRDPARTY):
                text = f"{mapping.read_text()}\npoll_every: {POLL_S}s\n"
                (self.settings.sources / mapping.name).write_text(text)
        init_keys(self.settings.keys)
        ensure_secrets(self.settings)
        create_topics(self.settings)
        register(self.settings.registry_url)

    def first_wave(self, *, seed: int, households: int) -> None:
        """Write what the departments hold on the first day, bad input included."""
        today = local_date(Clock(self.settings).now_ms())
        departments.first(self.offices, departments.Manifest(seed=seed, households=households, as_of=today))
        if self._thirdparty:
            thirdparty.write(self.offices, seed=seed, as_of=today, with_synthea=self._with_synthea, progress=self._say)

    def second_wave(self) -> None:
        """Let time pass at the departments: corrections, annulments, late and vanished records."""
        departments.second(self.offices)

    def start(self, *names: str) -> None:
        """Start processes (default: all) that were not launched, and wait until each is ready."""
        chosen = names or tuple(COMMANDS)
        for name in chosen:
            if name not in self.processes:
                self.processes.launch(name)
        for name in chosen:
            self.processes.wait_ready(name)
            self._say(f"hub {name} is ready")

    def wait(self, what: str, timeout_s: float = 300.0) -> Standing:
        """Wait until nothing moves any more; where all stands then.

        StackError naming the logs when a process ended or time is up.
        """
        if self._watcher is None:
            self._watcher = Watcher(self.settings, self.engine)
        try:
            return self._watcher.wait(what, alive=self.processes.alive, progress=self._say, timeout_s=timeout_s)
        except StackError as error:
            ended = ", ".join(self.processes.ended()) or "none"
            raise StackError(f"{error.problem} (ended: {ended})", f"read {self.data_dir / 'logs'}") from error

    def hub(self, *words: str) -> str:
        """Run one `hub` command; what it printed. StackError with its complaint when it fails."""
        done = subprocess.run(  # noqa: S603  # our own program, words of our own
            [sys.executable, "-m", "hub.cli.main", *words],
            env={**environment_of(self.settings), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise StackError(f"hub {' '.join(words)} failed", done.stderr.strip()[-800:] or "run it by hand to see why")
        return done.stdout

    def set_clock(self, moment: datetime) -> None:
        """Move the rehearsal clock of all processes; renamed into place, since they read at any time."""
        file = self.settings.clock_file
        if file is None:
            raise StackError("this deployment has no rehearsal clock", "set HUB_CLOCK_FILE")
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(moment.isoformat())
        draft.replace(file)

    def pass_time(self, period: timedelta) -> None:
        """Move the clock forward from the real now."""
        self.set_clock(datetime.now(SHANGHAI) + period)

    def agreement(self) -> Agreement:
        """Compare the open alerts with the oracle's, on what lies in Kafka now."""
        return compare(self.settings)

    def close(self) -> None:
        """Stop the processes and let go of the store and the broker."""
        self.processes.stop()
        self._watcher = None
        if self._engine is not None:
            self._engine.dispose()
