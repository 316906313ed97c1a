"""Clock, logs, health: what every process relies on."""

from __future__ import annotations

import io
import json
import logging
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

import pytest

from hub.domain.times import day_start_ms, local_date
from hub.errors import ConfigurationError
from hub.ops.clock import Clock
from hub.ops.health import HealthServer
from hub.ops.logs import configure, logger
from hub.settings import Settings


def test_a_day_begins_at_midnight_in_lishui() -> None:
    """16:00 UTC is midnight in Asia/Shanghai."""
    start = day_start_ms(date(2026, 3, 1))
    assert local_date(start) == date(2026, 3, 1)
    assert local_date(start - 1) == date(2026, 2, 28)


def test_rehearsal_clock_follows_its_file(tmp_path: Path) -> None:
    """A demo moves the clock by writing the file, while the process runs."""
    file = tmp_path / "clock"
    clock = Clock(Settings(clock_file=file))
    assert abs(clock.now_ms() - time.time_ns() // 1_000_000) < 60_000
    file.write_text("2031-05-06T07:00:00+08:00")
    assert local_date(clock.now_ms()) == date(2031, 5, 6)
    file.write_text("tomorrow")
    with pytest.raises(ConfigurationError, match="write one like"):
        clock.now_ms()


def fail_with(number: str) -> None:
    """Fails while a local variable holds a citizen number."""
    raise ValueError(f"{len(number)} characters")


def test_a_log_line_never_carries_personal_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys that could are refused, whoever passes them."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure("test")
        logger("ops").info("read", number="332501199001010011", source="ga")
        try:
            fail_with("332501199001010011")
        except ValueError:
            logger("ops").exception("failed")
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
    line, traceback = (json.loads(text) for text in stream.getvalue().splitlines())
    assert traceback["exception"][0]["exc_type"] == "ValueError"
    assert "332501199001010011" not in stream.getvalue()
    assert (line["number"], line["source"], line["process"]) == ("refused", "ga", "test")


def test_health_tells_ready_from_live() -> None:
    """503 until ready, with the reason; metrics are always there."""
    state = [False]
    server = HealthServer("127.0.0.1", 0, ready=lambda: (state[0], "restoring"))
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}/ready", timeout=5)
        with refused.value:
            assert (refused.value.code, json.load(refused.value)["detail"]) == (503, "restoring")
        state[0] = True
        for path in ("/ready", "/live", "/metrics"):
            with urllib.request.urlopen(server.url + path, timeout=5) as answer:
                assert answer.status == 200
    finally:
        server.close()


def test_nothing_binds_beyond_loopback() -> None:
    """There is no login yet."""
    with pytest.raises(ConfigurationError, match="no login"):
        HealthServer("0.0.0.0", 0, ready=lambda: (True, ""))  # noqa: S104  # the refusal is what is tested
