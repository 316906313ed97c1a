"""What a decision case cannot state: grades, holds, leads, hashes, region, coverage by region, the words of a text."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from hub.domain.facts import Coverage, MedicalDeath, Payload, Payment, Pension
from hub.domain.homes import Home, Member
from hub.domain.times import day_start_ms
from hub.packs import load_book
from hub.policy.catalogue import RULES, decide, place_of
from hub.policy.conclude import cite
from hub.policy.findings import Finding
from tests.unit.policy.homes import (
    FATHER,
    LONG_AGO,
    MOTHER,
    SELF,
    benefit,
    certificate,
    check,
    death,
    fact,
    justice,
    kin,
    listed,
    member,
    none_found,
    person_home,
    resident,
    settlement,
    wage,
)

DEMO = load_book(overlay="demo")
DAY = date(2026, 3, 15)


def the(rule: str, home: Home, on: date = DAY, book: Any = DEMO) -> Finding | None:
    """The finding of one rule."""
    return next((finding for finding in decide(home, book, on) if finding.rule == rule), None)


def sure(rule: str, home: Home, on: date = DAY, book: Any = DEMO) -> Finding:
    """The finding of one rule that must apply."""
    finding = the(rule, home, on, book)
    assert finding is not None
    return finding


def alone(*payloads: Payload) -> Home:
    """A person home without kin."""
    return person_home(member(SELF, ("self",), payloads))


def candidate(*payloads: Payload) -> Home:
    """A candidate home of one member, of whom no benefit is held."""
    return Home("candidate:h", (member(SELF, ("member",), [none_found("assistance.benefit"), *payloads]),))


PAID = Payment(
    benefit="elder_age", period="2026-02", paid_on=date(2026, 2, 8), amount_fen=10000, paying_region="331102"
)
REGISTERED = death(date(2026, 1, 10))
MEDICAL = MedicalDeath(death_date=date(2026, 1, 9), precision="day", revoked=False)


def test_one_source_asks_for_verification_and_two_make_a_case() -> None:
    """核实生存状态 is a lead; what two sources or a court say is a case; a revoked record says nothing."""
    once = sure("death_benefit_continues", alone(resident(), REGISTERED, PAID))
    assert (once.truth, once.grade, once.title) == ("yes", "lead", "请核实生存状态：有死亡记录，待遇仍在发放")
    twice = sure("death_benefit_continues", alone(resident(), REGISTERED, MEDICAL, PAID))
    assert (twice.truth, twice.grade) == ("yes", "case")
    declared = sure("death_benefit_continues", alone(resident(), death(date(2026, 1, 1), kind="declared"), PAID))
    assert declared.grade == "case"
    assert the("death_benefit_continues", alone(resident(), death(date(2026, 1, 10), revoked=True), PAID)) is None


def test_a_sign_of_life_never_says_paid_after_death() -> None:
    """Even two sources are doubted by a later settlement; the funeral bundle then stays unknown."""
    home = alone(resident(), REGISTERED, MEDICAL, PAID, settlement(date(2026, 2, 1), 10))
    assert sure("death_benefit_continues", home).grade == "lead"
    assert sure("funeral_affairs", home).truth == "unknown"
    reversal = alone(resident(), REGISTERED, MEDICAL, PAID, settlement(date(2026, 2, 1), -10))
    assert sure("death_benefit_continues", reversal).grade == "case"


def test_the_earliest_reliable_date_prevails() -> None:
    """The payment is of a later month than the medical certificate says, though not than the register does."""
    january = MedicalDeath(death_date=date(2025, 12, 31), precision="day", revoked=False)
    paid = msgspec.structs.replace(PAID, period="2026-01")
    assert sure("death_benefit_continues", alone(resident(), january, REGISTERED, paid)).truth == "yes"
    covered = [none_found(topic) for topic in ("assistance.payment", "insurance.pension", "assistance.benefit")]
    later = alone(resident(), death(date(2026, 1, 31)), paid, *covered)
    assert sure("death_benefit_continues", later).truth == "no"


def test_alerts_to_families_wait() -> None:
    """Seven days from the day the first source told; the parameter moves it."""
    received = day_start_ms(date(2026, 3, 10))
    facts = (
        fact(resident(), "a1"),
        fact(REGISTERED, "a2", received=received),
        fact(MEDICAL, "a3", received=received + 1),
    )
    home = person_home(Member(SELF, ("self",), facts))
    assert date(2026, 3, 17) == sure("funeral_affairs", home).hold_until
    assert date(2026, 3, 12) == sure("funeral_affairs", home, book=DEMO.overridden({"death.hold_days": 2})).hold_until


def test_a_family_benefit_ends_with_its_only_member() -> None:
    """A household is recounted and its benefit goes on, unless the dead person was the household."""
    paid = msgspec.structs.replace(PAID, benefit="dibao")
    covered = [none_found(topic) for topic in ("assistance.payment", "insurance.pension", "assistance.benefit")]
    shared = alone(resident(), REGISTERED, paid, listed(count=2), *covered)
    single = alone(resident(), REGISTERED, paid, listed(count=1), *covered)
    assert tuple(sure("death_benefit_continues", home).truth for home in (shared, single)) == ("no", "yes")


def test_a_candidate_home_opens_only_leads_and_only_on_a_sign() -> None:
    """No income record is no sign; large bills, an earner's death or prison, severe disability are."""
    assert the("dibao", candidate(resident(date(1980, 1, 1)))) is None
    earner = resident(date(1980, 1, 1))
    for sign in (settlement(date(2026, 1, 1), 60000), death(date(2026, 1, 1)), certificate("limb", 1)):
        found = sure("dibao", candidate(earner, sign))
        assert (found.truth, found.grade) == ("yes", "lead")
    prison = candidate(earner, justice("prison", date(2025, 1, 1), date(2026, 6, 30)))
    assert ("yes", date(2026, 7, 1)) == (sure("dibao", prison).truth, sure("dibao", prison).review_on)
    assert sure("dibao", prison, date(2026, 7, 1)).truth == "no"
    assert the("dibao", candidate(resident(date(2026, 1, 1)))) is None  # a newborn counts where the region says so
    born = DEMO.overridden({"lead.signs": ("newborn",)})
    assert sure("dibao", candidate(resident(date(2026, 1, 1))), book=born).truth == "yes"


