"""A rule reads only what it declares, and declares only what a schema supplies."""

from __future__ import annotations

import json
from pathlib import Path
from types import new_class
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from hub.domain.facts import PAYLOADS
from hub.domain.homes import Home, Member
from hub.domain.messages import Fact
from hub.packs import load_book
from hub.policy.catalogue import RULES, decide, topics_for
from tests.unit.policy.homes import QUICK, START, fields_read, homes

SCHEMAS: Final = Path(__file__).parents[3] / "schemas"
PLACE: Final = {
    ("self", "registration.resident.township"),
    ("member", "registration.resident.township"),
    ("parent", "registration.resident.township"),
    ("child", "registration.resident.township"),
    ("spouse", "registration.resident.township"),
}
"""What the catalogue itself reads of anybody: where a home is."""


def supplied() -> set[str]:
    """topic.field of every source schema."""
    found: set[str] = set()
    for topic in PAYLOADS:
        schema = json.loads((SCHEMAS / f"{topic}.v1.avsc").read_text(encoding="utf-8"))
        (payload,) = [field for field in schema["fields"] if field["name"] == "payload"]
        (record,) = [part for part in payload["type"] if isinstance(part, dict)]
        found |= {f"{topic}.{field['name']}" for field in record["fields"]}
    return found


@pytest.mark.parametrize("rule", list(RULES.values()), ids=lambda rule: rule.id)
def test_a_schema_supplies_what_a_rule_declares(rule: Any) -> None:
    """No rule waits for a fact that can never arrive."""
    declared = {field for fields in rule.reads.values() for field in fields}
    assert declared <= supplied()
    assert rule.reads
    assert set(rule.reads) <= {"self", "member", "parent", "child", "spouse"}


def test_contributions_carry_what_homes_need() -> None:
    """The register entry always comes along where a home needs to know its place; other roles bring what is read."""
    assert {"registration.resident"} <= topics_for("person", "self") & topics_for("candidate", "member")
    assert "assistance.household" in topics_for("household", "member")
    assert "medical.settlement" not in topics_for("person", "parent")
    assert frozenset() == topics_for("household", "parent")


class Recorder:
    """Payloads that note which of their fields are read, by the roles of the member they belong to."""

    def __init__(self) -> None:
        self.read: set[tuple[tuple[str, ...], str]] = set()
        self._roles: dict[int, tuple[str, ...]] = {}
        self._types = {topic: self._recording(topic, payload) for topic, payload in PAYLOADS.items()}

    def home(self, home: Home) -> Home:
        """The same home with recording payloads."""
        return msgspec.structs.replace(home, members=tuple(self._member(one) for one in home.members))

    def _member(self, member: Member) -> Member:
        return msgspec.structs.replace(member, facts=tuple(self._fact(one, member.roles) for one in member.facts))

    def _fact(self, fact: Fact, roles: tuple[str, ...]) -> Fact:
        payload = fact.payload
        assert payload is not None
        fields = {name: getattr(payload, name) for name in payload.__struct_fields__}
        copy = self._types[fact.topic](**fields)
        self._roles[id(copy)] = roles
        return msgspec.structs.replace(fact, payload=copy)

    def _recording(self, topic: str, payload: type[Any]) -> type[Any]:
        names = frozenset(payload.__struct_fields__)

        def read(this: Any, name: str) -> Any:
            if name in names and id(this) in self._roles:
                self.read.add((self._roles[id(this)], f"{topic}.{name}"))
            return super(recording, this).__getattribute__(name)

        recording: type[Any] = new_class(
            payload.__name__, (payload,), {"frozen": True}, lambda body: body.update({"__getattribute__": read})
        )
        return recording


@given(homes())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], phases=QUICK)
def test_nothing_undeclared_is_read(home: Home) -> None:
    """Over drawn homes, every field read of a contributed topic is declared for a role that the member holds."""
    recorder = Recorder()
    carried = msgspec.structs.replace(
        home,
        members=tuple(
            msgspec.structs.replace(
                one,
                facts=tuple(
                    fact for fact in one.facts if any(fact.topic in topics_for(home.kind, role) for role in one.roles)
                ),
            )
            for one in home.members
        ),
    )
    decide(recorder.home(carried), load_book(overlay="demo"), START)
    declared = fields_read()
    for roles, field in recorder.read:
        allowed = {name for role in roles for name in declared.get((home.kind, role), frozenset())}
        assert field in allowed or any((role, field) in PLACE for role in roles), (roles, field)


def test_the_recorder_records() -> None:
    """The instrument itself works: a plain decision reads the birth date."""
    from tests.unit.policy.homes import SELF, member, person_home, resident

    recorder = Recorder()
    decide(recorder.home(person_home(member(SELF, ("self",), [resident()]))), load_book(overlay="demo"), START)
    assert (("self",), "registration.resident.birth_date") in recorder.read
