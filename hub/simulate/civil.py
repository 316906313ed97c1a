"""What police and hospitals write down of who there is, who is whose kin, who lives where, and who has died.

Each method adds rows to the tables of `hub.simulate.tables`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from hub.simulate.people import MALE, Person
from hub.simulate.tables import Tables

KIN: Final = {"spouse": ("spouse", "spouse"), "child": ("son", "daughter"), "parent": ("father", "mother")}


class Civil(Tables):
    """The departments' tables with the acts of 户籍 and death."""

    # --- 公安户籍 ---------------------------------------------------------------------------------------------

    def family(self, *members: tuple[Person, str], kind: str = "family", status: str = "registered") -> str:
        """Register persons in one 户口; the first is the head (relation self)."""
        head = members[0][0]
        hukou = f"H{head.county}{self._next('hukou'):05d}"
        for person, relation in members:
            person.hukou = hukou
            person.village = head.village
            self.register(person, relation, kind=kind, status=status)
        return hukou

    def register(self, person: Person, relation: str, *, kind: str = "family", status: str = "registered") -> None:
        """Enter a person in the household register."""
        person.record = self.put(
            "resident",
            f"RY{person.county}",
            ago=self.rng.randrange(1, 900),
            number=person.number,
            name=person.name,
            birth=person.birth,
            sex=person.sex,
            hukou=person.hukou,
            hukou_kind=kind,
            relation=relation,
            status=status,
            county=person.county,
            township=person.village.township,
            village=person.village.code,
            address=f"{person.village.address}{self.rng.randrange(1, 300)}号",
            phone=person.phone,
        )

    def tie(self, person: Person, other: Person, kin: str, *, nature: str = "blood", since: date | None = None) -> str:
        """`other` is the person's spouse, child or parent; one row states it for both ends."""
        relation = KIN[kin][0 if other.sex == MALE else 1]
        return self.put(
            "kinship",
            "GX",
            ago=self.rng.randrange(1, 900),
            number=person.number,
            sex=person.sex,
            other=other.number,
            other_sex=other.sex,
            relation=relation,
            nature="marriage" if kin == "spouse" else nature,
            since=since,
            until=None,
            county=person.county,
        )

    def residence(self, person: Person, evidence: str = "grid") -> str:
        """Where the person really lives, by permit, floating-population register or the grid's visit."""
        return self.put(
            "residence",
            "JD",
            ago=self.rng.randrange(1, 300),
            number=person.number,
            place=person.village.code,
            since=self.day(self.rng.randrange(300, 900)),
            until=None,
            evidence=evidence,
            county=person.county,
        )

    def inventory(self, person: Person, *kinds: str) -> None:
        """State that the person's list of children, spouse or parents is complete."""
        for kind in kinds:
            self.put(
                "inventory",
                "QD",
                number=person.number,
                kind=kind,
                certified_on=self.day(60),
                certifier="户籍派出所",
                county=person.county,
            )

    def parents_and_children(self, parents: tuple[Person, ...], children: tuple[Person, ...]) -> None:
        """Tie parents and children, and state that the children's list of parents is complete."""
        for child in children:
            for parent in parents:
                self.tie(parent, child, "child")
            self.inventory(child, "parents")

    # --- deaths ---------------------------------------------------------------------------------------------

    def registered_death(self, person: Person, on: date | None, *, ago: int = 10, **values: Any) -> str:
        """Death entered in the household register."""
        defaults = {"precision": "day", "kind": "natural", "certifier": "县人民医院", "cancelled_on": None}
        return self.put(
            "death",
            "SW",
            ago=ago,
            **{"number": person.number, "on": on, "county": person.county, "revoked": False, **defaults, **values},
        )

    def certified_death(self, person: Person, on: date | None, *, revoked: bool = False) -> str:
        """Medical certificate of death."""
        return self.put(
            "medical_death",
            "YX",
            ago=8,
            number=person.number,
            name=person.name,
            on=on,
            certifier="丽水市中心医院",
            revoked=revoked,
            county=person.county,
        )

    def cremation(self, person: Person, on: date) -> str:
        """Cremation three days after a death."""
        return self.put(
            "cremation",
            "HH",
            ago=8,
            number=person.number,
            name=person.name,
            on=on,
            cremated_on=on + timedelta(days=3),
            facility="丽水市殡仪馆",
            county=person.county,
        )
