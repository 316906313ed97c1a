"""What the projector makes of findings, conflicts and quarantined records, on both databases; and through Kafka."""

from __future__ import annotations

import uuid

import msgspec
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import REGISTRY
from sqlalchemy import Engine, select
from structlog.testing import capture_logs

from hub.divisions import county_codes
from hub.domain.messages import Conflict, ConflictParty, FindingChange, Message, Missing, Quarantined
from hub.quality.projector import PROJECTIONS, project_conflicts, project_findings, project_quarantine
from hub.quality.service import Quality
from hub.settings import Settings
from hub.store.db import session, write_what_fits
from hub.store.models import ConflictRow, ConsumerOffset, FindingRow, QuarantineRow
from hub.streams.codec import Codec
from hub.streams.producers import Producer
from tests.integration.quality.test_service import wait, working
from tests.unit.quality.samples import ARRIVAL, DAY

FINDING = FindingChange(
    rule="dibao",
    subject="household:" + "c" * 32,
    home="household:" + "c" * 32,
    truth="unknown",
    region="331102",
    township="331102001",
    missing=(Missing("assistance.check.income", None, "member", "minzheng"),),
    sequence=4,
    policy_hash="p" * 32,
    decided_on=DAY,
    decided_at=ARRIVAL,
)
CONFLICT = Conflict(
    conflict_id="f" * 32,
    kind="dead_and_alive",
    person="a" * 32,
    state="OPEN",
    sequence=7,
    field="registration.death.death_date",
    region="331102",
    parties=(
        ConflictParty("medical.settlement", "yibao", "JS1", 1, "date"),
        ConflictParty("registration.death", "ga-huji", "SW1", 2, "date"),
    ),
    seen_at=ARRIVAL,
)
BAD = Quarantined(
    quarantine_id="d" * 32,
    stage="connector",
    source="yibao",
    topic="medical.settlement",
    locator="jiesuan.csv#7",
    record_id="JS7",
    field="cash_fen",
    reason="not_a_number",
    value_class="text of 4 characters",
    message="mend the value at its source",
    original=b"\x00sealed\xff",
    received_at=ARRIVAL,
)


def finding(engine: Engine) -> FindingRow:
    """The one finding."""
    with session(engine, writes=False) as db:
        return db.scalars(select(FindingRow)).one()


def conflict(engine: Engine) -> ConflictRow:
    """The one conflict."""
    with session(engine, writes=False) as db:
        return db.scalars(select(ConflictRow)).one()


def test_an_older_finding_never_overwrites(engine: Engine) -> None:
    """Within one batch, in a later batch, and when the topic is read again."""
    newer = msgspec.structs.replace(FINDING, sequence=5, truth="yes", missing=())
    with session(engine) as db:
        project_findings(db, [newer, FINDING])
    assert (finding(engine).truth, finding(engine).sequence, finding(engine).missing) == ("yes", 5, [])
    with session(engine) as db:
        project_findings(db, [FINDING])
    assert (finding(engine).truth, finding(engine).sequence) == ("yes", 5)
    with session(engine) as db:
        project_findings(db, [msgspec.structs.replace(FINDING, sequence=6)])
    assert (finding(engine).truth, finding(engine).sequence) == ("unknown", 6)
    assert finding(engine).missing == [
        {"field": "assistance.check.income", "person": None, "role": "member", "source": "minzheng"}
    ]
    assert (finding(engine).region, finding(engine).township) == ("331102", "331102001")


def test_a_conflict_keeps_the_day_it_was_first_seen(engine: Engine) -> None:
    """Closing it and opening it again changes state and time, not when it began; an older one changes nothing."""
    with session(engine) as db:
        project_conflicts(db, [CONFLICT])
    assert (conflict(engine).sources, conflict(engine).state) == ("ga-huji,yibao", "OPEN")
    closed = msgspec.structs.replace(CONFLICT, sequence=9, state="CLOSED", parties=(), seen_at=ARRIVAL + 5)
    with session(engine) as db:
        project_conflicts(db, [closed])
        project_conflicts(db, [msgspec.structs.replace(CONFLICT, sequence=8)])
    row = conflict(engine)
    assert (row.state, row.sequence, row.first_seen_at, row.seen_at) == ("CLOSED", 9, ARRIVAL, ARRIVAL + 5)
    assert row.body["state"] == "CLOSED"


def test_a_repeat_keeps_what_was_made_of_a_quarantined_record(engine: Engine) -> None:
    """Read again, a record that was replayed does not wait a second time."""
    with session(engine) as db:
        project_quarantine(db, [BAD, BAD])
    with session(engine) as db:
        row = db.scalars(select(QuarantineRow)).one()
        assert (row.state, row.reason, row.original, row.locator) == (
            *("waiting", "not_a_number", b"\x00sealed\xff", "jiesuan.csv#7"),
        )
        row.state = "replayed"
    with session(engine) as db:
        project_quarantine(db, [BAD])
    with session(engine, writes=False) as db:
        assert db.scalars(select(QuarantineRow.state)).all() == ["replayed"]


