"""Scores of a source from its results: pure arithmetic, the method written out where it is done.

score = 100 × (1 − Σ weight × share failing / Σ weight), over the expectations that had data, where the share is of
the records checked. A quarantined record counts as received and failed: it is one more record that failed the
expectation *the record can be accepted*, so a score never looks better than the source. An expectation that
errored or had no data has no share and is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from msgspec import Struct

from hub.domain.messages import QualityResult

WEIGHTS: Final[Mapping[str, int]] = {"critical": 5, "warning": 2, "info": 1}
"""Weight of an expectation by severity: a product default, shown on the page beside the score."""

ACCEPTED: Final = "record.accepted"
"""The expectation that every received record meets unless it went to quarantine; dimension conformity, critical."""

SMALL_SAMPLE: Final = 30
"""Below this many records a score says little; the page marks it (the usual rule of thumb for a share)."""


class Score(Struct, frozen=True, kw_only=True):
    """Score of a source, 0 to 100, or None where nothing was checked; by GB/T 36344 dimension as well."""

    score: float | None
    by_dimension: dict[str, float]
    received: int
    failing: tuple[str, ...]
    errored: tuple[str, ...]
    no_data: tuple[str, ...]
    small_sample: bool


class _Tally:
    """Records checked and failed of one expectation, over any number of micro-batches."""

    def __init__(self, dimension: str, severity: str) -> None:
        self.dimension, self.severity = dimension, severity
        self.checked = self.failed = 0
        self.outcomes: set[str] = set()

    @property
    def share(self) -> Fraction:
        return Fraction(self.failed, self.checked)

    @property
    def weight(self) -> int:
        return WEIGHTS[self.severity]


def score(results: Iterable[QualityResult], *, accepted: int, quarantined: int) -> Score:
    """Score one source from its results over some period, with the records accepted and quarantined in it."""
    tallies: dict[str, _Tally] = {}
    for result in results:
        name = f"{result.suite}/{result.expectation}"
        tally = tallies.setdefault(name, _Tally(result.dimension, result.severity))
        tally.outcomes.add(result.outcome)
        if result.outcome in ("pass", "fail"):
            tally.checked += result.checked
            tally.failed += result.failed
    received = accepted + quarantined
    if received:
        entry = tallies.setdefault(ACCEPTED, _Tally("conformity", "critical"))
        entry.checked, entry.failed = received, quarantined
        entry.outcomes.add("fail" if quarantined else "pass")
    with_data = {name: tally for name, tally in tallies.items() if tally.checked}
    dimensions = sorted({tally.dimension for tally in with_data.values()})
    return Score(
        score=_weighted(with_data.values()),
        by_dimension={
            dimension: value
            for dimension in dimensions
            if (value := _weighted(t for t in with_data.values() if t.dimension == dimension)) is not None
        },
        received=received,
        failing=tuple(sorted(name for name, tally in with_data.items() if "fail" in tally.outcomes)),
        errored=tuple(sorted(name for name, tally in tallies.items() if "errored" in tally.outcomes)),
        no_data=tuple(sorted(name for name, tally in tallies.items() if tally.outcomes == {"no_data"})),
        small_sample=received < SMALL_SAMPLE,
    )


def _weighted(tallies: Iterable[_Tally]) -> float | None:
    """Exact until the end, so that the order of results cannot turn the last digit."""
    total, lost = 0, Fraction()
    for tally in tallies:
        total += tally.weight
        lost += tally.weight * tally.share
    return None if not total else float(round(100 * (1 - lost / total), 2))
