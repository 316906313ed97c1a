"""The demonstration, step by step."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from hub.demo import figures as shown
from hub.demo.parts import Processes, demo_settings, environment
from hub.demo.poison import send_poison
from hub.demo.quiet import Watcher
from hub.domain.times import SHANGHAI, local_date
from hub.errors import StackError
from hub.ops.clock import Clock
from hub.ops.shutdown import stop_event
from hub.settings import Settings
from hub.simulate import departments
from hub.simulate.oracle import compare
from hub.stack import LocalStack
from hub.store.db import migrate, open_store, session

SEED: Final = 331100
HOUSEHOLDS: Final = {"small": 300, "full": 3000}
PARTITIONS: Final = 4
LATER: Final = timedelta(days=45)
"""How far the clock is moved at the end: enough for planted birthdays and windows to pass."""

LOAD_TIMEOUT_S: Final = 300.0


class Demo:
    """One run. `size` is small or full; `store_url` empty for SQLite."""

    def __init__(self, data_dir: Path, size: str, store_url: str, console: Console) -> None:
        self._data_dir = data_dir.resolve()
        self._size = size
        self._store_url = store_url
        self._console = console
        self._seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def run(self, *, once: bool, report: Path) -> bool:
        """Run all steps; True when every step did its work. Without `once` it stays up until Ctrl-C."""
        shutil.rmtree(self._data_dir, ignore_errors=True)  # a known state: nothing of an earlier demo is left
        self._data_dir.mkdir(parents=True)
        with self._step("parts 启动组件"):
            stack = LocalStack(self._data_dir / "stack", progress=self._say)
            stack.start()
        processes: Processes | None = None
        try:
            settings = demo_settings(self._data_dir, stack, self._store_url, PARTITIONS)
            processes = Processes(settings)
            figures = self._steps(settings, processes)
            figures.seconds = {**self._seconds, "total 合计": time.monotonic() - self._began}
            shown.write(figures, report)
            shown.show(self._console, figures)
            for failure in figures.failed:
                self._console.print(f"[red]✗ {failure}[/red]")
            if not figures.failed:
                self._console.print("[green]✓ 每一步都完成了 every step did its work[/green]")
            if not once:
                self._stay(processes)
            return not figures.failed
        finally:
            if processes is not None:
                processes.stop()
            stack.stop()

    def _steps(self, settings: Settings, processes: Processes) -> shown.Figures:
        offices = self._data_dir / "offices"
        with self._step("prepare 建库建主题"):
            self._set_clock(settings, datetime.now(SHANGHAI))
            migrate(settings.store)
            for command in (("keys", "init"), ("topics", "create"), ("schemas", "register"), ("dispatch", "--init")):
                self._hub(settings, *command)
        with self._step("offices 生成部门数据"):
            today = local_date(Clock(settings).now_ms())
            manifest = departments.Manifest(seed=SEED, households=HOUSEHOLDS[self._size], as_of=today)
            departments.first(offices, manifest)
        with self._step("processes 启动进程"):
            for name in ("receiver", "worker", "dispatcher", "quality", "web", "connector"):
                self._say(f"hub {name}")
                processes.start(name)
        engine = open_store(settings.store)
        watcher = Watcher(settings, engine)
        wait = self._waiter(watcher, processes)
        try:
            with self._step("load 首次装载"):
                send_poison(settings)
                wait("first load 首次装载")
            with self._step("release 放行"):
                self._hub(settings, "release", "--all")
                wait("delivery 派送")
            with self._step("changes 第二批"):
                departments.second(offices)
                wait("second wave 第二批")
            with self._step("time 时间推移"):
                self._set_clock(settings, datetime.now(SHANGHAI) + LATER)
                wait("clock moved 时间推移")
            with self._step("oracle 对照"):
                agreement = compare(settings)
            expected = json.loads((offices / "faults.json").read_text())
            with session(engine, writes=False) as db:
                figures = shown.Figures(
                    sources=shown.sources(db),
                    joined=agreement.joined,
                    rules=shown.rules(db),
                    lines=shown.lines(db),
                    quality=shown.quality(db),
                    quarantine=shown.quarantine(db),
                    dispositions=shown.dispositions(db),
                    superseded=agreement.superseded,
                    oracle=agreement.counts,
                    seconds={},
                    pages=_pages(settings),
                    failed=[],
                )
            figures.failed = shown.shortcomings(figures, [f["reason"] for f in expected if f.get("reason")])
            return figures
        finally:
            watcher.close()
            engine.dispose()

    def _waiter(self, watcher: Watcher, processes: Processes) -> Callable[[str], None]:
        def wait(what: str) -> None:
            try:
                watcher.wait(what, alive=processes.alive, progress=self._say, timeout_s=LOAD_TIMEOUT_S)
            except StackError as error:
                ended = ", ".join(processes.ended()) or "none"
                raise StackError(f"{error.problem} (ended: {ended})", f"read {self._data_dir / 'logs'}") from error

        return wait

    def _hub(self, settings: Settings, *words: str) -> None:
        """Run one `hub` command as an operator would. StackError with what it said when it fails."""
        done = subprocess.run(  # noqa: S603  # our own program, words of our own
            [sys.executable, "-m", "hub.cli.main", *words],
            env={**environment(settings), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise StackError(f"hub {' '.join(words)} failed", done.stderr.strip()[-800:] or "run it by hand to see why")

    def _set_clock(self, settings: Settings, moment: datetime) -> None:
        """Move the rehearsal clock of all processes; written whole, then renamed, since they read at any time."""
        if settings.clock_file is None:
            raise StackError("the demo has no rehearsal clock", "start it by `hub demo`")
        draft = settings.clock_file.with_suffix(".new")
        draft.write_text(moment.isoformat())
        draft.replace(settings.clock_file)

    def _stay(self, processes: Processes) -> None:
        self._console.print("保持运行，按 Ctrl-C 结束 — it stays up until Ctrl-C")
        stop = stop_event()
        while not stop.wait(1):
            for name in processes.ended():
                raise StackError(f"hub {name} ended by itself", f"read {self._data_dir / 'logs' / name}.log")
        self._console.print("正在停止 stopping …")

    def _say(self, text: str) -> None:
        self._console.print(f"  [dim]{time.monotonic() - self._began:6.1f} s[/dim]  {text}", highlight=False)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        self._console.print(f"[bold]{name}[/bold]")
        yield
        self._seconds[name] = time.monotonic() - started


def _pages(settings: Settings) -> dict[str, str]:
    site = f"http://{settings.bind}:{settings.web_port}"
    pages = {
        "首页 home": "/",
        "待办队列 queue": "/cases",
        "数据质量 quality": "/quality",
        "运行情况 operator": "/operator",
    }
    return {name: site + path for name, path in pages.items()}
