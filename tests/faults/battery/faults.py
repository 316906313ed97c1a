"""What is done to the workers and to what they stand on: one function a fault, registered by name.

A script starts the workers, sets the input going and does the harm; when it returns, all faults have ended.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from hub.domain.times import DAY_MS
from hub.streams.topics import ALERTS, CONTRIBUTIONS, FINDINGS, PERSON_STATE
from tests.faults.battery.case import SESSION_S, Case, Script
from tests.faults.battery.crew import Member
from tests.faults.battery.generator import DISORDER, ORDINARY, POISONED, SOAK, Profile
from tests.faults.battery.invariants import Vitals
from tests.faults.battery.points import OF_THE_COMMIT, POINTS
from tests.topology.records import NOON

PATIENCE_S: Final = 60.0
HOUR_MS: Final = 3_600_000
BEFORE_MIDNIGHT: Final = NOON + 11 * HOUR_MS + HOUR_MS // 2
AFTER_MIDNIGHT: Final = NOON + 12 * HOUR_MS + HOUR_MS // 2
FAKETIME: Final = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
SMALL_DISK: Final = 32 * 1024 * 1024
MEMTABLE: Final = "65536"
"""Bytes a partition holds back: state is written out, and a full disk met, within seconds."""

REFUSED_ABOVE: Final = 100
"""Bytes of a batch above which the broker refuses it while it refuses: every message is larger."""

REFUSED_S: Final = 15.0
"""A worker at work publishes within a second, a slow one within some; one that swallows the refusal never ends."""


class Fault(NamedTuple):
    """A fault by name. `nodes`: brokers it needs."""

    script: Script
    statement: str
    profile: Profile = ORDINARY
    nodes: int = 1
    long: bool = False


FAULTS: dict[str, Fault] = {}


def fault(name: str, profile: Profile = ORDINARY, *, nodes: int = 1, long: bool = False) -> Callable[[Script], Script]:
    """Register a script; its docstring says what it does."""

    def register(script: Script) -> Script:
        FAULTS[name] = Fault(script, " ".join((script.__doc__ or "").split()), profile, nodes, long)
        return script

    return register


# --- killed at a point --------------------------------------------------------------------------------------------


def killed(case: Case, *kills: str, same_group: bool = False) -> None:
    """One worker, killed at each of the orders in turn and started again; then it runs on."""
    case.crew.same_group = same_group  # elsewise nobody waits six seconds for the dead
    case.publisher.first(int(case.publisher.left * 0.4))
    member = case.crew.add(kills=kills)
    case.publisher.start()
    case.until(lambda: not member.kills, PATIENCE_S, f"{len(kills)} kills")


def kill_at(case: Case, point: str) -> None:
    """Killed twice at a point; the seed chooses when, once at an odd and once at an even passing."""
    first = case.random.randrange(3, 9)
    second = 2 * case.random.randrange(0, 3) + 1 + first % 2
    before = ["after_commit:12"] if point == "mid_restore" else []  # else there is nothing to restore
    killed(case, *before, f"{point}:{first}", f"{point}:{second}")


def kill_in_rebalance(case: Case, point: str) -> None:
    """A worker that owns everything is killed while a second one's coming takes half of it away."""
    case.storm()
    first = case.crew.add(kills=[f"{point}:2"])
    case.until(lambda: first.ready, PATIENCE_S, "a worker ready")
    case.crew.add()
    case.until(lambda: not first.kills, PATIENCE_S, "the kill")


for _point in POINTS:
    _how = kill_in_rebalance if "rebalance" in _point else kill_at
    FAULTS[f"kill-{_point.replace('_', '-')}"] = Fault(
        partial(_how, point=_point), f"SIGKILL at {_point}: {' '.join((_how.__doc__ or '').split())}"
    )


@fault("kill-everywhere")
def kill_everywhere(case: Case) -> None:
    """SIGKILL at every point, one after the other in an order that the seed chooses."""
    points = list(POINTS)
    case.random.shuffle(points)
    points.sort(key="mid_restore".__eq__)  # last, when there is something to restore
    killed(case, *(f"{point}:{1 if 'rebalance' in point else case.random.randrange(1, 4)}" for point in points))


@fault("kill-some")
def kill_some(case: Case) -> None:
    """SIGKILL at one step of the commit that the seed chooses, and in the restore that follows."""
    point = case.random.choice(OF_THE_COMMIT)
    killed(case, f"{point}:{case.random.randrange(3, 9)}", f"mid_restore:{case.random.randrange(1, 9)}")


@fault("none")
def none(case: Case) -> None:
    """Nothing but the input's own disorder and poison: what a mutant breaks by itself."""
    killed(case)


@fault("kill-rejoin")
def kill_rejoin(case: Case) -> None:
    """SIGKILL between two batches' steps, and back into the same group, which waits out the dead one's session."""
    killed(case, f"after_decode:{case.random.randrange(4, 10)}", same_group=True)


