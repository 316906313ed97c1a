"""The work that every engine is given: a two-stage join with the hub's traps, small enough to be written in Java too.

Departments report memberships (person → household, income) and payments (person, month). Stage 1 folds them per
person, by record id and version, and tells the person's household what the person brings. Stage 2 folds that per
household and opens an alert when income and the newest month's payment lie below a line for each head. Records come
twice, out of order, corrected, taken back; persons move. So the *final* open alerts are a function of the records
alone, and `oracle` works them out without a fold; what is told on the way may differ between engines.

Values are plain dicts as fastavro reads them: the engines, not the conversions, are compared here.
"""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, Final, NamedTuple

import fastavro
import msgspec
from aiokafka.partitioner import murmur2
from msgspec import Struct

from hub.discovery.shapes import States, StepResult
from hub.domain.messages import Output

MEMBER: Final = "bench.member.v1"
PAYMENT: Final = "bench.payment.v1"
CONTRIBUTION: Final = "contribution"
ALERT: Final = "alert"
PERSON_STATE: Final = "person-state"
HOME_STATE: Final = "home-state"
"""Outputs and states are topics of one engine: `<prefix>.<name>`; inputs are shared by all."""

LINE_FEN: Final = 100_000
"""Monthly line for each head in 分: an invented figure near Lishui's 低保 line of 1 000-odd 元."""

_FRAME: Final = struct.Struct(">bI")


def _schema(name: str, fields: dict[str, str]) -> Any:
    return fastavro.parse_schema(
        {"type": "record", "name": name, "fields": [{"name": field, "type": kind} for field, kind in fields.items()]}
    )


SCHEMAS: Final[dict[str, tuple[int, Any]]] = {
    MEMBER: (1, _schema("Member", {
        "source": "string", "record_id": "string", "version": "long", "annulled": "boolean", "person": "string",
        "received_at": "long", "household": "string", "income_fen": "long"})),
    PAYMENT: (2, _schema("Payment", {
        "source": "string", "record_id": "string", "version": "long", "annulled": "boolean", "person": "string",
        "received_at": "long", "month": "int", "amount_fen": "long"})),
    CONTRIBUTION: (3, _schema("Contribution", {
        "household": "string", "person": "string", "sequence": "long", "live": "boolean", "income_fen": "long",
        "paid_fen": "long", "caused_at": "long"})),
    ALERT: (4, _schema("Alert", {
        "household": "string", "episode": "long", "revision": "long", "state": "string", "amount_fen": "long",
        "people": "int", "caused_at": "long"})),
}  # fmt: skip
"""Schema id and schema by the last part of a topic's name. Wire format: 0x00, id as big-endian int32, Avro."""


def _kind(topic: str) -> str:
    return topic if topic in SCHEMAS else topic.rpartition(".")[2]


class WorkCodec:
    """Bytes to dicts and back: the Confluent wire format with ids that are fixed here, so no registry is asked."""

    def encode(self, topic: str, value: Any) -> bytes:
        """Bytes of a value for a topic."""
        number, schema = SCHEMAS[_kind(topic)]
        out = BytesIO()
        out.write(_FRAME.pack(0, number))
        fastavro.schemaless_writer(out, schema, value)
        return out.getvalue()

    def decode(self, topic: str, data: bytes) -> Any:
        """The dict that bytes of a topic hold."""
        _, schema = SCHEMAS[_kind(topic)]
        stream = BytesIO(data)
        stream.seek(_FRAME.size)
        return fastavro.schemaless_reader(stream, schema, None)


# --- the pure steps ---------------------------------------------------------------------------------------------------


class PersonState(Struct, array_like=True, frozen=True):
    """One person: payments by record id as (version, month or -1, 分), the membership, and what the household was told.

    `said` is (household, income, paid), household empty before the first telling.
    """

    sequence: int = 0
    member_version: int = 0
    household: str = ""
    income_fen: int = 0
    payments: dict[str, tuple[int, int, int]] = {}
    said: tuple[str, int, int] = ("", 0, 0)


class HomeState(Struct, array_like=True, frozen=True):
    """One household: what each person brings as (sequence, live, income, paid), and the alert that left last."""

    people: dict[str, tuple[int, bool, int, int]] = {}
    episode: int = 0
    revision: int = 0
    live: bool = False
    amount_fen: int = 0


_PREFIX: Final = b"\x01\x01"  # codec, fold: as the hub's own states begin
_NO_PAYMENT: Final = (0, -1, 0)
_encode: Final = msgspec.msgpack.Encoder().encode
_person: Final = msgspec.msgpack.Decoder(PersonState)
_home: Final = msgspec.msgpack.Decoder(HomeState)


def encode_state(state: PersonState | HomeState) -> bytes:
    """Bytes of a state."""
    return _PREFIX + _encode(state)


def decode_person(data: bytes) -> PersonState:
    """A person's state."""
    return _person.decode(memoryview(data)[2:])


