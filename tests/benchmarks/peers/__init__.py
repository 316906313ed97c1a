"""The engines a user would pick instead, each doing the benchmark's work as its own documentation teaches.

Each is a process of its own, in an environment of its own (`python -m tests.benchmarks.peers.setup` makes them), told
where to work as `tests.benchmarks.process` says. Nothing here may be imported by the hub, nor import its runtime.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
CACHE: Final = ROOT / ".cache" / "bench"
"""Where `setup` puts what it makes: `quix` a virtual environment, `kafka-streams` classes and jars."""

VERSIONS: Final = {
    "idiomatic": "0.15.3",
    "quixstreams": "3.28.1",
    "quixstreams-eos": "3.28.1",
    "kafka-streams": "4.1.1",
    "kafka-streams-eos": "4.1.1",
}
"""The peers, and the version of its engine that each asserts at its start. `-eos`: exactly once, else at least once."""

KAFKA_STREAMS: Final = Path(__file__).with_name("kafka-streams")
"""The Maven project."""

_JVM: Final = ("-Xmx1g", "-XX:+UseParallelGC", f"-Dlog4j2.configurationFile={KAFKA_STREAMS / 'log4j2.properties'}")
"""On two cores the parallel collector takes less processor time than the default one."""


def command(name: str) -> list[str]:
    """How to start a peer, from the project's folder and with the environment of `Given`.

    Readers of what an `-eos` peer writes use isolation.level=read_committed. KeyError for a name that is none.
    """
    guarantee = "exactly-once" if name.endswith("-eos") else "at-least-once"
    match name.removesuffix("-eos"):
        case "idiomatic":
            return [sys.executable, "-m", "tests.benchmarks.peers.idiomatic"]
        case "quixstreams":
            return [str(CACHE / "quix" / "bin" / "python"), "-m", "tests.benchmarks.peers.quix", guarantee]
        case "kafka-streams":
            home = CACHE / "kafka-streams"
            path = f"{home / 'classes'}:{home / 'lib'}/*"
            return ["java", *_JVM, "-cp", path, "bench.Main", guarantee, VERSIONS[name]]
    raise KeyError(name)


def version(name: str) -> str:
    """The version of its engine that a peer must have. KeyError for a name that is none."""
    return VERSIONS[name]


def assert_version(name: str, found: str) -> None:
    """End the process unless the engine's version is the one that is to be measured: a resolver may bring another."""
    if found != VERSIONS[name]:
        raise SystemExit(
            f"{name} is {found}, not {VERSIONS[name]} — make its environment again: "
            f"python -m tests.benchmarks.peers.setup"
        )
