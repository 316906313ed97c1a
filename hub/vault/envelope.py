"""The envelope of the vault's rows: AES-256-GCM under a person's data key, itself sealed under a wrapping key.

What a row is bound to is authenticated with it, so that it opens in its own place only. A nonce is random: a data
key seals few rows, and a wrapping key would have to make 2^32 data keys before a repetition is to be feared
(NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import VaultError
from hub.vault.keys import KeyRing
from hub.vault.sealed import NONCE_BYTES


class Wrapping:
    """Makes and opens data keys under the wrapping keys of the key file."""

    def __init__(self, ring: KeyRing) -> None:
        self.active = ring.active
        self._ring = ring
        self._ciphers = {key_id: AESGCM(key) for key_id, key in ring.keys.items()}

    def new_key(self, person: str) -> bytes:
        """A new data key for a person, wrapped under the active key."""
        return seal(self._ciphers[self.active], AESGCM.generate_key(256), _key_bound(self.active, person))

    def unwrap(self, person: str, key_id: str, wrapped: bytes) -> bytes:
        """The data key. VaultError when it was altered, is another person's, or the key file lacks its key."""
        self._ring.key(key_id)
        return unseal(self._ciphers[key_id], wrapped, _key_bound(key_id, person))


def seal(cipher: AESGCM, content: bytes, bound: bytes) -> bytes:
    """Nonce, ciphertext and tag; `bound` must be given again to open it."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, content, bound)


def unseal(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    """What was sealed. VaultError when it, or what it is bound to, was altered."""
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):
        raise altered() from None


def altered() -> VaultError:
    """What is raised for a row that does not open."""
    return VaultError("a sealed row of the vault was altered — restore the vault from its backup")


def card_bound(version: int, person: str, origin: str, record_time: int) -> bytes:
    """What a card is bound to."""
    return msgspec.json.encode(["card", version, person, origin, record_time])


def record_bound(person: str, source: str, record_id: str) -> bytes:
    """What a source record id is bound to."""
    return msgspec.json.encode(["record", person, source, record_id])


def _key_bound(key_id: str, person: str) -> bytes:
    return msgspec.json.encode(["key", key_id, person])
