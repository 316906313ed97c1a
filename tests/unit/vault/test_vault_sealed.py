"""Sealed originals come back whole, or not at all."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import VaultError
from hub.vault.keys import KeyRing, fingerprint, generate
from hub.vault.sealed import Sealer

KEYS = generate()
SEALER = Sealer(KEYS)


@given(st.binary(max_size=500))
def test_round_trip(original: bytes) -> None:
    """Every original, each time sealed differently, by the documented overhead longer."""
    sealed, again = SEALER.seal(original), SEALER.seal(original)
    assert SEALER.unseal(sealed) == SEALER.unseal(again) == original
    assert sealed != again
    assert len(sealed) == len(original) + 39


@given(st.binary(min_size=1, max_size=60), st.data())
def test_any_changed_or_lost_byte_is_noticed(original: bytes, data: st.DataObject) -> None:
    """Header, key id, nonce, content and tag."""
    sealed = bytearray(SEALER.seal(original))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VaultError):
        SEALER.unseal(bytes(sealed))
    with pytest.raises(VaultError):
        SEALER.unseal(SEALER.seal(original)[:place])


def test_an_older_key_still_opens() -> None:
    """A ring with a new active key opens what the old one sealed, and seals with the new one."""
    new = bytes(32)
    keys = KEYS.quarantine.keys | {fingerprint(new): new}
    rotated = Sealer(msgspec.structs.replace(KEYS, quarantine=KeyRing(fingerprint(new), keys)))
    assert rotated.unseal(SEALER.seal(b"original")) == b"original"
    with pytest.raises(VaultError, match=fingerprint(new)):
        SEALER.unseal(rotated.seal(b"original"))
