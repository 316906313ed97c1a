"""Homes for policy tests: short makers of facts, and one strategy that draws homes of every kind."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from hypothesis import Phase
from hypothesis import strategies as st

from hub.domain.facts import (
    PAYLOADS,
    AidHousehold,
    Application,
    Benefit,
    Certificate,
    Check,
    Coverage,
    Cremation,
    DisabilityComponent,
    Enrolment,
    IncomeItem,
    Investigation,
    JusticeStatus,
    Kinship,
    MedicalDeath,
    Payload,
    Payment,
    Pension,
    RegisteredDeath,
    Resident,
    Settlement,
)
from hub.domain.homes import Home, Member
from hub.domain.messages import Fact
from hub.policy.catalogue import RULES

SELF, MOTHER, FATHER, CHILD = "a" * 32, "b" * 32, "c" * 32, "d" * 32
LONG_AGO: Final = date(1990, 1, 1)
TOPIC_OF: Final = {payload: topic for topic, payload in PAYLOADS.items()}
START: Final = date(2026, 1, 1)
QUICK: Final = (Phase.explicit, Phase.reuse, Phase.generate)
"""Homes are large and shrink for minutes; the failing home itself reads well enough."""


def fact(payload: Payload, record: str, *, version: int = 1, region: str | None = "331102", received: int = 0) -> Fact:
    """One live fact of a payload's own topic."""
    return Fact(TOPIC_OF[type(payload)], "src", record, version, region, 0, 0, received, None, None, payload)


def member(person: str, roles: tuple[str, ...], payloads: Iterable[Payload]) -> Member:
    """A contributor; record ids follow the order of the payloads, and facts are ordered as a home orders them."""
    facts = [fact(payload, f"{person[:1]}{position:03d}") for position, payload in enumerate(payloads)]
    return Member(person, roles, tuple(sorted(facts, key=lambda one: (one.source, one.record_id))))


def person_home(*members: Member) -> Home:
    """The home of SELF."""
    return Home(f"person:{SELF}", tuple(sorted(members, key=lambda one: one.person)))


def resident(born: date | None = date(1950, 5, 20), status: str = "registered", region: str = "331102") -> Resident:
    """An entry in the household register."""
    return Resident(
        hukou="h1",
        hukou_kind="family",
        relation_to_head="self",
        status=status,
        birth_date=born,
        sex="1",
        id_kind="citizen",
        township=f"{region}001",
    )


def none_found(topic: str) -> Coverage:
    """查无记录 about one person."""
    return Coverage(topic=topic, scope="person", delivery="full", found=False)


def settlement(day: date, yuan: int, reverses: str | None = None) -> Settlement:
    """A settlement of which everything was paid in cash."""
    fen = yuan * 100
    return Settlement(
        service_from=day,
        service_to=day,
        settled_on=day,
        kind="inpatient",
        total_fen=fen,
        basic_fund_fen=0,
        critical_illness_fund_fen=0,
        medical_aid_fen=0,
        supplementary_fen=0,
        personal_account_fen=0,
        cash_fen=fen,
        reverses=reverses,
    )


def check(persons: tuple[str, ...], income: tuple[IncomeItem, ...] = (), **tests: Any) -> Check:
    """A 核对 report in which everything complies unless a test says otherwise."""
    found = {f"property_{name}": "compliant" for name in ("dibao", "margin", "tekun", "low_income", "rigid")} | tests
    return Check(
        aid_household="h",
        period_from=date(2025, 1, 1),
        period_to=date(2025, 12, 31),
        covered_persons=persons,
        income=income,
        **found,
    )


def wage(person: str, monthly_yuan: int) -> IncomeItem:
    """A wage over the twelve months of the demonstration window."""
    return IncomeItem(person=person, type="wage", amount_fen=monthly_yuan * 1200, months=12)


def listed(relation: str = "self", count: int = 1, **change: Any) -> AidHousehold:
    """A line of the certified list of household `h`."""
    values: dict[str, Any] = {
        "aid_household": "h",
        "relation_to_applicant": relation,
        "lives_together": True,
        "since": LONG_AGO,
        "counted": True,
        "member_count": count,
        "certified_on": LONG_AGO,
    }
    return AidHousehold(**(values | change))


