"""Runs Synthea (Apache-2.0), once: patients, their care and their insurance, kept under `.cache/thirdparty`.

Its jars come by Maven (deploy/synthea/pom.xml). One thread and fixed seeds make the same tables each time; the run
itself asks nobody on the network.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from datetime import date
from pathlib import Path
from typing import Final

from hub.errors import StackError
from hub.stack.java import ROOT, Bundle, Progress, bring, exclusive, java
from hub.stack.process import ManagedProcess

PARTS: Final = Bundle(
    ROOT / "deploy" / "synthea" / "pom.xml", "synthea", "Synthea parts", "Synthea (about 200 MB the first time)"
)
SCRIPT: Final = Path(__file__)
TABLES: Final = ("patients", "encounters", "payer_transitions", "payers")
PATIENTS: Final = 200
"""Patients alive at the end, besides about a fifth who died on the way: about two minutes of one core."""

END: Final = date(2025, 1, 1)
"""The day on which Synthea's world ends; whoever writes its tables out moves all days by what is missing to theirs."""

AGES: Final = "12-85"  # those of nearly all persons to join with, whose census is eleven years old
HISTORY_YEARS: Final = 3
HEAP: Final = "1g"
PATIENCE_S: Final = 1800.0
SAY_EVERY_S: Final = 10.0
LOOK_S: Final = 0.2


def tables(cache: Path, *, seed: int, patients: int = PATIENTS, progress: Progress = lambda _: None) -> Path:
    """Folder that holds Synthea's TABLES as CSV, made now unless it is there.

    Two callers at a time are safe: the second waits for the first. Raises StackError if Java or Maven is missing, the
    jars cannot be brought, or Synthea fails or takes longer than PATIENCE_S.
    """
    made_by = hashlib.sha256(SCRIPT.read_bytes() + PARTS.pom.read_bytes()).hexdigest()[:12]
    folder = cache / f"synthea-{seed}-{patients}-{made_by}"
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "synthea.lock"):
        if not folder.exists():
            part = folder.with_name(folder.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            _run(bring(PARTS, progress) / "synthea", part, seed, patients, progress)
            part.rename(folder)
    return folder / "csv"


def _run(jars: Path, part: Path, seed: int, patients: int, progress: Progress) -> None:
    """Let Synthea fill `part`; its log stays there."""
    progress(f"Synthea makes {patients} patients (seed {seed})")
    process = ManagedProcess("Synthea", _command(jars, part, seed, patients), part / "synthea.log")
    began = said = time.monotonic()
    process.start()
    try:
        while process.running:
            time.sleep(LOOK_S)
            now = time.monotonic()
            if now - began > PATIENCE_S:
                raise StackError(f"Synthea is not done after {PATIENCE_S:.0f} s", "try again when this machine is idle")
            if now - said > SAY_EVERY_S:
                said = now
                progress(f"Synthea: {_made(process.log_file)} of {patients} patients in {now - began:.0f} s")
    finally:
        process.kill()
    # Words it does not understand make it print its usage and end with status 0.
    if process.exit_code or not all((part / "csv" / f"{table}.csv").exists() for table in TABLES):
        raise StackError(
            f"Synthea ended with status {process.exit_code} and without its tables",
            f"read {process.log_file}; its last lines:\n{process.log_tail()}",
        )
    progress(f"Synthea: ready after {time.monotonic() - began:.0f} s")


def _command(jars: Path, out: Path, seed: int, patients: int) -> list[str]:
    settings = {
        "generate.thread_pool_size": "1",
        "exporter.baseDirectory": f"{out}/",
        "exporter.years_of_history": str(HISTORY_YEARS),
        "exporter.fhir.export": "false",
        "exporter.hospital.fhir.export": "false",
        "exporter.practitioner.fhir.export": "false",
        "exporter.metadata.export": "false",
        "exporter.csv.export": "true",
        "exporter.csv.included_files": ",".join(f"{table}.csv" for table in TABLES),
        "exporter.csv.excluded_files": "",  # it has a default, and with both set Synthea ignores both
    }
    return [
        str(java()),
        f"-Xmx{HEAP}",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Duser.timezone=UTC",
        "-Duser.language=en",
        *("-cp", f"{jars}/*", "App"),
        *("-p", str(patients), "-a", AGES),
        *("-s", str(seed), "-cs", str(seed)),
        *("-r", f"{END:%Y%m%d}", "-e", f"{END:%Y%m%d}"),
        *(f"--{name}={value}" for name, value in settings.items()),
    ]


def _made(log_file: Path) -> int:
    """Number of the patient it was last done with."""
    found = re.findall(r"^(\d+) -- ", log_file.read_text(errors="replace"), re.MULTILINE)
    return int(found[-1]) if found else 0
