"""What lies in quarantine comes back once mapping or source is mended, and what cannot is refused with words."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from connectors.loading import load_sources
from connectors.replay import Replay, waiting
from hub.cli.main import hub
from hub.domain.facts import Cremation
from hub.domain.messages import Event, Header, Quarantined
from hub.store.db import session
from hub.store.models import QuarantineRow
from hub.streams.topics import QUARANTINE
from hub.vault.keys import generate
from hub.vault.sealed import Sealer
from tests.integration.connectors.conftest import Deployment
from tests.integration.connectors.departments import PEOPLE, Department, describe


def test_a_row_comes_back_once_the_mapping_is_mended(on_both: Deployment, folder: Path) -> None:
    source = f"mend-{on_both.engine.dialect.name[:4]}"
    department = Department(folder, source)
    on_both.describe(source, describe(source))
    department.put(1, hklx="3")
    department.put(2, csrq="19990230")
    department.put(3)
    assert on_both.take(source) == {"published": 1, "quarantined": 2}
    assert on_both.take(source) == {"unchanged": 1}, "what stays bad is said once"
    on_both.project(source)
    before = {row.record_id: row for row in waiting(on_both.engine, source=source)}
    assert (before["R1"].reason, before["R1"].field, before["R1"].state) == ("unknown_code", "hukou_kind", "waiting")
    assert before["R2"].reason == "impossible_date"
    on_both.describe(source, describe(source).replace('"2": collective', '"2": collective, "3": family'))
    states = on_both.replay(source)
    assert states == {"R1": "replayed", "R2": "failed_again"}
    assert {event.header.record_id for event in on_both.events(source)} == {"R1", "R3"}
    assert on_both.replay(source) == {"R2": "failed_again"}, "what came back is not brought back again"
    after = {row.record_id: row for row in waiting(on_both.engine, source=source)}
    assert (after["R1"].attempt, after["R2"].attempt) == (0, 2)
    department.put(2, bbh=2)
    assert on_both.take(source)["published"] == 1
    assert on_both.replay(source) == {"R2": "failed_again"}
    department.put(4, hklx="9")
    on_both.take(source)
    on_both.project(source)
    department.put(4, bbh=2, xzqh="331121")
    on_both.take(source)
    on_both.describe(source, describe(source).replace('"2": collective', '"2": collective, "9": family'))
    assert on_both.replay(source)["R4"] == "dropped", "the source has sent it since, and that stands"
    newest = max((e for e in on_both.events(source) if e.header.record_id == "R4"), key=lambda e: e.header.version)
    assert newest.header.region == "331121"


def test_what_the_worker_refused_is_sent_again_under_its_key(deployment: Deployment) -> None:
    """A message that decodes goes to its person's key; one that does not stays."""
    person = deployment.vault.tokens.person_token(PEOPLE[3])
    header = Header(
        source="worker-stage",
        record_id="W1",
        version=1,
        change="UPSERT",
        person=person,
        event_time=1,
        record_time=1,
        received_at=1,
    )

    value = deployment.codec.encode(
        "funeral.cremation.v1", Event("funeral.cremation", header, Cremation(cremated_on=date(2026, 1, 2)))
    )
    for name, original, reason in (("a", value, "null_key"), ("b", value[:-3], "truncated")):
        record = Quarantined(
            quarantine_id=f"worker-{name}",
            stage="worker",
            source="worker-stage",
            topic="funeral.cremation.v1",
            locator=f"funeral.cremation.v1-0-{name}",
            record_id=name,
            reason=reason,
            value_class="no key",
            message="",
            original=deployment.vault.sealer.seal(original),
            received_at=1,
        )
        deployment.parts.producer.send(
            QUARANTINE.name, record.quarantine_id, deployment.codec.encode(QUARANTINE.name, record)
        )
    deployment.parts.producer.flush()
    deployment.project("worker-stage")
    deployment.describe("any", describe("any"))
    assert deployment.replay("worker-stage") == {"a": "replayed", "b": "failed_again"}
    (sent,) = deployment.sent("worker-stage")
    assert (sent.key, sent.value) == (person, value)


