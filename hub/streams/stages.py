"""The two stages of the hub: the steps of hub.discovery bound to their topics and to the encoding of their state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from hub.discovery.law import Law, catalogue_law
from hub.discovery.person import PersonStep
from hub.discovery.shapes import States, StepResult
from hub.discovery.state import (
    CODEC,
    PRUNES,
    RuleState,
    decode_home,
    decode_person,
    encode_home,
    encode_person,
    outline_home,
    outline_person,
    prefix_of,
)
from hub.discovery.subject import SubjectStep, standing_names
from hub.packs import load_book
from hub.settings import Settings
from hub.streams.stage import Stage
from hub.streams.takeover import Takeover, home_takeover, person_takeover
from hub.streams.topics import (
    CONTRIBUTIONS,
    DISPOSITIONS,
    HOME_STATE,
    PERSON_STATE,
    SOURCE_TOPICS,
    of_generation,
)

Step = Callable[[States[Any], Sequence[Any], int], StepResult[Any]]


def law_of(settings: Settings) -> Law:
    """The law that this release and its packs hold for a deployment. ConfigurationError for a pack that is wrong."""
    return catalogue_law(load_book(overlay=settings.overlay or None))


def stages_of(law: Law, written: int = CODEC) -> tuple[Stage, Stage]:
    """`person` folds source events and contributes to homes; `subject` folds those, decides and alerts.

    `written` is the layout in which states are written (`hub.streams.upgrade`).
    """
    return _stages(0, PersonStep(law, prunes=written >= PRUNES), SubjectStep(law), None, None, written)


def next_stages(law: Law, generation: int, written: int = CODEC) -> tuple[Stage, Stage]:
    """The stages of a generation that is being built: they keep what they decide and tell nothing."""
    person = PersonStep(law, generation, unheard=True, prunes=written >= PRUNES)
    subject = SubjectStep(law, generation, unheard=True)
    return _stages(generation, person, subject, None, None, written)


def stages_taking_over(settings: Settings, law: Law, generation: int, written: int = CODEC) -> tuple[Stage, Stage]:
    """The stages of a generation that tells, after another one did. Of generation 0: `stages_of`."""
    if generation == 0:
        return stages_of(law, written)
    persons, homes = person_takeover(settings), home_takeover(settings)
    person = PersonStep(law, generation, told=persons.told, prunes=written >= PRUNES)
    subject = SubjectStep(law, generation, told=homes.told)
    return _stages(generation, person, subject, persons, homes, written)


def stage_names(generation: int) -> tuple[str, str]:
    """Names of the stages of a generation: transactional ids are made of them, so that two generations have their own.

    Generation 0 has the plain ones.
    """
    suffix = f"-g{generation}" if generation else ""
    return f"person{suffix}", f"subject{suffix}"


def _stages(
    generation: int,
    person: PersonStep,
    subject: SubjectStep,
    persons: Takeover[dict[str, str]] | None,
    homes: Takeover[Mapping[str, RuleState]] | None,
    written: int,
) -> tuple[Stage, Stage]:
    person_name, subject_name = stage_names(generation)
    return (
        Stage(
            name=person_name,
            inputs=SOURCE_TOPICS,
            state_topic=of_generation(PERSON_STATE, generation),
            step=_renaming(person.step, generation),
            encode=partial(encode_person, codec=written),
            decode=decode_person,
            reviews=True,
            stale=person.stale,
            outline=outline_person,
            prefix=prefix_of(written),
            law=person.made_under,
            takeover=persons,
        ),
        Stage(
            name=subject_name,
            inputs=(of_generation(CONTRIBUTIONS, generation), DISPOSITIONS),
            state_topic=of_generation(HOME_STATE, generation),
            step=subject.step,
            encode=partial(encode_home, codec=written),
            decode=decode_home,
            reviews=True,
            standing=standing_names,
            stale=subject.stale,
            outline=outline_home,
            prefix=prefix_of(written),
            law=subject.made_under,
            takeover=homes,
        ),
    )


def _renaming(step: Step, generation: int) -> Step:
    """The person step with its contributions bound for its generation's own topic."""
    name = of_generation(CONTRIBUTIONS, generation).name
    if name == CONTRIBUTIONS.name:
        return step

    def renamed(states: States[Any], records: Sequence[Any], now: int) -> StepResult[Any]:
        result = step(states, records, now)
        result.outputs = [
            output._replace(topic=name) if output.topic == CONTRIBUTIONS.name else output for output in result.outputs
        ]
        return result

    return renamed