def benefit(
    kind: str, since: date, until: date | None = None, region: str = "331102", status: str = "active"
) -> Benefit:
    """A benefit held."""
    return Benefit(type=kind, status=status, since=since, until=until, paying_region=region)


def kin(
    other: str, relation: str, nature: str = "blood", since: date | None = None, until: date | None = None
) -> Kinship:
    """A tie."""
    return Kinship(other=other, relation=relation, nature=nature, since=since, until=until)


def death(day: date | None, precision: str = "day", kind: str = "natural", revoked: bool = False) -> RegisteredDeath:
    """A death in the household register."""
    return RegisteredDeath(death_date=day, precision=precision, kind=kind, revoked=revoked)


def justice(kind: str, since: date, until: date | None = None, **change: Any) -> JusticeStatus:
    """A judicial status."""
    return JusticeStatus(kind=kind, since=since, until=until, **change)


def certificate(category: str, level: int, until: date | None = None, status: str = "valid") -> Certificate:
    """A disability certificate with one component."""
    component = DisabilityComponent(category=category, level=level)
    return Certificate(components=(component,), issued_on=LONG_AGO, valid_until=until, status=status)


def inventory(kind: str) -> Kinship:
    """The statement that a list of kin is complete."""
    return Kinship(inventory_complete=kind, certified_on=LONG_AGO)


_past = st.dates(date(2024, 6, 1), date(2025, 12, 31))
_soon = st.one_of(st.none(), st.dates(date(2025, 1, 1), date(2026, 12, 31)))
_birth = st.one_of(
    st.none(),
    st.dates(date(1945, 12, 1), date(1947, 1, 31)),  # reaches 80 within the year looked at
    st.dates(date(1965, 12, 1), date(1967, 1, 31)),  # 60
    st.dates(date(2007, 12, 1), date(2009, 1, 31)),  # 18
    st.dates(date(1940, 1, 1), date(2025, 12, 31)),
    st.just(date(1948, 2, 29)),
)
_months = st.sampled_from(["2025-06", "2025-11", "2025-12"])
_regions = st.sampled_from(["331102", "330726"])
_kinds = st.sampled_from(["elder_age", "tekun", "dibao", "orphan", "defacto_unsupported"])
_precision = st.sampled_from(["day", "month", "year"])
_statuses = st.sampled_from(["active", "taper", "suspended", "ended"])


