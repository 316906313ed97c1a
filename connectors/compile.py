"""The values of a mapping, compiled once into small functions that turn cells into values of an event.

A value that does not fit raises Misfit, within a record or list At, which carries the field's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final

from connectors.codes import FIELD_CODES
from connectors.columns import columns_of
from connectors.loading import Shape, shapes
from connectors.mapping import Condition, Person, SourceMapping, Value
from connectors.source import Cells, Raw, Row
from connectors.values import (
    Misfit,
    date_of,
    describe,
    instant_of,
    money_of,
    month_of,
    region_of,
    text_of,
    truth_of,
    whole_of,
)
from hub.domain import citizen_id
from hub.vault.tokens import Tokens

_CACHE_LIMIT: Final = 200_000  # numbers whose check and token are remembered: some tens of megabytes


class Context:
    """What a row yields beside its values: whom it names, by which numbers, and what goes to the vault."""

    __slots__ = ("cards", "checks", "numbers", "today")

    def __init__(self, today: date) -> None:
        self.today = today
        self.numbers: list[str] = []
        self.cards: list[tuple[Person, str, str | None, Cells]] = []
        self.checks: dict[str, citizen_id.IdCheck] = {}


Convert = Callable[[Cells, Row, Context], Any]
"""Converts one value; the cells are the row's, or those of a child."""


class At(Exception):
    """A misfit and the field it is in; becomes a DataFault where the record is known."""

    def __init__(self, field: str, misfit: Misfit) -> None:
        super().__init__(field)
        self.field = field
        self.misfit = misfit


