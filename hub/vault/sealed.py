"""Sealed originals: a bad record is kept whole in quarantine, and only this deployment can read it again."""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import VaultError
from hub.vault.keys import ID_CHARACTERS, Keys

MAGIC: Final = b"HS1"  # hub sealed, format 1
NONCE_BYTES: Final = 12  # what NIST SP 800-38D recommends for GCM
_HEADER: Final = len(MAGIC) + ID_CHARACTERS
_TAG: Final = 16


class Sealer:
    """Seals and unseals bytes by AES-256-GCM: magic, key id, nonce, ciphertext and tag. The header is authenticated."""

    def __init__(self, keys: Keys) -> None:
        self._ring = keys.quarantine

    def seal(self, original: bytes) -> bytes:
        """The original under the active quarantine key; 39 bytes longer than it was."""
        header = MAGIC + self._ring.active.encode()
        nonce = os.urandom(NONCE_BYTES)
        return header + nonce + AESGCM(self._ring.key(self._ring.active)).encrypt(nonce, original, header)

    def unseal(self, sealed: bytes) -> bytes:
        """What `seal` was given. VaultError when it was sealed by another key file, or altered."""
        if len(sealed) < _HEADER + NONCE_BYTES + _TAG or not sealed.startswith(MAGIC):
            raise VaultError("this is no sealed original — pass what `seal` returned, whole")
        header, nonce = sealed[:_HEADER], sealed[_HEADER : _HEADER + NONCE_BYTES]
        key = self._ring.key(header[len(MAGIC) :].decode("ascii", "replace"))
        try:
            return AESGCM(key).decrypt(nonce, sealed[_HEADER + NONCE_BYTES :], header)
        except InvalidTag:
            raise VaultError("a sealed original was altered — restore it from a backup of its topic or store") from None
