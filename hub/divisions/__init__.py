"""Administrative divisions by code, from the vendored list of Lishui and Pujiang: names, and what is in force.

Codes are GB/T 2260 counties (6 digits) and statistical codes of townships (9) and villages (12).
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent


def rows(file: str) -> list[dict[str, str]]:
    """Lines of one of the lists: counties.csv, townships.csv, villages.csv (code, name) or retired.csv."""
    with (FOLDER / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    names = {row["code"]: row["name"] for row in rows("retired.csv")}
    names["331100"] = "丽水市"
    for file in ("counties.csv", "townships.csv", "villages.csv"):
        names.update((row["code"], row["name"]) for row in rows(file))
    return names


def division_name(code: str) -> str | None:
    """Name of a division with the county before it (`莲都区紫金街道`); None for a code the list does not hold."""
    names = _names()
    if code not in names:
        return None
    parts = [code[:6], code[:9], code]
    return "".join(dict.fromkeys(names[part] for part in parts if part in names and len(part) <= len(code)))


@lru_cache(maxsize=1)
def county_codes() -> frozenset[str]:
    """County codes in force."""
    return frozenset(row["code"] for row in rows("counties.csv"))


@lru_cache(maxsize=1)
def successors() -> dict[str, str]:
    """Retired code → the code that took its place."""
    return {row["code"]: row["successor"] for row in rows("retired.csv")}