class Compiler:
    """Compiles the values of one source's mapping."""

    def __init__(self, mapping: SourceMapping, tokens: Tokens, record_id: Callable[[str], str]) -> None:
        self._mapping = mapping
        self._tokens = tokens
        self._record_id = record_id
        self._empty = frozenset(mapping.empty) | {""}
        self._known: dict[str, tuple[citizen_id.IdCheck, str]] = {}

    def text(self, raw: Raw) -> str:
        text = text_of(raw)
        return "" if text in self._empty else text

    def is_empty(self, raw: Raw) -> bool:
        return raw is None or (isinstance(raw, str) and raw.strip() in self._empty)

    def condition(self, rule: Condition) -> Callable[[Cells], bool]:
        column = rule.column
        if rule.empty is not None:
            wanted = rule.empty
            return lambda cells: self.is_empty(cells[column]) == wanted
        codes = frozenset(rule.among if rule.among is not None else rule.not_in or ())
        inside = rule.among is not None
        return lambda cells: (text_of(cells[column]) in codes) == inside

    def optional(self, value: Value | None, kind: str) -> Convert | None:
        return None if value is None else self.value(value, Shape(kind, False), kind)

    def record(
        self, name: str, values: Mapping[str, Value], known: Mapping[str, Shape]
    ) -> Callable[[Cells, Row, Context], dict[str, Any]]:
        compiled = [
            (field, known[field].required, self.value(value, known[field], f"{name}.{field}"))
            for field, value in values.items()
        ]

        def convert(cells: Cells, row: Row, context: Context) -> dict[str, Any]:
            made = {}
            for field, required, one in compiled:
                try:
                    value = one(cells, row, context)
                except Misfit as misfit:
                    raise At(field, misfit) from None
                except At as at:
                    raise At(f"{field}{at.field}", at.misfit) from None
                if value is None and required:
                    raise At(field, Misfit("missing_field", "empty"))
                made[field] = value
            return made

        return convert

    def value(self, value: Value, shape: Shape, full: str) -> Convert:
        if value.array:
            return self._list(value, shape, full)
        if value.person is not None:
            return self.person(value.person, required=False)
        if value.is_const:
            const = date.fromisoformat(str(value.const)) if shape.kind == "date" else value.const
            return lambda cells, row, context: const
        column = value.column or ""
        single = self._single(value, shape, full)
        own = frozenset(value.empty or ())
        nothing = self._empty | own

        def convert(cells: Cells, row: Row, context: Context) -> Any:
            raw = cells[column]
            if isinstance(raw, str):
                raw = raw.strip()
                if raw in nothing:
                    return None
            elif raw is None or (own and text_of(raw) in own):
                return None
            return single(raw)

        return convert

    def _single(self, value: Value, shape: Shape, full: str) -> Callable[[Raw], Any]:
        """The converter of one cell that is not empty."""
        mapping, source = self._mapping, self._mapping.source
        if value.map is not None:
            return _mapped(mapping.codes[value.map] if isinstance(value.map, str) else value.map, value.default)
        if value.region is not None or shape.kind == "region":
            level, retired = value.region or "county", mapping.retired_regions
            return lambda raw: region_of(raw, level, retired)
        if value.token is not None:
            issuer, kind = value.issuer or source, value.token
            return lambda raw: self._tokens.scoped_token(issuer, kind, text_of(raw))
        if value.record_id:
            return lambda raw: self._record_id(text_of(raw))
        if value.number_part is not None:
            part = value.number_part
            return lambda raw: getattr(_checked(text_of(raw), None), part)
        if value.month is not None:
            formats = tuple(value.month)
            return lambda raw: month_of(raw, formats)
        if value.money is not None or (shape.kind == "whole" and full.endswith("_fen")):
            unit = value.money or "yuan"
            return lambda raw: money_of(raw, unit)
        if shape.kind == "moment" and value.date is not None:
            formats = tuple(value.date)
            return lambda raw: instant_of(date_of(raw, formats), (), mapping.zone)
        if shape.kind == "moment" or value.timestamp is not None:
            formats = tuple(value.timestamp or ())
            return lambda raw: instant_of(raw, formats, mapping.zone)
        if shape.kind == "date":
            formats = tuple(value.date or ())
            return lambda raw: date_of(raw, formats)
        if shape.kind == "whole":
            return whole_of
        if shape.kind == "truth":
            return truth_of
        return _coded(FIELD_CODES[full]) if full in FIELD_CODES else text_of

    def _list(self, value: Value, shape: Shape, full: str) -> Convert:
        if value.fields is not None and shape.record is not None:
            record = shape.record
            fields = self.record(full, value.fields, shapes(record))
            one: Convert = lambda cells, row, context: record(**fields(cells, row, context))  # noqa: E731  # three shapes of one thing side by side
        elif value.item is not None:
            one = self.value(value.item, Shape("text", True), full)
        else:
            raise TypeError(f"{full}: a list needs item or fields")  # the loader has seen to it
        parts = self._children(value.each) if value.each is not None else self._splits(value)

        def convert(cells: Cells, row: Row, context: Context) -> tuple[Any, ...]:
            made = []
            for index, part in enumerate(parts(cells, row)):
                try:
                    item = one(part, row, context)
                except Misfit as misfit:
                    raise At(f"[{index}]", misfit) from None
                except At as at:
                    raise At(f"[{index}].{at.field}", at.misfit) from None
                if item is not None:
                    made.append(item)
            return tuple(made)

        return convert

    @staticmethod
    def _children(name: str) -> Callable[[Cells, Row], Iterable[Cells]]:
        return lambda cells, row: row.children.get(name, ())

    def _splits(self, value: Value) -> Callable[[Cells, Row], Iterable[Cells]]:
        separator = value.split or ""
        inner = list((value.fields or {}).values()) + ([value.item] if value.item is not None else [])
        columns = sorted({column for one in inner for column in columns_of(one)})

        def parts(cells: Cells, row: Row) -> Iterable[Cells]:
            lists = {
                column: [] if self.is_empty(cells[column]) else text_of(cells[column]).split(separator)
                for column in columns
            }
            lengths = {len(one) for one in lists.values()}
            if len(lengths) > 1:
                raise Misfit("schema_misfit", f"lists of {' and '.join(map(str, sorted(lengths)))} parts side by side")
            for index in range(lengths.pop() if lengths else 0):
                yield {**cells, **{column: one[index] for column, one in lists.items()}}

        return parts

    def person(self, spec: Person, required: bool) -> Convert:
        tests = [self.condition(one) for one in spec.citizen_when]
        issuer = spec.issuer or self._mapping.source

        def convert(cells: Cells, row: Row, context: Context) -> str | None:
            number = self.text(cells[spec.column])
            if number and all(test(cells) for test in tests):
                check, token = self._check(number, context.today)
                normal = citizen_id.normalise(number)
                context.numbers += [number] if number == normal else [number, normal]
                context.checks[token] = check
                context.cards.append((spec, token, normal, cells))
                return token
            own = [self.text(cells[column]) for column in spec.without_number]
            if own and all(own):
                token = self._tokens.scoped_token(issuer, "person", "/".join(part.replace("/", "%2F") for part in own))
                context.cards.append((spec, token, None, cells))
                return token
            if required or number:
                raise Misfit("missing_field", "no citizen number, and nothing in its place")
            return None

        return convert

    def _check(self, number: str, today: date) -> tuple[citizen_id.IdCheck, str]:
        """Check and token of a number, remembered: the same people come again and again."""
        held = self._known.get(number)
        if held is not None:
            return held
        check = _checked(number, today)
        if len(self._known) >= _CACHE_LIMIT:
            self._known.clear()
        self._known[number] = check, self._tokens.person_token(number)
        return self._known[number]


def _checked(number: str, today: date | None) -> citizen_id.IdCheck:
    """The check of a number that may stand for a person; a prefix of no place is no reason to refuse him."""
    check = citizen_id.check(number, today)
    if check.reason == "check_digit":
        raise Misfit("citizen_id_check", f"{len(number)} characters, check digit differs")
    if check.reason in ("length", "characters", "birth_date"):
        what = {"length": "", "characters": ", not all digits", "birth_date": ", no such birth date"}[check.reason]
        raise Misfit("citizen_id_form", f"{len(number)} characters{what}")
    return check


def _mapped(codes: Mapping[str, Any], default: Any) -> Callable[[Raw], Any]:
    def convert(raw: Raw) -> Any:
        code = text_of(raw)
        if code in codes:
            return codes[code]
        if default == "error":
            raise Misfit("unknown_code", f"{describe(raw)}, not in the code list of the mapping")
        return default

    return convert


def _coded(codes: Iterable[str]) -> Callable[[Raw], str]:
    allowed = frozenset(codes)

    def convert(raw: Raw) -> str:
        code = text_of(raw)
        if code not in allowed:
            raise Misfit("unknown_code", f"{describe(raw)}, no code of this field")
        return code

    return convert
