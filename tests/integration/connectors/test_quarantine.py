"""Bad input on real parts: each fault quarantined with its reason, nothing lost, and brought back once mended."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from sqlalchemy.engine import make_url

from connectors.loading import load_sources
from connectors.original import OriginalRow, unpack
from hub.domain.codes import QUARANTINE_REASONS
from hub.domain.facts import Coverage
from hub.simulate.departments import Manifest, first, second
from hub.simulate.faults import Fault
from tests.integration.connectors.conftest import PARTITIONS, Deployment
from tests.integration.connectors.departments import PEOPLE, Department
from tests.unit.connectors import samples
from tests.unit.connectors.test_files import workbook

SOURCES = Path(__file__).parents[3] / "connectors/sources"


def test_every_planted_fault_is_found_and_no_other(deployment: Deployment, folder: Path) -> None:
    """The simulated departments plant one record for each fault, and say which; that list is made apart from here."""
    manifest = Manifest(seed=5, households=60, as_of=date(2026, 6, 30))
    first(folder / "all", manifest)
    moved = deployment.settings.model_copy(update={"sources": SOURCES, "source_root": folder / "all"})
    deployment.settings = moved
    own = [one.source for one in load_sources(SOURCES) if not one.source.startswith("tp-")]
    deployment.take(*own)
    second(folder / "all")
    superseded = deployment.take(*own)["superseded"]
    planted = msgspec.json.decode((folder / "all/faults.json").read_bytes(), type=list[Fault])
    found = [record for source in own for record in deployment.quarantined(source)]
    expected = Counter((one.source, one.reason) for one in planted if one.outcome == "quarantined")
    assert Counter((record.source, record.reason) for record in found) == expected
    assert superseded == sum(one.outcome == "superseded" for one in planted)
    mapped = [one.record for one in planted if one.outcome == "mapped"]
    regions = {e.header.region for source in own for e in deployment.events(source) if e.header.record_id in mapped}
    assert regions == {"331124"}, "the retired code has become its successor"
    for record in found:
        assert record.reason in QUARANTINE_REASONS
        original = unpack(deployment.vault.sealer.unseal(record.original))
        assert original.stream in {stream.id for one in load_sources(SOURCES) for stream in one.streams}
        if isinstance(original, OriginalRow):
            cells = [str(cell) for cell in original.row.cells.values() if cell is not None]
            told = f"{record.locator} {record.record_id} {record.value_class} {record.message}"
            assert not any(cell in told for cell in cells if len(cell) >= 15), "no long value is told"


FILES = """
    id: cremations
    topic: funeral.cremation
    files: "hh_*.*"
    encoding: {encoding}
    complete: {{marker: .done}}
    record_id: 编号
    version: {{column: 版本}}
    delivery: delta
    person: {{column: 身份证号, card: {{name: 姓名}}}}
    region: {{const: "331102"}}
    fields:
      cremated_on: 火化日期
      facility: 殡仪馆
"""
HEAD: list[Any] = ["编号", "版本", "身份证号", "姓名", "火化日期", "殡仪馆"]


def drop(folder: Path, name: str, content: bytes, *, done: bool = True) -> None:
    """Drop a file, with its marker."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    if done:
        (folder / f"{name}.done").touch()


def in_folder(source: str, stream: str) -> str:
    """Mapping of a source that drops files into a folder of its name."""
    return samples.source(stream, kind=f"folder: {source}").replace("source: test", f"source: {source}")


def lines(rows: list[list[Any]], encoding: str) -> bytes:
    return "".join(",".join(map(str, row)) + "\r\n" for row in rows).encode(encoding)


def test_one_content_in_every_form_gives_one_event(deployment: Deployment, folder: Path) -> None:
    """GBK, GB18030, UTF-8 with and without mark, a workbook: the same people, days and texts."""
    rows = [
        HEAD,
        ["H1", 1, PEOPLE[1], "李建国", "2026-01-02", "丽水市殡仪馆"],
        ["H2", 1, PEOPLE[2], "王", "20260103", "莲都"],
    ]
    payloads = []
    for encoding in ("gbk", "gb18030", "utf-8", "utf-8-sig", "xlsx"):
        source = f"form-{encoding}"
        stream = FILES.format(encoding="utf-8" if encoding == "xlsx" else encoding)
        if encoding == "xlsx":
            stream = stream.replace("hh_*.*", "hh_*.xlsx")
        deployment.describe(source, in_folder(source, stream))
        content = workbook(rows) if encoding == "xlsx" else lines(rows, encoding)
        suffix = "xlsx" if encoding == "xlsx" else "csv"
        drop(folder / source, f"hh_1.{suffix}", content)
        drop(folder / source, f"hh_2.{suffix}", content[:40], done=False)
        assert deployment.take(source) == {"published": 2}
        found = deployment.events(source)
        payloads.append(sorted((e.header.record_id, e.header.person or "", repr(e.payload)) for e in found))
    assert all(one == payloads[0] for one in payloads)
    assert "丽水市殡仪馆" in payloads[0][0][2]


def test_a_bad_file_comes_back_whole(deployment: Deployment, folder: Path) -> None:
    text = in_folder("whole", FILES.format(encoding="utf-8"))
    deployment.describe("whole", text)
    rows = [
        HEAD,
        *(["H" + str(n), 1, PEOPLE[n], "某", "2026-01-02", "莲都"] for n in range(5)),
        ["H9", 1, "123", "", "x"],
    ]
    drop(folder / "whole", "hh_1.csv", lines(rows, "gbk"))
    assert deployment.take("whole") == {"quarantined": 1}
    assert deployment.take("whole") == {}
    (record,) = deployment.quarantined("whole")
    assert (record.reason, record.locator, record.record_id) == ("wrong_encoding", "hh_1.csv", "hh_1.csv")
    assert (folder / "whole/hh_1.csv").exists()
    deployment.project("whole")
    deployment.describe("whole", text.replace("encoding: utf-8", "encoding: gbk"))
    assert deployment.replay("whole") == {"hh_1.csv": "replayed"}
    assert len(deployment.events("whole")) == 5
    assert {record.reason for record in deployment.quarantined("whole")} == {"wrong_encoding", "broken_row"}
    assert deployment.take("whole") == {}, "the file was taken in, so it is not read again"


