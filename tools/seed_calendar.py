"""Writes hub/policy/packs/calendar.yaml from the package chinesecalendar: run it when a new year is published.

    python tools/seed_calendar.py

Only days that differ from Monday to Friday are kept: holidays on weekdays, working days on weekends.
"""

from __future__ import annotations

from pathlib import Path

from chinese_calendar.constants import holidays, workdays

FILE = Path(__file__).parent.parent / "hub" / "policy" / "packs" / "calendar.yaml"
FIRST_YEAR = 2020  # no statutory clock of the hub starts earlier


def main() -> None:
    """Write the file."""
    off = sorted(day for day in holidays if day.year >= FIRST_YEAR and day.weekday() < 5)
    on = sorted(day for day in workdays if day.year >= FIRST_YEAR and day.weekday() >= 5)
    lines = [
        "# Public holidays on weekdays and working days on weekends, as the State Council announced them.",
        "# Made by tools/seed_calendar.py from the package chinesecalendar; do not edit by hand.",
        f"last_year: {max(off).year}",
        "holidays:",
        *(f"  - {day}" for day in off),
        "workdays:",
        *(f"  - {day}" for day in on),
    ]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
