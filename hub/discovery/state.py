"""What the two steps remember, and how it is written: (codec version, fold version), then msgpack.

A state value is read by the release that wrote it and by the next one. Struct fields are positional and are only ever
added at the end, with a default: a newer release reads an older value, and an older one passes over what it does not
know. What an older release must not take for its own carries a higher codec version, and is written only when nobody
will go back to that release (`hub upgrade finalise`); until then values carry the version of the release before. The
*codec* version counts layouts, the *fold* version counts meanings: when a fold would make another state of the same
records, it rises and the next generation is built beside the old one. A value that is newer than this release ends
the process (`StateFromTheFuture`): going on would write it back shortened.

    codec 1   the first release
    codec 2   floors of pruned records, which the first release would take for records that were taken back
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from hub.domain.messages import Contribution, Fact, Missing
from hub.errors import StateFromTheFuture, StateUnreadable

CODEC: Final = 2
FORMER: Final = 1
"""Layouts of this release and of the one before it: both are read, and either is written (`hub.streams.upgrade`)."""

PRUNES: Final = 2
"""The first layout that holds what pruning leaves."""

FOLD: Final = 1

RecordKey = tuple[str, str, str]
"""(topic, source, record_id)."""

Stage = Literal["none", "held", "open", "suppressed"]
FullTruth = Literal["yes", "no", "unknown", "not_applicable"]


class Floor(Struct, frozen=True, array_like=True):
    """What stays of a record that was taken back, or pruned: an equal or older version of it no longer counts.

    `last` is the last day on which an older version can say anything, from which the end of the floor is counted;
    None: it stays for ever. `pruned`: the record was not taken back, it lies below the horizon.
    """

    topic: str
    source: str
    record_id: str
    version: int
    erased: bool
    last: date | None = None
    pruned: bool = False


class PersonState(Struct, frozen=True, array_like=True):
    """One person: its live facts ordered by (topic, source, record_id), and what was said of it.

    `collided` are the records of which two contents came under the newest version. `sent` maps each home that this
    person contributes to onto its roles there. `conflicts` maps each open conflict onto a digest of its last message.
    `reads` is the fingerprint of the law by which contributions were last made. `next_review` is the day on which the
    next record falls below its horizon, or the next floor ends; `horizons` is the fingerprint of those it rests on.
    """

    generation: int
    sequence: int
    reads: str
    facts: tuple[Fact, ...] = ()
    floors: tuple[Floor, ...] = ()
    collided: tuple[RecordKey, ...] = ()
    sent: dict[str, tuple[str, ...]] = {}
    conflicts: dict[str, str] = {}
    next_review: date | None = None
    horizons: str = ""


class Answer(Struct, frozen=True, array_like=True):
    """The newest disposition of one evidence hash. Later is (made_at, disposition_id), so that order cannot matter."""

    evidence_hash: str
    suppress: bool
    made_at: int
    disposition_id: str


class RuleState(Struct, frozen=True, array_like=True):
    """One rule at one home: what it says now, and the alert that left last.

    `stage` is where the finding stands. `episode` and `revision` number the newest alert; `live` says that its last
    revision was not a withdrawal. `evidence_hash` to `due_on` are as that revision said.
    """

    truth: FullTruth
    stage: Stage = "none"
    sequence: int = 0
    missing: tuple[Missing, ...] = ()
    region: str | None = None
    township: str | None = None
    episode: int = 0
    revision: int = 0
    live: bool = False
    evidence_hash: str = ""
    amount_fen: int | None = None
    grade: Literal["case", "lead"] = "case"
    opened_on: date | None = None
    due_on: date | None = None
    due_kind: Literal["service", "statutory"] = "service"


class HomeState(Struct, frozen=True, array_like=True):
    """One home: the newest contribution of each person (ENDED ones stay as floors), and each rule's state."""

    contributions: dict[str, Contribution] = {}
    rules: dict[str, RuleState] = {}
    answers: dict[str, tuple[Answer, ...]] = {}
    next_review: date | None = None
    policy_hash: str | None = None
    region: str | None = None
    township: str | None = None


