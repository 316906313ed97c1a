"""Makes the environments of the other engines, once: `python -m tests.benchmarks.peers.setup`.

quixstreams gets a virtual environment from requirements-quix.lock, since it needs an older confluent-kafka than the
hub; Kafka Streams is compiled by Maven. Faust is in the hub's own environment.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hub.errors import StackError
from hub.stack.java import Bundle, Progress, bring, exclusive
from tests.benchmarks.peers import CACHE, KAFKA_STREAMS, ROOT

LOCK: Final = ROOT / "requirements-quix.lock"


def main() -> None:
    """Make what is missing."""
    kafka_streams(print)
    quix(print)


def kafka_streams(progress: Progress = lambda _: None) -> Path:
    """Folder of the compiled project and its jars; compiled again when a source has changed. Raises StackError."""
    bundle = Bundle(
        KAFKA_STREAMS / "pom.xml", "kafka-streams", "Kafka Streams peer", "Kafka Streams (about 90 MB the first time)",
        tuple(sorted(KAFKA_STREAMS.glob("src/**/*.java"))),
    )  # fmt: skip
    return bring(bundle, progress, cache=CACHE)


def quix(progress: Progress = lambda _: None) -> Path:
    """Python of quixstreams' environment, made anew when its lock file has changed. Raises StackError."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    home = CACHE / "quix"
    python, stamp = home / "bin" / "python", home / "lock.sha256"
    CACHE.mkdir(parents=True, exist_ok=True)
    with exclusive(CACHE / "quix.lock"):
        if python.exists() and stamp.exists() and stamp.read_text() == wanted:
            return python
        began = time.monotonic()
        progress(f"quixstreams peer: Python environment in {home}")
        shutil.rmtree(home, ignore_errors=True)
        _call([sys.executable, "-m", "venv", str(home)], "install python3-venv")
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
        install = [str(python), "-m", "pip", "install", *options, "-r", str(LOCK)]
        _call(install, "check that a package index can be reached, then try again")
        stamp.write_text(wanted)
        progress(f"quixstreams peer: ready after {time.monotonic() - began:.0f} s")
    return python


def _call(command: Sequence[str], remedy: str) -> None:
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise StackError(f"the environment of quixstreams cannot be made (exit code {done.returncode}): {last}", remedy)


if __name__ == "__main__":
    main()
