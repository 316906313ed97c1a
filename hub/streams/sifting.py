"""Finding the records that a step cannot fold, so that one of them does not end every worker in turn.

A step is pure and its changes count only after the commit, so it may be tried again on fewer records. What it cannot
fold is put aside whole like any other bad record and can be replayed when the program is mended; but many of them at
once are a fault of the program, not of the records, and then the worker ends before anything is committed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from hub.errors import DataFault, HubError, SchemaError
from hub.ops.logs import logger

BEARABLE: Final = 8
"""Records of one batch that may defeat the step before it is the program that is at fault. Each costs a dozen tries."""

FRAMES: Final = 4
"""Innermost frames that the log shows: places only, since a message may quote a value."""

T = TypeVar("T")
_log = logger("streams")


def sift(fold: Callable[[Sequence[Any]], T], values: Sequence[Any]) -> tuple[T, list[tuple[int, Exception]]]:
    """What folding came to without the values that defeat it, and the places of those, with what was raised.

    Raises what the fold raised where that is no fault of a record (a part is away, state is unreadable), and where
    more than BEARABLE values defeat it.
    """
    try:
        return fold(values), []
    except Exception as error:
        if not records_own(error):
            raise
        first = error
    left = list(range(len(values)))
    found: list[tuple[int, Exception]] = []
    while True:
        place, raised = _first_bad(fold, values, left, first)
        found.append((left.pop(place), raised))
        if len(found) > BEARABLE or (not left and len(values) > 1):
            raise raised
        try:
            result = fold([values[number] for number in left])
        except Exception as error:
            if not records_own(error):
                raise
            first = error
        else:
            return result, found


def _first_bad(
    fold: Callable[[Sequence[Any]], Any], values: Sequence[Any], left: Sequence[int], raised: Exception
) -> tuple[int, Exception]:
    """Place in `left` of the value that ends the shortest prefix which cannot be folded."""
    good, bad, error = 0, len(left), raised  # the first `good` fold, the first `bad` do not
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            fold([values[number] for number in left[:middle]])
        except Exception as found:
            if not records_own(found):
                raise
            bad, error = middle, found
        else:
            good = middle
    return bad - 1, error


def records_own(error: Exception) -> bool:
    """Whether an error may be a record's own: one the hub does not know, or one of its data faults."""
    return not isinstance(error, HubError) or isinstance(error, DataFault | SchemaError)


def tell(stage: str, error: Exception) -> None:
    """Say where in the program it was, without what was raised about which value."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    _log.error(
        "a record could not be folded and was put aside",
        stage=stage,
        kind=type(error).__name__,
        stack=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