def test_the_process_projects_what_is_published(place: Settings, engine: Engine, out: Producer, codec: Codec) -> None:
    """Newer and older in any order; a second start reads on and leaves the rows as people changed them."""
    one, other, home = uuid.uuid4().hex, uuid.uuid4().hex, f"household:{uuid.uuid4().hex}"
    finding_ = msgspec.structs.replace(FINDING, subject=home)
    conflict_ = msgspec.structs.replace(CONFLICT, conflict_id=one)
    bad = msgspec.structs.replace(BAD, quarantine_id=other)

    def publish(topic: str, key: str, message: Message) -> None:
        out.send(topic, key, codec.encode(topic, message))
        out.flush()

    def standing() -> tuple[int | None, str | None, str | None]:
        with session(engine, writes=False) as db:
            return (
                db.scalar(select(FindingRow.sequence).where(FindingRow.subject == home)),
                db.scalar(select(ConflictRow.state).where(ConflictRow.conflict_id == one)),
                db.scalar(select(QuarantineRow.state).where(QuarantineRow.quarantine_id == other)),
            )

    publish("findings.v1", home, msgspec.structs.replace(finding_, sequence=5, truth="no", missing=()))
    publish("findings.v1", home, finding_)
    publish("quality.conflicts.v1", conflict_.person, conflict_)
    publish("quarantine.v1", other, bad)
    with working(Quality(place, engine, county_codes())):
        wait(lambda: standing() == (5, "OPEN", "waiting"), "one row of each")
    with session(engine) as db:
        row = db.get(QuarantineRow, other)
        assert row is not None and row.original == BAD.original
        row.state = "dropped"
    publish("quarantine.v1", other, bad)
    with working(Quality(place, engine, county_codes())):
        publish("findings.v1", home, msgspec.structs.replace(finding_, sequence=6))
        wait(lambda: standing()[0] == 6 and offsets(engine) == ends(place.brokers), "all read")
    assert standing() == (6, "OPEN", "dropped")


def test_what_the_database_refuses_is_left_out_alone(engine: Engine) -> None:
    """A text no column takes: the messages around it are kept, and so is what the transaction writes after."""
    bad = [msgspec.structs.replace(FINDING, subject="x\0"), msgspec.structs.replace(FINDING, rule="r" * 65)]
    batch = [FINDING, *bad, msgspec.structs.replace(FINDING, rule="tekun")]
    with session(engine) as db:
        refused = write_what_fits(db, batch, lambda some: project_findings(db, some))
        db.add(ConsumerOffset(consumer="c", topic="t", partition=0, next_offset=4))
    takes_anything = engine.dialect.name == "sqlite"
    assert refused == ([] if takes_anything else bad)
    with session(engine, writes=False) as db:
        rules = {rule for rule in db.scalars(select(FindingRow.rule)) if len(rule) < 65}
        assert rules == {"dibao", "tekun"}
        assert db.scalar(select(ConsumerOffset.next_offset)) == 4


def test_what_cannot_be_read_or_kept_is_skipped_counted_and_named(
    place: Settings, engine: Engine, out: Producer, codec: Codec
) -> None:
    """On every projected topic; the process goes on, its offsets move, and the log names the place and no content."""
    one = uuid.uuid4().hex
    secret = f"secret {one}".encode()
    unkept = msgspec.structs.replace(BAD, quarantine_id=one[:8], locator="x" * 300)
    before = {(topic, reason): skipped(topic, reason) for topic in PROJECTIONS for reason in ("bad_magic", "not_kept")}
    for topic in PROJECTIONS:
        out.send(topic, "k", secret)
    out.send("quarantine.v1", unkept.quarantine_id, codec.encode("quarantine.v1", unkept))
    out.send("quarantine.v1", one, codec.encode("quarantine.v1", msgspec.structs.replace(BAD, quarantine_id=one)))
    out.flush()
    with capture_logs() as logs, working(Quality(place, engine, county_codes())):
        wait(lambda: offsets(engine) == ends(place.brokers), "all read")
    with session(engine, writes=False) as db:
        assert db.get(QuarantineRow, one) is not None
        kept_anyway = db.get(QuarantineRow, unkept.quarantine_id) is not None
    for topic in PROJECTIONS:
        # On the other database the process reads the same broker from its start again.
        assert skipped(topic, "bad_magic") > before[topic, "bad_magic"]
    told = [line for line in logs if line["event"].startswith("message skipped")]
    assert {line["topic"] for line in told if line["reason"] == "bad_magic"} == set(PROJECTIONS)
    assert all(isinstance(line["partition"], int) and isinstance(line["offset"], int) for line in told)
    assert kept_anyway == (engine.dialect.name == "sqlite")
    assert [line["topic"] for line in told if line["reason"] == "not_kept"][-1:] == (
        [] if kept_anyway else ["quarantine.v1"]
    )
    assert "secret" not in str(logs) and "x" * 300 not in str(logs)


def skipped(topic: str, reason: str) -> float:
    """Messages of a topic that were skipped so far."""
    return REGISTRY.get_sample_value("hub_quality_skipped_total", {"topic": topic, "reason": reason}) or 0.0


def offsets(engine: Engine) -> int:
    """Messages that the projector has behind it."""
    with session(engine, writes=False) as db:
        rows = db.scalars(select(ConsumerOffset).where(ConsumerOffset.consumer == "quality-projector")).all()
    return sum(row.next_offset for row in rows)


def ends(brokers: str) -> int:
    """Messages that stand in the projected topics."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "ends", "enable.auto.commit": False})
    places = [
        (topic, number) for topic in PROJECTIONS for number in consumer.list_topics(topic).topics[topic].partitions
    ]
    total: int = sum(consumer.get_watermark_offsets(TopicPartition(*place), timeout=15)[1] for place in places)
    consumer.close()
    return total
