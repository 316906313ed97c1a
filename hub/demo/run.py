"""The demonstration, step by step."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from rich.console import Console

from hub.demo import figures as shown
from hub.demo.deployment import Deployment
from hub.demo.parts import Processes
from hub.demo.poison import send_poison
from hub.errors import StackError
from hub.ops.shutdown import stop_event
from hub.settings import Settings
from hub.stack import LocalStack
from hub.store.db import session

SEED: Final = 331100
HOUSEHOLDS: Final = {"small": 300, "full": 3000}
PARTITIONS: Final = 4
HOLD: Final = timedelta(days=10)
"""Alerts after a death wait a week (death.hold_days): they leave when it is over, and only then can be taken back."""

LATER: Final = timedelta(days=45)
"""How far the clock is moved at the end: enough for planted birthdays and windows to pass."""


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
        try:
            deployment = Deployment(
                self._data_dir,
                stack,
                store_url=self._store_url,
                partitions=PARTITIONS,
                thirdparty=True,
                with_synthea=self._size == "full",
                say=self._say,
            )
            try:
                figures = self._steps(deployment)
                figures.seconds = {**self._seconds, "total 合计": time.monotonic() - self._began}
                shown.write(figures, report)
                shown.show(self._console, figures)
                for failure in figures.failed:
                    self._console.print(f"[red]✗ {failure}[/red]")
                if not figures.failed:
                    self._console.print("[green]✓ 每一步都完成了 every step did its work[/green]")
                if not once:
                    self._stay(deployment.processes)
                return not figures.failed
            finally:
                deployment.close()
        finally:
            stack.stop()

    def _steps(self, deployment: Deployment) -> shown.Figures:
        with self._step("prepare 建库建主题"):
            deployment.prepare()
            deployment.processes.launch("quality")  # Great Expectations takes seconds to import
        with self._step("offices 生成部门数据"):
            deployment.first_wave(seed=SEED, households=HOUSEHOLDS[self._size])
        with self._step("processes 启动进程"):
            deployment.start()
        with self._step("load 首次装载"):
            send_poison(deployment.settings)
            deployment.wait("first load 首次装载")
        with self._step("release 放行"):
            deployment.hub("release", "--all")
            deployment.wait("delivery 派送")
        with self._step("hold 待一周"):
            deployment.pass_time(HOLD)
            deployment.wait("a week passes 待一周")
        with self._step("changes 第二批"):
            deployment.second_wave()
            deployment.wait("second wave 第二批")
        with self._step("time 时间推移"):
            deployment.pass_time(LATER)
            deployment.wait("clock moved 时间推移")
        with self._step("oracle 对照"):
            agreement = deployment.agreement()
        expected = json.loads((deployment.offices / "faults.json").read_text())
        with session(deployment.engine, writes=False) as db:
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
                pages=_pages(deployment.settings),
                failed=[],
            )
        figures.failed = shown.shortcomings(figures, [f["reason"] for f in expected if f.get("reason")])
        return figures

    def _stay(self, processes: Processes) -> None:
        self._console.print("保持运行，按 Ctrl-C 结束 — it stays up until Ctrl-C. In another shell:")
        self._console.print(f"  (set -a; . {self._data_dir / 'settings.env'}; .venv/bin/hub doctor)")
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
