"""A worker of the hub's own two stages under the small law: `python -m tests.integration.streams.hub_worker`.

HUB_GENERATION chooses the generation; what else is planted or narrowed comes by environment:

    LAW_LINE=150000         the figure of the law; LAW_RULES=poor,eighty: the rules there are
    LAW_BUILD=yes           build the generation unheard
    LAW_PLANT=unseen        a fold that does not see some records: a planted difference
    LAW_BLIND=yes           never looks at policy.v1 while it works, as one whose reader is stuck
    LAW_BUDGET=3            reviews fired in one look
    LAW_KILL=point:n        SIGKILL at the nth passing of a point of the commit protocol, once swept states come by
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from typing import Any

from hub.discovery import person
from hub.discovery.law import Law
from hub.discovery.shapes import States, StepResult
from hub.discovery.state import PersonState
from hub.domain.facts import Benefit, Resident
from hub.domain.messages import Event, Review
from hub.ops.health import HealthServer
from hub.ops.logs import configure
from hub.ops.shutdown import stop_event
from hub.settings import Settings
from hub.streams import engine
from hub.streams.activation import Gate, held_by
from hub.streams.generations import group_of
from hub.streams.stages import next_stages, stages_taking_over
from hub.streams.worker import leave, prepare, run, standing
from tests.integration.streams.ledger_worker import killing
from tests.topology.small_law import RULES, book_with, law

UNSEEN_FEN = 2001
UNSEEN_BIRTH = date(1940, 1, 2)
"""Benefits of this amount and entries with this birth date are what the planted fold does not see."""


def chosen_law(line: str | None, rules: str | None) -> Law:
    """The small law with a figure and some of its rules."""
    used = {name: RULES[name] for name in rules.split(",")} if rules else RULES
    return law(book_with(int(line) if line else None), used)


def plant(kind: str | None) -> None:
    """Put another fold in the place of the hub's own."""
    if kind is None:
        return
    if kind != "unseen":
        raise ValueError(f"nothing to plant is named {kind}")
    fold = person.PersonStep.step

    def step(
        self: person.PersonStep, states: States[PersonState], records: Sequence[Event | Review], now: int
    ) -> StepResult[PersonState]:
        return fold(self, states, [record for record in records if not _unseen(record)], now)

    setattr(person.PersonStep, "step", step)  # noqa: B010 - mypy


def _unseen(record: Any) -> bool:
    payload = getattr(record, "payload", None)
    if isinstance(payload, Benefit):
        return payload.amount_fen == UNSEEN_FEN
    return isinstance(payload, Resident) and payload.birth_date == UNSEEN_BIRTH


def main() -> None:
    """Run until told to stop."""
    environment = os.environ.get
    configure("worker")
    stop = stop_event()
    settings = Settings()
    chosen = chosen_law(environment("LAW_LINE"), environment("LAW_RULES"))
    plant(environment("LAW_PLANT"))
    setattr(engine, "REVIEW_BUDGET", int(environment("LAW_BUDGET", "500")))  # noqa: B010 - mypy
    building = environment("LAW_BUILD") == "yes"
    generation = settings.generation
    stages = next_stages(chosen, generation) if building else stages_taking_over(settings, chosen, generation)
    try:
        gate = Gate(settings, held_by(chosen, generation, building=building))
        if environment("LAW_BLIND") == "yes":
            setattr(gate, "look", lambda: None)  # noqa: B010 - mypy
        passing = killing(environment("LAW_KILL", "never:0"))
        app = prepare(settings, stages, group_of(generation), passing, gate)
        HealthServer(settings.bind, settings.worker_port, ready=lambda: standing(app))
    except Exception as error:
        leave(error)
    run(app, stop)


if __name__ == "__main__":
    main()
