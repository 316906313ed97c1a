"""The connector process: polls every source in turn, says what came of it, and waits with words when a part is away."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import Counter as Metric
from prometheus_client import Gauge
from sqlalchemy import Engine

from connectors.files import FileSource
from connectors.ingest import Hold, Ingest
from connectors.lock import source_lock
from connectors.mapping import SourceMapping, Stream
from connectors.parts import Parts, check_parts
from connectors.records import Records
from connectors.source import Source
from connectors.sql import SqlSource
from hub.errors import HubError, SourceUnavailable, Terminal, Transient
from hub.ops.logs import logger
from hub.settings import Settings

LOCK_WAIT_S: Final = 60.0
"""How long to wait for another reader of a source: a replay of some records takes less."""

RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after a Transient error, the last one repeated."""

MEND_S: Final = 60.0
"""Pause after an error that somebody must mend; then it is looked at again, so that no restart is needed."""

_RECORDS = Metric("hub_connector_records", "Events by what became of them", ("source", "topic", "kind"))
_LAG = Gauge("hub_connector_lag_seconds", "Age of the newest record published, by its record time", ("source",))
_POLLED = Gauge(
    "hub_connector_last_poll_seconds",
    "When the last whole reading of a source began, Unix time",
    ("source",),
)
_HELD = Gauge("hub_connector_held_records", "Vanished records that await an acceptance", ("source", "stream"))
_UP = Gauge("hub_connector_source_up", "1 when the last poll of a source went well", ("source",))

Report = Callable[[str, Stream, Counter[tuple[str, str]]], None]
"""Told after every batch: source, stream, counts by (topic, kind)."""


def open_source(mapping: SourceMapping, settings: Settings) -> Source:
    """The reader of a source."""
    reader = SqlSource if mapping.kind == "sql" else FileSource
    return reader(mapping, settings.source_root)


class _Feed:
    """One source, and when it is to be polled again."""

    def __init__(self, mapping: SourceMapping, settings: Settings, engine: Engine, parts: Parts) -> None:
        self.mapping = mapping
        self.source = open_source(mapping, settings)
        self.ingest = Ingest(mapping, Records(engine, mapping.source), parts)
        self.due = 0.0
        self.failures = 0
        self.problem = "not read yet"
        self.newest_ms = 0


