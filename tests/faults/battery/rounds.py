"""Many cases one after the other: which are to be run, what is known of earlier ones, and the table at the end."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from tests.faults.battery.case import Result, run_case
from tests.faults.battery.faults import FAULTS
from tests.faults.battery.ground import Ground, ground
from tests.faults.battery.invariants import INVARIANTS
from tests.faults.battery.nursery import ROOT

RESULTS: Final = ROOT / "build" / "faults"
CASE_S: Final = 20.0
"""What a case may take; longer ones are named, and bounded by their own waits."""


COMMITTED: Final = 5
"""Under this seed `kill-some` kills after the fifth commit: of those that come in two halves, between the third's."""


class Control(NamedTuple):
    """A planted mutant, and the fault and seed that bring it out."""

    mutant: str
    fault: str
    seed: int = 1


CONTROLS: Final = (
    Control("acknowledge-early", "kill-some", COMMITTED),
    Control("commit-before-flush", "kill-some", COMMITTED),
    Control("outputs-before-state", "kill-some", COMMITTED),
    Control("state-before-outputs", "kill-some", COMMITTED),
    Control("dedupe-dropped", "none"),
    Control("crc32-partitioner", "none"),
    Control("swallowed-send-error", "refused"),
    Control("gap-ignored", "kill-rejoin"),
)
"""Negative controls: each must break an invariant, or the battery proves nothing."""


class Planned(NamedTuple):
    """One case to run."""

    fault: str
    seed: int
    mutant: str | None = None


def plan(seeds: Sequence[int], faults: Sequence[str] = ()) -> Iterator[Planned]:
    """Negative controls first; then every fault under one seed after the other."""
    for control in CONTROLS:
        if not faults or control.fault in faults:
            yield Planned(control.fault, control.seed, control.mutant)
    for seed in seeds:
        for name, fault in FAULTS.items():
            if name in faults or (not faults and not (fault.long and seed != seeds[0])):
                yield Planned(name, seed)


def revision() -> str:
    """The commit that is tested; `-dirty` behind it where files differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(ROOT), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    dirty = git("status", "--porcelain", "--untracked-files=no", "--", "hub", "tests/faults", "tests/topology")
    return git("rev-parse", "HEAD") + ("-dirty" if dirty else "")


class Book:
    """Results of one revision, a JSON line each."""

    def __init__(self, name: str, folder: Path = RESULTS) -> None:
        self.file = folder / f"{name}.jsonl"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        decoder = msgspec.json.Decoder(Result)
        lines = self.file.read_bytes().splitlines() if self.file.exists() else []
        self.results = [decoder.decode(line) for line in lines]

    def known(self, planned: Planned) -> bool:
        """Whether a case was run already."""
        return any((one.fault, one.seed, one.mutant) == planned for one in self.results)

    def add(self, result: Result) -> None:
        """Keep a result."""
        self.results.append(result)
        with self.file.open("ab") as out:
            out.write(msgspec.json.encode(result) + b"\n")


class Grounds:
    """The grounds that cases need, started when first asked for, one at a time: two would starve each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._nodes = 0
        self._ground: Ground | None = None

    def of(self, nodes: int) -> Ground:
        """A ground with so many brokers."""
        if self._ground is None or nodes != self._nodes:
            self.close()
            self._ground = self._stack.enter_context(ground(self._folder / f"ground-{time.monotonic_ns()}", nodes))
            self._nodes = nodes
        return self._ground

    def close(self) -> None:
        """Stop what runs."""
        self._stack.close()
        self._ground = None


def run(
    planned: Sequence[Planned], minutes: float, book: Book, say: Callable[[str], None], *, replay: bool = True
) -> bool:
    """Run what is not known yet until the time is up; whether all that is known now is as it must be."""
    deadline = time.monotonic() + 60 * minutes
    # Cases that need another ground come together: starting one costs as much as three cases.
    fresh = sorted((one for one in planned if not book.known(one)), key=lambda one: FAULTS[one.fault].nodes)
    say(f"{len(planned)} cases, {len(planned) - len(fresh)} of them known from before; results in {book.file}")
    with tempfile.TemporaryDirectory(prefix="battery-") as temporary:
        grounds = Grounds(Path(temporary))
        try:
            for number, one in enumerate(fresh):
                if time.monotonic() > deadline:
                    say(f"time is up: {len(fresh) - number} cases are left for the next call")
                    break
                result = one_case(grounds, Path(temporary), one, replay=replay)
                book.add(result)
                say(line(result))
        finally:
            grounds.close()
    say(table(book.results))
    return all(good(result) for result in book.results)


