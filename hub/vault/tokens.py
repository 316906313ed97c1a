"""Tokens: what stands for a person, a household book or a record outside the vault.

HMAC-SHA-256 under the key file's secret, cut to 128 bits (a collision among 10^8 values: about 10^-23), as 32 hex
digits. Equal input gives an equal token in every process of a deployment; without the secret a token cannot be
guessed back, which a plain hash of an 18-digit number could.
"""

from __future__ import annotations

import hmac
from typing import Final

from hub.domain.citizen_id import is_number, normalise
from hub.errors import VaultError
from hub.vault.keys import Keys

TOKEN_BYTES: Final = 16


class Tokens:
    """Makes tokens under one key file."""

    def __init__(self, keys: Keys) -> None:
        self._secret = keys.token_secret

    def person_token(self, number: str) -> str:
        """Token of a citizen number, after `hub.domain.citizen_id.normalise`: 15 and 18 digits give the same token.

        VaultError for what has not the form of a number: a broken one would become a person of its own. Check with
        `hub.domain.citizen_id.check` first; a person without a number gets a `scoped_token`.
        """
        text = normalise(number)
        if not is_number(text):
            raise VaultError(
                "a token was asked for what is no citizen number — check the number first; "
                "a person without one gets a scoped token"
            )
        return self._token("citizen", text)

    def scoped_token(self, source: str, kind: str, value: str) -> str:
        """Token of a value that means something only in its source and kind. Outer white space does not count.

        For persons without a citizen number (kind `person`), household books (`hukou`), certified households
        (`aid_household`), record ids that contain a citizen number (`record`). `source` is who issues the value,
        not who sent it: two departments that quote one 户口簿 number must name the same issuer to meet.
        """
        text = value.strip()
        if not text:
            raise VaultError("a token was asked for an empty value — quarantine the record as missing_field")
        return self._token("scoped", source, kind, text)

    def _token(self, *parts: str) -> str:
        # Each part with its length before it: ("a", "bc") and ("ab", "c") must differ.
        encoded = [part.encode() for part in parts]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
        return hmac.digest(self._secret, message, "sha256")[:TOKEN_BYTES].hex()
