"""Topics that are joined go to one worker together, by Faust's assignor; what was torn apart is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from msgspec import Struct

from hub.errors import HubError, TopologyMismatch
from hub.ops.clock import Clock
from hub.settings import Settings
from hub.stack import free_port
from hub.streams.codec import Codec
from hub.streams.commit import Writer
from hub.streams.engine import Batch, Engine, Owned
from hub.streams.state import PartitionState, Slot
from hub.streams.topics import CONTRIBUTIONS, DISPOSITIONS, SOURCE_TOPICS
from hub.streams.worker import WorkerApp
from hub.vault.keys import generate
from hub.vault.sealed import Sealer
from tests.integration.streams.ledger import stage

NAMES = [topic.name for topic in (*SOURCE_TOPICS, CONTRIBUTIONS, DISPOSITIONS)]
PARTITIONS = 8


class Cluster:
    """All topics with the same partitions, as `hub topics check` has seen to."""

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Partition numbers."""
        return set(range(PARTITIONS))


class Record(Struct):
    """A record as aiokafka delivers it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def torn(assigned: dict[str, Any]) -> bool:
    """Whether some partition's topics went to more than one member."""
    owners: dict[int, set[str]] = {}
    for member, assignment in assigned.items():
        for _topic, partitions in assignment.assignment:
            for partition in partitions:
                owners.setdefault(partition, set()).add(member)
    assert owners.keys() == set(range(PARTITIONS))
    return any(len(members) > 1 for members in owners.values())


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine that nothing was assigned to yet."""
    settings = Settings(data_dir=tmp_path, partitions=PARTITIONS)
    return Engine(settings, [stage("unit")], Codec(settings.registry_url), Sealer(generate()), Clock(settings))


@pytest.mark.parametrize("members", [1, 2, 3, 5])
def test_faust_keeps_joined_topics_together(engine: Engine, tmp_path: Path, members: int) -> None:
    """Whatever the number of workers, and again when one joins those that already hold partitions."""
    app = WorkerApp(Settings(data_dir=tmp_path), "unit", engine)
    fresh = {f"worker-{number}": app.assignor.metadata(set(NAMES)) for number in range(members)}
    assert not torn(app.assignor.assign(Cluster(), fresh))


def test_round_robin_would_tear_them_apart() -> None:
    """What Faust chooses for an app without tables."""
    alike = {f"worker-{number}": ConsumerProtocolMemberMetadata(0, NAMES, b"") for number in range(3)}
    assert torn(RoundRobinPartitionAssignor.assign(Cluster(), alike))


def test_a_torn_assignment_is_refused(engine: Engine) -> None:
    """All inputs of a partition or none."""
    whole = {(topic, 2) for topic in engine.stages["ledger-unit"].input_names}
    assert engine.slots_of({*whole, ("not.ours.v1", 5)}) == {Slot("ledger-unit", 2)}
    with pytest.raises(TopologyMismatch, match="assigned elsewhere"):
        engine.slots_of({*whole, ("registration.resident.v1", 3)})


def test_a_batch_of_an_ended_assignment_is_dropped(engine: Engine, tmp_path: Path) -> None:
    """Though its slot was kept: what is read under the next assignment begins where the state stands."""
    ours = stage("unit")
    slot = Slot(ours.name, 0)
    nowhere = Settings(data_dir=tmp_path, brokers=f"127.0.0.1:{free_port()}")
    writer = Writer(nowhere, slot, ours.state_topic.name)
    engine.adopt({slot: Owned(PartitionState(ours, 0), writer)})
    batch = Batch(slot, engine.epoch, [Record("registration.resident.v1", 0, 5, 0, None, b"")])
    with pytest.raises(HubError):
        engine.process(batch)  # read under this assignment, it is worked on, and its commit reaches nobody
    engine.suspend()
    engine.process(batch)
    assert engine.positions() == dict.fromkeys(((topic, 0) for topic in ours.input_names), 0)
    writer.close()
