"""State on disk beside the real changelog: read on from where it stands, built anew where it must be, never misread."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer as KafkaProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from hub.discovery.state import CODEC, PersonState, decode_person, encode_person, outline_person, prefix_of
from hub.errors import HubError, StateElsewhere, StateFromTheFuture, StateUnreadable
from hub.settings import Settings
from hub.stack import LocalStack
from hub.streams.admin import create_topics
from hub.streams.commit import Writer
from hub.streams.places import Places
from hub.streams.progress import RestoreProgress, Snapshot
from hub.streams.restore import TOMBSTONES_KEPT_MS, restore
from hub.streams.stage import Stage
from hub.streams.state import OFFSETS, PartitionState, Slot
from tests.integration.streams import ledger
from tests.integration.streams.conftest import Bench, wait_exit
from tests.integration.streams.ledger import Held, decoded

KILLED = -signal.SIGKILL
PARTITION = 1


class Desk:
    """One partition of a ledger: its writer, and its state on disk, which may lag behind what was written."""

    def __init__(self, settings: Settings, stage: Stage) -> None:
        self.stage = stage
        self.settings = settings
        create_topics(self.settings, [stage.state_topic])
        self.writer = Writer(self.settings, Slot(stage.name, PARTITION), stage.state_topic.name)
        self.writer.open()
        self.written = 0
        self.state = self.opened()

    def opened(self) -> PartitionState:
        """The state as a start finds it."""
        state = Places(self.settings).open(self.stage, PARTITION, threading.Event())
        assert state is not None
        return state

    def write(self, count: int, *, apply: bool) -> None:
        """Commit some batches of one state each, and have them applied or lost to a crash before that."""
        for _ in range(count):
            self.written += 1
            changes = {f"k{self.written % 7}": Held(sequence=self.written)}
            encoded = {key: self.stage.encode(value) for key, value in changes.items()}
            position = self.writer.commit([], encoded, {"t": self.written})
            assert position is not None
            if apply:
                counts = {"truth:ledger:no": 1} if self.written <= 7 else {}
                self.state.apply(changes, encoded, {"t": self.written}, counts, position)

    def reopen(self) -> None:
        """End, and start again."""
        self.state.close()
        self.state = self.opened()

    def restored(self) -> Snapshot:
        """Restore the state from the changelog; how that went."""
        progress = RestoreProgress()
        assert restore(self.settings, [self.state], threading.Event(), progress)
        return progress.snapshot()

    def faults(self) -> list[str]:
        """Where the disk answers otherwise than a memory that was restored from the start."""
        memory = PartitionState(self.stage, PARTITION)
        assert restore(self.settings, [memory], threading.Event())
        pairs: dict[str, tuple[Any, Any]] = {
            "states": (dict(decoded(self.state)), dict(decoded(memory))),
            "keys": (sorted(self.state.keys()), sorted(memory.keys())),
            "number": (len(self.state), len(memory)),
            "offsets": (self.state.offsets, memory.offsets),
            "standing": (+self.state.standing, +memory.standing),
            "position": (self.state.position, memory.position),
        }
        return [f"{name}: {ours} not {theirs}" for name, (ours, theirs) in pairs.items() if ours != theirs]

    def close(self) -> None:
        """Let go of both."""
        self.writer.close()
        self.state.close()


@pytest.fixture
def kept(own_stack: LocalStack, tmp_path: Path) -> Settings:
    """Settings of a worker that keeps its states on disk."""
    return Settings(data_dir=tmp_path, brokers=own_stack.bootstrap, partitions=5, state="disk")


@pytest.fixture
def desk(kept: Settings, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk with a changelog of its own."""
    made = Desk(kept, ledger.stage(request.node.name.replace("_", "-").partition("[")[0]))
    yield made
    made.close()


def test_only_what_was_missed_is_read(desk: Desk) -> None:
    """Nothing after an orderly end; after a crash between commits and what they led to, those commits and no more."""
    desk.restored()
    desk.write(20, apply=True)
    desk.reopen()
    assert desk.restored().records_read == 0
    assert desk.faults() == []
    desk.write(10, apply=True)
    desk.write(5, apply=False)
    desk.reopen()
    seen = desk.restored()
    assert (seen.records_read, seen.records_left, seen.keys, seen.active) == (2 * 5, 0, 7, False)
    assert desk.faults() == []


