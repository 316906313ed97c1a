"""Mappings: what is right loads, what is wrong is named by file, key and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.codes import CHECKED_FIELDS, FIELD_CODES, PERSON_FIELDS, TOKEN_FIELDS
from connectors.loading import load_sources, mapping_hash, shapes
from hub.domain import codes
from hub.domain.facts import PAYLOADS
from hub.errors import ConfigurationError
from hub.streams.schemas import load_schemas
from tests.unit.connectors.samples import KINSHIP, RESIDENTS, mapping, source

ROOT = Path(__file__).parents[3]


def test_the_guides_example_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs/guide/connectors.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", text, re.S)
    assert found is not None
    assert [stream.id for stream in mapping(tmp_path, found[1]).streams] == ["residents", "kinship"]


def test_the_guide_names_every_key(tmp_path: Path) -> None:
    """A key that the guide does not explain does not exist for its reader."""
    from connectors.mapping import SourceMapping, Stream, Value

    text = (ROOT / "docs/guide/connectors.md").read_text(encoding="utf-8")
    keys = {*SourceMapping.model_fields, *Stream.model_fields, *Value.model_fields} - {"true", "false"}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", text)] == []


def test_every_committed_mapping_is_valid() -> None:
    assert len(load_sources(ROOT / "connectors/sources")) >= 9


def test_the_environment_fills_addresses_only(tmp_path: Path) -> None:
    text = source(RESIDENTS, kind="url: postgresql://reader:${PASSWORD}@${HOST:-localhost}/ga")
    made = mapping(tmp_path, text, {"PASSWORD": "secret"})
    assert made.url == "postgresql://reader:secret@localhost/ga"
    with pytest.raises(ConfigurationError, match=r"variable PASSWORD is not set — set it"):
        mapping(tmp_path, text, {})


def test_a_hash_says_when_a_mapping_means_something_else(tmp_path: Path) -> None:
    before = mapping_hash(mapping(tmp_path, source(RESIDENTS)))
    commented = source(RESIDENTS) + "\n# a comment\n"
    assert before == mapping_hash(mapping(tmp_path, commented.replace("source.db", "elsewhere.db")))
    assert before != mapping_hash(mapping(tmp_path, source(RESIDENTS).replace('"2": collective', '"3": collective')))


WRONG = {
    "dat is no key": ("csrq, date: ", "csrq, dat: ", r"birth_date\.dat: no such key, perhaps date"),
    "a missing key": ("    topic: registration.resident\n", "", r"streams\[0\]\.topic: is missing: add it"),
    "an unknown topic": ("registration.resident", "registration.residents", r"streams\[0\]\.topic: no event is called"),
    "an unknown field": ("status: {const", "statuz: {const", r"fields\.statuz: .*perhaps status"),
    "a needed field": ('sex: {column: xb, map: sex}\n', "\n", r"fields\.sex: the event needs it"),
    "a code of no list": ("family", "famly", r"hukou_kind: 'famly' is no code of this field: choose of family"),
    "a code list that is not there": ("map: sex}", "map: sexes}", r"fields\.sex: no code list is called sexes"),
    "a filled flag": ("fields:\n", "fields:\n      id_check: {const: ok}\n", r"id_check: is filled from the check"),
    "a number in clear": ("hukou: {column: hh, token: hukou}", "hukou: hh", r"hukou: .*use token"),
    "a person's number": ("token: hukou}", "token: hukou}\n      township: sfzh", r"sfzh holds citizen numbers"),
    "an id in clear": ("record_id: rybh", "record_id: sfzh", r"record_id\.hashed: sfzh holds citizen numbers"),
    "a date as money": ('date: "%Y%m%d"', "money: yuan", r"birth_date: money does not make the date"),
    "two converters": ("map: sex}", "map: sex, token: x}", r"map and token cannot be combined"),
    "two origins": ("{const: registered}", "{const: registered, column: zt}", r"exactly one of column, const"),
    "two versions": ("{column: bbh}", "{column: bbh, counter: true}", r"exactly one of column, timestamp"),
    "a delta without watermark": ("delivery: snapshot", "delivery: delta", r"watermark: a table read as delta"),
    "a truth as a code": ('{"1": family', "{yes: family", r"put the code in quotes"),
    "a key twice": ("delivery: snapshot", "delivery: snapshot\n    delivery: delta", r"'delivery' is written twice"),
    "no YAML": ("fields:", "fields: {", r"line \d+: .*mend the YAML"),
    "no person": ("person: {column", "person: {optional: true, column", r"person: .*always about a person"),
    "no list": ("status: {const: registered}", "status: {split: ',', item: zt}", r"status: is no list"),
    "an odd condition": ('{column: scbz, in: "1"}', "{column: scbz}", r"exactly one of in, not_in, empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    there, instead, complaint = WRONG[name]
    text = source(RESIDENTS)
    assert there in text
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        mapping(tmp_path, text.replace(there, instead, 1))
    assert str(tmp_path / "test.yaml") in str(caught.value)


def test_two_streams_of_one_topic_must_be_told_apart(tmp_path: Path) -> None:
    other = RESIDENTS.replace("id: residents", "id: others")
    with pytest.raises(ConfigurationError, match=r"record_id\.prefix: stream others makes the same events"):
        mapping(tmp_path, source(RESIDENTS, other))
    one, two = (
        stream.replace("record_id: rybh", f"record_id: {{columns: rybh, prefix: {prefix}}}")
        for stream, prefix in ((RESIDENTS, "a-"), (other, "b-"))
    )
    assert len(mapping(tmp_path, source(one, two)).streams) == 2


def test_both_ends_belong_to_kinship(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="both_ends turns a tie round"):
        mapping(tmp_path, source(RESIDENTS.replace("fields:", "publish_for: both_ends\n    fields:")))
    assert mapping(tmp_path, source(KINSHIP)).streams[0].publish_for == "both_ends"


def test_a_text_watermark_must_sort_by_time(tmp_path: Path) -> None:
    text = RESIDENTS.replace("delivery: snapshot", 'delivery: delta\n    watermark: {column: gxsj, format: "%d/%m/%Y"}')
    with pytest.raises(ConfigurationError, match="does not sort by time"):
        mapping(tmp_path, source(text))


def test_sources_are_loaded_together_and_all_faults_told(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.yaml").write_text(source(RESIDENTS).replace("source: test", f"source: {name}"))
    assert [one.source for one in load_sources(tmp_path)] == ["one", "three", "two"]
    assert [one.source for one in load_sources(tmp_path, ["two"])] == ["two"]
    with pytest.raises(ConfigurationError, match=r"no mapping for four .* there are one, three, two"):
        load_sources(tmp_path, ["four"])
    for name in ("one", "two"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(path.read_text().replace("family", "famly"))
    with pytest.raises(ConfigurationError) as caught:
        load_sources(tmp_path)
    assert {line.partition(":")[0].rpartition("/")[2] for line in str(caught.value).splitlines()} == {
        "one.yaml",
        "two.yaml",
    }


def test_code_lists_are_those_the_schemas_name() -> None:
    """Where a schema's text names a list of hub.domain.codes, this room uses that list, for every such field."""
    named: dict[str, str] = {}

    def collect(fields: list[dict[str, object]], prefix: str) -> None:
        for field in fields:
            if found := re.search(r"hub\.domain\.codes\.([A-Z_]+)", str(field.get("doc", ""))):
                named[f"{prefix}.{field['name']}"] = found[1]
            kind = field["type"]
            if isinstance(kind, dict) and isinstance(kind.get("items"), dict):
                collect(kind["items"]["fields"], f"{prefix}.{field['name']}")

    for topic in PAYLOADS:
        payload = load_schemas()[f"{topic}.v1"]["fields"][1]["type"][1]
        collect(payload["fields"], topic)
    assert len(named) > 20
    assert {field: getattr(codes, name) for field, name in named.items()} == {
        field: FIELD_CODES.get(field) for field in named
    }


def test_special_fields_exist() -> None:
    """A renamed field must not slip out of the rules that keep numbers in."""

    def exists(full: str) -> bool:
        topic, record = next((topic, kind) for topic, kind in PAYLOADS.items() if full.startswith(f"{topic}."))
        known = shapes(record)
        *above, last = full.removeprefix(f"{topic}.").split(".")
        for name in above:
            inner = known[name].record
            assert inner is not None
            known = shapes(inner)
        return last in known

    every = {*FIELD_CODES, *PERSON_FIELDS, *TOKEN_FIELDS, *CHECKED_FIELDS}
    assert [full for full in sorted(every) if not exists(full)] == []
