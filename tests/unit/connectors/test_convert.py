"""Rows become drafts of events: people, ties, lists, flags; each fault has its reason; no number gets out."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.convert import REMEDIES, Converter
from connectors.original import OriginalRow, pack_row, unpack
from connectors.source import Row
from hub.domain.codes import QUARANTINE_REASONS
from hub.domain.facts import Certificate, Check, Kinship, Resident, Settlement
from hub.domain.times import instant_ms
from hub.errors import DataFault
from tests.unit.connectors.samples import (
    CHILD,
    KINSHIP,
    MAN,
    NOW,
    RESIDENTS,
    TOKENS,
    WOMAN,
    convert,
    converter,
    number,
    resident,
)


@pytest.fixture
def residents(tmp_path: Path) -> Converter:
    """Converter of RESIDENTS."""
    return converter(tmp_path, RESIDENTS)


def test_a_resident(residents: Converter) -> None:
    found = convert(residents, resident())
    (draft,) = found.drafts
    assert (found.key.record_id, found.key.version, found.key.original) == ("R1", 3, None)
    assert draft.person == TOKENS.person_token(MAN)
    assert (draft.region, draft.event_time) == ("331102", None)
    assert draft.record_time == instant_ms(datetime.fromisoformat("2026-05-01T12:00:00+08:00"))
    assert draft.payload == Resident(
        hukou=TOKENS.scoped_token("test", "hukou", "331102000123"),
        hukou_kind="family",
        relation_to_head="self",
        status="registered",
        birth_date=date(1962, 3, 4),
        sex="1",
        id_kind="citizen",
        id_check="ok",
        id_birth_agrees=True,
        id_sex_agrees=True,
        id_prefix_era="before_2000",
    )
    (card,) = found.cards
    assert (card.person, card.origin, card.number) == (draft.person, "test/registration.resident", MAN)
    assert (card.name, card.address, card.birth_date, card.sex) == ("李建国", "紫金街道1号", "1962-03-04", "1")


def test_flags_say_where_the_number_disagrees(residents: Converter) -> None:
    payload = convert(residents, resident(csrq="19620305", xb="2")).drafts[0].payload
    assert isinstance(payload, Resident)
    assert (payload.id_birth_agrees, payload.id_sex_agrees) == (False, False)
    elsewhere = convert(residents, resident(sfzh=number("33119919620304501"))).drafts[0].payload
    assert isinstance(elsewhere, Resident)
    assert (elsewhere.id_check, elsewhere.id_birth_agrees, elsewhere.id_prefix_era) == ("region", None, None)


def test_fifteen_digits_are_the_same_person(residents: Converter) -> None:
    old = convert(residents, resident(sfzh=MAN[:6] + MAN[8:17]))
    assert old.drafts[0].person == TOKENS.person_token(MAN)
    assert old.cards[0].number == MAN


def test_somebody_without_a_number(residents: Converter) -> None:
    found = convert(residents, resident(zjlx="999", sfzh="P1234567"))
    assert found.drafts[0].person == TOKENS.scoped_token("test", "person", "R1")
    assert found.cards[0].number is None
    payload = found.drafts[0].payload
    assert isinstance(payload, Resident)
    assert (payload.id_kind, payload.id_check) == ("none", None)


def test_a_void_row_needs_no_values(residents: Converter) -> None:
    found = convert(residents, resident(scbz="1", csrq="", hklx=""))
    assert (found.void, found.people, found.drafts) == (True, (TOKENS.person_token(MAN),), ())


FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "check digit": ({"sfzh": MAN[:17] + ("1" if MAN[17] != "1" else "2")}, "person", "citizen_id_check"),
    "17 digits": ({"sfzh": MAN[:17]}, "person", "citizen_id_form"),
    "letters": ({"sfzh": "33250119620304ABCD"}, "person", "citizen_id_form"),
    "no such birth": ({"sfzh": number("33250119620230501")}, "person", "citizen_id_form"),
    "not born yet": ({"sfzh": number("33250120620304501")}, "person", "citizen_id_form"),
    "no such day": ({"csrq": "19620230"}, "birth_date", "impossible_date"),
    "other format": ({"csrq": "1962-03-04"}, "birth_date", "impossible_date"),
    "unknown code": ({"hklx": "7"}, "hukou_kind", "unknown_code"),
    "nothing entered": ({"hklx": " "}, "hukou_kind", "missing_field"),
    "no such region": ({"xzqh": "331199"}, "region", "unknown_region"),
    "no version": ({"bbh": None}, "version", "missing_field"),
    "odd version": ({"bbh": "3.5"}, "version", "not_a_number"),
    "no id": ({"rybh": ""}, "record_id", "missing_field"),
    "number in a text": ({"hh": "x", "rybh": f"R-{MAN}"}, "text", "schema_misfit"),
    "no moment": ({"gxsj": "2026-05-01 26:00:00"}, "record_time", "impossible_date"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_have_reasons_and_tell_no_value(residents: Converter, name: str) -> None:
    cells, field, reason = FAULTS[name]
    row = resident(**cells)
    with pytest.raises(DataFault) as caught:
        convert(residents, row)
    fault = caught.value
    assert (fault.field, fault.reason) == (field, reason)
    assert fault.remedy
    for value in row.values():
        if isinstance(value, str) and len(value) > 4 and value not in fault.record:
            assert value not in str(fault)


def test_a_person_by_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFault) as caught:
        convert(converter(tmp_path, KINSHIP.replace("[a, b]", "[b]")), {"a": "", "b": MAN, "bxm": "", "gx": "父"})
    assert (caught.value.field, caught.value.reason) == ("person", "missing_field")


def test_every_reason_has_a_remedy_and_a_name() -> None:
    assert set(REMEDIES) <= set(QUARANTINE_REASONS)


def test_a_tie_is_published_for_both_ends(tmp_path: Path) -> None:
    found = convert(converter(tmp_path, KINSHIP), {"a": CHILD, "b": MAN, "bxm": "李建国", "gx": "父"})
    child, father = TOKENS.person_token(CHILD), TOKENS.person_token(MAN)
    payloads = {draft.person: draft.payload for draft in found.drafts}
    assert payloads == {
        child: Kinship(other=father, relation="father", nature="blood"),
        father: Kinship(other=child, relation="son", nature="blood"),
    }
    assert found.key.record_id == TOKENS.scoped_token("test", "record", f"{CHILD}/{MAN}")
    assert found.key.original == f"{CHILD}/{MAN}"
    assert {(card.person, card.name) for card in found.cards} == {(child, None), (father, "李建国")}


@pytest.mark.parametrize(
    ("person", "relation", "converse"),
    [(MAN, "子", "father"), (WOMAN, "女", "mother"), (WOMAN, "母", "daughter"), (MAN, "配偶", "spouse")],
)
def test_relations_turned_round(tmp_path: Path, person: str, relation: str, converse: str) -> None:
    found = convert(converter(tmp_path, KINSHIP), {"a": person, "b": CHILD, "bxm": None, "gx": relation})
    other = next(draft.payload for draft in found.drafts if draft.person == TOKENS.person_token(CHILD))
    assert isinstance(other, Kinship)
    assert other.relation == converse


def test_a_tie_with_oneself_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataFault) as caught:
        convert(converter(tmp_path, KINSHIP), {"a": MAN, "b": MAN, "bxm": "", "gx": "父"})
    assert caught.value.reason == "schema_misfit"


CHECKS = """
    id: checks
    topic: assistance.check
    table: hdbg
    record_id: bh
    version: counter
    delivery: snapshot
    person: sqr
    children:
      members: {table: hdcy, key: bh, of: bh}
      income: {table: hdsr, key: bh, of: bh}
    publish_for: [covered_persons]
    fields:
      aid_household: jt
      period_from: q
      period_to: z
      covered_persons: {each: members, item: {person: sfzh}}
      income:
        each: income
        fields:
          person: {person: sfzh}
          type: {column: lx, map: {"1": wage}}
          amount_fen: je
          months: ys
      property_dibao: {const: compliant}
      property_margin: {const: compliant}
      property_tekun: {const: unknown}
      property_low_income: {const: unknown}
      property_rigid: {const: unknown}
