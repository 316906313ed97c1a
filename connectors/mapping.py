"""The mapping language: one YAML file says how one source is read and how its rows become events.

The models here are the language's definition; `docs/guide/connectors.md` explains it with an example.
`connectors.loading` reads a file, checks it against these models and the event types, and names file, key and remedy.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from hub.domain.facts import PAYLOADS

Encoding = Literal["utf-8", "utf-8-sig", "gbk", "gb18030"]
Scalar = str | int | bool | None
_DURATION: Final = re.compile(r"(\d+)\s*(s|m|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A text watermark is compared as text by the source, so its units must run from large to small, each of fixed width.
_SORTABLE: Final = re.compile(r"%Y[-/.年]?%m[-/.月]?%d日?([T ]?%H[:时]?%M([:分]?%S秒?(\.%f)?)?)?")


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    raise ValueError("write a duration as 30s, 10m, 1h or 1d")


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


def _column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


def _text(value: Any) -> Any:
    """Codes are text: a bare 01 or 是 in YAML must not become a number or a truth value unseen."""
    if isinstance(value, bool):
        raise ValueError("YAML reads yes, no, on, off, true and false as truth values: put the code in quotes")
    return str(value) if isinstance(value, int | float) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[list[Text], BeforeValidator(_listed)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Part):
    """A test of one column. Exactly one of `in`, `not_in`, `empty`."""

    column: str
    among: Texts | None = Field(None, alias="in")
    not_in: Texts | None = None
    empty: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        if sum(test is not None for test in (self.among, self.not_in, self.empty)) != 1:
            raise ValueError("give exactly one of in, not_in, empty")
        return self


Conditions = Annotated[list[Condition], BeforeValidator(_listed)]


class Card(_Part):
    """Columns that go to the identity vault and nowhere else."""

    name: str | None = None
    address: str | None = None
    phone: str | None = None


class Person(_Part):
    """A person by the column of the citizen number, which is checked (GB 11643) and tokenised.

    `citizen_when` says when the column holds a citizen number at all. `without_number` are the columns that identify
    somebody who has none; the token is then made under `issuer` (default: the source), so it meets only there.
    """

    column: str
    citizen_when: Conditions = []
    without_number: Texts = []
    issuer: str | None = None
    card: Card = Card()
    optional: bool = False


PersonSpec = Annotated[Person, BeforeValidator(_column)]


class Value(_Part):
    """One value of an event: exactly one origin (`column`, `const`, `person`, `each`, `split`), and how it converts.

    Without a converter the type of the event's field decides: a date is read as ISO or YYYYMMDD, `…_fen` as 元,
    a truth value from 是/否, 1/0, Y/N, true/false; text is stripped.
    """

    column: str | None = None
    const: Scalar = None
    person: PersonSpec | None = None
    each: str | None = None
    split: str | None = None

    map: str | dict[Text, Scalar] | None = None
    default: Scalar = "error"
    date: Texts | None = None
    month: Texts | None = None
    timestamp: Texts | None = None
    money: Literal["yuan", "fen"] | None = None
    region: Literal["county", "township", "village", "any"] | None = None
    token: str | None = None
    issuer: str | None = None
    number_part: Literal["birth_date", "sex"] | None = None
    record_id: bool = False
    empty: Texts | None = None

    item: ValueSpec | None = None
    fields: dict[str, ValueSpec] | None = None

    @field_validator("map", mode="before")
    @classmethod
    def _codes_are_text(cls, value: Any) -> Any:
        return {_text(code): meaning for code, meaning in value.items()} if isinstance(value, dict) else value

    @property
    def is_const(self) -> bool:
        """Whether `const` was written; it may be null."""
        return "const" in self.model_fields_set

    @property
    def array(self) -> bool:
        """Whether this makes a list."""
        return self.each is not None or self.split is not None

    @model_validator(mode="after")
    def _one_origin(self) -> Value:
        origins = [self.column is not None, self.is_const, self.person is not None, self.array]
        if sum(origins) != 1 or (self.each is not None and self.split is not None):
            raise ValueError("give exactly one of column, const, person, each, split")
        converters = [
            name
            for name in ("map", "date", "month", "timestamp", "money", "region", "token", "number_part")
            if getattr(self, name) is not None
        ] + ["record_id"] * self.record_id
        if len(converters) > 1:
            raise ValueError(f"{' and '.join(converters)} cannot be combined: keep one")
        if converters and self.column is None:
            raise ValueError(f"{converters[0]} needs a column to work on")
        if self.array and (self.item is None) == (self.fields is None):
            raise ValueError("a list needs either item (a list of values) or fields (a list of records)")
        if not self.array and (self.item is not None or self.fields is not None):
            raise ValueError("item and fields belong to a list: add each or split")
        return self


ValueSpec = Annotated[Value, BeforeValidator(_column)]
Value.model_rebuild()


class RecordId(_Part):
    """Columns that identify a record in its source. `hashed` where they contain a citizen number."""

    columns: Texts = Field(min_length=1)
    hashed: bool = False
    prefix: str = ""


class Version(_Part):
    """Where the totally ordered version comes from: a whole number, a moment, the file's name, or the hub's counter."""

    column: str | None = None
    timestamp: str | None = None
    format: Texts | None = None
    file_sequence: str | None = None
    counter: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Version:
        origins = [self.column is not None, self.timestamp is not None, self.file_sequence is not None, self.counter]
        if sum(origins) != 1:
            raise ValueError("give exactly one of column, timestamp, file_sequence, counter")
        if self.file_sequence is not None and re.compile(self.file_sequence).groups != 1:
            raise ValueError(r"file_sequence is a pattern with one group round the number, as drop_(\d+)\.csv")
        return self


class Watermark(_Part):
    """A column that grows with every change. Commits arrive late, so `overlap` is read again at every poll, and the
    whole table every `reconcile_every`. `overlap` is a duration, or a whole number for a whole-number column;
    `format` says how a moment kept as text is written.
    """

    column: str
    overlap: int | timedelta = timedelta(minutes=10)
    format: str | None = None
    reconcile_every: Duration = timedelta(days=1)

    @field_validator("overlap", mode="before")
    @classmethod
    def _count_or_duration(cls, value: Any) -> Any:
        return value if isinstance(value, int) else _duration(value)

    @field_validator("format")
    @classmethod
    def _sorts_by_time(cls, value: str | None) -> str | None:
        if value is not None and not _SORTABLE.fullmatch(value):
            raise ValueError("text written so does not sort by time: use a query that gives a real time, or a snapshot")
        return value


class Complete(_Part):
    """How a dropped file says that it is whole: a marker beside it, an atomic rename, or no change for a while."""

    marker: str | None = None
    rename: bool = False
    stable_for: Duration | None = None

    @model_validator(mode="after")
    def _one_sign(self) -> Complete:
        if sum([self.marker is not None, self.rename, self.stable_for is not None]) != 1:
            raise ValueError("give exactly one of marker, rename, stable_for")
        return self


class ChildTable(_Part):
    """Rows of another table (or query) that belong to a row: its column `key` equals the row's column `of`."""

    table: str | None = None
    query: str | None = None
    key: str
    of: str
    order_by: Texts = []


