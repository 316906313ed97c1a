"""Where the invented persons live: counties, townships and villages by their published codes.

The lists and where they come from are in hub/divisions.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from hub.divisions import rows

COUNTIES: Final = ("331102", "331121", "331122", "331123", "331124", "331125", "331126", "331127", "331181")
"""The nine counties of 丽水; 浦江 (330726) is in the files but no part of the population."""

PREFIX_BEFORE_2000: Final = {
    "331102": "332501",
    "331121": "332522",
    "331122": "332526",
    "331123": "332527",
    "331124": "332528",
    "331125": "332523",
    "331126": "332525",
    "331127": "332529",
    "331181": "332502",
}
"""County today → prefix of citizen numbers issued there while 丽水 was a prefecture (地区), until 2000."""


class Village(NamedTuple):
    """One village or neighbourhood with the codes above it."""

    county: str
    township: str
    code: str
    address: str


@cache
def villages(county: str) -> tuple[Village, ...]:
    """All villages of a county, by code."""
    counties = {row["code"]: row["name"] for row in rows("counties.csv")}
    townships = {row["code"]: row["name"] for row in rows("townships.csv")}
    return tuple(
        Village(county, row["code"][:9], row["code"], counties[county] + townships[row["code"][:9]] + row["name"])
        for row in rows("villages.csv")
        if row["code"].startswith(county)
    )
