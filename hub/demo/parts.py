"""The hub's own processes, started as a deployment would start them: `hub …` with HUB_… in the environment."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hub.settings import Settings
from hub.stack import LocalStack
from hub.stack.process import ManagedProcess, accepts, free_port

READY_S: Final = 120.0
"""Longest wait for one process: Great Expectations alone takes seconds to import on two busy cores."""

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "quality": ("quality", "serve"),
    "worker": ("worker",),
    "receiver": ("receiver", "--answer", "handle"),
    "dispatcher": ("dispatch",),
    "web": ("web",),
    "connector": ("connect",),
}
"""Process → its command. They start side by side, the slowest first; none needs another to be there before it."""


def port(wanted: int) -> int:
    """The usual port when it is free, else a free one: a second demo, or another program, must not stop this one."""
    return free_port() if accepts(wanted) else wanted


def demo_settings(data_dir: Path, stack: LocalStack, store_url: str, partitions: int) -> Settings:
    """Settings of the demo's deployment."""
    usual = Settings()
    return Settings(
        data_dir=data_dir,
        brokers=stack.bootstrap,
        registry_url=stack.registry_url,
        store_url=store_url,
        sources=data_dir / "sources",
        source_root=data_dir / "offices",
        clock_file=data_dir / "clock",
        overlay="demo",
        partitions=partitions,
        worker_port=port(usual.worker_port),
        connector_port=port(usual.connector_port),
        quality_port=port(usual.quality_port),
        dispatcher_port=port(usual.dispatcher_port),
        web_port=port(usual.web_port),
        receiver_port=port(usual.receiver_port),
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as HUB_… variables, for child processes."""
    return {
        f"HUB_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in settings.model_dump().items()
        if value is not None and value != ""
    }


def write_environment(settings: Settings, file: Path) -> None:
    """The same as lines for a shell, so that `hub …` by hand speaks of this deployment. It may hold a password."""
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in environment_of(settings).items())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(lines)


def ready_url(name: str, settings: Settings) -> str:
    """Where a process says that it is ready."""
    return f"http://{settings.bind}:{getattr(settings, f'{name}_port')}/ready"


class Processes:
    """The hub's processes of one demo."""

    def __init__(self, settings: Settings) -> None:
        # The bare parent environment could hold HUB_… of another deployment.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        self._settings = settings
        self._running: dict[str, ManagedProcess] = {}
        self._environment = {**inherited, **environment_of(settings)}

    def __contains__(self, name: str) -> bool:
        """Whether one was launched."""
        return name in self._running

    def wait_ready(self, name: str) -> None:
        """Wait until one that was launched says that it is ready."""
        self._running[name].wait_ready(ready_url(name, self._settings), READY_S)

    def launch(self, name: str) -> None:
        """Start one without waiting."""
        process = ManagedProcess(
            f"hub {name}",
            [sys.executable, "-m", "hub.cli.main", *COMMANDS[name]],
            self._settings.data_dir / "logs" / f"{name}.log",
            env=self._environment,
        )
        process.start()
        self._running[name] = process

    def kill(self, name: str) -> None:
        """SIGKILL one, as a fault would."""
        self._running[name].kill()

    def terminate(self, name: str) -> None:
        """Stop one in order, and forget it."""
        self._running.pop(name).terminate()

    def alive(self) -> bool:
        """Whether all that were started still run."""
        return all(process.running for process in self._running.values())

    def ended(self) -> list[str]:
        """Names of those that ended by themselves."""
        return [name for name, process in self._running.items() if not process.running]

    def stop(self) -> None:
        """Stop all, the last started first: connectors before those they feed."""
        for process in reversed(self._running.values()):
            process.terminate()
