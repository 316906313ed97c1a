"""Folders of state: whose they are, who holds them, and what is left when a process is killed or its disk is full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.discovery.state import prefix_of
from hub.errors import HubError, StateElsewhere, StateFromTheFuture, StateUnavailable
from hub.settings import Settings
from hub.streams import places
from hub.streams.places import IDENTITY, LOCK, Identity, Places
from hub.streams.stage import Stage
from hub.streams.state import OFFSETS, PartitionState, encode_offsets
from tests.integration.streams.ledger import decoded
from tests.unit.streams import disk_child
from tests.unit.streams.disk_child import FIRST_DAY, KEYS, STAGE, change

HOME = Path(__file__).parents[3]


def open_(
    folder: Path,
    *,
    cluster: str = "cluster",
    topic_id: str = "topic id",
    partition: int = 0,
    stage: Stage = STAGE,
    cancelled: bool = False,
) -> PartitionState | None:
    """What a worker of some cluster opens."""
    event = threading.Event()
    if cancelled:
        event.set()
    opener = Places(Settings(state="disk", state_dir=folder), ask=lambda _settings, _topic: (cluster, topic_id))
    return opener.open(stage, partition, event)


def opened(folder: Path, **changed: Any) -> PartitionState:
    """The same, where nothing stands against it."""
    state = open_(folder, **changed)
    assert state is not None
    return state


def place(folder: Path, partition: int = 0) -> Path:
    """Folder of a partition."""
    return folder / STAGE.state_topic.name / str(partition)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file under a folder: when it was written, and what it holds."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder in which a state was left."""
    state = opened(tmp_path)
    for _ in range(10):
        disk_child.apply(state)
    state.close()
    return tmp_path


def test_memory_is_the_default_and_touches_no_disk(tmp_path: Path) -> None:
    """Nor asks Kafka anything."""
    state = Places(Settings(data_dir=tmp_path)).open(STAGE, 0, threading.Event())
    assert state is not None
    assert not state.lasting
    assert list(tmp_path.iterdir()) == []


def test_a_partition_that_comes_back_finds_what_was_kept(written: Path) -> None:
    """Beside others of its own."""
    other = opened(written, partition=1)
    state = opened(written)
    assert (state.position, state.offsets, len(state)) == (10, {"t": 10}, 10)
    assert (other.position, len(other)) == (0, 0)
    state.close()
    other.close()


def test_only_the_owner_of_a_folder_may_look_into_it(written: Path) -> None:
    """States are about people."""
    assert place(written).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("changed", "kind", "word"),
    [
        ({"cluster": "another"}, StateElsewhere, "cluster"),
        ({"stage": msgspec.structs.replace(STAGE, name="another")}, StateElsewhere, "stage"),
    ],
)
def test_a_folder_of_another_is_refused_and_left_alone(
    written: Path, changed: dict[str, Any], kind: type[HubError], word: str
) -> None:
    """Another cluster, another stage."""
    before = contents(place(written))
    with pytest.raises(kind, match=f"holds state of {word}"):
        open_(written, **changed)
    assert contents(place(written)) == before


@pytest.mark.parametrize(("field", "value"), [("app", "another"), ("partition", 3), ("topic", "another")])
def test_a_folder_that_was_moved_or_is_another_applications_is_refused(written: Path, field: str, value: Any) -> None:
    """By what it says of itself, wherever it lies."""
    path = place(written) / IDENTITY
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), field: value}))
    before = contents(place(written))
    with pytest.raises(StateElsewhere, match=f"holds state of {field} {value}"):
        open_(written)
    assert contents(place(written)) == before


@pytest.mark.parametrize("name", ["000001.sst", "notes.txt"])
def test_a_folder_that_says_nothing_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    """It may be a table of Faust's, or somebody's notes."""
    place(tmp_path).mkdir(parents=True)
    (place(tmp_path) / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(StateElsewhere, match="does not say whose"):
        open_(tmp_path)
    assert contents(tmp_path) == before


def test_an_identity_that_cannot_be_read_is_refused(written: Path) -> None:
    """No guess whose it may be."""
    (place(written) / IDENTITY).write_text("{")
    with pytest.raises(StateElsewhere, match="cannot be read"):
        open_(written)


def test_a_start_cut_short_before_it_said_whose_a_folder_is_begins_again(tmp_path: Path) -> None:
    """Only the lock is there."""
    place(tmp_path).mkdir(parents=True)
    (place(tmp_path) / LOCK).touch()
    opened(tmp_path).close()


PREFIXED = msgspec.structs.replace(STAGE, prefix=prefix_of(1))


def test_a_folder_of_a_newer_release_ends_the_process(tmp_path: Path) -> None:
    """Of newer values, or of another layout of rows. One of older values is taken up, and says so from then on."""
    opened(tmp_path, stage=PREFIXED).close()
    opened(tmp_path, stage=msgspec.structs.replace(PREFIXED, prefix=bytes((2, 1)))).close()
    before = contents(place(tmp_path))
    with pytest.raises(StateFromTheFuture, match="newer release"):
        open_(tmp_path, stage=PREFIXED)
    assert contents(place(tmp_path)) == before
    path = place(tmp_path) / IDENTITY
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), "layout": places.LAYOUT + 1}))
    with pytest.raises(StateFromTheFuture):
        open_(tmp_path, stage=msgspec.structs.replace(PREFIXED, prefix=bytes((2, 1))))