def test_a_record_too_large_for_an_event(deployment: Deployment, folder: Path) -> None:
    """And one whose original is too large even for quarantine: both are told, and the others are taken in."""
    deployment.describe("large", in_folder("large", FILES.format(encoding="utf-8")))
    noise = "".join(random.Random(1).choices("丽水莲都青田缙云", k=1_500_000))  # noqa: S311  # no secret
    rows: list[list[Any]] = [HEAD]
    rows += [[f"H{n}", 1, PEOPLE[n], "某", "2026-01-02", noise[:size]] for n, size in ((1, 9), (2, 600_000), (3, None))]
    drop(folder / "large", "hh_1.csv", lines(rows, "utf-8"))
    assert deployment.take("large") == {"published": 1, "quarantined": 2}
    found = {record.record_id: record for record in deployment.quarantined("large")}
    assert {name: record.reason for name, record in found.items()} == {"H2": "oversize", "H3": "oversize"}
    assert len(found["H2"].original) > 1_800_000
    assert len(found["H3"].original) < 1000
    deployment.project("large")
    assert set(deployment.replay("large").values()) == {"failed_again"}


COVERAGE = """
    id: coverage
    topic: source.coverage
    table: sm
    record_id: id
    version: counter
    delivery: snapshot
    person: {column: sfzh, optional: true}
    region: {column: qh, region: county}
    fields:
      topic: zt
      scope: {column: fw, map: {"区域": region, "个人": person}}
      complete_from: q
      delivery: {const: full}
      found: jg
"""


def test_a_statement_on_a_region_reaches_every_partition(deployment: Deployment, folder: Path) -> None:
    department = Department(folder, "cover")
    department.run("CREATE TABLE sm (id, sfzh, qh, zt, fw, q, jg)")
    department.run("INSERT INTO sm VALUES ('C1', NULL, '331102', 'registration.death', '区域', '2020-01-01', NULL)")
    department.run("INSERT INTO sm VALUES ('C2', ?, '331102', 'registration.death', '个人', NULL, '否')", PEOPLE[4])
    text = samples.source(COVERAGE, kind="url: sqlite:///cover.db").replace("source: test", "source: cover")
    deployment.describe("cover", text)
    assert deployment.take("cover") == {"published": 2}
    sent = deployment.sent("cover")
    regional = [one for one in sent if isinstance(one.event.payload, Coverage) and one.event.payload.scope == "region"]
    assert sorted(one.partition for one in regional) == list(range(PARTITIONS))
    assert {(one.key, one.event.header.person) for one in regional} == {("cover", None)}
    (personal,) = [one for one in sent if one not in regional]
    assert personal.key == deployment.vault.tokens.person_token(PEOPLE[4])


POSTGRESQL = """
    id: checks
    topic: assistance.check
    table: {schema}.hdbg
    record_id: bh
    version: {{timestamp: gxsj}}
    delivery: delta
    watermark: {{column: gxsj, overlap: 10m, reconcile_every: 1d}}
    person: sqr
    record_time: gxsj
    children:
      income: {{table: {schema}.hdsr, key: bh, of: bh, order_by: xh}}
    fields:
      aid_household: jt
      period_from: q
      period_to: z
      income:
        each: income
        fields: {{person: {{person: sfzh}}, type: lx, amount_fen: je, months: ys}}
      property_dibao: {{const: compliant}}
      property_margin: {{const: compliant}}
      property_tekun: {{const: unknown}}
      property_low_income: {{const: unknown}}
      property_rigid: {{const: unknown}}
"""


def test_a_source_on_postgresql(deployment: Deployment, postgres_url: str) -> None:
    """Native days, moments and amounts; children; a watermark of its own type."""
    url = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    schema = "department_of_checks"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(
            f"CREATE TABLE {schema}.hdbg (bh bigint primary key, gxsj timestamp, sqr text, jt text, q date, z date)"
        )
        connection.execute(
            f"CREATE TABLE {schema}.hdsr (bh bigint, xh int, sfzh text, lx text, je numeric(12,2), ys int)"
        )

        def put(n: int, minute: int) -> None:
            connection.execute(
                f"INSERT INTO {schema}.hdbg VALUES (%s, %s, %s, 'H1', '2025-05-01', '2026-04-30')",  # noqa: S608  # our own schema
                (n, f"2026-05-01 12:{minute:02}:00", PEOPLE[n]),
            )
            connection.execute(f"INSERT INTO {schema}.hdsr VALUES (%s, 1, %s, 'wage', 36000.50, 12)", (n, PEOPLE[n]))  # noqa: S608

        put(1, 0)
        put(2, 1)
        text = samples.source(POSTGRESQL.format(schema=schema), kind=f"url: {url}").replace(
            "source: test", "source: pgsource"
        )
        deployment.describe("pgsource", text)
        assert deployment.take("pgsource") == {"published": 2}
        put(3, 2)
        assert deployment.take("pgsource") == {"published": 1, "unchanged": 2}
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
    payload = next(event.payload for event in deployment.events("pgsource") if event.header.record_id == "3")
    assert "amount_fen=3600050" in repr(payload)
