"""Runs in the third-party environment: pseudopeople's records of some households, each row clean and as sent.

    python rows.py SEED HOUSEHOLDS OUT

The same seed with all row noise off keeps both copies aligned row by row, so that the difference of their cells is an
exact ledger of what was corrupted. Every cell is text; nothing of the hub is imported here.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from pathlib import Path
from typing import Any

import pseudopeople  # type: ignore[import-not-found,unused-ignore]  # only in its own environment

CENSUS = 2030  # year of the census that gives the households; deaths, wages and benefits follow it
LAST = 2041  # last year pseudopeople simulates
INSTITUTIONS = {f"0_{number}" for number in range(6)}  # households of hundreds of people: care homes, prisons, colleges
LARGEST = 8  # a few of the other households have 18 to 36 persons: group quarters, no families
WAGE_YEARS = 3


def config() -> dict[str, Any]:
    """pseudopeople's default noise with every row kept: no row omitted or duplicated."""
    found: dict[str, Any] = {}
    for dataset, noise in pseudopeople.get_config().items():
        rows = {
            kind: {key: 0.0 for key in figures if "probability" in key}
            for kind, figures in noise.get("row_noise", {}).items()
        }
        if rows:
            found[dataset] = {"row_noise": rows}
    return found


def copies(generator: str, seed: int, year: int | None) -> tuple[Any, Any]:
    """The clean table and the one that is sent."""
    make = getattr(pseudopeople, generator)
    clean = make(seed=seed, year=year, config=pseudopeople.NO_NOISE, verbose=False)
    sent = make(seed=seed, year=year, config=config(), verbose=False)
    if list(clean["simulant_id"]) != list(sent["simulant_id"]):
        raise SystemExit(f"{generator}: clean and sent rows are not aligned — has pseudopeople another version?")
    return clean, sent


def write(out: Path, name: str, clean: Any, sent: Any, keep: Any) -> None:
    """Both copies of the rows to keep, as CSV."""
    for kind, table in (("clean", clean), ("sent", sent)):
        some = table[keep].astype(object)
        some = some.where(some.notna(), "")
        with (out / f"{name}.{kind}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(some.columns)
            writer.writerows(some.itertuples(index=False))


def main(seed: int, households: int, out: Path) -> None:
    """Write census, deaths, wages and benefits of so many households."""
    out.mkdir(parents=True, exist_ok=True)
    clean, sent = copies("generate_decennial_census", seed, CENSUS)
    sizes = clean["household_id"].value_counts()
    families = [home for home, size in sizes.items() if home not in INSTITUTIONS and size <= LARGEST]
    families.sort(key=lambda home: hashlib.sha256(f"{seed}/{home}".encode()).digest())
    chosen = set(families[:households])
    keep = clean["household_id"].isin(chosen)
    people = set(clean["simulant_id"][keep])
    write(out, "census", clean, sent, keep)

    clean, sent = copies("generate_social_security", seed, None)
    known = clean["simulant_id"].isin(people)
    died = (clean["event_type"] == "death") & (clean["event_date"].astype(str).str[:4] >= str(CENSUS))
    write(out, "deaths", clean, sent, known & died)
    clean, sent = copies("generate_women_infants_and_children", seed, None)
    write(out, "benefits", clean, sent, clean["simulant_id"].isin(people) & (clean["year"].astype(int) >= CENSUS))
    clean, sent = copies("generate_taxes_w2_and_1099", seed, None)
    recent = clean["tax_year"].astype(int) >= LAST - WAGE_YEARS
    write(out, "wages", clean, sent, clean["simulant_id"].isin(people) & recent)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
