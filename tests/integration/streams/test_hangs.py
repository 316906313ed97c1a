"""A worker that hangs ends and says at what; one that was suspended, is idle or restores for long does not.

The bounds are shortened by their settings. Nothing here rests on how long something takes: a worker that would not end
is waited for in vain, and one that must not end is watched over several of its bounds.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request

import pytest

from hub.stack import free_port
from tests.integration.streams import ledger
from tests.integration.streams.conftest import Bench, wait_exit
from tests.integration.streams.hanging_worker import WAYS

WAITS = {
    "commit": ("BATCH", "a batch (commit of ledger-hang, partition"),
    "loop": ("LOOP", "the event loop:"),
    "restore": ("RESTORE", "the restore of state ("),
    "assignment": ("ASSIGNMENT", "an assignment by the group:"),
    "agent": ("LAG", "batches, with records waiting ("),
    "fetch": ("LAG", "Kafka's answer to a fetch:"),
    "tick": ("LAG", "the look at reviews and lag:"),
}
"""Which bound is over in each way to hang, and what the log says of it."""

SHORT_S = 6
"""A bound for tests: no step of a healthy worker here takes a tenth of it."""


@pytest.mark.parametrize("way", WAYS)
def test_a_worker_that_hangs_ends_and_names_the_wait(bench: Bench, way: str) -> None:
    """75: start it again. The line says which wait it was and where the main thread stands."""
    bench.ledger("hang")
    bench.send(40)
    bound, words = WAITS[way]
    worker = bench.worker(
        "hang", f"hang-{way}", ready=False, MODULE="hanging_worker", HANG=way, **{f"HUB_HANG_{bound}_S": str(SHORT_S)}
    )
    assert wait_exit(worker) == 75, worker.log_tail()
    said = worker.log_tail()
    assert words in said
    assert '"reason": "hung"' in said
    assert '"stack": ["' in said


def test_what_was_stopped_or_idle_goes_on(bench: Bench) -> None:
    """Suspended between two commits for several bounds, then resumed; then idle for several bounds.

    Within a commit it would find itself fenced, since the broker ends a transaction that takes too long.
    """
    bench.ledger("slept")
    bench.send(200)
    bounds = {f"HUB_HANG_{bound}_S": str(SHORT_S) for bound in ("BATCH", "LOOP", "RESTORE", "LAG")}
    worker = bench.worker("slept", "slept", ready=True, **bounds)
    ledger.wait_folded(bench.settings, "slept")
    os.kill(worker.pid, signal.SIGSTOP)
    bench.send(200)
    time.sleep(2.5 * SHORT_S)
    os.kill(worker.pid, signal.SIGCONT)
    assert bench.faults("slept") == []
    time.sleep(2.5 * SHORT_S)
    assert worker.running, worker.log_tail()
    bench.send(100)
    assert bench.faults("slept") == []
    assert worker.running, worker.log_tail()


def test_a_long_restore_that_goes_on_is_no_hang(bench: Bench) -> None:
    """Slowed down to many times the bound, a little read at a time; meanwhile /ready says how far it has come."""
    bench.ledger("long")
    bench.send(1500)
    bench.worker("long", "long-1")
    ledger.wait_folded(bench.settings, "long")
    port = str(free_port())
    worker = bench.worker(
        "long", "long-2", ready=False, MODULE="hanging_worker", HANG="slow_restore", HUB_WORKER_PORT=port,
        HUB_HANG_RESTORE_S=str(SHORT_S), HUB_HANG_ASSIGNMENT_S=str(SHORT_S),
    )  # fmt: skip
    said: list[tuple[int, str]] = []
    deadline = time.monotonic() + 180
    while not said or said[-1][0] != 200:
        assert worker.running, worker.log_tail()
        assert time.monotonic() < deadline, said[-3:]
        said.append(ready(port))
        time.sleep(0.5)
    seen = [detail for status, detail in said if status == 503 and detail.startswith("restoring state: ")]
    assert len(set(seen)) > 1, said
    bench.send(50)
    assert bench.faults("long") == []


def ready(port: str) -> tuple[int, str]:
    """Status and detail of /ready; 0 while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as answer:
            return answer.status, json.loads(answer.read())["detail"]
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["detail"]
    except urllib.error.URLError:
        return 0, ""


def test_once_all_was_done_the_next_finds_it_whole(bench: Bench) -> None:
    """What the hanging ones left behind is folded in by one that does not hang."""
    bench.ledger("hang")
    bench.worker("hang", "hang-last")
    assert bench.faults("hang") == []
    ledger.wait_folded(bench.settings, "hang")
