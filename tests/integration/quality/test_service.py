"""The quality process on the real broker and registry, with the store on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import Engine, func, select

from hub.divisions import county_codes
from hub.domain.messages import Event, QualityResult
from hub.errors import StoreUnavailable
from hub.quality.service import Quality
from hub.settings import Settings
from hub.store.db import session
from hub.store.models import ConsumerOffset, QualityResultRow
from hub.streams.codec import Codec
from hub.streams.producers import Producer
from tests.unit.quality.samples import GOOD, event

PATIENCE_S: Final = 60.0
"""Longest wait for the process to have done its work; it takes a few seconds on a quiet machine."""


def sample(topic: str, source: str, number: int, **changes: Any) -> Event:
    """A good event of a source, or one whose payload differs in some fields."""
    payload = GOOD[topic]
    made = event(topic, msgspec.structs.replace(payload, **changes), number=number)
    return made._replace(header=msgspec.structs.replace(made.header, source=source, person=f"{number:032x}"))


def publish(out: Producer, codec: Codec, events: Sequence[Event]) -> None:
    """Publish events as a connector does."""
    for one in events:
        topic = f"{one.topic}.v1"
        out.send(topic, one.header.person or "", codec.encode(topic, one))
    out.flush()


@contextmanager
def working(quality: Quality) -> Iterator[None]:
    """The process's loop in a thread, stopped at the end; what it raised is raised here."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            quality.run(stop)
        except BaseException as error:  # handed to the test's own thread
            raised.append(error)

    thread = threading.Thread(target=run, name="quality")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the process did not stop"
    if raised:
        raise raised[0]


def wait(until: Callable[[], bool], what: str) -> None:
    """Wait for a state of the store; AssertionError says which did not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.1)


def tallies(engine: Engine, source: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(topic, expectation) → records checked and failed, over all runs of a source."""
    with session(engine, writes=False) as db:
        rows = db.execute(
            select(
                QualityResultRow.topic,
                QualityResultRow.expectation,
                func.sum(QualityResultRow.checked),
                func.sum(QualityResultRow.failed),
            )
            .where(QualityResultRow.source == source)
            .group_by(QualityResultRow.topic, QualityResultRow.expectation)
        )
        return {(topic, expectation): (int(checked), int(failed)) for topic, expectation, checked, failed in rows}


def checked(engine: Engine, source: str, topic: str, expectation: str) -> int:
    """Records of a source that an expectation has looked at."""
    return tallies(engine, source).get((topic, expectation), (0, 0))[0]


def unpublished(engine: Engine) -> int:
    """Results that Kafka has not acknowledged yet."""
    with session(engine, writes=False) as db:
        return (
            db.scalar(select(func.count()).select_from(QualityResultRow).where(QualityResultRow.published.is_(False)))
            or 0
        )


