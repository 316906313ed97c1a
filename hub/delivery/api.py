"""The lines' side of the API: `POST /api/v1/receipts`, signed by Standard Webhooks with the line's own secret.

A receipt answers one delivered revision. It is idempotent by `receipt_id`: a repeat is answered as the first was, the
same id with another content is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from prometheus_client import Counter
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hub.delivery.dispositions import locked_case, record_answer
from hub.delivery.lines import load_register
from hub.delivery.outbox import add_history
from hub.delivery.secrets import read_secrets, secrets_path
from hub.delivery.signing import verified
from hub.domain.codes import OUTCOME, OUTCOME_REASON
from hub.domain.messages import Receipt
from hub.errors import ConfigurationError, StoreUnavailable
from hub.ops.clock import Clock
from hub.ops.logs import logger
from hub.settings import Settings
from hub.store.db import open_store, session
from hub.store.models import Outbox, ReceiptRow

PATH: Final = "/api/v1/receipts"
MAX_BYTES: Final = 16_384
"""A receipt is a few hundred bytes; whoever sends more is not answering an alert."""

MAX_ID: Final = 64
"""Longest receipt id that the store keeps."""

_RECEIPTS = Counter("hub_receipts", "Receipts by line and what was answered", ("line", "result"))

Reply = tuple[int, dict[str, Any]]


class Receipts:
    """Takes receipts into the store."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._clock = Clock(settings)
        self._secrets_path = secrets_path(settings)
        self._secret_names = {line.id: line.secret for line in load_register(settings).lines}
        self._log = logger("delivery")

    async def receive(self, request: Request) -> JSONResponse:
        """One receipt: 200 with its id, 400 unfit, 401 not signed by its line, 404 nothing like it was sent, 409."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BYTES:
                return _answer("", (413, _error("too_large", f"send at most {MAX_BYTES} bytes")))
        try:
            receipt = msgspec.json.decode(body, type=Receipt)
        except msgspec.MsgspecError:
            return _answer("", (400, _error("unfit", "send a receipt as schemas/receipts.v1.avsc has it, as JSON")))
        if receipt.line not in self._secret_names:
            return _answer("", (401, _error("not_signed", "sign with the line's secret (Standard Webhooks)")))
        try:
            reply = await asyncio.to_thread(self._take, receipt, dict(request.headers), body)
        except StoreUnavailable:
            reply = 503, _error("store_unavailable", "try again later")
        except ConfigurationError as error:
            self._log.error("receipts cannot be checked", remedy=str(error))
            reply = 503, _error("not_ready", "try again later")
        return _answer(receipt.line, reply)

    def _take(self, receipt: Receipt, headers: Mapping[str, str], body: bytes) -> Reply:
        secrets = read_secrets(self._secrets_path).get(self._secret_names[receipt.line])
        if secrets is None or not verified(secrets.from_line, headers, body):
            return 401, _error("not_signed", "sign with the line's secret (Standard Webhooks)")
        fault = _fault(receipt)
        if fault:
            return 400, _error("unfit", fault)
        with session(self._engine) as db:
            return take_receipt(db, receipt, self._clock.now_ms())


def take_receipt(db: Session, receipt: Receipt, now_ms: int) -> Reply:
    """Write a checked receipt, its history, and the disposition it reports, in the caller's writing transaction."""
    case = locked_case(db, receipt.alert_id)
    held = db.get(ReceiptRow, receipt.receipt_id)
    content: dict[str, Any] = msgspec.to_builtins(receipt)
    if held is not None:
        if held.body == content:
            return 200, {"receipt_id": receipt.receipt_id, "repeated": True}
        return 409, _error("other_content", "this receipt_id was used for another content; use a new one")
    sent = db.scalars(
        select(Outbox).where(
            Outbox.alert_id == receipt.alert_id, Outbox.revision == receipt.revision, Outbox.line == receipt.line
        )
    ).one_or_none()
    if sent is None or sent.state not in ("pending", "accepted", "refused"):
        return 404, _error("unknown_alert", "this revision was not sent to this line")
    db.add(
        ReceiptRow(
            receipt_id=receipt.receipt_id,
            alert_id=receipt.alert_id,
            revision=receipt.revision,
            line=receipt.line,
            status=receipt.status,
            body=content,
            made_at=receipt.made_at,
            published=False,
        )
    )
    actor = f"line:{receipt.line}"
    add_history(db, sent, "receipt", actor, now_ms, {"status": receipt.status})
    if receipt.outcome is not None:
        record_answer(
            db,
            case=case,
            sent=sent,
            disposition_id=hashlib.blake2b(receipt.receipt_id.encode(), digest_size=16).hexdigest(),
            outcome=receipt.outcome,
            reason=receipt.reason,
            by=actor,
            now_ms=now_ms,
        )
    return 200, {"receipt_id": receipt.receipt_id, "repeated": False}


def routes(settings: Settings, engine: Engine | None = None) -> list[Route]:
    """Routes for the process that serves pages, over its store, or one opened here."""
    return [Route(PATH, Receipts(settings, engine or open_store(settings.store)).receive, methods=["POST"])]


def _fault(receipt: Receipt) -> str | None:
    if not 0 < len(receipt.receipt_id) <= MAX_ID:
        return f"receipt_id has 1 to {MAX_ID} characters"
    if receipt.outcome is not None and receipt.outcome not in OUTCOME:
        return f"outcome is one of {', '.join(sorted(OUTCOME))}"
    if receipt.reason is not None and receipt.reason not in OUTCOME_REASON:
        return f"reason is one of {', '.join(sorted(OUTCOME_REASON))}"
    if receipt.outcome is None and receipt.reason is not None:
        return "a reason needs an outcome"
    return None


def _error(code: str, remedy: str) -> dict[str, Any]:
    return {"error": code, "remedy": remedy}


def _answer(line: str, reply: Reply) -> JSONResponse:
    status, content = reply
    _RECEIPTS.labels(line or "unknown", str(content.get("error", "taken"))).inc()
    headers = {"Retry-After": "5"} if status == 503 else None
    return JSONResponse(content, status_code=status, headers=headers)
