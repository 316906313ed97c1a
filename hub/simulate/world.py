"""What the offices of 丽水 write down, one method an act: a birth's kinship tie, a death, an application, a payment.

Each method adds rows to the tables of `hub.simulate.tables`; amounts are given in 元 and kept in 分.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

from hub.simulate.civil import Civil
from hub.simulate.people import FEMALE, MALE, Person, months_before, period

UNCOVERED: Final = "331127"
"""A county (景宁) whose assistance, insurance, disability and justice offices state no coverage."""


class World(Civil):
    """The departments' tables with the acts that fill them."""

    # --- 民政救助 ---------------------------------------------------------------------------------------------

    def aid_household(
        self, *members: tuple[Person, str], count: int | None = None, not_counted: dict[str, str] | None = None
    ) -> str:
        """Certify a 共同生活家庭; the applicant first. `not_counted`: citizen number → reason."""
        applicant = members[0][0]
        aid = f"JZ{applicant.county}{self._next('aid'):05d}"
        for person, relation in members:
            reason = (not_counted or {}).get(person.number)
            self.put(
                "household",
                row_id=f"{aid}-{person.record[2:]}",
                ago=100,
                number=person.number,
                aid=aid,
                relation=relation,
                lives_together=True,
                since=self.day(700),
                until=None,
                counted=reason is None,
                counted_reason=reason,
                member_count=count or len(members),
                certified_on=self.day(100),
                county=person.county,
            )
        return aid

    def application(self, person: Person, aid: str, benefit: str, **values: Any) -> str:
        """An application accepted thirty days ago, verification authorised."""
        defaults = {
            "cause": None,
            "accepted_on": self.day(30),
            "authorised_on": self.day(30),
            "refused_on": None,
            "check_on": self.day(28),
            "inquiry_on": self.day(27),
            "publicised_from": None,
            "publicised_to": None,
            "decided_on": None,
            "result": None,
            "delegated": False,
            "complex": False,
        }
        known = {"number": person.number, "aid": aid, "benefit": benefit, "county": person.county}
        return self.put("application", "SQ", ago=27, **{**known, **defaults, **values})

    def check(
        self,
        aid: str,
        applicant: Person,
        covered: tuple[Person, ...],
        *incomes: tuple[Person, str, int],
        prop: str = "compliant",
    ) -> str:
        """核对报告 over twelve months; incomes are (earner, type, 元 a month)."""
        last = months_before(self.as_of, 0) - timedelta(days=1)
        check = self.put(
            "check",
            "HD",
            ago=25,
            number=applicant.number,
            aid=aid,
            period_from=months_before(self.as_of, 12),
            period_to=last,
            covered=tuple(person.number for person in covered),
            property_dibao=prop,
            property_margin=prop,
            property_tekun=prop,
            property_low_income=prop,
            property_rigid=prop,
            authorised_until=self.as_of + timedelta(days=335),
            county=applicant.county,
        )
        for person, kind, yuan in incomes:
            self.income("check_income", check, person, kind, yuan)
        return check

    def income(self, table: str, parent: str, person: Person, kind: str, yuan: int) -> str:
        """An income line of twelve months under a 核对报告 or an 入户调查."""
        row = self.put(table, "SR", number=person.number, kind=kind, fen=yuan * 12 * 100, months=12, started_on=None)
        self.tables[table][row].parent = parent
        return row

    def investigation(
        self,
        aid: str,
        applicant: Person,
        covered: tuple[Person, ...],
        *incomes: tuple[Person, str, int],
        deductions: tuple[tuple[str, int], ...] = (),
        spending: tuple[tuple[str, int], ...] = (),
        complete: bool = True,
        labour: str | None = None,
    ) -> str:
        """入户调查 twenty days ago; incomes and deductions in 元 a month, spending in 元."""
        visit = self.put(
            "investigation",
            "RH",
            ago=20,
            number=applicant.number,
            aid=aid,
            visited_on=self.day(20),
            covered=tuple(person.number for person in covered),
            supporters_complete=complete,
            support_paid=0,
            support_received=0,
            deductions_complete=complete,
            employment=None,
            labour=labour,
            county=applicant.county,
        )
        for person, kind, yuan in incomes:
            self.income("visit_income", visit, person, kind, yuan)
        for kind, yuan in deductions:
            self.tables["deduction"][self.put("deduction", "KJ", kind=kind, fen=yuan * 100)].parent = visit
        for kind, yuan in spending:
            row = self.put("spending", "ZC", kind=kind, fen=yuan * 100, paid_on=self.day(90))
            self.tables["spending"][row].parent = visit
        return visit

    def benefit(self, person: Person, kind: str, yuan: int, *, aid: str | None = None, **values: Any) -> str:
        """A benefit held since a year ago, 元 a month."""
        known = {"number": person.number, "kind": kind, "fen": yuan * 100, "aid": aid, "county": person.county}
        defaults = {
            "status": "active",
            "since": months_before(self.as_of, 13),
            "until": None,
            "paying": person.county,
            "valid_until": None,
            "last_review_on": self.day(120),
            "income_pattern": "regular",
            "taper_started_on": None,
        }
        return self.put("benefit", "DY", ago=110, **{**known, **defaults, **values})

    def payments(
        self, person: Person, kind: str, yuan: int, months: int, *, paying: str = "", until: int = 0
    ) -> list[str]:
        """Payments for `months` months that end `until` months before the current one, paid on the tenth."""
        rows = []
        for back in range(until + months - 1, until - 1, -1):
            first = months_before(self.as_of, back)
            rows.append(self.payment(person, kind, yuan, first, paying=paying))
        return [row for row in rows if row]

    def payment(self, person: Person, kind: str, yuan: int, month: date, *, paying: str = "") -> str:
        """One payment, unless its day has not come yet (empty id)."""
        paid_on = month.replace(day=10)
        if paid_on >= self.as_of:
            return ""
        return self.put(
            "payment",
            "FF",
            ago=max((self.as_of - paid_on).days - 1, 0),
            number=person.number,
            kind=kind,
            period=period(month),
            paid_on=paid_on,
            fen=yuan * 100,
            returned_on=None,
            paying=paying or person.county,
            holder_differs=False,
            county=person.county,
        )

    # --- 医保, 人社, 残联, 司法 ---------------------------------------------------------------------------------

    def settlement(self, person: Person, ago: int, total: int, *, cash: int, account: int = 0, **values: Any) -> str:
        """One settlement `ago` days ago, 元; the fund pays what cash and account do not."""
        day = self.day(ago)
        known = {
            "number": person.number,
            "name": person.name,
            "kind": "inpatient" if total > 3000 else "outpatient",
            "service_from": day - timedelta(days=6) if total > 3000 else day,
            "service_to": day,
            "settled_on": day,
            "total": total * 100,
            "basic": (total - cash - account) * 100,
            "critical": 0,
            "aid_paid": 0,
            "supplementary": 0,
            "account": account * 100,
            "cash": cash * 100,
            "compliant": max(cash - 200, 0) * 100,
            "reverses": None,
            "county": person.county,
        }
        return self.put("settlement", "JS", ago=ago, **{**known, **values})

    def enrolment(self, person: Person, scheme: str, *, status: str = "active", year: int = 0) -> str:
        """Insured in a scheme this year."""
        return self.put(
            "enrolment",
            "CB",
            ago=40,
            number=person.number,
            scheme=scheme,
            year=year or self.as_of.year,
            status=status,
            subsidised=None,
            county=person.county,
        )

    def pension(self, person: Person, scheme: str, yuan: int, month: date, *, status: str = "paying") -> str:
        """One month's pension, paid on the eighth."""
        paid_on = month.replace(day=8)
        if paid_on >= self.as_of:
            return ""
        return self.put(
            "pension",
            "YL",
            ago=max((self.as_of - paid_on).days - 1, 0),
            number=person.number,
            scheme=scheme,
            period=period(month),
            paid_on=paid_on,
            fen=yuan * 100,
            basic=19000 if scheme == "pension_resident" else None,
            status=status,
            alive_on=None,
            county=person.county,
        )

    def certificate(self, person: Person, *components: tuple[str, int], status: str = "valid") -> str:
        """Disability certificate; its own number is the citizen number and two digits, as the real ones are."""
        first_category, first_level = components[0]
        order = {"sight": 1, "hearing": 2, "speech": 3, "limb": 4, "intellectual": 5, "mental": 6}[first_category]
        return self.put(
            "certificate",
            row_id=f"{person.number}{order if len(components) == 1 else 7}{first_level}",
            ago=200,
            number=person.number,
            name=person.name,
            components=components,
            issued_on=self.day(800),
            valid_until=self.as_of + timedelta(days=2800),
            status=status,
            care_from=None,
            county=person.county,
        )

    def justice(self, person: Person, kind: str, since: date, *, months: int | None = None, **values: Any) -> str:
        """Prison, detention, lost contact and the like."""
        until = None if months is None else months_before(since, -months).replace(day=min(since.day, 28))
        known = {"number": person.number, "kind": kind, "since": since, "months": months, "until": until}
        defaults = {
            "released_on": None,
            "care_given": None,
            "decided_by": "丽水市莲都区人民法院",
            "county": person.county,
        }
        return self.put("justice", "SF", ago=30, **{**known, **defaults, **values})

    # --- coverage -------------------------------------------------------------------------------------------

    def covers(self, department: str, topic: str, county: str) -> str:
        """A department states that its data of a topic is complete for a county since five years ago."""
        return self.put(
            "coverage",
            "FG",
            ago=2,
            department=department,
            topic=topic,
            scope="region",
            number=None,
            county=county,
            complete_from=self.day(1826),
            complete_to=None,
            delivery="full",
            count=None,
            found=None,
            asked_on=None,
        )

    def not_found(self, department: str, topic: str, person: Person) -> str:
        """A department was asked about one person and found nothing (查无记录)."""
        return self.put(
            "coverage",
            "FG",
            ago=2,
            department=department,
            topic=topic,
            scope="person",
            number=person.number,
            county=person.county,
            complete_from=self.day(1826),
            complete_to=None,
            delivery="full",
            count=None,
            found=False,
            asked_on=self.day(2),
        )

    # --- persons --------------------------------------------------------------------------------------------

    def adult(self, age: int, sex: str, county: str, **values: Any) -> Person:
        """A new person of an age, a birthday somewhere in the year that has passed."""
        birth = months_before(self.as_of, age * 12 + self.rng.randrange(1, 11)).replace(day=self.rng.randrange(1, 29))
        return self.people.new(birth=birth, sex=sex, county=county, **values)

    def couple(self, age: int, county: str) -> tuple[Person, Person]:
        """A husband and a wife of one village."""
        husband = self.adult(age, MALE, county)
        return husband, self.adult(age - 2, FEMALE, county, village=husband.village)


Story = Callable[[World, str, int], None]
"""Plants one story in a county; the last argument (0, 1, 2) chooses among its variants."""
