"""Finds Java, and brings what is written in it: Maven resolves a pom of deploy/ into .cache, once a version."""

from __future__ import annotations

import fcntl
import hashlib
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hub.errors import StackError

Progress = Callable[[str], None]

ROOT = Path(__file__).resolve().parents[2]
POM = ROOT / "deploy" / "kafka" / "pom.xml"
CACHE = ROOT / ".cache"
STAMP = "pom.sha256"
ANNOUNCE_EVERY = 100  # downloads between two progress lines; a first run fetches nearly 600 small files
SILENCE_S = 10.0  # after this long without a word from Maven, say that it still works
INSTALL = "install Java 17 and Maven: apt-get install openjdk-17-jre-headless maven"


class JavaParts(NamedTuple):
    """Where the resolved parts lie: `kafka` holds jars, `registry` the runner jar beside its lib/."""

    kafka: Path
    registry: Path


class Bundle(NamedTuple):
    """What one pom brings. `folder` is its folder in the cache, `name` and `contents` are its names in messages."""

    pom: Path
    folder: str
    name: str
    contents: str
    sources: tuple[Path, ...] = ()
    """What it compiles, where it does: another content, like another pom, makes what is in the cache stale."""


PARTS = Bundle(POM, "java", "Java parts", "Kafka and the schema registry (about 160 MB the first time)")


def java() -> Path:
    """Path of the `java` program. Raises StackError if there is none."""
    found = shutil.which("java")
    if found is None:
        raise StackError("Java is not installed", INSTALL)
    return Path(found)


def resolve(progress: Progress = lambda _: None, *, pom: Path = POM, cache: Path = CACHE) -> JavaParts:
    """The Java parts, downloaded first if the cache lacks them or was filled for another pom.

    Raises StackError as `bring` does.
    """
    home = bring(PARTS._replace(pom=pom), progress, cache=cache)
    return JavaParts(home / "kafka", home / "registry")


def bring(bundle: Bundle, progress: Progress = lambda _: None, *, cache: Path = CACHE) -> Path:
    """Folder that holds what the pom names, downloaded first if the cache lacks it or was filled for another pom.

    Two callers at a time are safe: the second waits for the first. A broken download leaves the cache as it was.
    Raises StackError if Java or Maven is missing or Maven fails.
    """
    java()
    home = cache / bundle.folder
    wanted = hashlib.sha256(b"".join(file.read_bytes() for file in (bundle.pom, *bundle.sources))).hexdigest()
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / f"{bundle.folder}.lock"):
        if not _holds(home, wanted):
            fresh = cache / f"{bundle.folder}.partial"
            shutil.rmtree(fresh, ignore_errors=True)
            _run_maven(bundle, fresh, cache / f"{bundle.folder}.maven.log", progress)
            (fresh / STAMP).write_text(wanted)
            shutil.rmtree(home, ignore_errors=True)
            fresh.rename(home)
    return home


def _holds(home: Path, wanted: str) -> bool:
    stamp = home / STAMP
    return stamp.exists() and stamp.read_text() == wanted


@contextmanager
def exclusive(lock_file: Path) -> Iterator[None]:
    """Hold a lock that one process at a time may hold; waits for it."""
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run_maven(bundle: Bundle, target: Path, log_file: Path, progress: Progress) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError("Maven is not installed", INSTALL)
    progress(f"{bundle.name}: asking Maven for {bundle.contents}")
    # -C: a wrong checksum fails the build
    command = [maven, "-B", "-C", "-f", str(bundle.pom), "package", f"-Dparts={target}"]
    began = time.monotonic()
    errors: list[str] = []
    fetched = 0
    with (
        log_file.open("w") as log,
        subprocess.Popen(  # noqa: S603 - our own command, no shell
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run,
    ):
        for line in _lines_or_silence(run):
            if line is None:
                progress(f"{bundle.name}: still working, {fetched} files in {time.monotonic() - began:.0f} s")
                continue
            log.write(line)
            if " Downloading from " in line and ".tar.gz" in line:
                progress(f"{bundle.name}: fetching the large one, {line.rsplit('/', 1)[-1].strip()}")
            elif " Downloaded from " in line:
                fetched += 1
                if fetched % ANNOUNCE_EVERY == 0:
                    progress(f"{bundle.name}: {fetched} files in {time.monotonic() - began:.0f} s")
            elif line.startswith("[ERROR]"):
                errors.append(line.removeprefix("[ERROR]").strip())
    if run.returncode != 0:
        why = errors[0] if errors else f"exit status {run.returncode}"
        raise StackError(
            f"Maven could not bring the {bundle.name}: {why}",
            f"check the network or the mirror in Maven's settings.xml and try again; its output is in {log_file}",
        )
    progress(f"{bundle.name}: ready after {time.monotonic() - began:.0f} s")


def _lines_or_silence(run: subprocess.Popen[str]) -> Iterator[str | None]:
    """The lines of a process as they come; None each time it was silent for SILENCE_S."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in run.stdout or ():
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read, name="maven-output", daemon=True)
    reader.start()
    while True:
        try:
            line = lines.get(timeout=SILENCE_S)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line
