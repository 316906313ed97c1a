"""A seeded input: what happens to some persons and households, and the disorder in which departments report it.

What happens is told in its true order first, each record with rising versions; then it is disturbed: sent twice, out
of order, long after it happened, with another content under the same version, and with records no worker can read in
between. Nothing here knows how the worker decides; it only makes the nine rules turn on and off often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from hashlib import blake2b
from random import Random
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from hub.domain.facts import Check, IncomeItem, Investigation, JusticeStatus, Kinship, Payload, Payment
from hub.domain.messages import Event
from hub.domain.times import DAY_MS
from tests.topology.records import (
    LIANDU,
    NOON,
    TODAY,
    benefit,
    covered,
    event,
    kin,
    medical_death,
    member,
    pension,
    registered_death,
    resident,
    settlement,
)

PERSONS: Final = 20
HOUSEHOLDS: Final = 6
JINYUN: Final = "331122"
KNOWN_BEFORE: Final = NOON - 9 * DAY_MS
"""Everything was received nine days ago, so that no alert is held back for the seven days after a death."""

COVERED: Final = (
    "assistance.benefit",
    "assistance.payment",
    "disability.certificate",
    "insurance.enrolment",
    "insurance.pension",
    "justice.status",
    "medical.settlement",
)

POISON: Final = ("bad_magic", "truncated", "unknown_schema", "schema_misfit", "null_key", "key_mismatch", "tombstone")
"""What `tests.faults.battery.publisher` knows to spoil."""


class Profile(Struct, frozen=True, kw_only=True):
    """How much is sent and how badly. Shares are of the events; `window` is how far neighbours may change places."""

    events: int = 420
    duplicates: float = 0.1
    window: int = 12
    late: float = 0.05
    collisions: float = 0.01
    poison: float = 0.02


ORDINARY: Final = Profile()
DISORDER: Final = Profile(duplicates=0.5, window=80, late=0.25, collisions=0.05)
POISONED: Final = Profile(poison=0.3)
SOAK: Final = Profile(events=4_000)


class Item(NamedTuple):
    """One message to send. `spoilt` names how it is made unreadable; `partition` None: by murmur2 of the key."""

    event: Event
    spoilt: str | None = None
    partition: int | None = None


def items(seed: int, profile: Profile, partitions: int) -> list[Item]:
    """What is to be sent, in order. The same seed, profile and partition count give the same."""
    rng = Random(seed)  # noqa: S311 - a repeatable input, no secret
    truth = _Story(rng, seed).told(profile.events)
    sent = [Item(one, partition=p) for topic in COVERED for one in (_statement(topic),) for p in range(partitions)]
    for one in _disturbed(rng, truth, profile):
        sent.append(Item(one))
        if rng.random() < profile.poison:
            sent.append(Item(one, spoilt=rng.choice(POISON)))
    return sent


def _statement(topic: str) -> Event:
    return covered(topic)


def _disturbed(rng: Random, truth: Sequence[Event], profile: Profile) -> list[Event]:
    placed: list[tuple[float, Event]] = []
    for at, one in enumerate(truth):
        place = at + rng.random() * profile.window
        if rng.random() < profile.late:
            place += rng.random() * len(truth)
        placed.append((place, one))
        if rng.random() < profile.duplicates:
            placed.append((place + rng.random() * len(truth) / 2, one))
        if rng.random() < profile.collisions:
            placed.append((place + rng.random() * profile.window, _collision(one)))
    placed.sort(key=lambda pair: pair[0])
    return [one for _, one in placed]


def _collision(one: Event) -> Event:
    """Another content under the same version: which one wins may not depend on the order."""
    return one._replace(header=replace(one.header, region=JINYUN if one.header.region == LIANDU else LIANDU))


class _Story:
    """What happens, in its true order."""

    def __init__(self, rng: Random, seed: int) -> None:
        self._rng = rng
        self._persons = [blake2b(f"{seed}|{n}".encode(), digest_size=16).hexdigest() for n in range(PERSONS)]
        self._households = [f"h{seed}-{n}" for n in range(HOUSEHOLDS)]
        self._versions: dict[tuple[str, str, str], int] = {}
        self._told: list[Event] = []

    def told(self, count: int) -> list[Event]:
        """`count` events: first who there is, then whatever happens to them."""
        self._begin()
        acts: list[Callable[[str], None]] = [
            self._paid, self._paid, self._moves, self._moves, self._earns, self._earns, self._aged, self._treated,
            self._treated, self._dies, self._tied, self._jailed, self._taken_back, self._paid_out,
        ]  # fmt: skip
        while len(self._told) < count:
            self._rng.choice(acts)(self._rng.choice(self._persons))
        return self._told[:count]

    def _say(self, person: str, payload: Payload, record: str) -> None:
        name = event(person, payload).topic
        self._record(person, payload, name, record)

    def _record(self, person: str, payload: Payload | None, topic: str, record: str) -> None:
        key = (person, topic, record)
        version = self._versions[key] = self._versions.get(key, 0) + 1
        change = "UPSERT" if payload is not None else "ANNUL"
        made = event(person, payload, record, version, topic=topic, change=change, received_at=KNOWN_BEFORE)
        self._told.append(made)

    def _begin(self) -> None:
        for number, person in enumerate(self._persons):
            self._resident(person)
            home = self._households[number % HOUSEHOLDS]
            if number < 2 * HOUSEHOLDS:
                self._say(person, member(home, 2), "m")
            if number < HOUSEHOLDS:
                visit = Investigation(aid_household=home, visited_on=date(2026, 1, 5), deductions_complete=True)
                self._say(person, visit, "v")
                self._earns(person)
            for inventory in ("children", "spouse"):
                self._say(person, Kinship(inventory_complete=inventory, certified_on=TODAY), inventory)

    def _resident(self, person: str) -> None:
        child = int(person, 16) % 4 == 0
        born = date(2015, 5, 1) if child else self._rng.choice([date(1945, 5, 1), date(1946, 3, 20), date(1960, 5, 1)])
        self._say(person, resident(birth_date=born, hukou=f"k{int(person, 16) % 5}"), "r")

    def _aged(self, person: str) -> None:
        """A corrected birthday: eighty or not."""
        self._resident(person)

    def _paid(self, person: str) -> None:
        """A benefit here or in another county begins or ends: two at a time are one too many."""
        record = self._rng.choice(["1", "2"])
        status = self._rng.choice(["active", "active", "ended"])
        region = LIANDU if record == "1" else JINYUN
        fen = self._rng.randrange(5) * 10_000
        given: dict[str, Any] = {"status": status, "paying_region": region, "amount_fen": fen}
        if status == "ended":
            given["until"] = TODAY - timedelta(days=self._rng.randrange(1, 90))
        kind = self._rng.choice(["dibao", "dibao", "elder_age"])
        self._say(person, benefit(kind, **given), record)

    def _moves(self, person: str) -> None:
        """Certified in another household, or in none any more."""
        until = self._rng.choice([None, None, None, TODAY])
        self._say(person, member(self._rng.choice(self._households), self._rng.randrange(1, 4), until=until), "m")

    def _earns(self, person: str) -> None:
        """A verification of a household's income."""
        wage = self._rng.randrange(0, 10) * 10_000
        income = (IncomeItem(person=person, type="wage", amount_fen=12 * wage, months=12),) if wage else ()
        tests = {f"property_{test}": "compliant" for test in ("dibao", "margin", "tekun", "low_income", "rigid")}
        made: dict[str, Any] = {"authorised_until": date(2026, 12, 31), "covered_persons": (person,), "income": income}
        check = Check(
            aid_household=self._rng.choice(self._households),
            period_from=date(2025, 1, 1),
            period_to=date(2025, 12, 31),
            **(tests | made),
        )
        self._say(person, check, "c")

    def _treated(self, person: str) -> None:
        """A bill, or its correction."""
        day = TODAY - timedelta(days=self._rng.randrange(0, 380))
        self._say(person, settlement(day, self._rng.choice([100, 3_000_000, 6_000_000])), f"s{self._rng.randrange(3)}")

    def _dies(self, person: str) -> None:
        """Deaths are registered, certified and revoked."""
        day, revoked = TODAY - timedelta(days=self._rng.randrange(10, 90)), self._rng.random() < 0.5
        self._say(person, registered_death(day, revoked=revoked), "d")
        self._say(person, medical_death(day, revoked=revoked), "d")

    def _tied(self, person: str) -> None:
        """A tie from both ends."""
        other = self._rng.choice(self._persons)
        if other != person:
            self._say(person, kin(other, "son"), "k")
            self._say(other, kin(person, "father"), "p")

    def _jailed(self, person: str) -> None:
        since = date(2025, self._rng.randrange(1, 12), 1)
        self._say(person, JusticeStatus(kind="prison", since=since, term_months=24), "j")

    def _paid_out(self, person: str) -> None:
        period = self._rng.choice(["2026-01", "2026-02"])
        paid_on = date.fromisoformat(f"{period}-15")
        paid = Payment(benefit="elder_age", period=period, paid_on=paid_on, amount_fen=10_000, paying_region=LIANDU)
        self._say(person, paid, period)
        self._say(person, pension(None), "pension")

    def _taken_back(self, _person: str) -> None:
        """Some record was wrong altogether."""
        person, topic, record = self._rng.choice(sorted(self._versions))
        self._record(person, None, topic, record)
