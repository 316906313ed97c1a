"""Webhook secrets: one file, `data_dir/webhook-secrets.json`, mode 0600; per line one list for each direction.

The first secret of a list is the active one; the next, if any, is still honoured, so that both ends can change over
without losing a message (Standard Webhooks, key rotation). A secret is `whsec_` and 32 random bytes in Base64.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from hub.delivery.lines import load_register
from hub.errors import ConfigurationError
from hub.settings import Settings

FILE: Final = "webhook-secrets.json"
KEPT: Final = 2
"""Secrets honoured at once: the active one and the one before it."""

Direction = Literal["to_line", "from_line"]


class Pair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Secrets of one line: `to_line` sign alerts, `from_line` sign receipts."""

    to_line: tuple[str, ...]
    from_line: tuple[str, ...]

    def __repr__(self) -> str:
        """Nothing secret: a repr reaches logs and tracebacks."""
        return f"Pair(to_line={len(self.to_line)}, from_line={len(self.from_line)})"


def secrets_path(settings: Settings) -> Path:
    """Where the file lies."""
    return settings.data_dir / FILE


def new_secret() -> str:
    """A fresh secret."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def read_secrets(path: Path) -> dict[str, Pair]:
    """Secret name → its pair. ConfigurationError when the file is absent, open to others, or unfit."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no {path} — make it by `hub dispatch --init`") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"{path} can be read by others — chmod 600 {path}, then rotate its secrets")
    try:
        return msgspec.json.decode(content, type=dict[str, Pair])
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"{path} is no file of webhook secrets — restore it from its backup") from error


def ensure_secrets(settings: Settings) -> dict[str, Pair]:
    """The secrets, made where they are missing: the whole file, or the entry of a line that is new.

    Safe when several processes start at once: the file appears whole, and the first one wins.
    """
    path = secrets_path(settings)
    wanted = {line.secret for line in load_register(settings).lines}
    if not path.exists():
        _write(path, _with_new({}, wanted), replace=False)
    held = read_secrets(path)
    if wanted - held.keys():
        held = _with_new(held, wanted)
        _write(path, held, replace=True)
    return held


def rotate(settings: Settings, name: str) -> None:
    """Put a new secret first in both directions; the one before it is honoured until the next rotation."""
    path = secrets_path(settings)
    held = read_secrets(path)
    if name not in held:
        raise ConfigurationError(f"{path} has no secret {name} — use one of {', '.join(sorted(held))}")
    old = held[name]
    held[name] = Pair(
        to_line=(new_secret(), *old.to_line)[:KEPT],
        from_line=(new_secret(), *old.from_line)[:KEPT],
    )
    _write(path, held, replace=True)


def _with_new(held: dict[str, Pair], wanted: Iterable[str]) -> dict[str, Pair]:
    fresh = {name: Pair(to_line=(new_secret(),), from_line=(new_secret(),)) for name in sorted(wanted)}
    return fresh | held


def _write(path: Path, content: dict[str, Pair], *, replace: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".webhook-secrets-", dir=path.parent)  # mode 0600, a name of its own
    draft = Path(name)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=2))
        file.flush()
        os.fsync(file.fileno())
    try:
        if replace:
            draft.replace(path)
        else:
            path.hardlink_to(draft)  # fails where a file is: another process was first, and its secrets count
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
