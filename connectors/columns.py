"""Which columns a stream reads: a table or file that lacks one is refused before a single row is converted."""

from __future__ import annotations

from connectors.mapping import Person, Stream, Value


def columns_of(value: Value) -> set[str]:
    """Columns of the row that a value reads; those of a child table are not the row's."""
    if value.person is not None:
        return _person_columns(value.person)
    if value.split is not None:
        inner = list((value.fields or {}).values()) + ([value.item] if value.item is not None else [])
        return {column for one in inner for column in columns_of(one)}
    return set() if value.column is None else {value.column}


def _person_columns(spec: Person) -> set[str]:
    card = {spec.card.name, spec.card.address, spec.card.phone} - {None}
    return {spec.column, *spec.without_number, *(one.column for one in spec.citizen_when), *map(str, card)}


def row_columns(stream: Stream) -> set[str]:
    """All columns a row of the stream must have."""
    columns = {*stream.record_id.columns, *(one.column for one in [*stream.when, *stream.annul_when])}
    columns |= {one for one in (stream.version.column, stream.version.timestamp) if one is not None}
    columns |= set() if stream.person is None else _person_columns(stream.person)
    columns |= {child.of for child in stream.children.values()}
    columns |= set() if stream.watermark is None else {stream.watermark.column}
    header = (stream.region, stream.event_time, stream.record_time, stream.valid_from, stream.valid_to)
    for value in (*header, stream.both_ends.sex, *stream.fields.values()):
        columns |= set() if value is None else columns_of(value)
    return columns


def child_columns(stream: Stream, name: str) -> set[str]:
    """Columns that a child table must have."""
    child = stream.children[name]
    columns = {child.key, *child.order_by}
    for value in stream.fields.values():
        if value.each == name:
            inner = list((value.fields or {}).values()) + ([value.item] if value.item is not None else [])
            columns |= {column for one in inner for column in columns_of(one)}
    return columns