# --- stopped, joining, leaving ------------------------------------------------------------------------------------


@fault("paused")
def paused(case: Case) -> None:
    """Of two workers one is stopped past its session (SIGSTOP) and goes on when another has its partitions."""
    case.storm()
    members = [case.crew.add(), case.crew.add()]
    case.until(lambda: all(member.ready for member in members), PATIENCE_S, "two workers ready")
    sleeper = case.random.choice(members)
    sleeper.process.signal(signal.SIGSTOP)
    sleeper.paused = True
    case.crew.rest(SESSION_S + 3)
    sleeper.process.signal(signal.SIGCONT)
    sleeper.paused = False
    case.crew.rest(1)


@fault("churn")
def churn(case: Case) -> None:
    """Workers join and leave every few seconds, in order and by SIGKILL."""
    case.storm()
    case.crew.add()
    for _ in range(3):
        case.crew.rest(1 + 2 * case.random.random())
        case.crew.add()
        case.crew.rest(1 + 2 * case.random.random())
        leaving = case.random.choice([member for member in case.crew.members if member.wanted])
        if case.random.random() < 0.5:
            case.crew.dismiss(leaving)
        else:
            leaving.wanted = False
            leaving.process.kill()


def _at_work(case: Case) -> Member:
    """A worker in the middle of the work."""
    case.storm()
    member = case.crew.add()
    case.until(lambda: member.ready, PATIENCE_S, "a worker ready")
    return member


# --- what they stand on -------------------------------------------------------------------------------------------


@fault("broker-killed")
def broker_killed(case: Case) -> None:
    """The only broker is killed in the middle of the work and started again on its log."""
    _at_work(case)
    case.crew.rest(case.random.random())
    broker = case.ground.brokers[0]
    broker.kill()
    case.crew.rest(0.5 + case.random.random())
    broker.start()
    broker.wait_ready()


@fault("leader-lost", nodes=3)
def leader_lost(case: Case) -> None:
    """Of three brokers the one that leads a changelog is killed; the others go on, and later it comes back."""
    _at_work(case)
    case.crew.rest(case.random.random())
    admin = AdminClient({"bootstrap.servers": case.settings.brokers, "log_level": 1})
    led = admin.list_topics(PERSON_STATE.name, timeout=PATIENCE_S).topics[PERSON_STATE.name].partitions
    lost = case.ground.brokers[led[case.random.randrange(len(led))].leader - 1]
    lost.kill()
    case.crew.rest(3 + 2 * case.random.random())
    lost.start()
    lost.wait_ready()


@fault("registry-away")
def registry_away(case: Case) -> None:
    """The registry is killed, and while it is away the worker is killed too and cannot start; then it is back."""
    member = _at_work(case)
    registry = case.ground.registry
    registry.kill()
    case.crew.rest(case.random.random())
    case.crew.same_group = False
    member.process.kill()
    case.until(lambda: 75 in member.exits, PATIENCE_S, "a worker that ends for want of the registry")
    registry.start()
    registry.wait_ready()


@fault("refused")
def refused(case: Case) -> None:
    """The broker refuses whatever the stages publish, in the middle of the work, until a worker ended for it."""
    member = _at_work(case)
    outputs = (ALERTS, FINDINGS, CONTRIBUTIONS)
    case.crew.same_group = False
    _limit(case, {topic.name: REFUSED_ABOVE for topic in outputs})
    # Not for a fixed time: a quick machine would start and end a worker more often in it than a supervisor bears.
    case.until(lambda: 1 in member.exits, REFUSED_S, "a worker that ends for what was refused")
    _limit(case, {topic.name: topic.max_bytes for topic in outputs})


def _limit(case: Case, largest: dict[str, int]) -> None:
    admin = AdminClient({"bootstrap.servers": case.settings.brokers, "log_level": 1})
    changes = []
    for topic, size in largest.items():
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        changes.append(ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry]))
    for future in admin.incremental_alter_configs(changes).values():
        future.result()


@fault("disk-full")
def disk_full(case: Case) -> None:
    """State on disk, and the disk fills up in the middle of the work; then there is space again."""
    with _small_disk(case) as (folder, fill, env):
        case.storm()
        case.crew.same_group = False
        member = case.crew.add({"HUB_STATE": "disk", "HUB_STATE_DIR": str(folder), "BATTERY_MEMTABLE": MEMTABLE, **env})
        case.until(lambda: member.ready, PATIENCE_S, "a worker ready")
        fill()
        case.until(lambda: 75 in member.exits, PATIENCE_S, "a worker that ends for want of space")
        (folder / "ballast").unlink(missing_ok=True)
        member.env.pop("BATTERY_FSIZE", None)