def test_a_lead_is_silent_where_pensions_reach_the_standard() -> None:
    """What is known to be received speaks against a lead."""
    pension = Pension(scheme="pension_employee", period="2026-02", total_fen=400000, status="paying")
    assert sure("dibao", candidate(resident(), certificate("limb", 1), pension)).truth == "no"


def household(*payloads: Payload, covered: bool = True) -> Home:
    """A certified household of one."""
    more = [none_found("assistance.benefit")] if covered else []
    return Home("household:h", (member(SELF, ("member",), [resident(), listed(), *more, *payloads]),))


def test_income_is_averaged_over_the_window() -> None:
    """Three months of 3000 元 within twelve are 750 a month; without the parameter nothing can be averaged."""
    item = msgspec.structs.replace(wage(SELF, 3000), amount_fen=900000, months=3)
    home = household(check((SELF,), (item,)))
    exact = DEMO.overridden({"deduction.cap_monthly_fen": 0})
    same = household(check((SELF,), (wage(SELF, 750),)))
    assert [sure("dibao", one, book=exact).amount_fen for one in (home, same)] == [33300, 33300]
    unset = sure("dibao", home, book=DEMO.overridden({"income.window_months": []}))
    assert [(unset.truth, gap.field) for gap in unset.missing][-1:] == [("unknown", "parameter.income.window_months")]


def test_an_unknown_deduction_blocks_a_no_only_up_to_its_cap() -> None:
    """1200 元 a head: with a cap of 1000 元 a deduction could turn the answer, with a cap of 100 it could not."""
    home = household(check((SELF,), (wage(SELF, 1200),)))
    wide, narrow = sure("dibao", home), sure("dibao", home, book=DEMO.overridden({"deduction.cap_monthly_fen": 10000}))
    assert (wide.truth, [gap.field for gap in wide.missing]) == ("unknown", ["assistance.investigation.deductions"])
    assert (narrow.truth, narrow.missing) == ("no", ())


def test_basic_part_of_the_residents_pension() -> None:
    """Only the centrally fixed part is set aside; a pension of employees counts in full."""
    report = check((SELF,))
    resident_pension = Pension(
        scheme="pension_resident", period="2025-12", total_fen=120000, status="paying", central_basic_part_fen=30000
    )
    employee = msgspec.structs.replace(resident_pension, scheme="pension_employee")
    last_year = date(2025, 12, 31)
    assert sure("dibao", household(report, resident_pension), last_year).truth == "yes"
    unsplit = msgspec.structs.replace(resident_pension, central_basic_part_fen=None)
    gaps = sure("dibao", household(report, unsplit), last_year).missing
    assert "insurance.pension.central_basic_part_fen" in [gap.field for gap in gaps]
    capped = DEMO.overridden({"deduction.cap_monthly_fen": 0})
    assert sure("dibao", household(report, employee), last_year, capped).truth == "no"
    gaps = sure("dibao", household(report, resident_pension), date(2026, 1, 1), capped).missing
    assert [gap.field for gap in gaps] == ["parameter.income.basic_pension_counts"]


