"""Conditions in three values (Kleene's strong logic): what is true, why, what is missing, when it may change.

A `Clause` is a leaf or a combination; everything the finding needs is derived while the tree is built:

- `truth`: yes, no, unknown. In `all_of` one *no* settles; in `any_of` one *yes* settles; what is missing elsewhere
  then does not matter.
- `missing`: inputs without which this clause cannot be answered; empty once it is settled.
- `reasons`: the leaves that settled it, the shortest sufficient explanation: the first settling part in the order
  the rule gives. Evidence and basis are theirs.
- `changes_on`: the first later day on which truth, missing inputs or reasons may change though no record arrives.
  A settled combination looks no further than the part that settled it: it can only be unseated by that part, or by
  an earlier one that would be chosen before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from hub.domain.messages import Condition, Evidence, Missing, Truth

YES: Final[Truth] = "yes"
NO: Final[Truth] = "no"
UNKNOWN: Final[Truth] = "unknown"

_OPPOSITE: Final[dict[Truth, Truth]] = {YES: NO, NO: YES, UNKNOWN: UNKNOWN}


class Clause(Struct, frozen=True):
    """One condition, answered. `basis` is what the evidence hash covers; None: the values of `evidence`.

    `text` is plain Chinese and holds no personal data. `contrast` says what would turn the answer, where a
    threshold decided. `parts` are the clauses it was combined from, in order.
    """

    id: str
    truth: Truth
    text: str
    article: str | None = None
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()
    changes_on: date | None = None
    basis: tuple[str, ...] | None = None
    contrast: str | None = None
    parts: tuple[Clause, ...] = ()
    settled_by: tuple[Clause, ...] = ()

    @property
    def reasons(self) -> tuple[Clause, ...]:
        """The leaves that settled the answer (all open leaves while it is unknown), in the order of the rule."""
        if not self.parts:
            return (self,)
        return tuple(leaf for part in self.settled_by for leaf in part.reasons)


def truth_of(answer: bool | None) -> Truth:
    """True, False and None as truths."""
    return UNKNOWN if answer is None else YES if answer else NO


def earliest(days: Iterable[date | None]) -> date | None:
    """The first of some days; None stands for never."""
    return min((day for day in days if day is not None), default=None)


def all_of(id: str, text: str, *parts: Clause, article: str | None = None) -> Clause:
    """True when every part is. The order of parts is the order in which a *no* is explained."""
    return _combine(id, text, parts, article, NO)


def any_of(id: str, text: str, *parts: Clause, article: str | None = None) -> Clause:
    """True when at least one part is. The order of parts is the order in which a *yes* is explained."""
    return _combine(id, text, parts, article, YES)


def some_of(id: str, text: str, *parts: Clause, article: str | None = None) -> Clause:
    """As `any_of`, but every *yes* is a reason: for lists of which the reader wants all, not the shortest proof."""
    clause = _combine(id, text, parts, article, YES)
    if clause.truth != YES:
        return clause
    return replace(
        clause,
        settled_by=tuple(part for part in parts if part.truth == YES),
        changes_on=earliest(part.changes_on for part in parts),
    )


def negate(id: str, text: str, part: Clause, article: str | None = None) -> Clause:
    """The opposite of a part; unknown stays unknown."""
    return Clause(
        id=id,
        truth=_OPPOSITE[part.truth],
        text=text,
        article=article,
        missing=part.missing,
        changes_on=part.changes_on,
        parts=(part,),
        settled_by=(part,),
    )


def _combine(id: str, text: str, parts: tuple[Clause, ...], article: str | None, settling: Truth) -> Clause:
    missing: tuple[Missing, ...] = ()
    looked_at = parts
    settled_by: tuple[Clause, ...]
    for position, part in enumerate(parts):
        if part.truth == settling:
            truth, settled_by, looked_at = settling, (part,), parts[: position + 1]
            break
    else:
        settled_by = tuple(part for part in parts if part.truth == UNKNOWN)
        if settled_by:
            truth = UNKNOWN
            missing = tuple(sorted({item for part in settled_by for item in part.missing}, key=missing_order))
        else:
            truth, settled_by = _OPPOSITE[settling], parts
    return Clause(
        id=id,
        truth=truth,
        text=text,
        article=article,
        missing=missing,
        changes_on=earliest(part.changes_on for part in looked_at),
        parts=parts,
        settled_by=settled_by,
    )


def missing_order(item: Missing) -> tuple[str, str, str, str]:
    """Sort key: None sorts before any text."""
    return item.field, item.person or "", item.role or "", item.source or ""


def conditions(clause: Clause, depth: int = 0) -> tuple[Condition, ...]:
    """The tree line by line, `depth` 0 for its root."""
    line = Condition(id=clause.id, depth=depth, truth=clause.truth, text=clause.text, article=clause.article)
    return (line, *(below for part in clause.parts for below in conditions(part, depth + 1)))
