"""Sending: due revisions are signed and posted to their lines; identity is opened at that moment and never kept.

A revision is marked accepted after the line's 2xx. A crash in between sends it again under the same webhook-id, and
the line recognises it. Only endpoints of the register are asked, redirects are not followed, no proxy is used.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import aiohttp
import msgspec
from prometheus_client import Counter, Histogram
from sqlalchemy import Engine

from hub.delivery.claims import Claims, Key
from hub.delivery.envelope import CONTENT_TYPE, event
from hub.delivery.lines import Line, Register
from hub.delivery.schedule import retry_after_s
from hub.delivery.secrets import Pair
from hub.delivery.signing import signed
from hub.domain.messages import Alert
from hub.errors import (
    ConfigurationError,
    DeliveryRefused,
    DeliveryRefusedForNow,
    EndpointGone,
    PurposeRefused,
    Transient,
    VaultError,
)
from hub.ops.logs import logger
from hub.store.models import Outbox
from hub.vault.cards import Vault

POLL_S: Final = 0.1
"""How often the outbox is looked at: well below a line's latency, and cheap by its index."""

RETRY_S: Final = 3.0
"""Pause after the store or the vault did not answer."""

ACTOR: Final = "dispatcher"
TRANSIENT_STATUS: Final = frozenset({408, 425, 429})
"""4xx answers that are worth another attempt (RFC 9110, RFC 8470, RFC 6585); the rest are about the message itself."""

_DELIVERIES = Counter("hub_deliveries", "Attempts to deliver, by what came of them", ("line", "result"))
_SECONDS = Histogram("hub_delivery_seconds", "Seconds a line took to answer", ("line",))