"""


def test_children_fill_lists(tmp_path: Path) -> None:
    made = converter(tmp_path, CHECKS)
    row = {"bh": 9, "sqr": MAN, "jt": "H1", "q": date(2025, 5, 1), "z": date(2026, 4, 30)}
    income = [{"sfzh": WOMAN, "lx": "1", "je": Decimal("24000.00"), "ys": 12}]
    children = {"members": [{"sfzh": MAN}, {"sfzh": WOMAN}], "income": income}
    found = convert(made, row, children=children)
    man, woman = TOKENS.person_token(MAN), TOKENS.person_token(WOMAN)
    assert [draft.person for draft in found.drafts] == [man, woman]
    payload = found.drafts[0].payload
    assert isinstance(payload, Check)
    assert payload.covered_persons == (man, woman)
    assert [(item.person, item.type, item.amount_fen, item.months) for item in payload.income] == [
        (woman, "wage", 2400000, 12)
    ]
    income[0]["je"] = "much"
    with pytest.raises(DataFault) as caught:
        convert(made, row, children=children)
    assert (caught.value.field, caught.value.reason) == ("income[0].amount_fen", "not_a_number")


CERTIFICATES = """
    id: certificates
    topic: disability.certificate
    files: "*.csv"
    complete: {rename: true}
    record_id: {columns: zh, hashed: true}
    version: {file_sequence: 'x_([0-9]+)'}
    delivery: delta
    person: sfzh
    fields:
      components: {split: ";", fields: {category: {column: lb, map: {"1": sight, "2": limb}}, level: dj}}
      issued_on: fzrq
      valid_until: {column: yxq, empty: [99991231, 长期]}
      status: {const: valid}
