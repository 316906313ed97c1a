"""Runs `rows` in its own environment, once: made from requirements-thirdparty.lock, kept under `.cache/thirdparty`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hub.errors import ConfigurationError, SourceUnavailable
from hub.stack.java import Progress, exclusive

LOCK: Final = Path("requirements-thirdparty.lock")
SCRIPT: Final = Path(__file__).with_name("rows.py")


def rows(cache: Path, *, seed: int, households: int, progress: Progress = lambda _: None) -> Path:
    """Folder that holds pseudopeople's rows, made now unless it is there. Takes about a minute the first time.

    Two callers at a time are safe: the second waits for the first.
    """
    made_by = hashlib.sha256(SCRIPT.read_bytes() + _lock().read_bytes()).hexdigest()[:12]
    folder = cache / f"rows-{seed}-{households}-{made_by}"
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "pseudopeople.lock"):
        if not folder.exists():
            python = _environment(cache, progress)
            progress(f"pseudopeople makes {households} households (seed {seed})")
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            _call([str(python), str(SCRIPT), str(seed), str(households), str(part)], "pseudopeople failed")
            part.rename(folder)
    return folder


def _lock() -> Path:
    for folder in (Path.cwd(), Path(__file__).parents[3]):
        if (folder / LOCK).exists():
            return folder / LOCK
    raise ConfigurationError(f"{LOCK} is not here — run from the project's folder")


def _environment(cache: Path, progress: Progress) -> Path:
    """Python of the environment, made anew when the lock file has changed."""
    wanted = hashlib.sha256(_lock().read_bytes()).hexdigest()
    home = cache / "venv"
    python, stamp = home / "bin" / "python", home / "lock.sha256"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    progress(f"Python environment of the third-party generator in {home}")
    shutil.rmtree(home, ignore_errors=True)
    _call([sys.executable, "-m", "venv", str(home)], "the environment cannot be made: is python3-venv installed?")
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
    try:
        _call([str(python), "-m", "pip", "install", *options, "-r", str(_lock())], "pip could not install it")
    except ConfigurationError as error:
        raise SourceUnavailable(f"{error} — check that a package index can be reached, then try again") from error
    stamp.write_text(wanted)
    return python


def _call(command: Sequence[str], what: str) -> None:
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)  # noqa: S603 — our own commands
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise ConfigurationError(f"{what} (exit code {done.returncode}): {last}")
