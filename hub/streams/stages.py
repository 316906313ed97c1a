"""The two stages of the hub: the steps of hub.discovery bound to their topics and to the encoding of their state."""

from __future__ import annotations

from hub.discovery.law import Law
from hub.discovery.person import PersonStep
from hub.discovery.state import (
    PREFIX,
    decode_home,
    decode_person,
    encode_home,
    encode_person,
    outline_home,
    outline_person,
)
from hub.discovery.subject import SubjectStep, standing
from hub.streams.stage import Stage
from hub.streams.topics import CONTRIBUTIONS, DISPOSITIONS, HOME_STATE, PERSON_STATE, SOURCE_TOPICS


def stages_of(law: Law) -> tuple[Stage, Stage]:
    """`person` folds source events and contributes to homes; `subject` folds those, decides and alerts."""
    person, subject = PersonStep(law), SubjectStep(law)
    return (
        Stage(
            name="person",
            inputs=SOURCE_TOPICS,
            state_topic=PERSON_STATE,
            step=person.step,
            encode=encode_person,
            decode=decode_person,
            stale=person.stale,
            outline=outline_person,
            prefix=PREFIX,
            law=law.reads(),
        ),
        Stage(
            name="subject",
            inputs=(CONTRIBUTIONS, DISPOSITIONS),
            state_topic=HOME_STATE,
            step=subject.step,
            encode=encode_home,
            decode=decode_home,
            reviews=True,
            standing=standing,
            stale=subject.stale,
            outline=outline_home,
            prefix=PREFIX,
            law=law.policy_hash(None),
        ),
    )