def test_a_household_of_whom_a_member_is_missing_is_unknown() -> None:
    """The certified list says two; one has contributed."""
    one = Home("household:h", (member(SELF, ("member",), [resident(), listed(count=2), check((SELF,))]),))
    assert "assistance.household.aid_household" in [gap.field for gap in sure("dibao", one).missing]


def test_coverage_of_a_region_proves_absence_until_it_ends() -> None:
    """丽水's statement serves 莲都 and not 浦江; after its last day absence is unknown again."""
    old = date(1940, 1, 1)
    stated = Coverage(topic="assistance.benefit", scope="region", delivery="full", complete_to=date(2026, 3, 31))
    coverage = ((fact(stated, "c1", region="331100"), stated),)

    def home(region: str) -> Home:
        entry = member(SELF, ("self",), [resident(old, region=region)])
        return Home(f"person:{SELF}", (entry,), coverage)

    found = sure("elder_age_allowance", home("331102"))
    assert ("yes", date(2026, 4, 1)) == (found.truth, found.review_on)
    assert sure("elder_age_allowance", home("331102"), date(2026, 4, 1)).truth == "unknown"
    assert sure("elder_age_allowance", home("330726")).truth == "unknown"


def test_evidence_hash_follows_values() -> None:
    """Another version of the same value hashes alike, another value does not."""
    base = sure("dibao", household(check((SELF,), (wage(SELF, 500),)), covered=True))
    newer = household(check((SELF,), (wage(SELF, 500),)))
    members = tuple(
        msgspec.structs.replace(one, facts=tuple(msgspec.structs.replace(held, version=7) for held in one.facts))
        for one in newer.members
    )
    same = sure("dibao", msgspec.structs.replace(newer, members=members))
    other = sure("dibao", household(check((SELF,), (wage(SELF, 501),))))
    assert base.evidence_hash == same.evidence_hash != other.evidence_hash


def test_further_bills_do_not_amend_a_warning_until_the_next_multiple() -> None:
    """A dialysis patient's every settlement would otherwise amend the alert."""
    bills = [settlement(date(2026, 1, 1), amount) for amount in (60000, 20000, 30000)]
    first, second, third = (sure("medical_warning", household(*bills[:count])) for count in (1, 2, 3))
    assert first.evidence_hash == second.evidence_hash != third.evidence_hash
    assert first.grade == "lead"


def test_place_is_the_applicants_own_register() -> None:
    """The applicant leads; without a register entry the region of any record serves; without any nothing is decided."""
    other = member(MOTHER, ("member",), [resident(region="330726"), listed("spouse")])
    mine = member(SELF, ("member",), [resident(), listed()])
    assert place_of(Home("household:h", (mine, other))) == ("331102", "331102001")
    record = fact(listed(), "r1", region="331121")
    assert place_of(Home("household:h", (Member(SELF, ("member",), (record,)),))) == ("331121", None)
    nowhere = Home("household:h", (Member(SELF, ("member",), (fact(listed(), "r1", region=None),)),))
    assert place_of(nowhere) == (None, None)
    assert decide(nowhere, DEMO, DAY) == ()


def test_an_adoption_that_ended_leaves_the_parents_by_blood() -> None:
    """While it lasts the adopters are the parents; the day after, the dead parents are again."""
    adopter, adoptress = "e" * 32, "f" * 32
    ties = [
        kin(FATHER, "father"),
        kin(MOTHER, "mother"),
        kin(adopter, "father", "adopted", LONG_AGO, date(2026, 6, 30)),
        kin(adoptress, "mother", "adopted", LONG_AGO, date(2026, 6, 30)),
    ]
    topics = ("assistance.benefit", "justice.status", "disability.certificate")
    child = member(SELF, ("self",), [resident(date(2015, 1, 1)), *ties, *(none_found(topic) for topic in topics)])
    dead = [member(one, ("parent",), [resident(), death(date(2020, 1, 1))]) for one in (FATHER, MOTHER)]
    living = [member(one, ("parent",), [resident()]) for one in (adopter, adoptress)]
    home = person_home(child, *dead, *living)
    now = sure("orphan", home)
    assert ("no", date(2026, 7, 1)) == (now.truth, now.review_on)
    assert sure("orphan", home, date(2026, 7, 1)).truth == "yes"


