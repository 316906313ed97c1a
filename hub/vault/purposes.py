"""The purpose register: for what the vault may be opened. `purposes.yaml` holds it, with the legal ground of each."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from hub.errors import ConfigurationError, PurposeRefused

CARD_FIELDS: Final = ("name", "number", "address", "phone", "birth_date", "sex")
"""What an identity card may hold."""

FIELDS: Final = (*CARD_FIELDS, "number_last4", "record_id")
"""What a purpose may allow: fields of the card, the last four characters of the number, ids of source records."""

DEFAULT: Final = Path(__file__).with_name("purposes.yaml")


class Purpose(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One purpose; purposes.yaml explains each part."""

    id: str
    name: str
    basis: tuple[str, ...]
    fields: tuple[str, ...]
    channels: tuple[str, ...]


class _Lines(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    basis: tuple[str, ...]
    fields: tuple[str, ...]
    channels: tuple[str, ...]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    purposes: tuple[Purpose, ...]
    lines: _Lines


class PurposeRegister:
    """Purposes by id: those of the file, and one for each line that delivery states."""

    def __init__(self, purposes: Collection[Purpose], lines: _Lines) -> None:
        self._lines = lines
        self._purposes: dict[str, Purpose] = {}
        for purpose in purposes:
            self._add(purpose)

    def get(self, purpose_id: str) -> Purpose:
        """The purpose of this id. PurposeRefused when the register has none."""
        found = self._purposes.get(purpose_id)
        if found is None:
            raise PurposeRefused(
                f"no such purpose in the register — use one of {', '.join(sorted(self._purposes))}, or register it"
            )
        return found

    def add_line(self, line: str, name: str, fields: Collection[str], basis: Collection[str] = ()) -> Purpose:
        """Register `delivery.<line>` (again: replaces it), with the fields its register of lines allows it.

        `basis` are articles of the line's own law, beside those common to all lines. ConfigurationError when a field
        goes beyond what any line may get.
        """
        beyond = sorted(set(fields) - set(self._lines.fields))
        if beyond:
            raise ConfigurationError(
                f"line {line}: no line may get {', '.join(beyond)} — leave it out of its identity_fields "
                f"(allowed: {', '.join(self._lines.fields)})"
            )
        purpose = Purpose(
            id=f"delivery.{line}",
            name=f"{self._lines.name}：{name}",
            basis=(*self._lines.basis, *basis),
            fields=tuple(fields),
            channels=self._lines.channels,
        )
        self._purposes.pop(purpose.id, None)
        self._add(purpose)
        return purpose

    def _add(self, purpose: Purpose) -> None:
        unknown = sorted(set(purpose.fields) - set(FIELDS))
        if unknown:
            raise ConfigurationError(
                f"purpose {purpose.id}: unknown field {', '.join(unknown)} — use {', '.join(FIELDS)}"
            )
        if not purpose.basis or not purpose.channels:
            raise ConfigurationError(f"purpose {purpose.id} lacks its basis or its channels — state both")
        if purpose.id in self._purposes:
            raise ConfigurationError(f"purpose {purpose.id} stands twice — keep one")
        self._purposes[purpose.id] = purpose


def load_purposes(path: Path = DEFAULT) -> PurposeRegister:
    """Read a register. ConfigurationError names the file and what is wrong."""
    try:
        content = msgspec.yaml.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"purpose register {path}: {error} — mend the file") from error
    return PurposeRegister(content.purposes, content.lines)


def allow(purpose: Purpose, fields: Collection[str], actor: str) -> None:
    """PurposeRefused when the purpose does not cover these fields, or is not this actor's to use."""
    channel = actor.partition(":")[0]
    if channel not in purpose.channels:
        raise PurposeRefused(
            f"purpose {purpose.id} may be used by {', '.join(purpose.channels)} and not by {channel} — "
            "open for a purpose of your own"
        )
    beyond = sorted(set(fields) - set(purpose.fields))
    if beyond or not fields:
        raise PurposeRefused(
            f"purpose {purpose.id} does not cover {', '.join(beyond) or 'an opening of nothing'} — "
            f"ask only for {', '.join(purpose.fields)}"
        )