def _one_of_any(person: str, others: tuple[str, ...]) -> st.SearchStrategy[Payload]:
    """One payload of any topic that a rule reads, with days around the year looked at."""
    other = st.sampled_from(others)
    return st.one_of(
        st.builds(benefit, _kinds, _past, _soon, _regions, _statuses),
        st.builds(
            Payment,
            benefit=_kinds,
            period=_months,
            paid_on=_past,
            amount_fen=st.just(50000),
            paying_region=_regions,
            returned_on=st.one_of(st.none(), _past),
        ),
        st.builds(
            Pension,
            scheme=st.sampled_from(["pension_resident", "pension_employee"]),
            period=_months,
            total_fen=st.sampled_from([30000, 90000, 200000]),
            status=st.sampled_from(["paying", "ended"]),
            central_basic_part_fen=st.one_of(st.none(), st.just(20000)),
            last_alive_check=st.one_of(st.none(), _past),
        ),
        st.builds(
            Enrolment,
            scheme=st.just("medical_resident"),
            year=st.sampled_from([2025, 2026]),
            place=_regions,
            status=st.sampled_from(["active", "ended"]),
        ),
        st.builds(
            death, st.one_of(st.none(), _past), _precision, st.sampled_from(["natural", "declared"]), st.booleans()
        ),
        st.builds(MedicalDeath, death_date=st.one_of(st.none(), _past), precision=_precision, revoked=st.booleans()),
        st.builds(Cremation, cremated_on=_past, death_date=st.one_of(st.none(), _past)),
        st.builds(
            justice,
            st.sampled_from(["prison", "detention", "lost_contact", "declared_missing", "declared_dead", "deported"]),
            _past,
            _soon,
            term_months=st.one_of(st.none(), st.integers(3, 24)),
            care_given=st.one_of(st.none(), st.booleans()),
        ),
        st.builds(
            certificate,
            st.sampled_from(["limb", "intellectual", "mental", "sight"]),
            st.integers(1, 4),
            _soon,
            st.sampled_from(["valid", "frozen", "cancelled"]),
        ),
        st.builds(settlement, _past, st.sampled_from([-20000, 9000, 30000, 60000, 120000])),
        st.builds(
            kin,
            other,
            st.sampled_from(["father", "mother", "son", "spouse"]),
            st.sampled_from(["blood", "adopted", "step", "marriage"]),
            st.one_of(st.none(), _past),
            _soon,
        ),
        st.builds(inventory, st.sampled_from(["children", "spouse", "parents"])),
        st.builds(
            Coverage,
            topic=st.sampled_from(
                [
                    "assistance.benefit",
                    "justice.status",
                    "disability.certificate",
                    "medical.settlement",
                    "assistance.payment",
                    "insurance.pension",
                    "insurance.enrolment",
                ]
            ),
            scope=st.just("person"),
            delivery=st.just("full"),
            found=st.just(False),
            complete_to=_soon,
        ),
        st.builds(
            Application,
            benefit=st.sampled_from(["dibao", "tekun"]),
            accepted_on=_past,
            authorised_on=st.one_of(st.none(), _past),
            refused_on=st.one_of(st.none(), _past),
            delegated=st.just(False),
            complex=st.just(False),
        ),
        st.builds(
            lambda amount, until, answer: check(
                (person,),
                (wage(person, amount),) if amount else (),
                authorised_until=until,
                property_dibao=answer,
                property_tekun=answer,
                property_low_income=answer,
            ),
            st.sampled_from([0, 500, 1500, 5000]),
            _soon,
            st.sampled_from(["compliant", "compliant", "non_compliant", "unknown"]),
        ),
        st.builds(
            lambda day, complete: Investigation(
                aid_household="h", visited_on=day, covered_persons=(person,), deductions_complete=complete
            ),
            _past,
            st.booleans(),
        ),
    )


def _contributor(
    person: str, roles: tuple[str, ...], others: tuple[str, ...], base: st.SearchStrategy[list[Payload]]
) -> st.SearchStrategy[Member]:
    return st.builds(
        lambda entry, first, more: member(person, roles, [*entry, *first, *more]),
        st.lists(st.builds(resident, _birth, st.sampled_from(["registered", "registered", "moved_out"])), max_size=1),
        base,
        st.lists(_one_of_any(person, others), max_size=6),
    )


_nothing: st.SearchStrategy[list[Payload]] = st.just([])
_lists: st.SearchStrategy[list[Payload]] = st.builds(
    lambda since, until, counted: [listed(count=2, since=since, until=until, counted=counted)],
    st.one_of(st.just(LONG_AGO), _past),
    _soon,
    st.booleans(),
)


@st.composite
def homes(draw: st.DrawFn) -> Home:
    """A home of any kind, whose records hold days on both sides of the year looked at."""
    kind = draw(st.sampled_from(["person", "person", "household", "candidate"]))
    if kind == "person":
        mine: st.SearchStrategy[list[Payload]] = st.just([kin(MOTHER, "mother"), kin(FATHER, "father")])
        contributors = [
            draw(_contributor(SELF, ("self",), (MOTHER, FATHER, CHILD), st.one_of(mine, _nothing))),
            *draw(st.lists(_contributor(MOTHER, ("parent",), (SELF,), _nothing), max_size=1)),
            *draw(st.lists(_contributor(FATHER, ("parent",), (SELF,), _nothing), max_size=1)),
            *draw(st.lists(_contributor(CHILD, ("child",), (SELF,), _nothing), max_size=1)),
        ]
        return person_home(*contributors)
    base = _lists if kind == "household" else _nothing
    both = [draw(_contributor(person, ("member",), (SELF, MOTHER), base)) for person in (SELF, MOTHER)]
    return Home(f"{kind}:h", tuple(both))


def fields_read() -> dict[tuple[str, str], frozenset[str]]:
    """(home kind, role) → every field its rules declare."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for rule in RULES.values():
        for kind in rule.homes:
            for role, fields in rule.reads.items():
                found[kind, role] = found.get((kind, role), frozenset()) | fields
    return found
