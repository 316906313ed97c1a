"""`hub quality serve`: reads all source topics, runs the suites on micro-batches, keeps and publishes the results.

A micro-batch is what arrived for one (source, topic) within one reading, bounded by count and by time. Results and
offsets are one SQL transaction; results are published from the store afterwards and marked, so that each is
published at least once and carries the same run id when it is published again. Beside it, the projector, and the
pruning of old results.

A message that cannot be read or kept never ends the process: it would end again at every start. Such a source event
goes to quarantine by the worker; another message is skipped, counted and named in the log, and stays in its topic.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import Message as KafkaMessage
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from hub.domain.messages import Event, Message, QualityResult
from hub.domain.times import DAY_MS, local_date
from hub.errors import DataFault, Transient
from hub.ops.clock import Clock
from hub.ops.logs import logger
from hub.quality.frames import frame_of
from hub.quality.projector import PROJECTIONS, project
from hub.quality.reports import result_of
from hub.quality.retention import prune
from hub.quality.runner import Checked, SuiteRunner
from hub.settings import Settings
from hub.store.db import session, upsert, write_what_fits
from hub.store.models import QualityResultRow
from hub.streams.codec import Codec
from hub.streams.consumers import StoreConsumer
from hub.streams.producers import Producer, producer
from hub.streams.topics import RESULTS, SOURCE_TOPICS

BATCH_RECORDS: Final = 20_000
"""Records held at once: about 40 MB of decoded events, and some seconds of checking."""

BATCH_SECONDS: Final = 2.0
"""Longest wait for a batch to fill: a quiet stream is checked this soon."""

RETRY_S: Final = 3.0
"""Pause after a Transient error before starting again from the store."""

PRUNE_S: Final = 3600.0
"""Pause between two passes over old results: what is kept is counted in days."""

UNKEPT: Final = "not_kept"
"""Reason of what the database refuses, beside the codec's own."""

_CHECKED = Counter("hub_quality_records", "Records checked by the expectation suites", ("source",))
_RESULTS = Counter("hub_quality_results", "Results of expectations", ("source", "outcome"))
_RUN = Histogram("hub_quality_run_seconds", "Seconds one suite took on one micro-batch", ("topic",))
_SKIPPED = Counter("hub_quality_skipped", "Messages that could not be read or kept", ("topic", "reason"))
_PRUNED = Counter("hub_quality_pruned_results", "Results deleted because they are older than is kept")
_LAG = Gauge("hub_quality_lag_records", "Records not yet checked or projected", ("reader",))
_LAG_SECONDS = Gauge("hub_quality_lag_seconds", "Age of the oldest record of the last batch, 0 when idle", ("reader",))


class _Read(NamedTuple):
    """A message and what it says."""

    message: KafkaMessage
    body: Message