def test_a_region_may_count_declared_missing_parents() -> None:
    """Then the child is an orphan and not 事实无人抚养; the default explanation names the other reading."""
    child = member(
        SELF,
        ("self",),
        [resident(date(2015, 1, 1)), kin(FATHER, "father"), kin(MOTHER, "mother"), none_found("assistance.benefit")],
    )
    father = member(FATHER, ("parent",), [resident(), death(date(2020, 1, 1))])
    mother = member(MOTHER, ("parent",), [resident(), justice("declared_missing", date(2024, 1, 1))])
    home = person_home(child, father, mother)
    assert (sure("orphan", home).truth, sure("defacto_unsupported", home).truth) == ("no", "yes")
    assert "有的地区按孤儿认定" in sure("orphan", home).explanation
    wider = DEMO.overridden({"orphan.declared_missing_counts": True})
    assert tuple(sure(rule, home, book=wider).truth for rule in ("orphan", "defacto_unsupported")) == ("yes", "no")


def test_a_tie_known_from_one_end_is_enough() -> None:
    """The parent's own record names the child; the child's register entry need not."""
    child = member(SELF, ("self",), [resident(date(2015, 1, 1)), none_found("assistance.benefit")])
    parents = [
        member(one, ("parent",), [resident(), death(date(2020, 1, 1)), kin(SELF, "son")]) for one in (FATHER, MOTHER)
    ]
    assert sure("orphan", person_home(child, *parents)).truth == "yes"


@pytest.mark.parametrize("rule", list(RULES.values()), ids=lambda rule: rule.id)
def test_a_rule_has_its_line_and_words(rule: Any) -> None:
    """Lines are those of the registry; titles are Chinese; every rule cites something."""
    assert rule.line in {"social_assistance", "funeral", "child_welfare", "elder_care"}
    assert rule.articles
    assert rule.title.isprintable()


def test_words_of_an_explanation() -> None:
    """Articles as a Chinese reader expects them, what is missing by name, and nothing that identifies anybody."""
    assert cite("浙江省社会救助条例 Art 9") == "《浙江省社会救助条例》第9条"
    assert cite("民发〔2019〕62号 一") == "民发〔2019〕62号 一"
    assert cite("浙江省实施《老年人权益保障法》办法 Art 27") == "《浙江省实施〈老年人权益保障法〉办法》第27条"
    home = household(covered=False)
    found = sure("dibao", home)
    assert "暂不能判断" in found.explanation
    assert "尚缺" in found.explanation
    assert "核对报告" in found.explanation
    assert SELF not in found.explanation


def test_benefit_in_force_by_its_days() -> None:
    """A benefit that ends on a day is held that day."""
    home = alone(resident(date(1940, 1, 1)), none_found("assistance.benefit"), benefit("elder_age", LONG_AGO, DAY))
    found = sure("elder_age_allowance", home)
    assert ("no", date(2026, 3, 16)) == (found.truth, found.review_on)
    assert sure("elder_age_allowance", home, date(2026, 3, 16)).truth == "yes"


def test_a_multiple_of_the_line_is_passed_not_reached() -> None:
    """Twice the line exactly is still one; one 元 more is two."""
    once, exactly, above = (
        sure("medical_warning", household(settlement(date(2026, 1, 1), amount))) for amount in (60000, 100000, 100001)
    )
    assert once.evidence_hash == exactly.evidence_hash != above.evidence_hash


def test_an_ended_benefit_is_not_held_whatever_its_days() -> None:
    """The register says it ended; that nobody filled in the last day does not revive it."""
    ended = benefit("elder_age", LONG_AGO, status="ended")
    home = alone(resident(date(1940, 1, 1)), ended, none_found("assistance.benefit"))
    assert sure("elder_age_allowance", home).truth == "yes"


