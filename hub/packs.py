"""Reads the policy packs: YAML files of dated parameters, and the calendar of working days.

    load_book()                  the packs of this release
    load_book(overlay="demo")    the same with the demonstration figures on top

A pack names its region and gives each key a list of values, each with its days, its source and its mark. Faults are
ConfigurationError naming file, line and key.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml

from hub.errors import ConfigurationError
from hub.policy.calendar import WorkCalendar
from hub.policy.parameters import Entry, PolicyBook, parse_value

FOLDER: Final = Path(__file__).parent / "policy" / "packs"
CALENDAR: Final = "calendar.yaml"
OVERLAYS: Final = ("demo",)
"""Packs that are used only when asked for by name."""
_FIELDS: Final = {"value", "effective_from", "effective_to", "known_from", "source", "mark"}


@lru_cache(maxsize=8)
def load_book(folder: Path = FOLDER, overlay: str | None = None, known_on: date | None = None) -> PolicyBook:
    """All packs of a folder as one book. `known_on` leaves out what was published after that day."""
    if overlay is not None and overlay not in OVERLAYS:
        raise ConfigurationError(f"overlay {overlay!r} does not exist — choose from: {', '.join(OVERLAYS)}")
    special = {CALENDAR, *(f"{name}.yaml" for name in OVERLAYS)}
    files = sorted(file for file in folder.glob("*.yaml") if file.name not in special)
    if not files:
        raise ConfigurationError(f"{folder} holds no policy pack — point to a folder with <region>.yaml files")
    entries = [entry for file in files for entry in read_pack(file)]
    overlays = (read_pack(folder / f"{overlay}.yaml"),) if overlay else ()
    return PolicyBook(entries, read_calendar(folder / CALENDAR), known_on, overlays)


def read_pack(file: Path) -> list[Entry]:
    """The entries of one pack file."""
    root = _compose(file)
    top = _mapping(root, file)
    region_node = top.get("region")
    if region_node is None or "parameters" not in top:
        raise ConfigurationError(f"{file.name}:1: a pack needs `region` and `parameters` — add them")
    region = str(_scalar(region_node))
    entries: list[Entry] = []
    for key, node in _mapping(top["parameters"], file).items():
        if not isinstance(node, yaml.SequenceNode):
            raise ConfigurationError(f"{_at(file, node)}: {key}: a list of values is expected — write `- value: …`")
        entries += [_entry(file, region, key, item) for item in node.value]
    return entries


def read_calendar(file: Path) -> WorkCalendar:
    """The working-day calendar."""
    top = _mapping(_compose(file), file)
    for name in ("last_year", "holidays", "workdays"):
        if name not in top:
            raise ConfigurationError(f"{file.name}:1: `{name}` is missing — seed it again with tools/seed_calendar.py")
    days = {name: [_scalar(node) for node in top[name].value] for name in ("holidays", "workdays")}
    last_year = _scalar(top["last_year"])
    if not isinstance(last_year, int) or not all(isinstance(day, date) for found in days.values() for day in found):
        raise ConfigurationError(
            f"{file.name}: a date or year is malformed — seed it again with tools/seed_calendar.py"
        )
    return WorkCalendar(frozenset(days["holidays"]), frozenset(days["workdays"]), last_year)  # type: ignore[arg-type]  # all are dates, checked above


def _entry(file: Path, region: str, key: str, node: yaml.Node) -> Entry:
    place = _at(file, node)
    fields = _mapping(node, file)
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise ConfigurationError(f"{place}: {key}: unknown field {unknown[0]!r} — use {', '.join(sorted(_FIELDS))}")
    for needed in ("value", "effective_from", "source", "mark"):
        if needed not in fields:
            raise ConfigurationError(f"{place}: {key}: `{needed}` is missing — every figure has its day and its source")
    days = {name: _day(file, key, fields.get(name)) for name in ("effective_from", "effective_to", "known_from")}
    begins = days["effective_from"]
    if begins is None or (days["effective_to"] is not None and days["effective_to"] < begins):
        raise ConfigurationError(f"{place}: {key}: it ends before it begins — correct effective_from or effective_to")
    return Entry(
        region=region,
        key=key,
        value=parse_value(key, _value(fields["value"]), place),
        effective_from=begins,
        effective_to=days["effective_to"],
        known_from=days["known_from"],
        source=str(_scalar(fields["source"])),
        mark=str(_scalar(fields["mark"])),
        place=place,
    )


def _compose(file: Path) -> yaml.Node:
    try:
        with file.open(encoding="utf-8") as text:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{file}: cannot be read as YAML: {error} — mend the file") from error
    if root is None:
        raise ConfigurationError(f"{file}: is empty — fill it or remove it")
    return root


def _mapping(node: yaml.Node, file: Path) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise ConfigurationError(f"{_at(file, node)}: `key: value` pairs are expected here")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if key.value in found:
            raise ConfigurationError(f"{_at(file, key)}: {key.value}: is given twice — join the two")
        found[key.value] = value
    return found


def _value(node: yaml.Node) -> object:
    if isinstance(node, yaml.SequenceNode):
        return [_scalar(item) for item in node.value]
    return _scalar(node)


def _scalar(node: yaml.Node) -> object:
    return yaml.constructor.SafeConstructor().construct_object(node)


def _day(file: Path, key: str, node: yaml.Node | None) -> date | None:
    if node is None:
        return None
    day = _scalar(node)
    if not isinstance(day, date):
        raise ConfigurationError(f"{_at(file, node)}: {key}: a date is expected — write it as 2026-01-31")
    return day


def _at(file: Path, node: yaml.Node) -> str:
    return f"{file.name}:{node.start_mark.line + 1}"
