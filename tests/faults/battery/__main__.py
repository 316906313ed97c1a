"""`python -m tests.faults.battery`: the battery's command line."""

from __future__ import annotations

import sys

import click

from tests.faults.battery.faults import FAULTS
from tests.faults.battery.invariants import INVARIANTS, statement
from tests.faults.battery.mutants import MUTANTS
from tests.faults.battery.rounds import Book, Planned, plan, revision, run

HELP = """Harm real workers on a real broker, and ask afterwards whether anything was lost or invented.

    \b
    Each case: clean topics, a seeded input with a ledger of what was accepted, the fault, an end to all faults,
    quiet, and each invariant's verdict. Downstream keeps an append-only ledger of what it was given.
    \b
    EXAMPLES
      python -m tests.faults.battery                              ten seeds a fault, thirty minutes, then go on
      python -m tests.faults.battery --seeds 3 --minutes 10       a shorter round
      python -m tests.faults.battery --fault churn --seed 7       one case again
      python -m tests.faults.battery --fault kill-after-commit --seed 1 --mutant state-before-outputs
      python -m tests.faults.battery --list                       faults, invariants and mutants, explained
    \b
    RESULTS are kept in build/faults/<commit>.jsonl, one case a line: a second call goes on where the first ended.
    Files that differ from the commit are results of <commit>-dirty. A case named by --seed is always run.
    \b
    NEGATIVE CONTROLS go first: workers with a planted fault (mutants), each of which must break an invariant. While
    one of them passes unnoticed, the battery proves nothing, and the exit status is 1.
    \b
    EXIT STATUS 0 when every case known of this commit is as it must be, else 1.
"""


@click.command(help=HELP)
@click.option("--fault", "faults", multiple=True, type=click.Choice(list(FAULTS)), help="this one only; repeatable")
@click.option("--seed", "chosen", multiple=True, type=int, help="this seed only; repeatable")
@click.option("--mutant", type=click.Choice(list(MUTANTS)), help="plant this into every worker (with --seed)")
@click.option("--seeds", default=10, show_default=True, help="seeds a fault, from 1")
@click.option("--minutes", default=30.0, show_default=True, help="begin no case after this long")
@click.option("--no-replay", is_flag=True, help="leave out reading all again from the start (seconds a case)")
@click.option("--list", "listed", is_flag=True, help="say what there is")
def main(
    faults: tuple[str, ...],
    chosen: tuple[int, ...],
    mutant: str | None,
    seeds: int,
    minutes: float,
    no_replay: bool,
    listed: bool,
) -> None:
    """Run cases."""
    if listed:
        for title, entries in (
            ("FAULTS", {name: fault.statement for name, fault in FAULTS.items()}),
            ("INVARIANTS", {name: statement(name) for name in INVARIANTS}),
            ("MUTANTS", dict.fromkeys(MUTANTS, "")),
        ):
            click.echo(title)
            for name, text in entries.items():
                click.echo(f"  {name:<36}{text}")
        return
    book = Book(revision())
    if chosen:
        wanted = faults or tuple(FAULTS)
        planned = [Planned(name, seed, mutant) for seed in chosen for name in wanted]
        book.results = [one for one in book.results if (one.fault, one.seed, one.mutant) not in planned]
    else:
        planned = list(plan(range(1, seeds + 1), faults))
    sys.exit(0 if run(planned, minutes, book, click.echo, replay=not no_replay) else 1)


if __name__ == "__main__":
    main()
