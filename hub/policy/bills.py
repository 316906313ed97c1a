"""Medical bills paid by oneself over the last twelve whole months, net of reversals.

The window ends the day before the decision (ruling 16). Cash and personal account are what a person pays; a manual
reimbursement and a reversal are settlements too. A reversal counts on the day of what it takes back, so that both
leave the window together.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from msgspec import Struct

from hub.domain.facts import Settlement
from hub.domain.homes import Member
from hub.domain.messages import Evidence
from hub.policy.calendar import add_months
from hub.policy.view import evidence

MONTHS: Final = 12
WINDOWS_BILLS: Final[dict[str, tuple[int | str, ...]]] = {"medical.settlement": (MONTHS,)}
"""What a rule declares that reads bills and no other settlement."""
READS_BILLS: Final = frozenset(
    {
        "medical.settlement.settled_on",
        "medical.settlement.personal_account_fen",
        "medical.settlement.cash_fen",
        "medical.settlement.reverses",
    }
)


class Bill(Struct, frozen=True):
    """One settlement, with its reversals taken off: day, net amount in 分, evidence."""

    day: date
    amount_fen: int
    evidence: Evidence


class Spent(Struct, frozen=True):
    """Sum over the window, the largest bills that exceed the line together, and when a multiple of it is crossed."""

    sum_fen: int
    decisive: tuple[Evidence, ...]
    changes_on: date | None

    def multiple(self, line: int) -> int:
        """How many whole lines have been passed."""
        return multiple(self.sum_fen, line)


def multiple(sum_fen: int, line: int) -> int:
    """0 up to the line itself (more than the line is meant), 1 above it, 2 above twice, …"""
    return max(0, (sum_fen - 1) // line) if line else int(sum_fen > 0)


def bills_of(member: Member) -> list[Bill]:
    """A member's settlements, each joined with what reverses it."""
    settlements = member.of(Settlement)
    day_of = {(fact.source, fact.record_id): paid.settled_on for fact, paid in settlements}
    taken_off: dict[tuple[str, str], int] = {}
    for fact, paid in settlements:
        target = (fact.source, paid.reverses or "")
        if target in day_of:
            taken_off[target] = taken_off.get(target, 0) + paid.cash_fen + paid.personal_account_fen
    found: list[Bill] = []
    for fact, paid in settlements:
        if (fact.source, paid.reverses or "") in day_of:
            continue
        amount = paid.cash_fen + paid.personal_account_fen + taken_off.get((fact.source, fact.record_id), 0)
        if amount:
            shown = evidence(fact, "medical.settlement", "cash_fen", amount, member.person)
            found.append(Bill(paid.settled_on, amount, shown))
    return found


def window_start(on: date) -> date:
    """First day of the window that ends the day before `on`."""
    return add_months(on, -MONTHS)


def spent(bills: list[Bill], on: date, line: int) -> Spent:
    """What was paid in the window of a day, against a line (分)."""
    start = window_start(on)
    inside = [bill for bill in bills if start <= bill.day < on]
    sum_fen = sum(bill.amount_fen for bill in inside)
    decisive: list[Evidence] = []
    reached = 0
    for bill in sorted(inside, key=lambda bill: (-bill.amount_fen, bill.day, bill.evidence)):
        decisive.append(bill.evidence)
        reached += bill.amount_fen
        if reached > line:
            break
    return Spent(sum_fen, tuple(decisive), _next_crossing(bills, on, sum_fen, line))


def _next_crossing(bills: list[Bill], on: date, sum_fen: int, line: int) -> date | None:
    """First later day on which bills that enter or leave the window carry the sum over a multiple of the line."""
    moves: list[tuple[date, int]] = []
    for bill in bills:
        enters, leaves = bill.day + timedelta(days=1), leaving_day(bill.day)
        if enters > on:
            moves.append((enters, bill.amount_fen))
        if leaves > on:
            moves.append((leaves, -bill.amount_fen))
    moves.sort()
    now = multiple(sum_fen, line)
    for position, (day, amount) in enumerate(moves):
        sum_fen += amount
        last_of_day = position + 1 == len(moves) or moves[position + 1][0] != day
        if last_of_day and multiple(sum_fen, line) != now:
            return day
    return None


def leaving_day(day: date) -> date:
    """First day whose window no longer holds a bill of this day."""
    leaves = add_months(day, MONTHS) + timedelta(days=1)
    while window_start(leaves) <= day:  # a bill of 28 February before a leap year
        leaves += timedelta(days=1)
    return leaves