"""


def test_lists_within_cells(tmp_path: Path) -> None:
    made = converter(tmp_path, CERTIFICATES, kind="folder: drops")
    row = {"zh": MAN + "62", "sfzh": MAN, "lb": "1;2", "dj": "2;3", "fzrq": "2020-01-02", "yxq": "长期"}
    found = convert(made, row, sequence=20260101)
    payload = found.drafts[0].payload
    assert isinstance(payload, Certificate)
    assert [(one.category, one.level) for one in payload.components] == [("sight", 2), ("limb", 3)]
    assert payload.valid_until is None
    assert convert(made, row | {"yxq": 99991231}, sequence=20260101).drafts == found.drafts, "a number is no text"
    assert found.key.version == 20260101
    assert MAN not in found.key.record_id
    with pytest.raises(DataFault) as caught:
        convert(made, row | {"dj": "2"}, sequence=1)
    assert (caught.value.field, caught.value.reason) == ("components", "schema_misfit")
    assert convert(made, row | {"lb": "", "dj": ""}, sequence=1).drafts[0].payload == msgspec.structs.replace(
        payload, components=()
    )


SETTLEMENTS = """
    id: settlements
    topic: medical.settlement
    table: js
    record_id: lsh
    version: counter
    delivery: snapshot
    person: sfzh
    when: [{column: lx, not_in: ["99"]}, {column: sfzh, empty: false}]
    fields:
      service_from: rq
      service_to: rq
      settled_on: rq
      kind: {const: inpatient}
      total_fen: je
      basic_fund_fen: {const: 0}
      critical_illness_fund_fen: {const: 0}
      medical_aid_fen: {const: 0}
      supplementary_fen: {const: 0}
      personal_account_fen: {const: 0}
      cash_fen: {column: je, money: yuan}
      reverses: {column: ylsh, record_id: true}
"""


def test_rows_of_another_kind_are_passed_by(tmp_path: Path) -> None:
    made = converter(tmp_path, SETTLEMENTS)
    row = {"lsh": "S1", "sfzh": MAN, "rq": "2026-01-02", "je": "-1,200.50", "ylsh": "S0", "lx": "11"}
    assert [made.passes(Row(row | change)) for change in ({}, {"lx": "99"}, {"sfzh": "NULL"})] == [True, False, False]
    payload = convert(made, row).drafts[0].payload
    assert isinstance(payload, Settlement)
    assert (payload.total_fen, payload.cash_fen, payload.reverses) == (-120050, -120050, "S0")


def test_the_digest_follows_the_content_and_nothing_else(residents: Converter) -> None:
    first = convert(residents, resident()).drafts[0].digest
    assert first == convert(residents, resident(bbh=9, gxsj="2026-05-02 12:00:00", xm="李建")).drafts[0].digest
    assert first != convert(residents, resident(xzqh="331121")).drafts[0].digest
    assert first != convert(residents, resident(csrq="19620305")).drafts[0].digest


CELLS = st.dictionaries(
    st.text(max_size=8),
    st.none()
    | st.text()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes(),
    max_size=6,
)


@given(
    CELLS, st.dictionaries(st.text(max_size=4), st.lists(CELLS, max_size=2), max_size=2), st.none() | st.integers(0, 99)
)
def test_an_original_is_read_back_as_it_was(cells: Any, children: Any, sequence: int | None) -> None:
    """What is sealed into quarantine gives the same row again, types included."""
    row = Row(cells, "here", children, sequence)
    assert unpack(pack_row("s", row)) == OriginalRow("s", row)
    assert pack_row("s", row) == pack_row("s", Row(dict(reversed(cells.items())), "here", children, sequence))


def test_now_bounds_births(residents: Converter) -> None:
    """The clock is given: the same number is a person on the day after the birth and none on the day before."""
    row = Row(resident(sfzh=number("33110220260601101"), csrq="20260601"))
    with pytest.raises(DataFault):
        residents.convert(row, residents.key(row), NOW)
    later = NOW + 10 * 24 * 3600 * 1000
    assert residents.convert(row, residents.key(row), later).drafts
