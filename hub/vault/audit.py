"""The audit chain: one row for every opening, refusal and erasure, each bound to the one before it.

link(n) = HMAC-SHA-256(audit key, link(n - 1) ‖ row n). A row that was changed, removed or put in between breaks the
chain from there on, and who can write the table but not read the key file cannot mend it. The head row tells a cut
tail. A whole database put back to an earlier day is told by an anchor only: a link noted down elsewhere
(`hub vault audit verify` prints it) that must still be in the chain.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from hub.errors import PurposeRefused
from hub.vault.models import AUDIT, AUDIT_HEAD

START: Final = "0" * 64
"""Link before the first row."""

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/#-]{0,99}")
_LONG_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{11,}[Xx]?(?![0-9A-Za-z])")

Action = Literal["open", "open_record", "erase"]
Outcome = Literal["opened", "no_card", "erased", "refused"]


class Entry(Struct, frozen=True, kw_only=True):
    """What is recorded of one person. `at` in UTC milliseconds; `fields` are names of fields, never their values."""

    at: int
    action: Action
    person: str
    fields: tuple[str, ...] = ()
    purpose: str
    actor: str
    reason: str
    outcome: Outcome


class AuditReport(Struct, frozen=True):
    """Outcome of a verification. `broken` is the seq of the first row that does not fit, `why` says how."""

    rows: int
    head: str
    broken: int | None = None
    why: str | None = None
    anchor_found: bool | None = None

    @property
    def whole(self) -> bool:
        """No row is broken and the anchor, if one was given, is there."""
        return self.broken is None and self.anchor_found is not False


def require_code(field: str, text: str) -> None:
    """Actor and reason are codes or references (as `web:li`, an alert id), since free text could name a person.

    PurposeRefused for anything else, and for a bare number as long as a telephone or citizen number. The text itself
    is not repeated.
    """
    if not _CODE.fullmatch(text) or _LONG_NUMBER.search(text):
        raise PurposeRefused(
            f"the {field} of an opening must be a code or a reference, such as an alert id, and no free text — "
            "pass up to 100 letters, digits and ._:@/#- without a telephone or citizen number"
        )


class AuditChain:
    """Appends to the chain and verifies it."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def append(self, db: Session, entries: Sequence[Entry]) -> None:
        """Append in the caller's writing transaction: what is not committed was not audited, and must not be shown.

        The head row is locked first (SQLite: the transaction is IMMEDIATE), so processes append one after the other.
        """
        if not entries:
            return
        head = db.execute(select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.link).with_for_update()).one()
        seq, link = head.seq, head.link
        rows = []
        for entry in entries:
            seq += 1
            values = msgspec.structs.asdict(entry) | {"seq": seq, "fields": ",".join(sorted(entry.fields))}
            link = self._link(link, values)
            rows.append({**values, "link": link})
        db.execute(insert(AUDIT), rows)
        db.execute(update(AUDIT_HEAD).values(seq=seq, link=link))

    def verify(self, db: Session, anchor: str | None = None) -> AuditReport:
        """Walk the whole chain, in constant memory. Rows appended meanwhile are welcome."""
        head = db.execute(select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.link)).one()
        seq, link, found = 0, START, anchor == START
        in_order = select(AUDIT).order_by(AUDIT.c.seq).execution_options(yield_per=1000)
        with db.execute(in_order) as result:  # closed at the first broken row too
            for row in result.mappings():
                if row["seq"] != seq + 1:
                    return AuditReport(seq, link, seq + 1, "the row is missing")
                if not hmac.compare_digest(self._link(link, dict(row)), row["link"]):
                    return AuditReport(seq, link, seq + 1, "the row, or the link before it, was changed")
                seq, link = seq + 1, row["link"]
                if seq == head.seq and link != head.link:
                    return AuditReport(seq, link, seq, "the head names another link for this row")
                found = found or link == anchor
        if seq < head.seq:
            return AuditReport(seq, link, seq + 1, "the rows from here to the head are missing")
        return AuditReport(seq, link, anchor_found=None if anchor is None else found)

    def _link(self, before: str, values: dict[str, object]) -> str:
        row = [values[column.name] for column in AUDIT.columns if column.name != "link"]
        return hmac.digest(self._key, before.encode() + msgspec.json.encode(row), "sha256").hex()
