"""`hub receiver`: the reference downstream. What a line's system has to do, in one file, on a store of its own.

It verifies the signature, stores once per webhook id, answers 2xx with the receipt's id, and later posts its receipts
to the hub, signed with its own secret, until the hub has taken them. It can be told to fail, to show what the hub does.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import aiohttp
import msgspec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest
from sqlalchemy import Engine, func, select, update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.delivery.api import PATH
from hub.delivery.lines import Line
from hub.delivery.secrets import Pair
from hub.delivery.signing import signed, verified
from hub.domain.messages import Receipt
from hub.errors import ConfigurationError, StoreUnavailable
from hub.ops.logs import logger
from hub.store.db import session, upsert
from hub.store.models import Owed, Received

MAX_BYTES: Final = 1_048_576
CALL_BACK_S: Final = 0.3
"""How often owed receipts are looked at."""

HUB_AWAY_S: Final = 2.0
"""Pause while the hub does not take receipts."""

TIMEOUT_S: Final = 15.0
BATCH: Final = 50

FINAL: Final = frozenset({400, 404, 409, 413})
"""Answers of the hub after which the same receipt need not be sent again; it must not keep the others waiting."""

ANSWERS: Final[dict[str, tuple[str, str | None]]] = {
    "0": ("helped", None),
    "1": ("not_eligible", "income_changed"),
    "2": ("already_served", "paid_elsewhere"),
    "3": ("unreachable", None),
}
"""First digit of the alert's id → outcome and reason with `--answer handle`: a quarter of the cases is decided, evenly
over all rules, the rest stays open. The policy is arbitrary and visible; a real line's outcome is its caseworker's."""

_OWED = Gauge("hub_receiver_owed_receipts", "Receipts that the hub has not taken yet")
_RECEIVED = Counter("hub_receiver_deliveries", "Deliveries by line and what was answered", ("line", "status"))


class Failing(Struct):
    """How the receiver is told to fail; `left` counts down."""

    status: int = 0
    left: int = 0
    retry_after: str | None = None
    slow_s: float = 0.0
    gone: bool = False


class _Alert(Struct):
    alert_id: str
    revision: int
    state: str


class _Data(Struct):
    alert: _Alert


class _Event(Struct):
    id: str
    data: _Data


class Receiver:
    """Receives for all lines of a register, as twelve systems would each for its own."""

    def __init__(
        self,
        *,
        engine: Engine,
        lines: tuple[Line, ...],
        secrets: Callable[[], dict[str, Pair]],
        hub_url: str,
        answer: Literal["accept", "handle"],
        failing: Failing,
        now_ms: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._secret_names = {line.id: line.secret for line in lines}
        self._secrets = secrets
        self._hub_url = hub_url.rstrip("/")
        self._answer = answer
        self._failing = failing
        self._now_ms = now_ms
        self._log = logger("receiver")

    def app(self) -> Starlette:
        """The site: `POST /lines/{line}`, `/live`, `/ready`, `/metrics`."""

        async def well(_request: Request) -> Response:
            return JSONResponse({"ok": True, "detail": "receiving"})

        async def metrics(_request: Request) -> Response:
            _OWED.set(await asyncio.to_thread(self._owes))
            return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

        @asynccontextmanager
        async def calling_back(_app: Starlette) -> AsyncIterator[None]:
            task = asyncio.create_task(self._call_back())
            yield
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        return Starlette(
            routes=[
                Route("/lines/{line}", self.receive, methods=["POST"]),
                Route("/live", well),
                Route("/ready", well),
                Route("/metrics", metrics),
            ],
            lifespan=calling_back,
        )

    async def receive(self, request: Request) -> Response:
        """One delivery."""
        line = request.path_params["line"]
        answer = await self._received(request, line)
        _RECEIVED.labels(line if line in self._secret_names else "unknown", str(answer.status_code)).inc()
        return answer

    async def _received(self, request: Request, line: str) -> Response:
        failing = self._failing
        if failing.gone:
            return JSONResponse({"error": "gone"}, status_code=410)
        if failing.left > 0:
            failing.left -= 1
            headers = {"Retry-After": failing.retry_after} if failing.retry_after else None
            return JSONResponse({"error": "told to fail"}, status_code=failing.status, headers=headers)
        if line not in self._secret_names:
            return JSONResponse({"error": "no such line"}, status_code=404)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BYTES:
                return JSONResponse({"error": "too large"}, status_code=413)
        secrets = self._secrets().get(self._secret_names[line])
        if secrets is None or not verified(secrets.to_line, dict(request.headers), body):
            return JSONResponse({"error": "not signed by the hub"}, status_code=401)
        try:
            event = msgspec.json.decode(body, type=_Event)
            content = msgspec.json.decode(body)
        except msgspec.MsgspecError:
            return JSONResponse({"error": "no event of an alert"}, status_code=400)
        try:
            first = await asyncio.to_thread(self._store, event, content, line)
        except StoreUnavailable:
            return JSONResponse({"error": "try again"}, status_code=503, headers={"Retry-After": "5"})
        if failing.slow_s:
            await asyncio.sleep(failing.slow_s)  # after storing: what the hub must not take for a loss
        return JSONResponse({"receipt_id": _receipt_id(event.id, "accepted"), "repeated": not first}, status_code=202)

    def _store(self, event: _Event, content: dict[str, Any], line: str) -> bool:
        """Keep a delivery and the receipts it asks for, once per webhook id; True for the first time.

        Identity is used and not kept: the hash is over the alert alone, so that the same alert sent again with a
        mended address is the same delivery.
        """
        digest = hashlib.sha256(msgspec.json.encode(content["data"]["alert"], order="sorted")).hexdigest()
        alert = event.data.alert
        row = {
            "webhook_id": event.id,
            "alert_id": alert.alert_id,
            "revision": alert.revision,
            "line": line,
            "payload_hash": digest,
            "accepted_at": self._now_ms(),
            "times_seen": 1,
        }
        with session(self._engine) as db:
            first = upsert(db, Received, [row], update=()) == 1
            if not first:
                seen = update(Received).where(Received.webhook_id == event.id)
                db.execute(seen.values(times_seen=Received.times_seen + 1))
                return False
            owed = [
                {"receipt_id": receipt.receipt_id, "body": msgspec.to_builtins(receipt), "sent": False}
                for receipt in self._receipts(event, line)
            ]
            upsert(db, Owed, owed, update=())
        return True

    def _receipts(self, event: _Event, line: str) -> list[Receipt]:
        """What is answered: accepted at once; handled, with an outcome, as the policy says."""
        alert = event.data.alert
        outcomes: list[tuple[Literal["accepted", "handled"], str | None, str | None]] = [("accepted", None, None)]
        decided = ANSWERS.get(alert.alert_id[:1])
        if self._answer == "handle" and alert.state != "WITHDRAWN" and decided is not None:
            outcomes.append(("handled", *decided))
        return [
            Receipt(
                receipt_id=_receipt_id(event.id, status),
                alert_id=alert.alert_id,
                revision=alert.revision,
                line=line,
                status=status,
                outcome=outcome,
                reason=reason,
                made_at=self._now_ms(),
            )
            for status, outcome, reason in outcomes
        ]

    # --- receipts to the hub -----------------------------------------------------------------------------------

    async def _call_back(self) -> None:
        """Post owed receipts until the hub has each: it answers 200 for a new one and for a repeat alike."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as client:
            while True:
                pause = CALL_BACK_S
                try:
                    for row in await asyncio.to_thread(self._owed):
                        if not await self._post(client, msgspec.convert(row.body, Receipt)):
                            pause = HUB_AWAY_S
                            break
                        await asyncio.to_thread(self._sent, row.receipt_id)
                except (aiohttp.ClientError, TimeoutError, StoreUnavailable, ConfigurationError) as error:
                    self._log.warning("receipts wait", error=type(error).__name__)
                    pause = HUB_AWAY_S
                await asyncio.sleep(pause)

    async def _post(self, client: aiohttp.ClientSession, receipt: Receipt) -> bool:
        """True when the hub needs to hear no more of this receipt."""
        body = msgspec.json.encode(receipt)
        secrets = self._secrets()[self._secret_names[receipt.line]]
        headers = {"Content-Type": "application/json", **signed(secrets.from_line[:1], receipt.receipt_id, body)}
        async with client.post(self._hub_url + PATH, data=body, headers=headers, allow_redirects=False) as answer:
            if answer.status in FINAL:
                self._log.error("the hub refuses a receipt for good", status=answer.status)
            elif answer.status != 200:
                self._log.warning("the hub does not take receipts now", status=answer.status)
            return answer.status == 200 or answer.status in FINAL

    def _owed(self) -> list[Owed]:
        with session(self._engine, writes=False) as db:
            return list(db.scalars(select(Owed).where(Owed.sent.is_(False)).order_by(Owed.receipt_id).limit(BATCH)))

    def _owes(self) -> int:
        with session(self._engine, writes=False) as db:
            return db.scalar(select(func.count()).select_from(Owed).where(Owed.sent.is_(False))) or 0

    def _sent(self, receipt_id: str) -> None:
        with session(self._engine) as db:
            db.execute(update(Owed).where(Owed.receipt_id == receipt_id).values(sent=True))


def _receipt_id(webhook_id: str, status: str) -> str:
    """The same receipt has the same id, whoever asks again. In order of ids, accepted comes before handled."""
    return f"rcpt_{hashlib.blake2b(webhook_id.encode(), digest_size=16).hexdigest()}_{status}"
