"""Invented persons: a name out of common characters, a valid citizen number, a place to live.

Every number is well formed (GB 11643) and made up. Whoever was born before 2000 carries the prefix of the former
丽水地区 (3325xx), since a number shows the place of first registration at that time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

from hub.domain.citizen_id import LAST_YEAR_OF_3325, check_character
from hub.simulate.places import PREFIX_BEFORE_2000, Village, villages

SURNAMES: Final = "陈王李张周吴叶林刘徐潘郑朱毛胡季蓝雷项梅曾夏练柳范"  # 蓝, 雷: frequent among the 畲 of 景宁
GIVEN: Final = {
    "1": "伟军平建国华明强勇杰涛斌海波林根生土水金福荣昌旺兴",
    "2": "芳英玉珍兰秀梅丽娟红燕霞敏静云香菊花琴凤莲仙爱春雪",
}
MALE: Final = "1"  # GB/T 2261.1
FEMALE: Final = "2"  # GB/T 2261.1


@dataclass(slots=True)
class Person:
    """An invented person. `record` is the id of the entry in the household register."""

    number: str
    name: str
    birth: date
    sex: str
    village: Village
    phone: str
    hukou: str = ""
    record: str = ""

    @property
    def county(self) -> str:
        """GB/T 2260 code of the county of residence."""
        return self.village.county

    def age(self, on: date) -> int:
        """Completed years on a day."""
        return on.year - self.birth.year - ((on.month, on.day) < (self.birth.month, self.birth.day))


class People:
    """Makes persons whose citizen numbers never repeat."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._taken: set[str] = set()

    def new(self, *, birth: date, sex: str, county: str, surname: str = "", village: Village | None = None) -> Person:
        """A new person; with `village` a person of that village, else one of any village of the county."""
        rng = self._rng
        home = village or rng.choice(villages(county))
        name = (surname or rng.choice(SURNAMES)) + "".join(rng.choices(GIVEN[sex], k=rng.choice((1, 2, 2))))
        phone = f"1{rng.choice('3589')}{rng.randrange(10**9):09d}"
        return Person(self.number(birth, sex, county), name, birth, sex, home, phone)

    def number(self, birth: date, sex: str, county: str) -> str:
        """A citizen number nobody else has here."""
        prefix = PREFIX_BEFORE_2000[county] if birth.year < LAST_YEAR_OF_3325 else county
        while True:
            order = self._rng.randrange(1, 999)
            if order % 2 != int(sex == MALE):
                continue
            body = f"{prefix}{birth:%Y%m%d}{order:03d}"
            number = body + check_character(body)
            if number not in self._taken:
                self._taken.add(number)
                return number


def years_before(day: date, years: int) -> date:
    """The same day `years` years earlier; 29 February becomes the 28th (民法典 202)."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def months_before(day: date, months: int) -> date:
    """First day of the month `months` months before the month of `day`."""
    index = day.year * 12 + day.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)


def month_end(day: date) -> date:
    """Last day of the month of `day`."""
    return months_before(day, -1) - timedelta(days=1)


def period(day: date) -> str:
    """YYYY-MM."""
    return f"{day:%Y-%m}"
