"""What goes over the wire, and above all what does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from hub.delivery.envelope import event, webhook_id
from hub.delivery.lines import Line, load_lines
from tests.unit.delivery.alerts import ANNA, BERT, make_alert

WHO = {
    ANNA: {
        "name": "蓝秀英",
        "number": "331102195003075545",
        "number_last4": "5545",
        "address": "紫金街道1号",
        "phone": "13900000000",
        "birth_date": "1950-03-07",
        "sex": "2",
    },
    BERT: {"name": "雷建国"},
}
LINES = {line.id: line for line in load_lines()}


def sent(line: Line, **changes: Any) -> dict[str, Any]:
    """The event a line gets, decoded."""
    content: dict[str, Any] = json.loads(event(make_alert(**changes), line, "331100", WHO))
    return content


def test_an_event_is_a_whole_cloudevent() -> None:
    """CloudEvents 1.0: the required attributes, and those that say what data is."""
    content = sent(LINES["social_assistance"], revision=3, state="AMENDED")
    assert content["specversion"] == "1.0"
    assert content["id"] == webhook_id(make_alert().alert_id, 3)
    assert content["source"] == "/civil-affairs-hub/331100"
    assert content["type"] == "civil-affairs-hub.alert.amended"
    assert content["subject"] == make_alert().alert_id
    assert content["time"] == "2026-05-28T20:26:40.000+00:00"
    assert content["datacontenttype"] == "application/json"


def test_the_idempotency_key_tells_revisions_apart_and_nothing_else() -> None:
    """The same over retries, restarts, and a store made anew."""
    assert webhook_id("a", 1) == webhook_id("a", 1)
    assert len({webhook_id("a", 1), webhook_id("a", 2), webhook_id("b", 1), webhook_id("a1", 1)}) == 4


@pytest.mark.parametrize("line", LINES)
def test_a_line_gets_its_fields_and_no_more(line: str) -> None:
    """Of the alert and of each person, whatever the caller opened."""
    content = sent(LINES[line])["data"]
    assert set(content["alert"]) == {"alert_id", "revision", "state", *LINES[line].alert_fields}
    for person, known in zip(content["people"], (WHO[ANNA], WHO[BERT]), strict=True):
        allowed = set(LINES[line].identity_fields) & set(known)
        assert person["identity"] == {name: known[name] for name in allowed}


@pytest.mark.parametrize("line", LINES)
def test_no_token_leaves_the_hub(line: str) -> None:
    """People are numbered within the delivery; even a line with every field gets no token."""
    every = replace(LINES[line], alert_fields=LINES["social_assistance"].alert_fields)
    text = event(make_alert(), every, "331100", WHO).decode()
    assert ANNA not in text
    assert BERT not in text
    assert make_alert().home not in text


def test_evidence_names_people_by_their_number() -> None:
    """So that a line can see whose income it was."""
    alert = sent(LINES["social_assistance"])["data"]["alert"]
    people = sent(LINES["social_assistance"])["data"]["people"]
    assert [person["number"] for person in people] == [1, 2]
    assert alert["evidence"][0]["person"] == 2
    assert alert["missing"][0]["person"] == 1
