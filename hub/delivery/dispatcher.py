"""`hub dispatch`: takes alerts in, sends them to their lines, publishes what came back. One process under one name.

The main loop reads alerts.v1, lets released shadow rows out and publishes; the sender runs in a thread of its own, so
that a broker that is away does not keep accepted alerts from their lines, nor a slow line the broker's alerts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from hashlib import blake2b
from typing import Final

from confluent_kafka import Message as KafkaMessage
from prometheus_client import Counter, Gauge
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hub.delivery.holds import Rates, let_out
from hub.delivery.lines import Register
from hub.delivery.outbox import Gate, take
from hub.delivery.publisher import publish
from hub.delivery.secrets import ensure_secrets, read_secrets, secrets_path
from hub.delivery.sender import Sender
from hub.domain.codes import QUARANTINE_REASONS
from hub.domain.messages import Alert
from hub.errors import ConfigurationError, DataFault, Transient
from hub.ops.clock import Clock
from hub.ops.logs import logger
from hub.settings import Settings
from hub.store.db import session, upsert, write_what_fits
from hub.store.models import Outbox, QuarantineRow, Release
from hub.streams.codec import Codec
from hub.streams.consumers import StoreConsumer
from hub.streams.producers import producer
from hub.streams.topics import ALERTS
from hub.vault.cards import Vault

NAME: Final = "dispatcher"
BATCH: Final = 500
"""Alerts taken in one transaction: some 4 MB of bodies, well under a second of writing."""

POLL_S: Final = 0.2
RETRY_S: Final = 3.0
"""Pause after a Transient error before starting again from the store."""

GAUGE_S: Final = 2.0
"""How often the gauges are measured."""

_ALERTS = Counter("hub_alerts", "Alert revisions taken in", ("rule", "state", "to"))
_PUBLISHED = Counter("hub_answers_published", "Dispositions and receipts published")
_UNREADABLE = Counter("hub_dispatcher_unreadable", "Messages of alerts.v1 that were quarantined", ("reason",))
_DEPTH = Gauge("hub_outbox_depth", "Revisions that are not delivered", ("line", "state"))
_AGE = Gauge("hub_outbox_age_seconds", "Age of the oldest pending revision", ("line",))
_LAG = Gauge("hub_dispatcher_lag_records", "Alerts not yet taken in")
_LAG_SECONDS = Gauge("hub_dispatcher_lag_seconds", "Age of the last alert read while more are waiting, else 0")


class Dispatcher:
    """The loops of the dispatcher process."""

    def __init__(self, settings: Settings, engine: Engine, vault: Vault, register: Register) -> None:
        self._settings = settings
        self._engine = engine
        self._vault = vault
        self._register = register
        self._lines = register.by_id()
        self._clock = Clock(settings)
        self._codec = Codec(settings.registry_url)
        self._rates = Rates()
        self._log = logger("delivery")
        self._measured = 0.0
        self._last_timestamp_ms = 0
        self._sender_failure: BaseException | None = None
        self._sending = False
        self._reading = False
        ensure_secrets(settings)
        self._sender = Sender(
            engine=engine,
            vault=vault,
            register=register,
            secrets=lambda: read_secrets(secrets_path(settings)),
            region=settings.region,
            now_ms=Clock(settings).now_ms,  # its own: a clock serves one thread
        )

    def ready(self) -> tuple[bool, str]:
        """Whether alerts are read and sent now."""
        if not self._sending:
            return False, "not sending"
        return self._reading, "reading" if self._reading else "waiting for Kafka, the registry or the store"

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop. A Transient error is logged and the work taken up again from the store.

        Whatever ends the sender ends this too: a dispatcher that reads and does not send would look healthy.
        """
        sender_stop = threading.Event()
        sender = threading.Thread(target=self._send, args=(sender_stop, stop), name="sender")
        sender.start()
        try:
            while not stop.is_set():
                try:
                    self._serve(stop)
                except Transient as error:
                    self._reading = False
                    self._log.warning("waiting for a part that does not answer", error=error.code, remedy=str(error))
                    stop.wait(RETRY_S)
        finally:
            self._reading = False
            sender_stop.set()
            sender.join()
        if self._sender_failure is not None:
            raise self._sender_failure

    def _send(self, stop: threading.Event, stop_all: threading.Event) -> None:
        self._sending = True
        try:
            self._sender.run(stop)
        except BaseExceptionGroup as group:
            self._sender_failure = group.exceptions[0]
        except BaseException as error:
            self._sender_failure = error
        finally:
            self._sending = False
            if self._sender_failure is not None:
                stop_all.set()

    def _serve(self, stop: threading.Event) -> None:
        with (
            closing(StoreConsumer(self._settings, NAME, [ALERTS.name], self._engine)) as consumer,
            closing(producer(self._settings)) as out,
        ):
            self._reading = True
            while not stop.is_set():
                taken = self._take(consumer)
                self._let_out()
                _PUBLISHED.inc(publish(self._engine, self._codec, out))
                if time.monotonic() - self._measured >= GAUGE_S:
                    self._measured = time.monotonic()
                    self._measure(consumer, idle=not taken)

    def _take(self, consumer: StoreConsumer) -> int:
        """One batch: read, decode, write with its offsets. Returns the messages read."""
        messages = consumer.poll(BATCH, POLL_S)
        if not messages:
            consumer.settle()
            return 0
        alerts: list[tuple[KafkaMessage, Alert]] = []
        unreadable: list[tuple[KafkaMessage, DataFault]] = []
        for message in messages:
            self._last_timestamp_ms = message.timestamp()[1]
            value = message.value()
            if value is None:
                continue  # nobody deletes on this topic; a tombstone says nothing
            try:
                alert = self._codec.decode(ALERTS.name, value)
            except DataFault as fault:
                unreadable.append((message, fault))
                continue
            if isinstance(alert, Alert):
                alerts.append((message, alert))
        stray = sorted({alert.line for _message, alert in alerts} - self._lines.keys())
        if stray:
            raise ConfigurationError(
                f"alerts for {', '.join(stray)}, which the register of lines lacks — add the line and start again"
            )
        now = self._clock.now_ms()
        taken: list[tuple[Alert, str]] = []
        with session(self._engine) as db:
            releases = tuple(db.scalars(select(Release)))
            gate = Gate(region=self._settings.region, releases=releases, budgets=self._register.delivery.budgets)

            def write(some: Sequence[tuple[KafkaMessage, Alert]]) -> None:
                found = take(db, [alert for _message, alert in some], gate, now)
                db.flush()  # what the database refuses is not taken
                taken.extend(found)

            unreadable += [(message, _unkept()) for message, _alert in write_what_fits(db, alerts, write)]
            self._quarantine(db, unreadable, now)
            consumer.record_offsets(db)
        for alert, state in taken:
            _ALERTS.labels(alert.rule, alert.state, state).inc()
        return len(messages)

    def _quarantine(self, db: Session, unreadable: Sequence[tuple[KafkaMessage, DataFault]], now: int) -> None:
        """Keep what cannot be read, sealed, beside the other bad records: the alerts after it go on."""
        rows = []
        for message, fault in unreadable:
            locator = f"{message.topic()}-{message.partition()}-{message.offset()}"
            _UNREADABLE.labels(fault.reason).inc()
            self._log.error("unreadable alert quarantined", locator=locator, reason=fault.reason, remedy=fault.remedy)
            rows.append(
                {
                    "quarantine_id": blake2b(locator.encode(), digest_size=16).hexdigest(),
                    "stage": NAME,
                    "source": fault.source,
                    "topic": ALERTS.name,
                    "locator": locator,
                    "record_id": None,
                    "field": fault.field,
                    "reason": fault.reason,
                    "value_class": fault.value_class,
                    "message": f"{QUARANTINE_REASONS[fault.reason]}: {fault.remedy}",
                    "original": self._vault.sealer.seal(message.value() or b""),
                    "mapping_hash": None,
                    "attempt": 0,
                    "received_at": message.timestamp()[1],
                    "state": "waiting",
                    "changed_at": now,
                }
            )
        upsert(db, QuarantineRow, rows, update=())

    def _let_out(self) -> None:
        """Released shadow rows leave at the rate of their release."""
        with session(self._engine, writes=False) as db:
            releases = db.scalars(select(Release)).all()
            waits = db.scalar(select(Outbox.alert_id).where(Outbox.state == "shadow").limit(1)) is not None
        # A rate is a promise to the lines' servers, so it runs by real time, whatever clock is rehearsed.
        allowed = self._rates.allowance(releases, time.monotonic_ns() // 1_000_000)
        if not waits:
            return
        with session(self._engine) as db:
            for release, share in allowed:
                let_out(db, release, self._settings.region, share, self._clock.now_ms())

    def _measure(self, consumer: StoreConsumer, *, idle: bool) -> None:
        behind = 0 if idle else sum(consumer.lag().values())
        _LAG.set(behind)
        _LAG_SECONDS.set(max(0.0, time.time() - self._last_timestamp_ms / 1000) if behind else 0)
        with session(self._engine, writes=False) as db:
            counted = db.execute(
                select(Outbox.line, Outbox.state, func.count(), func.min(Outbox.created_at))
                .where(Outbox.state.in_(("shadow", "held", "pending", "refused")))
                .group_by(Outbox.line, Outbox.state)
            ).all()
        now = self._clock.now_ms()
        _DEPTH.clear()
        _AGE.clear()
        for line, state, count, oldest in counted:
            _DEPTH.labels(line, state).set(count)
            if state == "pending":
                _AGE.labels(line).set(max(0, now - oldest) / 1000)


def _unkept() -> DataFault:
    return DataFault(
        ALERTS.name,
        "unreadable",
        "value",
        "schema_misfit",
        "a text longer than any of the hub's, or with a NUL in it",
        "see who writes to alerts.v1 beside the worker",
    )
