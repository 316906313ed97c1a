"""Reads source mappings and checks them: against the language, the event types and the code lists.

Every complaint is a ConfigurationError with one line a fault: file, key, what is wrong, what to do.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, Union, get_args, get_origin

import msgspec
import yaml
from pydantic import ValidationError

from connectors.codes import CHECKED_FIELDS, FIELD_CODES, PERSON_FIELDS, TOKEN_FIELDS
from connectors.mapping import Person, SourceMapping, Stream, Value
from hub.domain.facts import PAYLOADS
from hub.errors import ConfigurationError

_VARIABLE: Final = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*))?\}")
_WITHOUT_PERSON: Final = "source.coverage"
"""The one event that may be about no person: what a source is complete for."""

Fault = tuple[str, str]
"""Key and what is wrong with it, remedy included."""


class Shape(msgspec.Struct, frozen=True):
    """Type of an event's field: `kind` is text, whole, truth, date, or list; `record` the type of a list's records."""

    kind: str
    required: bool
    record: type[msgspec.Struct] | None = None


def shapes(record: type[msgspec.Struct]) -> dict[str, Shape]:
    """Field → shape, of a payload or of a record within one."""
    found = {}
    for field in msgspec.structs.fields(record):
        plain = _without_none(field.type)
        kind = {str: "text", int: "whole", bool: "truth", date: "date"}.get(plain, "list")
        inner = get_args(plain)[0] if get_origin(plain) is tuple else None
        is_record = isinstance(inner, type) and issubclass(inner, msgspec.Struct)
        found[field.name] = Shape(kind, field.required, inner if is_record else None)
    return found


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


class _Loader(yaml.SafeLoader):
    """A key that is written twice is a mistake: plain YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _value in node.value]
        twice = next((key for position, key in enumerate(keys) if key in keys[:position]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is written twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load_sources(folder: Path, only: Iterable[str] = ()) -> list[SourceMapping]:
    """All mappings of a folder, ordered by source id, or those named in `only`. ConfigurationError lists all faults."""
    if not folder.is_dir():
        raise ConfigurationError(f"no folder of source mappings at {folder} — set HUB_SOURCES to it")
    loaded: dict[str, SourceMapping] = {}
    complaints: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            mapping = load_mapping(path)
        except ConfigurationError as error:
            complaints.append(str(error))
            continue
        if mapping.source in loaded:
            complaints.append(f"{path}: source: {mapping.source} is the id of another file — give each its own")
        loaded[mapping.source] = mapping
    if complaints:
        raise ConfigurationError("\n".join(complaints))
    wanted = list(only) or sorted(loaded)
    if unknown := [source for source in wanted if source not in loaded]:
        there = ", ".join(sorted(loaded))
        raise ConfigurationError(f"no mapping for {', '.join(unknown)} in {folder} — there are {there}")
    return [loaded[source] for source in wanted]


def load_mapping(path: Path, environment: Mapping[str, str] = os.environ) -> SourceMapping:
    """One mapping, checked. ConfigurationError with one line a fault."""
    try:
        # A subclass of SafeLoader: it builds plain values only.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({type(error).__name__}) — save it as UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        problem = getattr(error, "problem", None) or getattr(error, "context", None) or "no YAML"
        raise ConfigurationError(f"{path}: {where}: {problem} — mend the YAML there") from error
    try:
        mapping = SourceMapping.model_validate(content)
        mapping = mapping.model_copy(
            update={key: _substitute(getattr(mapping, key), environment) for key in ("url", "folder")}
        )
    except ValidationError as error:
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in _explain(error))) from error
    except KeyError as error:
        name = error.args[0]
        raise ConfigurationError(
            f"{path}: url or folder: variable {name} is not set — set it, or write ${{{name}:-default}}"
        ) from error
    if faults := list(_faults(mapping)):
        raise ConfigurationError("\n".join(f"{path}: {key}: {text}" for key, text in faults))
    return mapping