class PersonOutline(Struct, frozen=True, array_like=True, gc=False):
    """A `PersonState` without its facts and what was said of it, which are passed over unread."""

    generation: int
    sequence: int
    reads: str
    facts: msgspec.Raw = msgspec.Raw()
    floors: msgspec.Raw = msgspec.Raw()
    collided: msgspec.Raw = msgspec.Raw()
    sent: msgspec.Raw = msgspec.Raw()
    conflicts: msgspec.Raw = msgspec.Raw()
    next_review: date | None = None
    horizons: str = ""


class RuleOutline(Struct, frozen=True, array_like=True, gc=False):
    """The head of a `RuleState`."""

    truth: FullTruth
    stage: Stage = "none"


class HomeOutline(Struct, frozen=True, array_like=True, gc=False):
    """A `HomeState` without its contributions and answers, which are passed over unread: most of its bytes."""

    contributions: msgspec.Raw
    rules: dict[str, RuleOutline] = {}
    answers: msgspec.Raw = msgspec.Raw()
    next_review: date | None = None
    policy_hash: str | None = None
    region: str | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_person: Final = msgspec.msgpack.Decoder(PersonState)
_home: Final = msgspec.msgpack.Decoder(HomeState)
_person_outline: Final = msgspec.msgpack.Decoder(PersonOutline)
_home_outline: Final = msgspec.msgpack.Decoder(HomeOutline)


def prefix_of(codec: int) -> bytes:
    """What values of a layout begin with."""
    return bytes((codec, FOLD))


_PREFIXES: Final = {codec: prefix_of(codec) for codec in (FORMER, CODEC)}


_KNOWN: Final = frozenset(_PREFIXES.values())


def encode_person(state: PersonState, codec: int = CODEC) -> bytes:
    """Bytes of a person's state, in the layout of this release or of the one before."""
    return _PREFIXES[codec] + _encode(state)


def decode_person(data: bytes) -> PersonState:
    """A person's state. StateFromTheFuture, or StateUnreadable for damaged or too old bytes."""
    state: PersonState = _decode(_person, data)
    return state


def encode_home(state: HomeState, codec: int = CODEC) -> bytes:
    """Bytes of a home's state, in the layout of this release or of the one before."""
    return _PREFIXES[codec] + _encode(state)


def decode_home(data: bytes) -> HomeState:
    """A home's state. StateFromTheFuture, or StateUnreadable for damaged or too old bytes."""
    state: HomeState = _decode(_home, data)
    return state


def outline_person(data: bytes) -> PersonOutline:
    """What `stale` reads of a person's state. Raises as `decode_person`, though damage behind the head stays unseen."""
    outline: PersonOutline = _decode(_person_outline, data)
    return outline


def outline_home(data: bytes) -> HomeOutline:
    """What a restore reads of a home's state. Raises as `decode_home`, but does not see into what it passes over."""
    outline: HomeOutline = _decode(_home_outline, data)
    return outline


def _decode(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> Any:
    if data[:2] not in _KNOWN:
        _refuse(data)
    try:
        return decoder.decode(memoryview(data)[2:])
    except msgspec.MsgspecError as error:
        raise StateUnreadable(
            "a state value is damaged — rebuild this partition's state from the source log"
        ) from error


def _refuse(data: bytes) -> None:
    if len(data) < 2 or (data[0], data[1]) < (FORMER, FOLD):
        raise StateUnreadable(
            "a state value is damaged or older than this release reads — start the release before this one, or rebuild"
        )
    raise StateFromTheFuture(
        f"state of codec {data[0]}, fold {data[1]}; this release knows {CODEC}, {FOLD} — start the newer release again"
    )
