"""Sums with unknown parts, as intervals: a known part that settles a threshold beats a missing one (ruling 18)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil

from msgspec import Struct

from hub.domain.messages import Evidence, Missing, Truth
from hub.policy.kleene import NO, UNKNOWN, YES


class Amount(Struct, frozen=True):
    """分 a month, exact: at least `low`, at most `high` (None: no bound). `missing` would close the gap."""

    low: Fraction = Fraction(0)
    high: Fraction | None = Fraction(0)
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def exact(self) -> bool:
        """Nothing in it is unknown."""
        return self.low == self.high

    def plus(self, other: Amount) -> Amount:
        """The sum of two amounts."""
        high = None if self.high is None or other.high is None else self.high + other.high
        return Amount(self.low + other.low, high, self.evidence + other.evidence, self.missing + other.missing)

    def less(self, other: Amount) -> Amount:
        """This amount after a deduction, never below zero."""
        low = Fraction(0) if other.high is None else max(Fraction(0), self.low - other.high)
        high = None if self.high is None else max(Fraction(0), self.high - other.low)
        return Amount(low, high, self.evidence + other.evidence, self.missing + other.missing)

    def below(self, line: Fraction | int) -> Truth:
        """Whether the amount lies below a line, whatever its unknown parts are."""
        if self.high is not None and self.high < line:
            return YES
        return NO if self.low >= line else UNKNOWN


def total(parts: Iterable[Amount]) -> Amount:
    """Sum of amounts."""
    found = Amount()
    for part in parts:
        found = found.plus(part)
    return found


def known(fen: Fraction | int, evidence: tuple[Evidence, ...] = ()) -> Amount:
    """An amount without an unknown part."""
    return Amount(Fraction(fen), Fraction(fen), evidence)


def unbounded(missing: tuple[Missing, ...], low: Fraction | int = 0) -> Amount:
    """At least something, and nobody knows how much more."""
    return Amount(Fraction(low), None, (), missing)


def up_to_yuan(fen: Fraction) -> int:
    """A paid gap in 分, rounded up to whole 元 (ruling 17)."""
    return ceil(fen / 100) * 100


def yuan(fen: Fraction | int) -> str:
    """元 for a text, at most two decimals."""
    return f"{float(fen) / 100:,.2f}".removesuffix(".00")