class Connectors:
    """All sources of a process."""

    def __init__(
        self, settings: Settings, mappings: Sequence[SourceMapping], engine: Engine, parts: Parts, report: Report
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._parts = parts
        self._report = report
        self._feeds = [_Feed(mapping, settings, engine, parts) for mapping in mappings]
        self._log = logger("connectors")
        self._problem = "starting"

    def ready(self) -> tuple[bool, str]:
        """Whether every source was read and none fails, and what is the matter if not."""
        problems = [f"{feed.mapping.source}: {feed.problem}" for feed in self._feeds if feed.problem]
        problems = ([self._problem] if self._problem else []) + problems
        return not problems, "; ".join(problems) or "reading"

    @property
    def holds(self) -> list[tuple[str, Hold]]:
        """Source and snapshot that is held."""
        return [(feed.mapping.source, hold) for feed in self._feeds for hold in feed.ingest.holds.values()]

    def close(self) -> None:
        """Let go of all sources."""
        for feed in self._feeds:
            feed.source.close()

    def wait_for_parts(self, stop: threading.Event, patience_s: float | None = None) -> None:
        """Return when broker, topics and registry are there. Says what it waits for; `patience_s` ends the waiting.

        A Terminal error (a topic or schema that is not as agreed) is raised at once.
        """
        deadline = None if patience_s is None else time.monotonic() + patience_s
        tries = 0
        while not stop.is_set():
            try:
                check_parts(self._settings, self._parts)
            except Transient as error:
                pause = RETRY_S[min(tries, len(RETRY_S) - 1)]
                if deadline is not None and time.monotonic() + pause > deadline:
                    raise
                self._problem = str(error)
                self._log.warning("waiting for a part", error=error.code, remedy=str(error), again_in_s=pause)
                tries += 1
                stop.wait(pause)
            else:
                self._problem = ""
                return

    def run(self, stop: threading.Event) -> None:
        """Poll until told to stop; the batch at hand is finished."""
        self.wait_for_parts(stop)
        while not stop.is_set():
            now = time.monotonic()
            for feed in self._feeds:
                if feed.due <= now and not stop.is_set():
                    self._poll_patiently(feed, stop)
            pause = min((feed.due for feed in self._feeds), default=now) - time.monotonic()
            stop.wait(max(0.05, pause))

    def run_once(self, stop: threading.Event, patience_s: float) -> list[HubError]:
        """Read every source to its end once; the errors of those that could not be."""
        self.wait_for_parts(stop, patience_s)
        errors: list[HubError] = []
        for feed in self._feeds:
            if not stop.is_set():
                error = self._poll_patiently(feed, stop)
                errors += [error] if error is not None else []
        return errors

    def _poll_patiently(self, feed: _Feed, stop: threading.Event) -> HubError | None:
        """One poll; an error is logged and kept for /ready, and the source waits its time."""
        source = feed.mapping.source
        began = time.time()
        try:
            self._poll(feed, stop)
        except HubError as error:
            pause = MEND_S if isinstance(error, Terminal) else RETRY_S[min(feed.failures, len(RETRY_S) - 1)]
            if feed.problem != str(error) or isinstance(error, Transient):
                self._log.warning(
                    "source not read", source=source, error=error.code, remedy=str(error), again_in_s=pause
                )
            feed.failures += 1
            feed.problem = str(error)
            feed.due = time.monotonic() + pause
            _UP.labels(source).set(0)
            return error
        feed.failures, feed.problem = 0, ""
        feed.due = time.monotonic() + feed.mapping.poll_every.total_seconds()
        _UP.labels(source).set(1)
        _POLLED.labels(source).set(began)
        return None

    def _poll(self, feed: _Feed, stop: threading.Event) -> None:
        """Every stream in turn; one that cannot be read does not keep the others from being read."""
        failed: HubError | None = None
        with source_lock(self._engine, feed.mapping.source, LOCK_WAIT_S):
            feed.ingest.reload()
            before = dict(feed.ingest.holds)
            for stream in feed.mapping.streams:
                try:
                    self._read(feed, stream, stop)
                except (SourceUnavailable, Terminal) as error:
                    failed = error
                    feed.ingest.reload()  # what the failed batch had in mind is not so
                if stop.is_set():
                    break
            self._show_holds(feed, before)
        if failed is not None:
            raise failed

    def _read(self, feed: _Feed, stream: Stream, stop: threading.Event) -> None:
        source = feed.mapping.source
        batches = feed.source.poll(stream, feed.ingest.records, self._parts.clock.now_ms())
        for batch in batches:
            counts, newest = feed.ingest.apply(batch)
            for (topic, kind), count in counts.items():
                _RECORDS.labels(source, topic, kind).inc(max(0, count))
            if newest > feed.newest_ms:
                feed.newest_ms = newest
                _LAG.labels(source).set_function(lambda: (self._parts.clock.now_ms() - feed.newest_ms) / 1000)
            self._report(source, stream, counts)
            if stop.is_set():
                return

    def _show_holds(self, feed: _Feed, before: dict[str, Hold]) -> None:
        source = feed.mapping.source
        for stream in feed.mapping.streams:
            hold = feed.ingest.holds.get(stream.id)
            _HELD.labels(source, stream.id).set(0 if hold is None else hold.vanished)
            if hold is not None and before.get(stream.id) != hold:
                self._log.warning("snapshot held", source=source, stream=stream.id, remedy=hold_text(source, hold))


def hold_text(source: str, hold: Hold) -> str:
    """A held snapshot in words, with its remedy."""
    doubt = f", and {hold.unreadable} rows have no readable record id" if hold.unreadable else ""
    return (
        f"{source} {hold.stream}: {hold.vanished} of {hold.of} records vanished at once{doubt}; none is annulled — "
        f"ask the department; if it is right, run `hub connect --accept-shrink {source}`"
    )


def accept_shrink(engine: Engine, mapping: SourceMapping, now_ms: int) -> list[str]:
    """Let the held snapshots of a source be believed at their next reading; ids of their streams."""
    records = Records(engine, mapping.source)
    with source_lock(engine, mapping.source, LOCK_WAIT_S):
        records.reload()
        held = [stream.id for stream in mapping.streams if records.position(stream.id).get("held")]
        positions = {stream: {**records.position(stream), "accept": True} for stream in held}
        records.settle(positions, {}, False, now_ms)
    return held