def decode_home(data: bytes) -> HomeState:
    """A household's state."""
    return _home.decode(memoryview(data)[2:])


class PersonStep:
    """Stage 1. `prefix` names the engine's own topics."""

    def __init__(self, prefix: str) -> None:
        self._out = f"{prefix}.{CONTRIBUTION}"

    def step(self, states: States[PersonState], records: Sequence[Any], now: int) -> StepResult[PersonState]:
        """Fold a batch of memberships and payments."""
        result: StepResult[PersonState] = StepResult()
        by_person: dict[str, list[Any]] = defaultdict(list)
        for record in records:
            by_person[record["person"]].append(record)
        for person, own in by_person.items():
            before = states.get(person) or PersonState()
            household, income, version = before.household, before.income_fen, before.member_version
            payments = before.payments
            caused_at = 0
            changed = False
            for record in own:
                caused_at = max(caused_at, record["received_at"])
                if "household" in record:
                    if record["version"] > version:
                        version, changed = record["version"], True
                        household, income = (
                            ("", 0) if record["annulled"] else (record["household"], record["income_fen"])
                        )
                elif record["version"] > payments.get(record["record_id"], _NO_PAYMENT)[0]:
                    if payments is before.payments:
                        payments = dict(payments)
                    gone = record["annulled"]
                    month, amount = (-1, 0) if gone else (record["month"], record["amount_fen"])
                    payments[record["record_id"]] = (record["version"], month, amount)
                    changed = True
            if not changed:
                continue
            paid = max((held[1:] for held in payments.values()), default=_NO_PAYMENT)[-1]
            said = (household, income, paid) if household else ("", 0, 0)
            sequence = before.sequence
            if said != before.said:
                sequence += 1
                if before.said[0] and before.said[0] != household:
                    self._tell(result, before.said[0], person, sequence, False, 0, 0, caused_at)
                if household:
                    self._tell(result, household, person, sequence, True, income, paid, caused_at)
            result.changes[person] = PersonState(sequence, version, household, income, payments, said)
        return result

    def _tell(
        self, result: StepResult[PersonState], household: str, person: str, sequence: int, live: bool, income: int,
        paid: int, caused_at: int,
    ) -> None:  # fmt: skip
        value: Any = {
            "household": household, "person": person, "sequence": sequence, "live": live, "income_fen": income,
            "paid_fen": paid, "caused_at": caused_at,
        }  # fmt: skip
        result.outputs.append(Output(self._out, household, value))


class HomeStep:
    """Stage 2. `prefix` names the engine's own topics."""

    def __init__(self, prefix: str) -> None:
        self._out = f"{prefix}.{ALERT}"

    def step(self, states: States[HomeState], records: Sequence[Any], now: int) -> StepResult[HomeState]:
        """Fold a batch of contributions and decide each household that one touched."""
        result: StepResult[HomeState] = StepResult()
        by_home: dict[str, list[Any]] = defaultdict(list)
        for record in records:
            by_home[record["household"]].append(record)
        for household, own in by_home.items():
            before = states.get(household) or HomeState()
            people = dict(before.people)
            caused_at = 0
            changed = False
            for record in own:
                held = people.get(record["person"])
                if held is None or record["sequence"] > held[0]:
                    people[record["person"]] = (
                        record["sequence"], record["live"], record["income_fen"], record["paid_fen"]
                    )  # fmt: skip
                    caused_at, changed = max(caused_at, record["caused_at"]), True
            if changed:
                result.changes[household] = self._decide(household, before, people, caused_at, result)
        return result

    def _decide(
        self, household: str, before: HomeState, people: dict[str, tuple[int, bool, int, int]], caused_at: int,
        result: StepResult[HomeState],
    ) -> HomeState:  # fmt: skip
        heads = [(income, paid) for _, live, income, paid in people.values() if live]
        gap = max(0, LINE_FEN * len(heads) - sum(income + paid for income, paid in heads))
        episode, revision = before.episode, before.revision
        if gap and not before.live:
            episode, revision, state = episode + 1, 1, "OPEN"
        elif gap and gap != before.amount_fen:
            revision, state = revision + 1, "AMENDED"
        elif not gap and before.live:
            revision, state = revision + 1, "WITHDRAWN"
        else:
            return HomeState(people, episode, revision, before.live, before.amount_fen)
        value: Any = {
            "household": household, "episode": episode, "revision": revision, "state": state, "amount_fen": gap,
            "people": len(heads), "caused_at": caused_at,
        }  # fmt: skip
        result.outputs.append(Output(self._out, household, value))
        return HomeState(people, episode, revision, gap > 0, gap)


# --- what is given, and what must come out ----------------------------------------------------------------------------


class Made(NamedTuple):
    """One input record. `partition` None: by its key."""

    topic: str
    key: str
    value: dict[str, Any]


