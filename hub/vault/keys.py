"""The key file: every secret of the vault in one JSON file of mode 0600, made by `hub keys init`.

It is the one file whose loss cannot be mended (cards stay sealed for ever) and whose leak undoes the pseudonyms, so
it is never overwritten, and read only where nobody else can read it. Webhook secrets live with delivery.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from hub.errors import ConfigurationError, VaultError

FORMAT: Final = 1
KEY_BYTES: Final = 32  # AES-256, and as long as the output of SHA-256 for the HMACs
ID_CHARACTERS: Final = 8


def fingerprint(key: bytes) -> str:
    """Id of a key: 8 hex digits of its SHA-256. Tells keys apart and shows a mistyped one; gives nothing away."""
    return hashlib.sha256(b"hub key id\x00" + key).hexdigest()[:ID_CHARACTERS]


class KeyRing(Struct, frozen=True):
    """Keys of one use by id. New values are sealed with `active`; the others still open what they sealed."""

    active: str
    keys: dict[str, bytes]

    def __repr__(self) -> str:
        """Ids only."""
        return f"KeyRing(active={self.active}, ids={sorted(self.keys)})"

    def key(self, key_id: str) -> bytes:
        """The key of this id. VaultError when the file does not hold it."""
        found = self.keys.get(key_id)
        if found is None:
            raise VaultError(
                f"the key file holds no key {key_id!r} — use the one this was sealed with (`hub keys show` lists ids)"
            )
        return found


class Keys(Struct, frozen=True):
    """All secrets of a vault.

    `token_secret` makes the tokens and does not rotate in place: `token_version` names its generation. `wrapping`
    wraps the data keys of persons, `quarantine` seals originals of bad records, `audit` keys the audit chain.
    """

    format: int
    token_version: int
    token_secret: bytes
    wrapping: KeyRing
    quarantine: KeyRing
    audit: bytes

    def __repr__(self) -> str:
        """Ids only, since a repr reaches logs and tracebacks."""
        return f"Keys({self.ids()})"

    def ids(self) -> dict[str, str]:
        """What may be shown: use of each key and its id."""
        return {
            "token": f"{fingerprint(self.token_secret)} (version {self.token_version})",
            "wrapping": _ring_ids(self.wrapping),
            "quarantine": _ring_ids(self.quarantine),
            "audit": fingerprint(self.audit),
        }


def generate() -> Keys:
    """New keys from the system's random source."""
    wrapping, quarantine = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)
    return Keys(
        format=FORMAT,
        token_version=1,
        token_secret=secrets.token_bytes(KEY_BYTES),
        wrapping=KeyRing(fingerprint(wrapping), {fingerprint(wrapping): wrapping}),
        quarantine=KeyRing(fingerprint(quarantine), {fingerprint(quarantine): quarantine}),
        audit=secrets.token_bytes(KEY_BYTES),
    )


def init_keys(path: Path) -> Keys:
    """Make a key file (mode 0600). ConfigurationError where one exists: its keys are never replaced.

    Written aside and linked into place, so that there is never a half-written key file and two callers cannot both win.
    """
    keys = generate()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(aside, path)
        finally:
            aside.unlink()
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path} exists already — keep it: without it what it sealed is lost; "
            "for a second vault set HUB_KEY_FILE to another path"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path} ({error.strerror}) — give HUB_KEY_FILE a path this user may write"
        ) from error
    return keys


def load_keys(path: Path) -> Keys:
    """Read a key file. ConfigurationError when it is absent, readable by others, or not whole."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"no key file at {path} — make one with `hub keys init`, or set HUB_KEY_FILE"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the key file {path} ({error.strerror}) — give its owner's rights to this process"
        ) from error
    if mode & 0o077:
        raise ConfigurationError(f"others may read the key file {path} (mode {mode:04o}) — run: chmod 600 {path}")
    try:
        keys = msgspec.json.decode(content, type=Keys)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # Without its cause: the decoder's text could quote the file.
        raise ConfigurationError(f"{path} is no key file, or is damaged — restore it from its backup") from None
    if keys.format != FORMAT:
        raise ConfigurationError(f"{path} has format {keys.format}, this release reads {FORMAT} — upgrade the hub")
    _check_whole(path, keys)
    return keys


def _check_whole(path: Path, keys: Keys) -> None:
    for name, ring in (("wrapping", keys.wrapping), ("quarantine", keys.quarantine)):
        wrong = [key_id for key_id, key in ring.keys.items() if len(key) != KEY_BYTES or fingerprint(key) != key_id]
        if wrong or ring.active not in ring.keys:
            raise ConfigurationError(f"{path}: {name} keys do not fit their ids — restore the file from its backup")
    if len(keys.token_secret) != KEY_BYTES or len(keys.audit) != KEY_BYTES:
        raise ConfigurationError(f"{path}: a secret is not {KEY_BYTES} bytes long — restore the file from its backup")


def _ring_ids(ring: KeyRing) -> str:
    return ", ".join(f"{key_id} (active)" if key_id == ring.active else key_id for key_id in sorted(ring.keys))