def one_case(grounds: Grounds, folder: Path, planned: Planned, *, replay: bool, events: int | None = None) -> Result:
    """One case, of fewer `events` where the short form wants so; a mutant's is not replayed, which could only hide
    what it did."""
    fault = FAULTS[planned.fault]
    return run_case(
        grounds.of(fault.nodes),
        folder / f"{planned.fault}-{planned.seed}-{planned.mutant or 'none'}-{time.monotonic_ns()}",
        planned.fault,
        fault.script,
        planned.seed,
        profile=fault.profile if events is None else replace(fault.profile, events=events),
        mutant=planned.mutant,
        replay=replay and planned.mutant is None,
    )


def good(result: Result) -> bool:
    """A case is as it must be: all held; or, with a mutant planted, something broke that a slow machine cannot break
    by not catching up."""
    if result.mutant is None or result.skipped is not None:
        return result.held
    return any(verdict.held is False for verdict in result.verdicts if verdict.name != "catches-up")


def line(result: Result) -> str:
    """A case in a few lines: what it was, and each invariant's verdict."""
    name = result.fault + (f" with {result.mutant}" if result.mutant else "")
    if result.skipped is not None:
        return f"-- {name} --seed {result.seed}: skipped, {result.skipped}"
    broken = [verdict for verdict in result.verdicts if verdict.held is False]
    word = "ok" if good(result) else ("NOT CAUGHT" if result.mutant else "BROKEN")
    lag = "never" if result.lag_s is None else f"{result.lag_s:.1f} s"
    late = f", longer than {CASE_S:.0f} s" if result.seconds > CASE_S else ""
    text = (
        f"{word:<4} {name} --seed {result.seed}: {result.seconds:.0f} s{late}, {result.accepted} accepted, "
        f"{result.alerts} alerts, caught up after {lag}, ends {result.exits}"
    )
    text += "".join(f"\n     {note}" for note in result.notes)
    text += "\n     " + " ".join(f"{v.name}:{_word(v.held)}" for v in result.verdicts)
    for verdict in broken:
        text += "".join(
            f"\n       {verdict.name}: {breach}" for breach in verdict.breaches[: 5 if not result.mutant else 1]
        )
    return text


def _word(held: bool | None) -> str:
    return {True: "held", False: "BROKEN", None: "-"}[held]


def table(results: Sequence[Result]) -> str:
    """How often each invariant held under each fault, and which mutants were caught."""
    cases: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if result.mutant is None and result.skipped is None:
            cases[result.fault].append(result)
    rows = [f"{'fault':<36}{'cases':>6}{'held':>6}  broken"]
    for name in FAULTS:
        of = cases.get(name, [])
        broken = sorted({verdict.name for result in of for verdict in result.verdicts if verdict.held is False})
        rows.append(f"{name:<36}{len(of):>6}{sum(result.held for result in of):>6}  {' '.join(broken)}")
    rows.append("")
    for name in INVARIANTS:
        asked = [
            v.held for of in cases.values() for r in of for v in r.verdicts if v.name == name and v.held is not None
        ]
        rows.append(f"{name:<36}{len(asked):>6}{sum(asked):>6}")
    caught = {result.mutant: good(result) for result in results if result.mutant is not None}
    wanted = [control.mutant for control in CONTROLS]
    rows.append(f"{'mutants-caught':<36}{len(caught):>6}{sum(caught.values()):>6}")
    missed = [name for name in wanted if name in caught and not caught[name]]
    unasked = [name for name in wanted if name not in caught]
    if missed:
        rows.append(f"NOT CAUGHT: {', '.join(missed)} — nothing above counts until they are")
    if unasked:
        rows.append(f"not yet planted: {', '.join(unasked)}")
    return "\n".join(rows)