class Quality:
    """The loop of the quality process."""

    def __init__(self, settings: Settings, engine: Engine, regions: frozenset[str]) -> None:
        self._settings = settings
        self._engine = engine
        self._regions = regions
        self._clock = Clock(settings)
        self._codec = Codec(settings.registry_url)
        self._runner = SuiteRunner(settings.expectations)
        self._log = logger("quality")
        self._pruning: Iterator[int] = iter(())
        self._prune_due = 0.0
        self.ready = False

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop, once. A Transient error is logged and the work taken up again from the store."""
        with closing(self._codec):
            while not stop.is_set():
                try:
                    self._serve(stop)
                except Transient as error:
                    self.ready = False
                    self._log.warning("waiting for a part that does not answer", error=error.code, remedy=str(error))
                    stop.wait(RETRY_S)

    def _serve(self, stop: threading.Event) -> None:
        sources = [topic.name for topic in SOURCE_TOPICS]
        with (
            closing(StoreConsumer(self._settings, "quality", sources, self._engine)) as records,
            closing(StoreConsumer(self._settings, "quality-projector", list(PROJECTIONS), self._engine)) as projected,
            closing(producer(self._settings)) as out,
        ):
            self.ready = True
            while not stop.is_set():
                worked = self._check(records, out) + self._project(projected)
                self._prune()
                if not worked:
                    records.settle()
                    projected.settle()
                    _LAG.labels("suites").set(sum(records.lag().values()))
                    _LAG.labels("projector").set(sum(projected.lag().values()))
                    _LAG_SECONDS.labels("suites").set(0)
                    _LAG_SECONDS.labels("projector").set(0)

    def _check(self, consumer: StoreConsumer, out: Producer) -> int:
        """One micro-batch: read, check, store with offsets, publish. Returns the records read."""
        messages = _fill(consumer)
        if not messages:
            self._publish(out)
            return 0
        _LAG_SECONDS.labels("suites").set(_age_s(messages))
        grouped: dict[tuple[str, str], list[tuple[KafkaMessage, Event]]] = defaultdict(list)
        for message in messages:
            event = self._decode(message)
            if event is not None:
                grouped[event.header.source, event.topic].append((message, event))
        runs = [self._results(source, topic, batch) for (source, topic), batch in sorted(grouped.items())]
        with session(self._engine) as db:
            refused = write_what_fits(db, runs, lambda some: store_results(db, [one for run in some for one in run]))
            consumer.record_offsets(db)
        for run in refused:
            # The name of the source may be what the database refuses, so it is not told.
            _SKIPPED.labels(RESULTS.name, UNKEPT).inc(len(run))
            self._log.error("results of a run could not be kept", topic=run[0].topic, run=run[0].run_id)
        self._publish(out)
        return len(messages)

    def _decode(self, message: KafkaMessage) -> Event | None:
        """The event, or None for a message the worker quarantines: it is counted there, once."""
        value = message.value()
        if value is None:
            return None
        try:
            event = self._codec.decode(message.topic(), value)
        except DataFault:
            return None
        return event if isinstance(event, Event) else None

    def _results(self, source: str, topic: str, batch: Sequence[tuple[KafkaMessage, Event]]) -> list[QualityResult]:
        events = [event for _message, event in batch]
        frame = frame_of(topic, events, self._regions)
        started = time.monotonic()
        checked = self._runner.run(topic, frame)
        _RUN.labels(topic).observe(time.monotonic() - started)
        _CHECKED.labels(source).inc(len(frame))
        for one in checked:
            _RESULTS.labels(source, one.outcome).inc()
        now = self._clock.now_ms()
        run = run_id(source, topic, [message for message, _event in batch])
        return [_result(run, source, topic, one, now) for one in checked]

    def _publish(self, out: Producer) -> None:
        """Publish what the store holds unpublished; marked only after Kafka has acknowledged."""
        with session(self._engine, writes=False) as db:
            rows = db.scalars(select(QualityResultRow).where(QualityResultRow.published.is_(False))).all()
        if not rows:
            return
        for row in rows:
            out.send(RESULTS.name, row.source, self._codec.encode(RESULTS.name, result_of(row)))
        out.flush()
        with session(self._engine) as db:
            for run in sorted({row.run_id for row in rows}):
                db.execute(update(QualityResultRow).where(QualityResultRow.run_id == run).values(published=True))

    def _project(self, consumer: StoreConsumer) -> int:
        messages = consumer.poll(BATCH_RECORDS, 0.05)
        if not messages:
            return 0
        _LAG_SECONDS.labels("projector").set(_age_s(messages))
        decoded: dict[str, list[_Read]] = defaultdict(list)
        skipped: list[tuple[KafkaMessage, str]] = []
        for message in messages:
            value = message.value()
            if value is None:
                continue  # nobody deletes on these topics; a tombstone says nothing
            try:
                body = self._codec.decode(message.topic(), value)
            except DataFault as fault:
                skipped.append((message, fault.reason))
                continue
            if not isinstance(body, Event):  # a projected topic has messages only
                decoded[message.topic()].append(_Read(message, body))
        with session(self._engine) as db:
            for topic, batch in decoded.items():
                refused = write_what_fits(db, batch, partial(_write, db, topic))
                skipped += [(read.message, UNKEPT) for read in refused]
            consumer.record_offsets(db)
        for message, reason in skipped:
            _SKIPPED.labels(message.topic(), reason).inc()
            self._log.error(
                "message skipped: it stays in its topic",
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                reason=reason,
                remedy="find out who produced it and have it produced again as its schema says",
            )
        return len(messages)

    def _prune(self) -> None:
        """One bounded step of a pass over old results, when one is due: reading goes on between two steps."""
        deleted = next(self._pruning, None)
        if deleted is not None:
            _PRUNED.inc(deleted)
        elif time.monotonic() >= self._prune_due:
            self._prune_due = time.monotonic() + PRUNE_S
            self._pruning = prune(self._engine, self._clock.now_ms() - self._settings.quality_keep_days * DAY_MS)


def _write(db: Session, topic: str, batch: Sequence[_Read]) -> None:
    project(db, topic, [read.body for read in batch])


def _fill(consumer: StoreConsumer) -> list[KafkaMessage]:
    """A micro-batch: until it is full, or time is up, or the stream pauses after something arrived."""
    messages: list[KafkaMessage] = []
    deadline = time.monotonic() + BATCH_SECONDS
    while len(messages) < BATCH_RECORDS and (left := deadline - time.monotonic()) > 0:
        more = consumer.poll(BATCH_RECORDS - len(messages), min(left, 0.5))
        if not more:
            break
        messages += more
    return messages


def _age_s(messages: Sequence[KafkaMessage]) -> float:
    """Seconds since the oldest of some messages was written, by the broker's clock and ours."""
    oldest_ms: int = min(message.timestamp()[1] for message in messages)
    return max(0.0, time.time() - oldest_ms / 1000)


def run_id(source: str, topic: str, messages: Sequence[KafkaMessage]) -> str:
    """Id of a run, 32 hex: from what was read, so that the same records checked again overwrite their results."""
    ends: dict[int, tuple[int, int]] = {}
    for message in messages:
        first, _last = ends.get(message.partition(), (message.offset(), 0))
        ends[message.partition()] = (first, message.offset())
    text = f"{source}\x1f{topic}\x1f{sorted(ends.items())}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _result(run: str, source: str, topic: str, checked: Checked, now: int) -> QualityResult:
    return QualityResult(
        run_id=run,
        source=source,
        topic=topic,
        suite=topic,
        expectation=checked.expectation,
        field=checked.field,
        dimension=checked.dimension,
        severity=checked.severity,
        outcome=checked.outcome,
        checked=checked.checked,
        failed=checked.failed,
        day=local_date(now),
        examples=checked.examples,
        made_at=now,
    )


def store_results(db: Session, results: Sequence[QualityResult]) -> None:
    """Write results, unpublished; a repeat of a run overwrites it."""
    rows: list[Mapping[str, object]] = []
    for result in results:
        row = msgspec.structs.asdict(result)
        del row["region"]
        row["examples"] = [msgspec.to_builtins(example) for example in result.examples]
        rows.append({**row, "published": False})
    upsert(db, QualityResultRow, [dict(row) for row in rows])