def partition_of(key: str, partitions: int) -> int:
    """Where every producer of the hub puts a key."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


def token(number: int) -> str:
    """A person token, or with another salt a household's name: 32 hex."""
    return f"{(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) & ((1 << 128) - 1):032x}"


def generate(events: int, *, seed: int, people: int | None = None) -> Iterator[Made]:
    """`events` records about `people` persons (default: a quarter of it), in the order in which they are sent."""
    rng = random.Random(seed)  # noqa: S311 - a workload that can be made again, no secret
    people = people or max(1, events // 4)
    households = max(1, people // 3)
    versions: dict[str, int] = {}
    late: list[Made] = []
    made = 0
    while made < events:
        roll = rng.random()
        if late and roll < 0.03:
            record = late.pop()  # one that was held back, or a copy: late, or once more
        elif made < people:
            record = _member(made, rng.randrange(households), rng, versions)
        elif roll < 0.10:
            # A move, a new income, or a taking back and so on: a further version of the membership.
            record = _member(rng.randrange(people), rng.randrange(households), rng, versions)
        else:
            record = _payment(rng.randrange(people), rng.randrange(12), rng, versions)
        if roll > 0.985 and record.topic == PAYMENT:
            late.append(record)
            if roll > 0.9925:
                continue  # comes later only
        made += 1
        yield record


def _member(person: int, household: int, rng: random.Random, versions: dict[str, int]) -> Made:
    key, record_id = token(person), f"m{person:08d}"
    version = versions[record_id] = versions.get(record_id, 0) + 1
    return Made(MEMBER, key, {
        "source": "minzheng-jiuzhu", "record_id": record_id, "version": version,
        "annulled": version > 1 and rng.random() < 0.05, "person": key, "received_at": 0,
        "household": token(household + (1 << 40)), "income_fen": rng.randrange(40, 140) * 1000,
    })  # fmt: skip


def _payment(person: int, month: int, rng: random.Random, versions: dict[str, int]) -> Made:
    key, record_id = token(person), f"p{person:08d}-{month:02d}"
    version = versions[record_id] = versions.get(record_id, 0) + 1
    return Made(PAYMENT, key, {
        "source": "renshe-fafang", "record_id": record_id, "version": version,
        "annulled": version > 1 and rng.random() < 0.2, "person": key, "received_at": 0, "month": month,
        "amount_fen": rng.randrange(1, 60) * 100,
    })  # fmt: skip


def sentinels(partitions: int, wave: int) -> list[Made]:
    """Last records of each input partition: an engine that told of them has folded in everything before them.

    `wave` tells apart one such end from the next on the same topics.
    """
    found: list[Made] = []
    number = wave << 60
    for partition in range(partitions):
        while partition_of(token(number), partitions) != partition:
            number += 1
        key = token(number)
        common = {"version": 1, "annulled": False, "person": key, "received_at": 0}
        household = f"sentinel-{wave}-{partition}"
        found.append(Made(MEMBER, key, {"source": "end", "record_id": f"m-{household}", **common,
                                        "household": household, "income_fen": 0}))  # fmt: skip
        found.append(Made(PAYMENT, key, {"source": "end", "record_id": f"p-{household}", **common,
                                         "month": 0, "amount_fen": 1}))  # fmt: skip
        number += 1
    return found


def sentinel_alerts(partitions: int, wave: int) -> dict[str, int]:
    """What is open once both last records of each partition were folded in: household → 分."""
    return {f"sentinel-{wave}-{partition}": LINE_FEN - 1 for partition in range(partitions)}


def oracle(records: Iterable[Made]) -> dict[str, int]:
    """What must be open in the end: household → missing 分 a month. Written apart from the steps."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for topic, _, value in records:
        held = newest.get((topic, value["record_id"]))
        if held is None or value["version"] > held["version"]:
            newest[topic, value["record_id"]] = value
    last: dict[str, tuple[int, int]] = {}
    for (topic, _), value in newest.items():
        if topic == PAYMENT and not value["annulled"]:
            person = value["person"]
            last[person] = max(last.get(person, (-1, 0)), (value["month"], value["amount_fen"]))
    paid = {person: amount for person, (_, amount) in last.items()}
    had: dict[str, int] = defaultdict(int)
    heads: dict[str, int] = defaultdict(int)
    for (topic, _), value in newest.items():
        if topic == MEMBER and not value["annulled"]:
            heads[value["household"]] += 1
            had[value["household"]] += value["income_fen"] + paid.get(value["person"], 0)
    return {home: LINE_FEN * number - had[home] for home, number in heads.items() if had[home] < LINE_FEN * number}


def open_now(alerts: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """What is open after alerts in the order of their partition: household → 分."""
    found: dict[str, int] = {}
    for alert in alerts:
        if alert["state"] == "WITHDRAWN":
            found.pop(alert["household"], None)
        else:
            found[alert["household"]] = alert["amount_fen"]
    return found