class Sender:
    """Sends until told to stop. Runs its own event loop; call `run` in a thread of its own."""

    def __init__(
        self,
        *,
        engine: Engine,
        vault: Vault,
        register: Register,
        secrets: Callable[[], Mapping[str, Pair]],
        region: str,
        now_ms: Callable[[], int],
    ) -> None:
        plan = register.delivery
        self._lines = register.by_id()
        self._claims = Claims(engine, plan.schedule_s, plan.concurrency)
        self._timeout = aiohttp.ClientTimeout(total=plan.timeout_s)
        self._vault = vault
        self._secrets = secrets
        self._region = region
        self._now_ms = now_ms
        self._in_flight: dict[Key, str] = {}
        self._log = logger("delivery")
        for line in register.lines:
            vault.purposes.add_line(line.id, line.name, line.identity_fields, line.basis)

    def run(self, stop: threading.Event) -> None:
        """Send what is due until `stop`; what is on the wire then is waited for."""
        asyncio.run(self._run(stop))

    async def _run(self, stop: threading.Event) -> None:
        # A department's name may change its address; nothing of an answer but its status is of use.
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            ) as client,
            asyncio.TaskGroup() as tasks,
        ):
            while not stop.is_set():
                try:
                    due = await asyncio.to_thread(
                        self._claims.due, self._lines.keys(), dict(self._in_flight), self._now_ms()
                    )
                except Transient as error:
                    self._log.warning("waiting for the store", error=error.code, remedy=str(error))
                    await asyncio.sleep(RETRY_S)
                    continue
                for row in due:
                    self._in_flight[row.alert_id, row.revision] = row.line
                    tasks.create_task(self._deliver(client, row))
                await asyncio.sleep(POLL_S)

    async def _deliver(self, client: aiohttp.ClientSession, row: Outbox) -> None:
        """One attempt. An unexpected error leaves the row pending and ends the process."""
        line = self._lines[row.line]
        try:
            try:
                body = await asyncio.to_thread(self._body, row, line)
                await self._post(client, row, line, body)
            except EndpointGone as error:
                self._count(line, "gone")
                self._log.error("endpoint disabled", line=line.id, remedy=str(error))
                await asyncio.to_thread(self._claims.gone, row, error.answer, self._now_ms())
            except DeliveryRefused as error:
                await self._refuse(row, line, error.answer, str(error))
            except (PurposeRefused, VaultError) as error:
                await self._refuse(row, line, error.code, str(error))
            except DeliveryRefusedForNow as error:
                again = await asyncio.to_thread(
                    self._claims.failed, row, error.answer, error.retry_after_s, self._now_ms()
                )
                self._count(line, "failed" if again else "given_up")
            else:
                await asyncio.to_thread(self._claims.accepted, row, self._now_ms())
                self._count(line, "accepted")
        except Transient as error:
            # The store or the vault: the row is as it was, and is sent again under the same id.
            self._log.warning("delivery not recorded", line=line.id, error=error.code, remedy=str(error))
            await asyncio.sleep(RETRY_S)
        finally:
            del self._in_flight[row.alert_id, row.revision]

    async def _refuse(self, row: Outbox, line: Line, answer: str, remedy: str) -> None:
        self._count(line, "refused")
        self._log.error("delivery refused", line=line.id, answer=answer, remedy=remedy)
        await asyncio.to_thread(self._claims.refused, row, answer)

    def _body(self, row: Outbox, line: Line) -> bytes:
        """The event to send. A withdrawal opens nothing: the line knows the alert by its id."""
        alert = msgspec.convert(row.body, Alert)
        identity: dict[str, dict[str, str]] = {}
        if line.identity_fields and alert.people and alert.state != "WITHDRAWN":
            openings = self._vault.open_many(
                (person.person for person in alert.people),
                line.identity_fields,
                f"delivery.{line.id}",
                ACTOR,
                f"alert{alert.alert_id}",  # with letters before it, an id of digits only is no citizen number
            )
            identity = {token: opening.fields for token, opening in openings.items()}
        return event(alert, line, self._region, identity)

    async def _post(self, client: aiohttp.ClientSession, row: Outbox, line: Line, body: bytes) -> None:
        """Post once. Returns on 2xx; else EndpointGone, DeliveryRefused or DeliveryRefusedForNow."""
        secrets = self._secrets().get(line.secret)
        if secrets is None:
            raise ConfigurationError(f"there is no webhook secret {line.secret} — run `hub dispatch --init`")
        headers = {"Content-Type": CONTENT_TYPE, **signed(secrets.to_line, row.webhook_id, body)}
        try:
            with _SECONDS.labels(line.id).time():
                async with client.post(line.endpoint, data=body, headers=headers, allow_redirects=False) as answer:
                    status, retry_after = answer.status, answer.headers.get("Retry-After")
        except TimeoutError as error:
            raise DeliveryRefusedForNow(f"line {line.id} did not answer in time — see its server", "timeout") from error
        except aiohttp.ClientError as error:
            raise DeliveryRefusedForNow(f"line {line.id} cannot be reached — see its server", "unreachable") from error
        judge(line.id, status, retry_after, datetime.now(UTC))

    @staticmethod
    def _count(line: Line, result: str) -> None:
        _DELIVERIES.labels(line.id, result).inc()


def judge(line: str, status: int, retry_after: str | None, now: datetime) -> None:
    """What a status means: nothing on 2xx, else the error to act on.

    A redirect is not followed and counts as a failure: it tells of an endpoint whose address must be mended, and the
    schedule leaves days for that.
    """
    answer = f"http_{status}"
    if 200 <= status < 300:
        return
    if status == 410:
        raise EndpointGone(
            f"line {line} says that its endpoint is gone — ask it for the new one, then `hub hold enable {line}`",
            answer,
        )
    if 400 <= status < 500 and status not in TRANSIENT_STATUS:
        raise DeliveryRefused(
            f"line {line} refused an alert with {status} — settle it with the line, then `hub hold retry {line}`",
            answer,
        )
    raise DeliveryRefusedForNow(
        f"line {line} answered {status} — see its server", answer, retry_after_s(retry_after, now)
    )