def test_a_sentence_served_outside_prison_excludes_nobody() -> None:
    """Two heads share 2000 元; in prison one of them would not count."""
    book = DEMO.overridden({"deduction.cap_monthly_fen": 0})

    def home(kind: str) -> Home:
        one = member(SELF, ("member",), [resident(), listed(count=2), check((SELF, MOTHER), (wage(SELF, 2000),))])
        other: list[Payload] = [resident(), listed("spouse", 2), justice(kind, date(2025, 1, 1))]
        sure_of = [none_found("assistance.benefit")]
        members = (one, member(MOTHER, ("member",), other))
        return Home("household:h", tuple(_more(each, sure_of) for each in members))

    truths = [sure("dibao", home(kind), book=book).truth for kind in ("outside_prison", "prison")]
    assert truths == ["yes", "no"]


def _more(one: Member, payloads: list[Coverage]) -> Member:
    facts = (*one.facts, *(fact(payload, f"zz{position}") for position, payload in enumerate(payloads)))
    return msgspec.structs.replace(one, facts=facts)


def test_two_adopters_take_the_place_of_the_parents() -> None:
    """Their death makes an orphan although the mother by blood lives and nobody ended her tie."""
    adopter, adoptress = "e" * 32, "f" * 32
    ties = [kin(MOTHER, "mother"), kin(adopter, "father", "adopted"), kin(adoptress, "mother", "adopted")]
    child = member(SELF, ("self",), [resident(date(2015, 1, 1)), *ties, none_found("assistance.benefit")])
    mother = member(MOTHER, ("parent",), [resident()])
    dead = [member(one, ("parent",), [resident(), death(date(2024, 1, 1))]) for one in (adopter, adoptress)]
    assert sure("orphan", person_home(child, mother, *dead)).truth == "yes"


def test_a_declaration_of_death_that_ends_is_announced() -> None:
    """A court took it back from a day on: until then it stands, and the home wakes on the day after."""
    declared = justice("declared_dead", date(2025, 1, 1), date(2026, 6, 30))
    paid = alone(resident(), declared, PAID)
    found = sure("death_benefit_continues", paid)
    assert (found.truth, found.grade, found.review_on) == ("yes", "case", date(2026, 7, 1))
    assert sure("death_benefit_continues", paid, date(2026, 7, 1)).truth == "no"


def test_a_region_without_the_allowance_says_no() -> None:
    """An empty scope is a decision of the region, not a gap: nothing else needs to be known."""
    off = DEMO.overridden({"elder_age.scope": ()})
    found = sure("elder_age_allowance", alone(resident(date(1940, 1, 1))), book=off)
    assert (found.truth, found.missing) == ("no", ())


def test_a_cancelled_certificate_is_no_doubt_and_a_frozen_one_is() -> None:
    """Cancelled: not disabled by this certificate. Frozen or expired: unknown."""

    def tekun_with(status: str, until: date | None = None) -> Finding:
        topics = ("assistance.benefit", "justice.status")
        young: list[Payload] = [resident(date(1990, 1, 1)), check((SELF,)), certificate("limb", 1, until, status)]
        return sure("tekun", alone(*young, *(none_found(topic) for topic in topics)))

    assert tekun_with("cancelled").truth == "no"
    frozen, expired = tekun_with("frozen"), tekun_with("valid", date(2026, 3, 14))
    assert "disability.certificate.status" in [gap.field for gap in frozen.missing]
    assert "disability.certificate.valid_until" in [gap.field for gap in expired.missing]


def test_money_that_was_returned_is_no_duplicate() -> None:
    """Both regions paid March; one got it back; the overlap of that month then counts no more."""
    both: list[Payload] = [
        benefit("dibao", date(2026, 3, 1), date(2026, 3, 31), "330726"),
        benefit("dibao", date(2026, 3, 1), date(2026, 3, 31), "331102"),
    ]
    march = msgspec.structs.replace(PAID, benefit="dibao", period="2026-03")
    there = msgspec.structs.replace(march, paying_region="330726")
    returned = msgspec.structs.replace(there, returned_on=date(2026, 4, 2))
    on = date(2026, 4, 15)
    truths = [sure("duplicate_benefit", alone(resident(), *both, march, one), on).truth for one in (there, returned)]
    assert truths == ["yes", "no"]


def test_bills_of_a_member_who_has_not_contributed_are_unknown() -> None:
    """Below the line with one of two members: the other's bills could pass it."""
    bill, sure_of = settlement(date(2026, 1, 1), 100), none_found("medical.settlement")
    one = Home("household:h", (member(SELF, ("member",), [resident(), listed(count=2), bill, sure_of]),))
    found = sure("medical_warning", one)
    assert (found.truth, [gap.field for gap in found.missing]) == ("unknown", ["assistance.household.aid_household"])