def published(brokers: str, codec: Codec, source: str) -> list[QualityResult]:
    """Everything that stands in quality.results.v1 of a source."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": uuid.uuid4().hex, "enable.auto.commit": False})
    place = TopicPartition("quality.results.v1", 0, 0)
    _low, high = consumer.get_watermark_offsets(place, timeout=15)
    consumer.assign([place])
    found: list[QualityResult] = []
    read = 0
    while read < high:
        for message in consumer.consume(500, timeout=5):
            read += 1
            result = codec.decode("quality.results.v1", message.value() or b"")
            assert isinstance(result, QualityResult)
            if result.source == source:
                assert message.key() == source.encode()
                found.append(result)
    consumer.close()
    return found


@pytest.fixture
def source() -> str:
    """A source that no other test uses."""
    return f"s-{uuid.uuid4().hex[:12]}"


def test_events_of_two_sources_become_results(
    place: Settings, engine: Engine, out: Producer, codec: Codec, brokers: str, source: str
) -> None:
    """Each source is checked apart; planted faults are counted, named by record and published as they are stored."""
    other = f"{source}-other"
    settlements = [sample("medical.settlement", source, number) for number in range(9)]
    settlements.append(sample("medical.settlement", source, 9, kind="spa"))
    residents = [sample("registration.resident", other, number) for number in range(6)]
    residents += [sample("registration.resident", other, number, birth_date=None) for number in (6, 7)]
    publish(out, codec, [*settlements, *residents])
    out.send("medical.settlement.v1", "0" * 32, b"\x07 no event at all")
    out.flush()
    with working(Quality(place, engine, county_codes())):
        wait(lambda: checked(engine, source, "medical.settlement", "kind.code") >= 10, "settlements checked")
        wait(lambda: checked(engine, other, "registration.resident", "birth_date.present") >= 8, "residents checked")
        wait(lambda: unpublished(engine) == 0, "results published")
    ours, theirs = tallies(engine, source), tallies(engine, other)
    assert ours["medical.settlement", "kind.code"] == (10, 1)
    assert ours["medical.settlement", "amounts_add_up.holds"] == (10, 0)
    assert theirs["registration.resident", "birth_date.present"] == (8, 2)
    assert {topic for topic, _ in ours} == {"medical.settlement"}
    assert {topic for topic, _ in theirs} == {"registration.resident"}
    with session(engine, writes=False) as db:
        failed = db.scalars(
            select(QualityResultRow).where(
                QualityResultRow.source == source,
                QualityResultRow.expectation == "kind.code",
                QualityResultRow.outcome == "fail",
            )
        ).all()
        stored = db.scalars(select(QualityResultRow).where(QualityResultRow.source == source)).all()
    assert [example["record_id"] for row in failed for example in row.examples] == ["R9"]
    assert "spa" not in str([row.examples for row in failed])
    sent = published(brokers, codec, source)
    assert Counter((result.run_id, result.expectation) for result in sent) == Counter(
        (row.run_id, row.expectation) for row in stored
    )
    assert sum(result.failed for result in sent) == 1


def test_a_restart_neither_skips_nor_doubles(
    place: Settings, engine: Engine, out: Producer, codec: Codec, brokers: str, source: str
) -> None:
    """What arrives while the process is down is checked once it is back; what was checked is not checked again."""
    look = ("assistance.benefit", "type.code")
    publish(out, codec, [sample("assistance.benefit", source, number) for number in range(7)])
    with working(Quality(place, engine, county_codes())):
        wait(lambda: checked(engine, source, *look) >= 7 and unpublished(engine) == 0, "first benefits checked")
    publish(out, codec, [sample("assistance.benefit", source, number) for number in range(7, 12)])
    with working(Quality(place, engine, county_codes())):
        wait(lambda: checked(engine, source, *look) >= 12 and unpublished(engine) == 0, "later benefits checked")
    assert checked(engine, source, *look) == 12
    sent = Counter((result.run_id, result.expectation) for result in published(brokers, codec, source))
    assert set(sent.values()) == {1}
    with session(engine, writes=False) as db:
        read = db.scalar(
            select(func.sum(ConsumerOffset.next_offset)).where(
                ConsumerOffset.consumer == "quality", ConsumerOffset.topic == "assistance.benefit.v1"
            )
        )
    assert read is not None and int(read) >= 12


class Interrupted(Quality):
    """Fails once at a chosen step, as a database or broker that goes away for a moment makes it fail."""

    step = ""
    failures = 1

    def _results(self, *args: Any) -> list[QualityResult]:
        found = super()._results(*args)
        self._fail("checked")
        return found

    def _publish(self, out: Producer) -> None:
        self._fail("stored")
        super()._publish(out)

    def _fail(self, step: str) -> None:
        if step == self.step and self.failures:
            self.failures -= 1
            raise StoreUnavailable("planted: gone for a moment — try again")


@pytest.mark.parametrize("step", ["checked", "stored"])
def test_work_is_taken_up_again_where_the_store_ends(
    place: Settings, engine: Engine, out: Producer, codec: Codec, brokers: str, source: str, step: str
) -> None:
    """Interrupted before the rows are stored it checks again; interrupted after, it publishes what lies there."""
    look = ("disability.certificate", "status.code")
    publish(out, codec, [sample("disability.certificate", source, number) for number in range(5)])
    quality = Interrupted(place, engine, county_codes())
    quality.step = step
    with working(quality):
        wait(lambda: checked(engine, source, *look) >= 5, "certificates checked")
        wait(lambda: unpublished(engine) == 0 and quality.failures == 0, "results published after the interruption")
    assert checked(engine, source, *look) == 5
    assert {result.expectation for result in published(brokers, codec, source)} == {
        expectation for _, expectation in tallies(engine, source)
    }


def test_an_absent_registry_is_waited_for(
    place: Settings, engine: Engine, out: Producer, codec: Codec, source: str
) -> None:
    """No record is taken for bad because the registry does not answer: nothing is stored, and it is not ready."""
    publish(out, codec, [sample("funeral.cremation", source, 1)])
    nowhere = place.model_copy(update={"registry_url": "http://127.0.0.1:9/apis/ccompat/v7"})
    quality = Quality(nowhere, engine, county_codes())
    with working(quality):
        wait(lambda: quality.ready, "started")
        wait(lambda: not quality.ready, "registry missed")
        assert tallies(engine, source) == {}
        with session(engine, writes=False) as db:
            assert db.scalars(select(ConsumerOffset).where(ConsumerOffset.consumer == "quality")).all() == []
    with working(Quality(place, engine, county_codes())):
        wait(lambda: checked(engine, source, "funeral.cremation", "region.present") == 1, "cremation checked")
