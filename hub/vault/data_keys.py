"""The data key of each person: made when something of theirs is first sealed, kept wrapped, gone on erasure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub.errors import VaultError
from hub.store.db import in_lists
from hub.vault.envelope import Wrapping
from hub.vault.models import PERSON_KEY

_TOKEN: Final = re.compile(r"[0-9a-f]{32}")


class DataKeys:
    """Looks keys up and makes them; `insert` is that of the database's dialect."""

    def __init__(self, wrapping: Wrapping, insert: Callable[..., Any]) -> None:
        self._wrapping = wrapping
        self._insert = insert

    def held(self, db: Session, people: Iterable[str]) -> dict[str, bytes | None]:
        """Of those who have one; None for an erased person. VaultError where a key was altered."""
        held: dict[str, bytes | None] = {}
        for chunk in in_lists(people):
            for row in db.execute(select(PERSON_KEY).where(PERSON_KEY.c.person.in_(chunk))):
                if row.erased_at is not None:
                    held[row.person] = None
                else:
                    held[row.person] = self._wrapping.unwrap(row.person, row.key_id, row.wrapped or b"")
        return held

    def made(self, db: Session, people: Collection[str]) -> dict[str, bytes | None]:
        """Of each person, made where there is none; None for an erased person. VaultError as `held`."""
        require_tokens(people)
        held = self.held(db, people)
        missing = sorted(set(people) - held.keys())
        if missing:
            rows = [
                {
                    "person": person,
                    "key_id": self._wrapping.active,
                    "wrapped": self._wrapping.new_key(person),
                    "erased_at": None,
                }
                for person in missing
            ]
            db.execute(self._insert(PERSON_KEY).on_conflict_do_nothing(), rows)
            # Read back: another process may have been first.
            held |= self.held(db, missing)
        return held


def require_tokens(people: Collection[str]) -> None:
    """VaultError unless every person is named by a token."""
    if not all(_TOKEN.fullmatch(person) for person in people):
        raise VaultError("a person is not named by a token of 32 hex digits — make it with Tokens.person_token")