def test_a_changelog_made_anew_means_a_state_made_anew(written: Path) -> None:
    """What the folder holds was never in it."""
    state = opened(written, topic_id="another")
    assert (state.position, len(state)) == (0, 0)
    disk_child.apply(state)
    state.close()
    said = msgspec.json.decode((place(written) / IDENTITY).read_bytes(), type=Identity)
    assert said.topic_id == "another"
    state = opened(written, topic_id="another")
    assert len(state) == 1
    state.close()


@contextmanager
def child(mode: str, folder: Path, count: int, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A process that works in a folder."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.streams.disk_child", mode, str(folder), str(count)],
        cwd=HOME,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        if running.stdout is not None:
            running.stdout.close()


def said(running: subprocess.Popen[str]) -> str:
    """The next line a child says."""
    assert running.stdout is not None
    return running.stdout.readline()


def test_a_folder_is_held_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another waits for it; who waits in vain says who to look for, and who no longer needs it goes."""
    monkeypatch.setattr(places, "LOCK_WAIT_S", 0.2)
    with child("keep", tmp_path, 5) as holder:
        assert said(holder) == "ready\n"
        before = (place(tmp_path) / IDENTITY).stat().st_mtime_ns
        with pytest.raises(StateUnavailable, match="held by another process"):
            open_(tmp_path)
        assert open_(tmp_path, cancelled=True) is None
        assert (place(tmp_path) / IDENTITY).stat().st_mtime_ns == before
        monkeypatch.setattr(places, "LOCK_WAIT_S", 60.0)
        ending = threading.Timer(0.5, holder.kill)
        ending.start()
        opened(tmp_path).close()
        ending.join()


def expected(position: int) -> PartitionState:
    """In memory, what a position means."""
    state = PartitionState(STAGE, 0)
    for number in range(1, position + 1):
        key, value = change(number, padding=0)
        state.load(key.encode(), STAGE.encode(value))
    state.load(OFFSETS, encode_offsets({"t": position}))
    state.settle()
    return state


def faults(state: PartitionState) -> list[str]:
    """What is not as the position of a state says. Values are told by their sequence alone: their rest is random."""
    held = expected(state.position)
    found = []
    if {key: value.sequence for key, value in decoded(state)} != {key: v.sequence for key, v in decoded(held)}:
        found.append("values")
    if sorted(state.keys()) != sorted(held.keys()) or len(state) != len(held):
        found.append("keys")
    if state.offsets != held.offsets:
        found.append("offsets")
    if +state.standing != +held.standing:
        found.append("standing numbers")
    last = FIRST_DAY.replace(year=2030)
    if state.reviews.due(last) != held.reviews.due(last) or len(state.reviews) != len(held.reviews):
        found.append("days")
    return found


def caught_up(state: PartitionState, end: int) -> PartitionState:
    """Load the tail, as a restore does."""
    for position in range(state.position + 1, end + 1):
        key, value = change(position)
        state.load(key.encode(), STAGE.encode(value))
    state.load(OFFSETS, encode_offsets({"t": end}))
    state.loaded(end)
    state.settle()
    return state


def test_killed_while_it_writes_it_is_whole_and_catches_up(tmp_path: Path) -> None:
    """Again and again in the same folder: each time what is there is what its position says, and no more."""
    behind = 0
    for number in range(4):
        with child("hold", tmp_path, 700) as running:
            assert said(running) == "ready\n"
            time.sleep(0.05 + 0.1 * number)
            running.send_signal(signal.SIGKILL)
            running.wait()
        state = opened(tmp_path)
        assert state.position > behind
        assert faults(state) == []
        behind = state.position
        caught_up(state, behind + 300)
        assert faults(state) == []
        assert len(state) == KEYS
        state.close()
        behind += 300


def test_a_full_disk_ends_the_process_and_nothing_is_lost(tmp_path: Path) -> None:
    """A file-size limit stands for the full disk: tables cannot be written. With space again it goes on."""
    with child("fill", tmp_path, 300) as running:
        assert running.wait(60) == 0
    with child("fill", tmp_path, 100_000, HUB_TEST_FSIZE="60000") as running:
        line = said(running)
        assert running.wait(60) == 75
    assert line.startswith("refused state_unavailable no more can be written")
    assert "make space" in line
    state = opened(tmp_path)
    assert state.position >= 300
    assert faults(state) == []
    caught_up(state, state.position + 500)
    assert faults(state) == []
    for _ in range(100):
        disk_child.apply(state)
    assert faults(state) == []
    state.close()


def test_the_check_sees_each_kind_of_fault(written: Path) -> None:
    """A position ahead, a lost key, a wrong number: what `faults` is to find."""
    state = opened(written)
    assert faults(state) == []
    state.position += 1
    assert faults(state) == ["values", "keys", "offsets", "standing numbers", "days"]
    state.position -= 1
    state.standing = Counter()
    assert faults(state) == ["standing numbers"]
    state.close()
