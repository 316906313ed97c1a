"""Tables for people, and build/bench.json for machines."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

FILE: Final = Path(__file__).parents[2] / "build" / "bench.json"
COLUMNS: Final = {
    "engine": "engine 引擎", "cure": "commit 提交", "version": "version", "partitions": "partitions",
    "workers": "workers", "people": "persons", "batch": "batch", "events": "events", "events_per_s": "events/s",
    "of_bare": "× bare", "cpu_us_per_event": "CPU µs/event", "cpu_of_bare": "CPU × bare", "rss_mib": "RSS MiB",
    "restore_s": "restore s", "restored_keys": "keys", "keys_per_s": "keys/s", "ready_s": "ready s",
    "p50_ms": "p50 ms", "p90_ms": "p90 ms",
    "p99_ms": "p99 ms", "p100_ms": "max ms", "records_per_s": "records/s", "cpu_us_per_record": "CPU µs/record",
    "commit_ms": "commit ms", "open_ms": "open ms", "same_alerts": "same alerts 结果一致",
}  # fmt: skip
_SAME: Final = ("workers", "events", "people", "partitions")
"""Columns that are left out where all rows are alike."""

WIDTH: Final = 150
"""Columns of the tables, also where nobody looks on."""


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print a table of what rows hold."""
    table = Table(title=title)
    shown = [
        name
        for name in COLUMNS
        if any(row.get(name) is not None for row in rows) and not (name in _SAME and _one(rows, name))
    ]
    for name in shown:
        table.add_column(COLUMNS[name], justify="left" if name in ("engine", "cure", "version") else "right")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in shown))
    Console(width=max(WIDTH, Console().width)).print(table)


def keep(part: str, rows: Sequence[dict[str, Any]], **about: Any) -> None:
    """Put one scenario's rows into build/bench.json; what other scenarios left there stays."""
    FILE.parent.mkdir(exist_ok=True)
    held = json.loads(FILE.read_text()) if FILE.exists() else {}
    held[part] = list(rows)
    held.setdefault("about", {})[part] = {"cores": os.cpu_count(), **about}
    FILE.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n")


def _one(rows: Sequence[dict[str, Any]], name: str) -> bool:
    return len({row.get(name) for row in rows}) == 1


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
