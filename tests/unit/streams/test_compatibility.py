"""A change of a schema that an old record or an old reader cannot follow is refused, with the path of the field."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.errors import SchemaError
from hub.streams.compatibility import full_problems
from hub.streams.schemas import check_released, freeze, load_schemas

SCHEMAS = load_schemas()


def payload_fields(event: dict[str, Any]) -> list[dict[str, Any]]:
    """Fields of an event's payload record."""
    fields: list[dict[str, Any]] = event["fields"][1]["type"][1]["fields"]
    return fields


def add_optional(event: dict[str, Any]) -> None:
    """The one change that is allowed."""
    payload_fields(event).append({"name": "ward", "type": ["null", "string"], "default": None})


def add_required(event: dict[str, Any]) -> None:
    """Old records do not hold it."""
    payload_fields(event).append({"name": "ward", "type": "string"})


def retype(event: dict[str, Any]) -> None:
    """Money in 元 as a text."""
    next(field for field in payload_fields(event) if field["name"] == "total_fen")["type"] = "string"


def drop_null(event: dict[str, Any]) -> None:
    """An ANNUL has no payload."""
    event["fields"][1]["type"] = event["fields"][1]["type"][1]


def promote(event: dict[str, Any]) -> None:
    """long to double reads forwards, not back."""
    next(field for field in payload_fields(event) if field["name"] == "total_fen")["type"] = "double"


def undate(event: dict[str, Any]) -> None:
    """The same int, no longer a date."""
    next(field for field in event["fields"][0]["type"]["fields"] if field["name"] == "valid_from")["type"] = [
        "null",
        "int",
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (add_required, "ward"),
        (retype, "total_fen"),
        (promote, "total_fen"),
        (drop_null, "payload"),
        (undate, "valid_from"),
    ],
)
def test_a_change_that_cannot_be_followed_is_named(change: Callable[[dict[str, Any]], None], field: str) -> None:
    """In one direction or the other."""
    changed = copy.deepcopy(SCHEMAS["medical.settlement.v1"])
    change(changed)
    found = full_problems(changed, SCHEMAS["medical.settlement.v1"])
    assert found
    assert all(field in text for text in found)


@pytest.mark.parametrize("topic", SCHEMAS)
def test_a_field_with_a_default_may_be_added_to_any_topic(topic: str) -> None:
    """And every schema agrees with itself."""
    changed = copy.deepcopy(SCHEMAS[topic])
    changed["fields"].append({"name": "ward", "type": ["null", "string"], "default": None})
    assert full_problems(changed, SCHEMAS[topic]) == []


def test_releases_are_frozen_once_and_checked(tmp_path: Path) -> None:
    """A later schema is held to every frozen release; a vanished topic counts too."""
    folder, released = tmp_path / "schemas", tmp_path / "released"
    folder.mkdir()
    for topic in ("medical.settlement.v1", "receipts.v1"):
        (folder / f"{topic}.avsc").write_text(json.dumps(SCHEMAS[topic]))
    freeze("1", folder, released)
    assert check_released(folder, released) == []
    with pytest.raises(SchemaError, match="frozen already"):
        freeze("1", folder, released)

    changed = copy.deepcopy(SCHEMAS["medical.settlement.v1"])
    add_required(changed)
    after = tmp_path / "after"
    after.mkdir()
    (after / "medical.settlement.v1.avsc").write_text(json.dumps(changed))
    found = check_released(after, released)
    assert len(found) == 2
    assert any("ward" in text for text in found)
    assert any("receipts.v1" in text for text in found)


def test_this_release_is_frozen() -> None:
    """What the repository holds agrees with what it once released."""
    assert check_released() == []
