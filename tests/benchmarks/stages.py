"""The workload as two stages of the hub's engine."""

from __future__ import annotations

from typing import Any

from hub.streams.intake import Keys
from hub.streams.stage import Stage
from hub.streams.topics import LARGE_BYTES, Topic
from tests.benchmarks import workload

INPUTS = tuple(Topic(name=name, key="person", joined=True) for name in (workload.MEMBER, workload.PAYMENT))


def _owner(value: Any) -> str:
    key: str = value["person"] if "record_id" in value else value["household"]
    return key


KEYS = Keys(owner=_owner, spreads=lambda _value: False)


def own_topics(prefix: str) -> dict[str, Topic]:
    """Topics that one engine writes, by what they hold."""
    kept = {workload.PERSON_STATE: "person", workload.HOME_STATE: "household"}
    told = {workload.CONTRIBUTION: "household", workload.ALERT: "household"}
    return {
        name: Topic(
            name=f"{prefix}.{name}",
            key=key,
            joined=True,
            cleanup="compact" if name in kept else "delete",
            max_bytes=LARGE_BYTES,
        )
        for name, key in (kept | told).items()
    }


def stages(prefix: str) -> tuple[Stage, Stage]:
    """Stage 1 and 2 of one engine."""
    topics = own_topics(prefix)
    return (
        Stage(
            name=f"{prefix}-person",
            inputs=INPUTS,
            state_topic=topics[workload.PERSON_STATE],
            step=workload.PersonStep(prefix).step,
            encode=workload.encode_state,
            decode=workload.decode_person,
        ),
        Stage(
            name=f"{prefix}-home",
            inputs=(topics[workload.CONTRIBUTION],),
            state_topic=topics[workload.HOME_STATE],
            step=workload.HomeStep(prefix).step,
            encode=workload.encode_state,
            decode=workload.decode_home,
        ),
    )