def test_a_position_that_was_not_told_means_reading_again(desk: Desk) -> None:
    """More is read than was missed, and it comes to the same."""
    desk.restored()
    desk.write(10, apply=True)
    changes = {"k1": Held(sequence=1000)}
    encoded = {"k1": desk.stage.encode(changes["k1"])}
    desk.writer.commit([], encoded, {"t": 1000})
    desk.state.apply(changes, encoded, {"t": 1000}, {}, None)
    desk.reopen()
    assert desk.restored().records_read == 2
    assert desk.faults() == []


def test_a_position_beyond_the_end_means_building_anew(desk: Desk) -> None:
    """The log lost its end, as an unclean election loses it."""
    desk.write(10, apply=True)
    desk.state.apply({"gone": Held()}, {"gone": desk.stage.encode(Held())}, {"t": 99}, {"truth:ledger:no": 1}, 10**6)
    desk.reopen()
    assert desk.restored().records_read == 20
    assert desk.faults() == []


def test_a_log_that_lost_what_is_missing_means_building_anew(kept: Settings) -> None:
    """What the log no longer says, the store must not say either."""
    stage = ledger.stage("cut")
    topic = msgspec.structs.replace(stage.state_topic, name="cut-state.v1", cleanup="delete")  # only those can be cut
    desk = Desk(kept, msgspec.structs.replace(stage, name="cut", state_topic=topic))
    desk.write(5, apply=True)
    desk.write(10, apply=False)
    admin = AdminClient({"bootstrap.servers": kept.brokers})
    place = TopicPartition(topic.name, PARTITION, 3 * 8)
    admin.delete_records([place])[place].result()
    desk.reopen()
    assert desk.restored().records_read == 2 * 7
    assert desk.faults() == []
    desk.close()


def test_a_store_left_behind_longer_than_deletions_are_kept_is_built_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion it missed may be gone from the log. One that missed nothing is as good as new."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - (TOMBSTONES_KEPT_MS + 60_000) * 1_000_000)
    desk.write(10, apply=True)
    monkeypatch.undo()
    desk.state.close()
    with monkeypatch.context() as later:
        later.setattr(PartitionState, "settle", lambda _state: None)  # which would note that it stands at the end
        desk.state = desk.opened()
        assert desk.restored().records_read == 0
    desk.write(1, apply=False)
    desk.reopen()
    assert desk.restored().records_read == 2 * 11
    assert desk.faults() == []
    desk.write(1, apply=False)
    desk.reopen()
    assert desk.restored().records_read == 2


def test_a_changelog_made_anew_is_seen(desk: Desk) -> None:
    """Though its name and its length are the same."""
    desk.write(10, apply=True)
    desk.writer.close()
    desk.state.close()
    admin = AdminClient({"bootstrap.servers": desk.settings.brokers})
    admin.delete_topics([desk.stage.state_topic.name])[desk.stage.state_topic.name].result()
    made = False
    while not made:  # the broker forgets the old one a moment later
        made = bool(create_topics(desk.settings, [desk.stage.state_topic]))
    desk.writer = Writer(desk.settings, Slot(desk.stage.name, PARTITION), desk.stage.state_topic.name)
    desk.writer.open()
    desk.written = 100
    desk.write(10, apply=False)
    desk.state = desk.opened()
    assert desk.restored().records_read == 20
    assert desk.faults() == []


def test_the_folder_of_another_cluster_is_refused(desk: Desk, bench_of_its_own: Bench) -> None:
    """With the same names of everything."""
    desk.write(3, apply=True)
    desk.state.close()
    other = bench_of_its_own.settings.model_copy(update={"state": "disk", "state_dir": desk.settings.states})
    create_topics(other, [desk.stage.state_topic])
    with pytest.raises(StateElsewhere, match="holds state of cluster"):
        Places(other).open(desk.stage, PARTITION, threading.Event())
    desk.state = desk.opened()
    assert desk.restored().records_read == 0


def _note(refused: list[Any], error: Any, _message: Any) -> None:
    if error is not None:
        refused.append(error)


def typed(name: str) -> Stage:
    """A ledger whose values are those of persons."""
    return msgspec.structs.replace(
        ledger.stage(name),
        encode=encode_person,
        decode=decode_person,
        outline=outline_person,
        prefix=prefix_of(CODEC),
        reviews=False,
        standing=lambda _person: (),
    )


