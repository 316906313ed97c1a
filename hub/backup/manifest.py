"""What a backup folder says of itself: release, time, parts, and a hash of every file. Written last.

A folder without it is no backup: whatever was interrupted has none.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from hub.discovery.state import CODEC
from hub.errors import BackupRefused

NAME: Final = "manifest.json"
FORMAT: Final = 1
"""Version of these files. A backup of a later one is not read."""

PACKAGE: Final = "civil-affairs-hub"
Part = Literal["store", "vault", "registry", "topics", "keys"]
PARTS: Final[tuple[Part, ...]] = ("registry", "topics", "vault", "store", "keys")
"""In the order in which they are brought back: what is read goes before whoever reads it."""

_PIECE: Final = 1 << 20


class File(Struct, frozen=True, kw_only=True):
    """One file of a backup. `records` is how many it holds, 0 where that says nothing."""

    sha256: str
    size: int
    records: int = 0


class TopicNote(Struct, frozen=True, kw_only=True):
    """One topic as it was: partitions, settings that were not the broker's own, next offset by partition as kept.

    `ranks` gives for each partition and each offset that somebody reads on from, how many kept records lie before it:
    that is where reading goes on when the topic is written anew.
    """

    partitions: int
    settings: dict[str, str]
    kept: dict[int, int] = {}
    ranks: dict[int, dict[int, int]] = {}


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a restore must know before it reads a file.

    `layout` is the newest layout of state values, `revision` and `vault_version` those of the databases, `keys` the
    ids (never the keys) under which cards and tokens were made.
    """

    format: int
    release: str
    made_at: int
    parts: tuple[Part, ...]
    files: dict[str, File]
    partitions: int
    generation: int
    layout: int = CODEC
    revision: str | None = None
    vault_version: int = 0
    keys: dict[str, str] = {}
    topics: dict[str, TopicNote] = {}


def release() -> str:
    """This release's version."""
    return version(PACKAGE)


def number(text: str) -> tuple[int, ...]:
    """A version to compare by: its leading numbers."""
    found = []
    for piece in text.split("."):
        if not piece.isdigit():
            break
        found.append(int(piece))
    return tuple(found)


def write(folder: Path, manifest: Manifest) -> None:
    """Put the manifest beside the files, whole or not at all."""
    draft = folder / f".{NAME}"
    with draft.open("wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    draft.rename(folder / NAME)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(folder: Path) -> Manifest:
    """The manifest of a folder. BackupRefused where there is none, it is damaged, or a newer release wrote it."""
    try:
        content = (folder / NAME).read_bytes()
    except OSError as error:
        raise BackupRefused(
            f"{folder} holds no {NAME} — name a folder that `hub backup` has finished; an interrupted one is no backup"
        ) from error
    try:
        told = msgspec.json.decode(content)
        if isinstance(told, dict) and isinstance(told.get("format"), int) and told["format"] > FORMAT:
            raise BackupRefused(_newer(f"format {told['format']}", f"{FORMAT}"))
        manifest = msgspec.convert(told, Manifest, strict=False)
    except msgspec.MsgspecError as error:
        raise BackupRefused(f"{folder / NAME} is damaged — take another backup") from error
    if number(manifest.release) > number(release()):
        raise BackupRefused(_newer(f"release {manifest.release}", release()))
    if manifest.layout > CODEC:
        raise BackupRefused(_newer(f"state layout {manifest.layout}", f"{CODEC}"))
    return manifest


def verify(folder: Path, manifest: Manifest, names: list[str], say: Callable[[str], None]) -> None:
    """Read files whole and compare their hashes. BackupRefused naming every one that is absent or differs."""
    wrong = []
    for count, name in enumerate(names, 1):
        path, wanted = folder / name, manifest.files[name]
        if not path.is_file():
            wrong.append(f"{name} is absent")
        elif path.stat().st_size != wanted.size or digest(path) != wanted.sha256:
            wrong.append(f"{name} is not what was written")
        say(f"checked {count} of {len(names)} files")
    if wrong:
        raise BackupRefused(f"the backup is damaged: {'; '.join(wrong)} — take another backup; nothing was written")


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def now_ms() -> int:
    """The system's now: when a backup was made is no matter of a rehearsal clock."""
    return time.time_ns() // 1_000_000


def _newer(what: str, known: str) -> str:
    return (
        f"the backup is of {what} and this release knows {known} — restore it with the release that made it, or newer"
    )