class BothEnds(_Part):
    """A tie is published once for each end, its relation turned round for the other. `sex` of the person the row is
    about, where his number does not tell it."""

    sex: ValueSpec | None = None


class Stream(_Part):
    """One kind of event read from one table, query or file pattern."""

    id: Identifier
    topic: str
    table: str | None = None
    query: str | None = None
    files: str | None = None
    sheet: str | None = None
    encoding: Encoding = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    complete: Complete | None = None

    record_id: RecordId
    version: Version
    delivery: Literal["delta", "snapshot"]
    hold_if_shrinks_by: Annotated[float, Field(ge=0, le=1)] = 0.2
    watermark: Watermark | None = None
    when: Conditions = []
    annul_when: Conditions = []

    person: PersonSpec | None = None
    publish_for: Literal["both_ends"] | list[str] | None = None
    both_ends: BothEnds = BothEnds()
    region: ValueSpec | None = None
    event_time: ValueSpec | None = None
    record_time: ValueSpec | None = None
    valid_from: ValueSpec | None = None
    valid_to: ValueSpec | None = None
    children: dict[str, ChildTable] = {}
    fields: dict[str, ValueSpec]

    @field_validator("record_id", mode="before")
    @classmethod
    def _columns(cls, value: Any) -> Any:
        return {"columns": value} if isinstance(value, str | list) else value

    @field_validator("version", mode="before")
    @classmethod
    def _counter(cls, value: Any) -> Any:
        return {"counter": True} if value == "counter" else value

    @field_validator("topic")
    @classmethod
    def _known_topic(cls, value: str) -> str:
        if value not in PAYLOADS:
            raise ValueError(f"no event is called so; the events are {', '.join(PAYLOADS)}")
        return value

    @property
    def xlsx(self) -> bool:
        """Whether the files are workbooks."""
        return self.files is not None and PurePosixPath(self.files).suffix.lower() == ".xlsx"


class SourceMapping(_Part):
    """One source: one system of one department."""

    source: Identifier
    department: str
    kind: Literal["sql", "files"]
    url: str | None = None
    folder: str | None = None
    poll_every: Duration = timedelta(seconds=10)
    zone: Literal["Asia/Shanghai", "UTC"] = "Asia/Shanghai"
    empty: Texts = ["", "NULL", "null", "\\N"]
    codes: dict[str, dict[Text, Scalar]] = {}
    retired_regions: dict[Text, Text] = {}
    streams: list[Stream] = Field(min_length=1)

    @field_validator("codes", mode="before")
    @classmethod
    def _codes_are_text(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: {_text(code): meaning for code, meaning in codes.items()} if isinstance(codes, dict) else codes
            for name, codes in value.items()
        }


def topic_of(stream: Stream) -> str:
    """Topic with its version, as Kafka knows it."""
    return f"{stream.topic}.v1"
