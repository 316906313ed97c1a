"""Whether what was planted is what the law decides: departments' files to decisions, in memory."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from connectors.loading import load_sources
from hub.domain.homes import home_id
from hub.domain.messages import Event
from hub.domain.times import at_noon_ms
from hub.packs import load_book
from hub.policy.parameters import PolicyBook
from hub.simulate.departments import Manifest, second
from hub.simulate.dryrun import Departments
from hub.simulate.offices import OFFICES
from hub.simulate.oracle.judge import Outcome, outcome
from hub.simulate.tables import Outcome as Meant
from hub.simulate.tables import Planted
from hub.vault.keys import generate
from hub.vault.tokens import Tokens

NOT_APPLICABLE: Final = "not_applicable"
PAST_HOLDS: Final = timedelta(days=10)
"""Alerts after a death are held for some days (death.hold_days, 7); amendments are compared when that is over."""


class Report(NamedTuple):
    """How many outcomes were compared, and a line (without a person) for each that differs."""

    checked: int
    wrong: list[str]


class Truth(msgspec.Struct):
    """truth.json: what was planted, and the conflicts to be found as (kind, citizen number)."""

    planted: list[Planted]
    conflicts: list[tuple[str, str]]


def read_truth(root: Path) -> Truth:
    """What was planted in a folder of departments."""
    return msgspec.json.decode((root / "truth.json").read_bytes(), type=Truth)


def subject_of(planted: Planted, tokens: Tokens) -> str:
    """Home id of a planted subject under these tokens."""
    if planted.number is None:
        return home_id("household", planted.record)
    return home_id("person", tokens.person_token(planted.number))


def read(root: Path, sources: Path, tokens: Tokens) -> Departments:
    """The simulated offices' mappings over a folder."""
    return Departments(load_sources(sources, [office.source for office in OFFICES]), root, tokens)


def planted(root: Path, sources: Path, overlay: str) -> Report:
    """Compare both waves, the expected amendments, and the days on which something changes by time alone.

    The second wave is written into `root`.
    """
    manifest = msgspec.json.decode((root / "manifest.json").read_bytes(), type=Manifest)
    truth, tokens, book = read_truth(root), Tokens(generate()), load_book(overlay=overlay)
    departments = read(root, sources, tokens)
    try:
        morning = at_noon_ms(manifest.as_of)
        early = departments.read(morning)
        before = outcome(early, (), book, morning)
        second(root)
        events = early + departments.read(morning + 1000)
    finally:
        departments.close()
    after = outcome(events, (), book, morning)
    released = at_noon_ms(manifest.as_of + PAST_HOLDS)
    before_released, after_released = outcome(early, (), book, released), outcome(events, (), book, released)
    wrong: list[str] = []
    checked = 0
    for one in truth.planted:
        subject = subject_of(one, tokens)
        for wave, meant, found in ((1, one.wave1, before), (2, one.wave2, after)):
            checked += 1
            _expect(wrong, one, f"wave {wave}", meant, _answer(found, one.rule, subject))
        was, became = (_opened(found, one.rule, subject) for found in (before_released, after_released))
        if one.amended and (not was or not became or was == became):
            wrong.append(f"{one.rule} ({one.why}): the second wave does not amend it")
        if one.changes_on:
            checked += 1
            _turns(wrong, one, subject, events, book, one.changes_on)
    return Report(checked, wrong)


def _answer(found: Outcome, rule: str, subject: str) -> str:
    return found.truths.get((rule, subject), NOT_APPLICABLE)


def _opened(found: Outcome, rule: str, subject: str) -> set[tuple[str, int | None]]:
    return {(one.evidence_hash, one.amount_fen) for one in found.opened if (one.rule, one.subject) == (rule, subject)}


def _expect(wrong: list[str], one: Planted, when: str, meant: Meant, answer: str) -> None:
    # Where nothing is left to decide, a rule may say no or nothing: neither asks anything of anybody.
    accepted = (NOT_APPLICABLE, "no") if meant == NOT_APPLICABLE else (meant,)
    if answer not in accepted:
        wrong.append(f"{one.rule} ({one.why}), {when}: meant {meant}, decided {answer}")


def _turns(wrong: list[str], one: Planted, subject: str, events: list[Event], book: PolicyBook, day: date) -> None:
    """No event comes, and the answer is another on that day than on the one before."""
    eve = outcome(events, (), book, at_noon_ms(date.fromordinal(day.toordinal() - 1)))
    then = outcome(events, (), book, at_noon_ms(day))
    if _answer(eve, one.rule, subject) == _answer(then, one.rule, subject):
        wrong.append(f"{one.rule} ({one.why}): nothing turns on the expected day")
