"""Small mappings and people for the tests of this room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from connectors.convert import Converted, Converter
from connectors.loading import load_mapping
from connectors.mapping import SourceMapping
from connectors.source import Row
from hub.domain.citizen_id import check_character
from hub.vault.keys import generate
from hub.vault.tokens import Tokens

TOKENS = Tokens(generate())
NOW = 1_780_000_000_000  # 2026-05-28


def number(body: str) -> str:
    """A citizen number from its first 17 digits."""
    return body + check_character(body)


MAN = number("33250119620304501")  # 丽水市 before 2000; an odd serial
WOMAN = number("33110219950817302")
CHILD = number("33110220150102101")

RESIDENTS = """
    id: residents
    topic: registration.resident
    table: czrk
    record_id: rybh
    version: {column: bbh}
    delivery: snapshot
    person: {column: sfzh, without_number: rybh, citizen_when: {column: zjlx, in: "111"}, card: {name: xm, address: dz}}
    region: {column: xzqh, region: county}
    record_time: gxsj
    annul_when: {column: scbz, in: "1"}
    fields:
      hukou: {column: hh, token: hukou}
      hukou_kind: {column: hklx, map: {"1": family, "2": collective}}
      relation_to_head: {const: self}
      status: {const: registered}
      birth_date: {column: csrq, date: "%Y%m%d"}
      sex: {column: xb, map: sex}
      id_kind: {column: zjlx, map: {"111": citizen}, default: none}
"""


def resident(**cells: Any) -> dict[str, Any]:
    """A row for RESIDENTS."""
    row = {
        "rybh": "R1",
        "bbh": 3,
        "sfzh": MAN,
        "zjlx": "111",
        "xm": "李建国",
        "dz": "紫金街道1号",
        "xzqh": "332501",
        "gxsj": "2026-05-01 12:00:00",
        "scbz": "0",
        "hh": "331102000123",
        "hklx": "1",
        "csrq": "19620304",
        "xb": "1",
    }
    return row | cells


KINSHIP = """
    id: kinship
    topic: registration.kinship
    table: qsgx
    record_id: {columns: [a, b], hashed: true}
    version: counter
    delivery: snapshot
    person: a
    publish_for: both_ends
    fields:
      other: {person: {column: b, card: {name: bxm}}}
      relation: {column: gx, map: {"父": father, "母": mother, "子": son, "女": daughter, "配偶": spouse}}
      nature: {const: blood}
"""


def source(*streams: str, kind: str = "url: sqlite:///source.db", head: str = "") -> str:
    """Text of a mapping with these streams."""
    text = "source: test\ndepartment: 测试局\n"
    text += "kind: sql\n" if kind.startswith("url") else "kind: files\n"
    text += kind + '\ncodes:\n  sex: {"1": "1", "2": "2"}\n' + head + "\nstreams:\n"
    for stream in streams:
        body = indent(dedent(stream).strip(), "    ")
        text += "  -" + body[3:] + "\n"
    return text


def mapping(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> SourceMapping:
    """A mapping from its text."""
    path = folder / "test.yaml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(path, environment or {})


def converter(folder: Path, *streams: str, kind: str = "url: sqlite:///source.db") -> Converter:
    """Converter of the first of the streams."""
    made = mapping(folder, source(*streams, kind=kind))
    return Converter(made, made.streams[0], TOKENS)


def convert(made: Converter, cells: Mapping[str, Any], **row: Any) -> Converted:
    """A row through a converter."""
    whole = Row(cells, **row)
    return made.convert(whole, made.key(whole), NOW)
