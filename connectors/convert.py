"""A row of a source becomes drafts of events, by its mapping: values converted, numbers checked and tokenised.

Nothing here reads, writes or publishes. A row that does not fit raises DataFault with source, record, field, reason
and value class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

import msgspec
from msgspec import Struct

from connectors.compile import At, Compiler, Context, Convert
from connectors.loading import Shape, shapes
from connectors.mapping import SourceMapping, Stream
from connectors.source import Cells, Row
from connectors.values import Misfit, instant_of, whole_of
from hub.domain import citizen_id
from hub.domain.facts import PAYLOADS, Kinship, Payload, Resident
from hub.domain.times import local_date
from hub.errors import DataFault
from hub.vault.cards import IdentityCard
from hub.vault.tokens import Tokens

REMEDIES: Final = {
    "citizen_id_check": "have the department correct the number at its source",
    "citizen_id_form": "have the department correct the number, or say by citizen_when which rows hold one",
    "impossible_date": "have it corrected at its source, or add its format to the mapping",
    "not_a_number": "have it corrected at its source, or set money or map in the mapping",
    "unknown_region": "have it corrected at its source, or add it to retired_regions",
    "unknown_code": "add the code to the mapping, or have it corrected at its source",
    "missing_field": "have it filled at its source",
    "broken_row": "have the file written again",
    "oversize": "split the record at its source",
    "schema_misfit": "have it corrected at its source, or mend the mapping",
}
"""What to do about each reason a single row can be refused for; then `hub quarantine replay`."""

RECORD_ID_LIMIT: Final = 200  # characters the store keeps of a record id

_CONVERSE: Final = {
    "spouse": ("spouse", "spouse"),
    "son": ("father", "mother"),
    "daughter": ("father", "mother"),
    "father": ("son", "daughter"),
    "mother": ("son", "daughter"),
    "sibling": ("sibling", "sibling"),
    "grandchild": ("grandparent", "grandparent"),
    "grandparent": ("grandchild", "grandchild"),
    "other": ("other", "other"),
}
"""What the other end is to a person → what the person is to the other end, if a man, if a woman."""


class Draft(Struct, frozen=True, kw_only=True):
    """One event for one person, before it has a version. `person` is empty where it is about none.

    `event_time` and `record_time` are None where the row holds none.
    """

    person: str
    region: str | None
    event_time: int | None
    record_time: int | None
    valid_from: date | None
    valid_to: date | None
    payload: Payload
    digest: str


class Key(Struct, frozen=True):
    """Which record a row is, and in which version. `original` is the id as the source has it, where it is hashed."""

    record_id: str
    version: int | None
    original: str | None


class Converted(Struct, frozen=True, kw_only=True):
    """What a row became. `void`: the row says its record is annulled; then there are people but no drafts."""

    key: Key
    void: bool
    people: tuple[str, ...]
    drafts: tuple[Draft, ...]
    cards: tuple[IdentityCard, ...]


class Converter:
    """Compiled mapping of one stream."""

    def __init__(self, mapping: SourceMapping, stream: Stream, tokens: Tokens) -> None:
        self.mapping: Final = mapping
        self.stream: Final = stream
        self._tokens = tokens
        self._compiler = compiler = Compiler(mapping, tokens, self._record_id)
        self._type = PAYLOADS[stream.topic]
        self._when = [compiler.condition(one) for one in stream.when]
        self._annul = [compiler.condition(one) for one in stream.annul_when]
        self._person = None if stream.person is None else compiler.person(stream.person, not stream.person.optional)
        self._fields = compiler.record(stream.topic, stream.fields, shapes(self._type))
        self._region = compiler.optional(stream.region, "region")
        self._event_time = compiler.optional(stream.event_time, "moment")
        self._record_time = compiler.optional(stream.record_time, "moment")
        self._valid_from = compiler.optional(stream.valid_from, "date")
        self._valid_to = compiler.optional(stream.valid_to, "date")
        sex = stream.both_ends.sex
        self._sex = None if sex is None else compiler.value(sex, Shape("text", False), "sex")

    def passes(self, row: Row) -> bool:
        """Whether the row is one of this stream (`when`)."""
        return all(test(row.cells) for test in self._when)

    def key(self, row: Row) -> Key:
        """Record id and version of a row. DataFault when they cannot be read."""
        try:
            original = self._original_id(row.cells)
            record_id = self._record_id(original)
        except Misfit as misfit:
            raise self.fault("unreadable", "record_id", misfit) from None
        try:
            version = self._version(row)
        except Misfit as misfit:
            raise self.fault(record_id, "version", misfit) from None
        return Key(record_id, version, original if self.stream.record_id.hashed else None)

    def record_id(self, row: Row) -> str | None:
        """Record id of a row, None when it cannot be read."""
        try:
            return self._record_id(self._original_id(row.cells))
        except (Misfit, KeyError):
            return None

    def foreign_key(self, row: Row) -> Key | None:
        """Key of a row that is none of this stream's, None when it has none: then it never was one."""
        try:
            return self.key(row)
        except DataFault:
            return None

    def convert(self, row: Row, key: Key, now_ms: int) -> Converted:
        """The row as drafts of events, one a person. DataFault names the first field that does not fit.

        `now_ms` (UTC) dates the identity card where the row does not, and no birth is later than its day.
        """
        context = Context(local_date(now_ms))
        try:
            person = "" if self._person is None else self._person(row.cells, row, context) or ""
            if self._annul and all(test(row.cells) for test in self._annul):
                return Converted(key=key, void=True, people=(person,), drafts=(), cards=())
            values = self._fields(row.cells, row, context)
            record_time = self._header(self._record_time, "record_time", row, context)
            payloads = self._payloads(person, values, row, context)
            drafts = self._drafts(key, payloads, record_time, row, context)
        except At as at:
            raise self.fault(key.record_id, at.field, at.misfit) from None
        except Misfit as misfit:
            raise self.fault(key.record_id, "person", misfit) from None
        cards = tuple(self._cards(drafts, now_ms if record_time is None else record_time, context))
        return Converted(key=key, void=False, people=tuple(payloads), drafts=drafts, cards=cards)

    def fault(self, record_id: str, field: str, misfit: Misfit) -> DataFault:
        """A misfit as the error that is quarantined."""
        return DataFault(
            self.mapping.source, record_id, field, misfit.reason, misfit.value_class, REMEDIES[misfit.reason]
        )

    def _header(self, convert: Convert | None, name: str, row: Row, context: Context) -> Any:
        if convert is None:
            return None
        try:
            return convert(row.cells, row, context)
        except Misfit as misfit:
            raise At(name, misfit) from None

    def _drafts(
        self, key: Key, payloads: Mapping[str, Payload], record_time: int | None, row: Row, context: Context
    ) -> tuple[Draft, ...]:
        region = self._header(self._region, "region", row, context)
        event_time = self._header(self._event_time, "event_time", row, context)
        valid_from = self._header(self._valid_from, "valid_from", row, context)
        valid_to = self._header(self._valid_to, "valid_to", row, context)
        drafts = []
        for person, payload in payloads.items():
            content = msgspec.json.encode((region, event_time, valid_from, valid_to, payload))
            # Whatever free text or id a number of the row hid in, it must not leave.
            if any(number.encode() in content or number in key.record_id for number in context.numbers):
                raise At("text", Misfit("schema_misfit", "a citizen number in clear within a text or id"))
            drafts.append(
                Draft(
                    person=person,
                    region=region,
                    event_time=event_time,
                    record_time=record_time,
                    valid_from=valid_from,
                    valid_to=valid_to,
                    payload=payload,
                    digest=hashlib.blake2b(content, digest_size=16).hexdigest(),
                )
            )
        return tuple(drafts)

    def _payloads(self, person: str, values: dict[str, Any], row: Row, context: Context) -> dict[str, Payload]:
        """Person → payload: for most streams one; both ends of a tie, or all whom named fields hold."""
        if self._type is Resident:
            values = {**values, **_flags(context.checks.get(person), values)}
        payload = self._type(**values)
        found: dict[str, Payload] = {person: payload}
        if self.stream.publish_for == "both_ends" and isinstance(payload, Kinship) and payload.other is not None:
            if payload.other == person:
                raise At("other", Misfit("schema_misfit", "a tie of a person with himself"))
            found[payload.other] = msgspec.structs.replace(
                payload, other=person, relation=self._converse(person, payload.relation, row, context)
            )
        elif isinstance(self.stream.publish_for, list):
            for name in self.stream.publish_for:
                held = values.get(name) or ()
                found.update(dict.fromkeys((held,) if isinstance(held, str) else held, payload))
        return found

    def _converse(self, person: str, relation: str | None, row: Row, context: Context) -> str | None:
        if relation is None:
            return None
        if relation not in _CONVERSE:
            raise At("relation", Misfit("unknown_code", "a relation that cannot be turned round"))
        man, woman = _CONVERSE[relation]
        if man == woman:
            return man
        check = context.checks.get(person)
        sex = check.sex if check is not None else None
        if sex is None and self._sex is not None:
            sex = self._sex(row.cells, row, context)
        if sex not in ("1", "2"):
            raise At("relation", Misfit("missing_field", "sex unknown, so the tie cannot be turned round"))
        return man if sex == "1" else woman

    def _cards(self, drafts: tuple[Draft, ...], record_time: int, context: Context) -> Iterable[IdentityCard]:
        own = drafts[0].payload if drafts and isinstance(drafts[0].payload, Resident) else None
        for spec, person, number, cells in context.cards:
            columns = {"name": spec.card.name, "address": spec.card.address, "phone": spec.card.phone}
            known = {name: self._compiler.text(cells[column]) or None for name, column in columns.items() if column}
            if number is None and not any(known.values()):
                continue
            birth = own.birth_date if own is not None and person == drafts[0].person else None
            yield IdentityCard(
                person=person,
                origin=f"{self.mapping.source}/{self.stream.topic}",
                record_time=record_time,
                number=number,
                birth_date=None if birth is None else birth.isoformat(),
                sex=own.sex if own is not None and person == drafts[0].person else None,
                **known,
            )

    # --- record id and version ---------------------------------------------------------------------------------

    def _original_id(self, cells: Cells) -> str:
        parts = [self._compiler.text(cells[column]) for column in self.stream.record_id.columns]
        if not all(parts):
            raise Misfit("missing_field", "record id empty")
        # Escaped, so that two ids of several columns cannot become one.
        return parts[0] if len(parts) == 1 else "/".join(part.replace("/", "%2F") for part in parts)

    def _record_id(self, original: str) -> str:
        rule = self.stream.record_id
        found = self._tokens.scoped_token(self.mapping.source, "record", original) if rule.hashed else original
        if len(rule.prefix) + len(found) > RECORD_ID_LIMIT:
            raise Misfit("schema_misfit", f"record id of {len(found)} characters, {RECORD_ID_LIMIT} are kept")
        return rule.prefix + found

    def _version(self, row: Row) -> int | None:
        rule = self.stream.version
        if rule.counter:
            return None
        if rule.file_sequence is not None:
            return row.sequence
        column = rule.column or rule.timestamp or ""
        cell = row.cells[column]
        if self._compiler.is_empty(cell):
            raise Misfit("missing_field", "version empty")
        if rule.column is not None:
            return whole_of(cell)
        return instant_of(cell, rule.format or (), self.mapping.zone)


def _flags(check: citizen_id.IdCheck | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the check of the number says, for registration.resident; nothing for somebody without one."""
    if check is None:
        return {}
    birth, sex = values.get("birth_date"), values.get("sex")
    return {
        "id_check": check.outcome,
        "id_birth_agrees": None if birth is None or check.birth_date is None else birth == check.birth_date,
        "id_sex_agrees": None if sex not in ("1", "2") or check.sex is None else sex == check.sex,
        "id_prefix_era": check.prefix_era,
    }