@contextmanager
def _small_disk(case: Case) -> Iterator[tuple[Path, Callable[[], None], dict[str, str]]]:
    """A folder on a small file system and how to fill it; where none may be mounted, a limit on the size of files."""
    folder = case.folder / "state"
    folder.mkdir()
    mount = shutil.which("mount")
    mounted = (
        mount is not None
        and subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
        == 0
    )
    if not mounted:
        case.notes.append("no file system may be mounted here: a limit on the size of files stands for the full disk")
        yield folder, lambda: None, {"BATTERY_FSIZE": "60000"}
        return
    case.notes.append(f"a tmpfs of {SMALL_DISK} bytes was filled")

    def fill() -> None:
        with (folder / "ballast").open("wb", buffering=0) as out, contextlib.suppress(OSError):
            while True:
                out.write(bytes(4096))

    case.at_end.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=False)
    yield folder, fill, {}


# --- the input ----------------------------------------------------------------------------------------------------


@fault("disorder", DISORDER)
def disorder(case: Case) -> None:
    """Half of the input comes twice, much of it late and out of order, with other contents under equal versions."""
    killed(case, f"after_states:{case.random.randrange(5, 20)}")


@fault("poison", POISONED)
def poison(case: Case) -> None:
    """Three records of ten are none a worker can read."""
    killed(case, f"after_outputs:{case.random.randrange(5, 20)}")


# --- clocks -------------------------------------------------------------------------------------------------------


def _clock(case: Case, by_ms: int, at_ms: int, libraries: Sequence[Path] = ()) -> None:
    """Two workers around midnight, the clock of one an hour off; then the next noon, by right clocks."""
    case.set_clock(at_ms)
    off = case.folder / "clock-off"
    case.set_clock(at_ms + by_ms, off)
    case.storm()
    case.crew.add()
    if libraries:
        fake = {
            "LD_PRELOAD": " ".join(map(str, libraries)),
            "FAKETIME": f"{by_ms // 1000:+d}s",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        odd = case.crew.add(fake, forked=False)
    else:
        odd = case.crew.add({"HUB_CLOCK_FILE": str(off)})
    case.until(lambda: odd.ready, PATIENCE_S, "the worker with the wrong clock ready")
    case.crew.rest(3)
    case.set_clock(NOON + DAY_MS, off)
    case.set_clock(NOON + DAY_MS)
    if libraries:  # its clock cannot be set right while it runs
        case.crew.dismiss(odd)


@fault("clock-ahead")
def clock_ahead(case: Case) -> None:
    """One worker of two is an hour ahead, half an hour before midnight: it decides for tomorrow."""
    _clock(case, HOUR_MS, BEFORE_MIDNIGHT)


@fault("clock-behind")
def clock_behind(case: Case) -> None:
    """One worker of two is an hour behind, half an hour after midnight: it decides for yesterday."""
    _clock(case, -HOUR_MS, AFTER_MIDNIGHT)


@fault("clock-process")
def clock_process(case: Case) -> None:
    """The same for a whole process by libfaketime: every clock it asks is an hour ahead, Kafka's clients included."""
    compiler = shutil.which("cc")
    if FAKETIME is None or compiler is None:
        case.skip("libfaketime or a C compiler is not installed — make setup-test, or apt-get install libfaketime gcc")
        return
    bridge = case.folder / "cnd_timedwait.so"
    source = Path(__file__).with_name("cnd_timedwait.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(bridge), str(source)], check=True)
    _clock(case, HOUR_MS, BEFORE_MIDNIGHT, [FAKETIME, bridge])


# --- long ---------------------------------------------------------------------------------------------------------


@fault("soak", SOAK, long=True)
def soak(case: Case) -> None:
    """Thousands of batches over the same persons: memory and descriptors of the worker over the second half."""
    case.crew.env["BATTERY_SLEEP"] = "0"
    member = case.crew.add()
    total = case.publisher.left
    samples: list[tuple[int, int]] = []
    while case.publisher.left:
        case.publisher.first(max(1, total // 40))
        ends = case.places()
        case.until(lambda ends=ends: case.downstream.quiet(ends, case.today), PATIENCE_S, "the batch")  # type: ignore[misc]  # bound at once
        samples.append(_vitals(member.process.pid))
    case.publisher.start()
    half = samples[len(samples) // 2 :]
    third = max(1, len(half) // 3)
    rss, descriptors = (
        (sum(one[at] for one in half[-third:]) / sum(one[at] for one in half[:third])) - 1 for at in (0, 1)
    )
    case.vitals = Vitals(rss, descriptors)
    case.notes.append(f"RSS {half[0][0] // 1024} KiB to {half[-1][0] // 1024} KiB, {half[-1][1]} descriptors")


def _vitals(pid: int) -> tuple[int, int]:
    """Resident bytes and open descriptors of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir()))