@pytest.mark.parametrize(
    ("case", "key", "value", "kind"),
    [
        ("damaged", b"secret", encode_person(PersonState(0, 1, "x"))[:4], StateUnreadable),
        ("newer", b"secret", bytes((9, 1)) + b"\x90", StateFromTheFuture),
        ("offsets", OFFSETS, b"\xc1", StateUnreadable),
        ("name", b"\xff\xfe", b"x", StateUnreadable),
        ("nameless", None, b"x", StateUnreadable),
    ],
)
@pytest.mark.parametrize("lasting", [False, True])
def test_a_record_that_cannot_be_read_is_named_by_its_place(
    kept: Settings, case: str, key: bytes | None, value: bytes, kind: type[HubError], lasting: bool
) -> None:
    """Topic, partition and offset, so that an operator can look at it; never its key, which is a person's."""
    stage = typed(f"{case}-{'disk' if lasting else 'memory'}")
    # A compacted topic takes no record without a key; one that was made otherwise may hold some.
    stage = msgspec.structs.replace(stage, state_topic=msgspec.structs.replace(stage.state_topic, cleanup="delete"))
    create_topics(kept, [stage.state_topic])
    sender = KafkaProducer({"bootstrap.servers": kept.brokers})
    good = encode_person(PersonState(0, 1, "x"))
    topic = stage.state_topic.name
    refused: list[Any] = []
    for name, data in ((b"p0", good), (b"p1", good), (b"p2", good), (key, value), (b"p9", good)):
        keyed = {} if name is None else {"key": name}
        sender.produce(topic, data, partition=PARTITION, on_delivery=partial(_note, refused), **keyed)
    sender.flush(30)
    sender.close()
    assert refused == []
    settings = kept.model_copy(update={"state": "disk" if lasting else "memory"})
    state = Places(settings).open(stage, PARTITION, threading.Event())
    assert state is not None
    with pytest.raises(kind, match=f"{topic}, partition {PARTITION}, offset 3: ") as caught:
        restore(settings, [state], threading.Event())
    assert "secret" not in str(caught.value)
    state.close()


@pytest.mark.parametrize("point", ["after_produce_before_commit", "after_commit"])
def test_killed_at_any_point_the_disk_catches_up(bench: Bench, point: str) -> None:
    """Before the commit the store lacks nothing, behind it what the kill kept from it."""
    name = f"disk-{point.replace('_', '-')}"
    bench.ledger(name)
    bench.send(400)
    for start in ("first", "second"):
        env = {"HUB_STATE": "disk", "LEDGER_KILL": f"{point}:3", "LEDGER_FLUSH": "1"}
        worker = bench.worker(name, f"{name}-{start}", ready=False, **env)
        assert wait_exit(worker) == KILLED, worker.log_tail()
        bench.send(150)
    last = bench.worker(name, f"{name}-last", HUB_STATE="disk")
    bench.send(150)
    assert bench.faults(name) == []
    last.terminate()
    assert last.exit_code == 0, last.log_tail()
    assert disk_faults(bench, name) == []


def test_workers_of_one_machine_share_a_folder(bench: Bench) -> None:
    """Partitions go to and fro between them, with what was kept of each; one is killed at the end."""
    bench.ledger("disk-shared")
    first = bench.worker("disk-shared", "disk-shared", HUB_STATE="disk")
    bench.send(300)
    second = bench.worker("disk-shared", "disk-shared", HUB_STATE="disk")
    bench.send(300)
    assert bench.faults("disk-shared") == []
    second.terminate()
    assert second.exit_code == 0, second.log_tail()
    bench.send(300)
    assert bench.faults("disk-shared") == []
    assert first.running, first.log_tail()
    third = bench.worker("disk-shared", "disk-shared", HUB_STATE="disk")
    first.kill()
    bench.send(300)
    assert bench.faults("disk-shared") == []
    third.terminate()
    assert third.exit_code == 0, third.log_tail()
    assert disk_faults(bench, "disk-shared") == []


def disk_faults(bench: Bench, name: str) -> list[str]:
    """Where what is kept on disk after an orderly end differs from the changelog, or lags behind it."""
    settings = bench.settings.model_copy(update={"state": "disk"})
    opener, progress = Places(settings), RestoreProgress()
    kept = [opener.open(ledger.stage(name), number, threading.Event()) for number in range(settings.partitions)]
    states = [state for state in kept if state is not None]
    assert restore(settings, states, threading.Event(), progress)
    found = [] if progress.snapshot().records_read == 0 else [f"it lagged: {progress.snapshot().records_read}"]
    for ours, theirs in zip(states, ledger.restored(bench.settings, name), strict=True):
        if dict(decoded(ours)) != dict(decoded(theirs)) or ours.offsets != theirs.offsets:
            found.append(f"partition {ours.partition}: states")
        due = [state.reviews.due(date(2100, 1, 1)) for state in (ours, theirs)]
        if len(ours) != len(theirs) or due[0] != due[1]:  # a ledger's step counts no standing numbers
            found.append(f"partition {ours.partition}: numbers")
    for state in states:
        state.close()
    return found
