"""Publishing what pages and lines wrote: dispositions and receipts go from the store to their topics.

A row is marked after Kafka has acknowledged it. A crash in between publishes it again under the same id, and whoever
reads the topic knows it.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Engine, select, update

from hub.domain.messages import Disposition, Receipt
from hub.store.db import session
from hub.store.models import DispositionRow, ReceiptRow
from hub.streams.codec import Codec
from hub.streams.producers import Producer
from hub.streams.topics import DISPOSITIONS, RECEIPTS

BATCH: Final = 500
"""Rows published between two marks; also values in one IN list."""


def publish(engine: Engine, codec: Codec, out: Producer) -> int:
    """Publish up to a batch of dispositions and of receipts, oldest first; returns how many rows were published."""
    with session(engine, writes=False) as db:
        dispositions = db.scalars(
            select(DispositionRow)
            .where(DispositionRow.published.is_(False))
            .order_by(DispositionRow.made_at, DispositionRow.disposition_id)
            .limit(BATCH)
        ).all()
        receipts = db.scalars(
            select(ReceiptRow)
            .where(ReceiptRow.published.is_(False))
            .order_by(ReceiptRow.made_at, ReceiptRow.receipt_id)
            .limit(BATCH)
        ).all()
    if not dispositions and not receipts:
        return 0
    for row in dispositions:
        disposition = msgspec.convert(row.body, Disposition)
        out.send(DISPOSITIONS.name, disposition.home, codec.encode(DISPOSITIONS.name, disposition))
    for answer in receipts:
        receipt = msgspec.convert(answer.body, Receipt)
        out.send(RECEIPTS.name, receipt.alert_id, codec.encode(RECEIPTS.name, receipt))
    out.flush()
    with session(engine) as db:
        made = [row.disposition_id for row in dispositions]
        db.execute(update(DispositionRow).where(DispositionRow.disposition_id.in_(made)).values(published=True))
        came = [row.receipt_id for row in receipts]
        db.execute(update(ReceiptRow).where(ReceiptRow.receipt_id.in_(came)).values(published=True))
    return len(dispositions) + len(receipts)