def mapping_hash(mapping: SourceMapping) -> str:
    """32 hex digits that change when a mapping means something else; where it is read does not count."""
    content = mapping.model_dump_json(exclude={"url", "folder", "poll_every"}, exclude_defaults=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _substitute(text: str | None, environment: Mapping[str, str]) -> str | None:
    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        return environment.get(name, default) if default is not None else environment[name]

    return None if text is None else _VARIABLE.sub(value, text)


def _explain(error: ValidationError) -> Iterator[str]:
    """pydantic's findings in our words: key and remedy; never the input, which a mapping may hold by mistake."""
    for finding in error.errors(include_input=False, include_url=False):
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in finding["loc"]).lstrip(".")
        text = finding["msg"].removeprefix("Value error, ")
        if finding["type"] == "extra_forbidden":
            text = f"no such key{_guess(str(finding['loc'][-1]))}; docs/guide/connectors.md lists the keys"
        elif finding["type"] == "missing":
            text = "is missing: add it (docs/guide/connectors.md says what it means)"
        yield f"{where or 'file'}: {text}"


def _guess(key: str) -> str:
    known = set(SourceMapping.model_fields) | set(Stream.model_fields) | set(Value.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    return f", perhaps {close[0]}" if close else ""


def _faults(mapping: SourceMapping) -> Iterator[Fault]:
    places = {"sql": (True, False), "files": (False, True)}
    if (mapping.url is not None, mapping.folder is not None) != places[mapping.kind]:
        yield "kind", "a source of kind sql has a url, one of kind files a folder, and not the other"
    ids = [stream.id for stream in mapping.streams]
    for twice in sorted({one for one in ids if ids.count(one) > 1}):
        yield "streams", f"two streams are called {twice}: give each its own id"
    for stream in mapping.streams:
        key = f"streams.{stream.id}"
        yield from ((f"{key}.{below}", text) for below, text in _stream_faults(mapping, stream))


def _stream_faults(mapping: SourceMapping, stream: Stream) -> Iterator[Fault]:
    yield from _reading_faults(mapping, stream)
    same = [other for other in mapping.streams if other.topic == stream.topic and other.id != stream.id]
    prefix = stream.record_id.prefix
    if any(other.record_id.prefix.startswith(prefix) for other in same):
        yield (
            "record_id.prefix",
            f"stream {same[0].id} makes the same events: give both a prefix, neither the beginning of the other",
        )
    needs_person = stream.topic != _WITHOUT_PERSON
    if needs_person and (stream.person is None or stream.person.optional):
        yield "person", f"{stream.topic} is always about a person: name the column of the citizen number, not optional"
    yield from _clear_number_faults(stream)
    payload = shapes(PAYLOADS[stream.topic])
    yield from _field_faults(mapping, stream, stream.topic, stream.fields, payload, "fields")
    if stream.publish_for == "both_ends" and stream.topic != "registration.kinship":
        yield "publish_for", "both_ends turns a tie round, so it belongs to registration.kinship: list fields instead"
    if isinstance(stream.publish_for, list):
        for name in stream.publish_for:
            if f"{stream.topic}.{name}" not in PERSON_FIELDS:
                yield "publish_for", f"{name} holds no person of {stream.topic}: list fields that do"
    for name in ("region", "event_time", "record_time", "valid_from", "valid_to"):
        value: Value | None = getattr(stream, name)
        if value is not None and (value.array or value.person is not None):
            yield name, "takes one column or constant"


def _people(values: Iterable[Value]) -> Iterator[Person]:
    for value in values:
        if value.person is not None:
            yield value.person
        yield from _people((value.fields or {}).values())
        yield from _people([value.item] if value.item is not None else [])


def _clear_number_faults(stream: Stream) -> Iterator[Fault]:
    """Columns of citizen numbers may be used to make tokens, and for nothing that leaves as it is."""
    own = [stream.person] if stream.person is not None else []
    numbers = {person.column for person in [*own, *_people(stream.fields.values())]}
    if not stream.record_id.hashed and (found := numbers & set(stream.record_id.columns)):
        yield "record_id.hashed", f"{', '.join(sorted(found))} holds citizen numbers: set hashed: true"
    for name, value in stream.fields.items():
        if value.column in numbers and value.number_part is None and value.token is None:
            yield f"fields.{name}", f"{value.column} holds citizen numbers: use person, token or number_part"


def _reading_faults(mapping: SourceMapping, stream: Stream) -> Iterator[Fault]:
    places = [place for place in ("table", "query", "files") if getattr(stream, place) is not None]
    fit = {"sql": {"table", "query"}, "files": {"files"}}[mapping.kind]
    if len(places) != 1 or places[0] not in fit:
        yield "table", f"a stream of a {mapping.kind} source is read from exactly one of: {', '.join(sorted(fit))}"
    if mapping.kind == "files":
        if stream.complete is None:
            yield "complete", "say how a file shows that it is whole: marker, rename or stable_for"
        if stream.watermark is not None:
            yield "watermark", "belongs to tables: remove it"
        if stream.children:
            yield "children", "belong to tables: use split for lists within a cell"
    else:
        if stream.delivery == "delta" and stream.watermark is None:
            yield "watermark", "a table read as delta needs one; without such a column declare delivery: snapshot"
        if stream.delivery == "snapshot" and stream.watermark is not None:
            yield "watermark", "a snapshot is read whole at every poll: remove it, or declare delivery: delta"
        if stream.version.file_sequence is not None:
            yield "version.file_sequence", "belongs to files: use column, timestamp or counter"
    for name, child in stream.children.items():
        if (child.table is None) == (child.query is None):
            yield f"children.{name}", "give exactly one of table, query"


def _field_faults(
    mapping: SourceMapping,
    stream: Stream,
    name: str,
    values: Mapping[str, Value],
    known: Mapping[str, Shape],
    key: str,
) -> Iterator[Fault]:
    for field in values.keys() - known.keys():
        close = difflib.get_close_matches(field, known, n=1)
        yield f"{key}.{field}", f"{name} has no such field{f', perhaps {close[0]}' if close else ''}: remove it"
    for field, shape in known.items():
        full, here = f"{name}.{field}", f"{key}.{field}"
        if field not in values:
            if shape.required and full not in CHECKED_FIELDS:
                yield here, "the event needs it: name its column, or const"
            continue
        value = values[field]
        if full in CHECKED_FIELDS:
            yield here, "is filled from the check of the citizen number: remove it"
        if value.array != (shape.kind == "list"):
            yield here, "is a list: use each or split" if shape.kind == "list" else "is no list: use column or const"
            continue
        if value.each is not None and value.each not in stream.children:
            yield here, f"no child table is called {value.each}: declare it under children"
        if shape.record is not None:
            if value.fields is None:
                yield here, "is a list of records: give fields"
            else:
                yield from _field_faults(mapping, stream, full, value.fields, shapes(shape.record), f"{here}.fields")
            continue
        if value.array and value.item is None:
            yield here, "is a list of values: give item"
            continue
        single = value.item if value.item is not None else value
        yield from ((here, text) for text in _value_faults(mapping, full, single, shape))


def _value_faults(mapping: SourceMapping, full: str, value: Value, shape: Shape) -> Iterator[str]:
    if (full in PERSON_FIELDS) != (value.person is not None) and not (value.is_const and value.const is None):
        wrong = "holds a person's token" if full in PERSON_FIELDS else "is no person"
        yield f"{wrong}: {'use' if full in PERSON_FIELDS else 'do not use'} person"
    if full in TOKEN_FIELDS and value.token is None:
        yield "would carry a personal number as it is: use token"
    fit = {
        "text": ("map", "month", "region", "token", "number_part", "record_id"),
        "whole": ("map", "money", "timestamp"),
        "truth": ("map",),
        "date": ("date", "number_part"),
    }.get(shape.kind, ())
    for converter in ("map", "date", "month", "timestamp", "money", "region", "token", "number_part"):
        if getattr(value, converter) is not None and converter not in fit and shape.kind != "list":
            yield f"{converter} does not make the {shape.kind} this field holds: remove it"
    if isinstance(value.map, str) and value.map not in mapping.codes:
        yield f"no code list is called {value.map}: declare it under codes"
        return
    made: list[Any] = [value.const] if value.is_const else []
    if value.map is not None:
        codes = mapping.codes[value.map] if isinstance(value.map, str) else value.map
        made += codes.values()
        if value.default != "error":
            made.append(value.default)
    python = {"text": str, "whole": int, "truth": bool, "list": str}.get(shape.kind)
    for one in made:
        if one is None:
            continue
        if python is None or type(one) is not python:
            yield f"{one!r} is not the {shape.kind} this field holds: write it as one (codes in quotes)"
        elif full in FIELD_CODES and one not in FIELD_CODES[full]:
            yield f"{one!r} is no code of this field: choose of {', '.join(FIELD_CODES[full])}"