def test_what_is_no_source_record_is_refused_with_words(on_both: Deployment) -> None:
    """Bytes that lay on alerts.v1, a stage of another release, an original of other keys, a source without mapping:
    each says what to do, nothing is sent, and the row stays as it is."""
    on_both.describe("any", describe("any"))
    seal = on_both.vault.sealer.seal
    rows = {
        "alert": ("dispatcher", "alerts.v1", seal(b"no alert")),
        "later": ("archiver", "registration.resident.v1", seal(b"later")),
        "other": ("worker", "registration.resident.v1", Sealer(generate()).seal(b"other")),
        "bare": ("connector", "registration.resident", seal(b"bare")),
    }
    with session(on_both.engine) as db:
        for name, (stage, topic, original) in rows.items():
            db.add(
                QuarantineRow(
                    quarantine_id=f"{name}-{on_both.engine.dialect.name}",
                    stage=stage,
                    source="refusals",
                    topic=topic,
                    locator=f"{topic}-0-1",
                    reason="bad_magic",
                    value_class="8 bytes",
                    message="",
                    original=original,
                    attempt=0,
                    received_at=1,
                    state="waiting",
                    changed_at=1,
                )
            )
    before = on_both.parts.producer.acknowledged
    chosen = waiting(on_both.engine, source="refusals")
    results = Replay(on_both.settings, on_both.engine, on_both.parts, load_sources(on_both.settings.sources)).replay(
        chosen
    )
    said = {result.quarantine_id.partition("-")[0]: result for result in results}
    assert {name: result.state for name, result in said.items()} == dict.fromkeys(rows, "refused")
    assert all(" — " in result.text for result in results)
    assert "no source record" in said["alert"].text and "alerts.v1" in said["alert"].text
    assert "archiver" in said["later"].text
    assert "HUB_SOURCES" in said["bare"].text
    assert on_both.parts.producer.acknowledged == before
    after = waiting(on_both.engine, source="refusals")
    assert {(row.state, row.attempt, row.changed_at, row.message) for row in after} == {("waiting", 0, 1, "")}


def test_the_commands_say_what_is_there(deployment: Deployment, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """list, show and replay, as somebody types them; nothing personal is printed."""
    from hub.settings import settings

    department = Department(folder, "told")
    deployment.describe("told", describe("told"))
    department.put(1, hklx="3")
    deployment.take("told")
    deployment.project("told")
    s = deployment.settings
    for name, value in (
        ("DATA_DIR", s.data_dir),
        ("BROKERS", s.brokers),
        ("REGISTRY_URL", s.registry_url),
        ("SOURCES", s.sources),
        ("SOURCE_ROOT", s.source_root),
        ("PARTITIONS", s.partitions),
    ):
        monkeypatch.setenv(f"HUB_{name}", str(value))
    settings.cache_clear()
    try:
        runner = CliRunner()
        listed = runner.invoke(hub, ["quarantine", "list", "--source", "told"], env={"COLUMNS": "200"})
        (row,) = waiting(deployment.engine, source="told")
        shown = runner.invoke(hub, ["quarantine", "show", row.quarantine_id[:8]])
        failed = runner.invoke(hub, ["quarantine", "replay", "--source", "told"])
        with session(deployment.engine) as db:
            db.execute(update(QuarantineRow).values(stage="dispatcher"))
        refused = runner.invoke(hub, ["quarantine", "replay", row.quarantine_id[:8]])
        validated = runner.invoke(hub, ["connect", "--validate"])
        accepted = runner.invoke(hub, ["connect", "--accept-shrink", "told"])
    finally:
        settings.cache_clear()
    assert "unknown_code" in listed.output
    assert "代码不在约定的代码表中" in shown.output
    assert "1 digits, not in the code list" in shown.output
    assert (failed.exit_code, "0 of 1 came back" in failed.output) == (1, True)
    assert (refused.exit_code, "no source record" in refused.output) == (1, True)
    assert "told (测试局): residents → registration.resident" in validated.output
    assert "nothing is held" in accepted.output
    for output in (listed.output, shown.output, failed.output):
        assert PEOPLE[1] not in output
        assert "居民1" not in output
    with session(deployment.engine, writes=False) as db:
        assert {one.state for one in db.query(QuarantineRow)} == {"failed_again"}
