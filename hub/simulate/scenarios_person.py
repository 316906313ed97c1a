"""Planted persons: after a death, the same benefit twice, and reaching eighty.

Each function plants one story in a county; `turn` (0, 1, 2) chooses among its variants.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Final

from hub.simulate.people import FEMALE, MALE, Person, month_end, months_before, years_before
from hub.simulate.places import COUNTIES
from hub.simulate.world import UNCOVERED, Story, World


def elder(w: World, county: str, age: int, *, status: str = "registered", sex: str = FEMALE) -> Person:
    """An elder alone in a 户口, insured by the residents' scheme."""
    person = w.adult(age, sex, county)
    w.family((person, "self"), status=status)
    w.enrolment(person, "medical_resident")
    return person


def died(w: World, person: Person, ago: int, *, cremated: bool = True) -> tuple[str, str]:
    """A death that register, hospital and funeral parlour agree on; ids of the first two."""
    day = w.day(ago)
    if cremated:
        w.cremation(person, day)
    return w.registered_death(person, day), w.certified_death(person, day)


def paid_on(w: World, person: Person, turn: int, *, until: int = 0) -> list[str]:
    """A benefit that has been paid for eight months, `until` months before the current one the last."""
    kind, yuan = (("elder_age", 100), ("tekun", 1410), ("disability_living", 300))[turn]
    w.benefit(person, kind, yuan, aid=None)
    return w.payments(person, kind, yuan, 8, until=until)


def death_benefit_yes(w: World, county: str, turn: int) -> None:
    """Dead for more than two months by three sources, and paid every month since."""
    person = elder(w, county, 78)
    died(w, person, 75)
    paid_on(w, person, turn)
    w.plant("death_benefit_continues", person, "yes", "paid for months after the month of death")


def death_benefit_no(w: World, county: str, turn: int) -> None:
    """Ended with the month of death; or what was paid too much has come back."""
    person = elder(w, county, 79, status="cancelled_death")
    died(w, person, 75)
    last = month_end(w.day(75))
    back = (w.as_of.year - last.year) * 12 + w.as_of.month - last.month
    late = paid_on(w, person, turn, until=back if turn != 1 else back - 1)
    for row in w.find("benefit", number=person.number):
        w.alter("benefit", row, status="ended", until=last)
    if turn == 1:
        w.alter("payment", late[-1], returned_on=w.day(15))
    w.plant("death_benefit_continues", person, "no", "nothing paid beyond the month of death, or returned")


def death_benefit_to_verify(w: World, county: str, turn: int) -> None:
    """Raised as a lead to verify: a cremation alone; a settlement after the registered death; the register alone."""
    person = elder(w, county, 77)
    if turn == 0:
        w.cremation(person, w.day(75))
    else:
        w.registered_death(person, w.day(75))
    if turn == 1:
        w.settlement(person, 20, 300, cash=80)
    paid_on(w, person, turn)
    why = ("one source alone", "a settlement after the registered death", "one source alone")
    w.plant("death_benefit_continues", person, "yes", why[turn])


def death_benefit_unknown(w: World, county: str, turn: int) -> None:
    """A death without its day; and one where neither payments nor benefits are stated to be complete."""
    if turn == 2:
        person = elder(w, UNCOVERED, 77)
        died(w, person, 75)
    else:
        person = elder(w, county, 77)
        w.registered_death(person, None, precision="year")
        paid_on(w, person, turn)
    why = "no coverage of payments" if turn == 2 else "date of death missing"
    w.plant("death_benefit_continues", person, "unknown", why)


def death_benefit_taken_back(w: World, county: str, turn: int) -> None:
    """The death was another's and is revoked; or all that was paid too much is returned."""
    person = elder(w, county, 76)
    registered, certified = died(w, person, 75, cremated=False)
    paid = paid_on(w, person, turn)
    late = [row for row in paid if str(w.tables["payment"][row].values["period"]) > f"{w.day(75):%Y-%m}"]

    def revoked() -> None:
        w.alter("death", registered, revoked=True)
        w.alter("medical_death", certified, revoked=True)

    def returned() -> None:
        for row in late:
            w.alter("payment", row, returned_on=w.day(1))
        for row in w.find("benefit", number=person.number):
            w.alter("benefit", row, status="ended", until=month_end(w.day(75)))

    w.later(returned if turn == 1 else revoked)
    why = ("death revoked", "payments returned and benefit ended", "death revoked")
    w.plant("death_benefit_continues", person, "yes", why[turn], wave2="no" if turn == 1 else "not_applicable")


def death_benefit_amended(w: World, county: str, turn: int) -> None:
    """The benefit was ended but paid on; one of the payments is returned."""
    person = elder(w, county, 81)
    died(w, person, 110)
    paid = paid_on(w, person, turn)
    for row in w.find("benefit", number=person.number):
        w.alter("benefit", row, status="ended", until=month_end(w.day(110)))
    w.later(partial(w.alter, "payment", paid[-1], returned_on=w.day(1)))
    w.plant("death_benefit_continues", person, "yes", "one payment returned", amended=True)


def funeral_yes(w: World, county: str, turn: int) -> None:
    """Dead for five weeks, still in the 户口 and insured."""
    person = elder(w, county, 74 + turn)
    died(w, person, 35)
    w.plant("funeral_affairs", person, "yes", "户口 not cancelled, insurance running")


def settled(w: World, person: Person) -> None:
    """Close what a death leaves open: 户口 and insurance."""
    w.alter("resident", person.record, status="cancelled_death")
    for row in w.find("death", number=person.number):
        w.alter("death", row, cancelled_on=w.day(1))
    for row in w.find("enrolment", number=person.number):
        w.alter("enrolment", row, status="ended")


def funeral_no(w: World, county: str, turn: int) -> None:
    """Dead, and everything is settled."""
    person = elder(w, county, 73 + turn)
    died(w, person, 90)
    settled(w, person)
    w.plant("funeral_affairs", person, "no", "nothing left to settle")


def funeral_unknown(w: World, county: str, turn: int) -> None:
    """Dead and struck off, in a county whose offices do not say whether their benefits are all there."""
    person = elder(w, UNCOVERED, 75 + turn)
    died(w, person, 50)
    settled(w, person)
    w.plant("funeral_affairs", person, "unknown", "no coverage of benefits")


def funeral_taken_back(w: World, county: str, turn: int) -> None:
    """What was open is settled; or the death is revoked."""
    person = elder(w, county, 82)
    registered, certified = died(w, person, 30, cremated=False)
    if turn < 2:
        w.later(partial(settled, w, person))
        w.plant("funeral_affairs", person, "yes", "everything settled", wave2="no")
        return

    def revoked() -> None:
        w.alter("death", registered, revoked=True)
        w.alter("medical_death", certified, revoked=True)

    w.later(revoked)
    w.plant("funeral_affairs", person, "yes", "death revoked", wave2="not_applicable")


def twice(w: World, county: str, *, months: int = 5) -> tuple[Person, str, str, list[str]]:
    """低保 paid in the person's county for a year and in the next one for some months; second benefit, payments."""
    person = elder(w, county, 66, sex=MALE)
    other = COUNTIES[(COUNTIES.index(county) + 1) % len(COUNTIES)]
    first = w.benefit(person, "dibao", 1083)
    w.payments(person, "dibao", 1083, 8, until=1)
    second = w.benefit(person, "dibao", 1083, paying=other, since=months_before(w.as_of, months))
    return person, first, second, w.payments(person, "dibao", 1083, months, paying=other, until=1)


def duplicate_yes(w: World, county: str, turn: int) -> None:
    """The same benefit paid by two counties for the same months."""
    person, _, _, _ = twice(w, county, months=4 + turn)
    w.plant("duplicate_benefit", person, "yes", "two counties pay the same months")


def duplicate_no(w: World, county: str, turn: int) -> None:
    """A handover from one month to the next; in one variant an application in a third county is pending besides."""
    person = elder(w, county, 65, sex=MALE)
    other = COUNTIES[(COUNTIES.index(county) + 1) % len(COUNTIES)]
    since = months_before(w.as_of, 4 + turn)
    w.benefit(person, "dibao", 1083, status="ended", until=since - timedelta(days=1))
    w.payments(person, "dibao", 1083, 5, until=5 + turn)
    w.benefit(person, "dibao", 1083, paying=other, since=since)
    w.payments(person, "dibao", 1083, 4 + turn, paying=other, until=1)
    if turn == 2:
        third = COUNTIES[(COUNTIES.index(county) + 2) % len(COUNTIES)]
        w.application(person, w.aid_household((person, "self")), "dibao", county=third)
    w.plant("duplicate_benefit", person, "no", "handover" if turn < 2 else "handover, an application is pending")


def duplicate_unknown(w: World, county: str, turn: int) -> None:
    """Ended in the first county on a day that nobody entered."""
    person = elder(w, county, 67, sex=MALE)
    other = COUNTIES[(COUNTIES.index(county) + 1) % len(COUNTIES)]
    w.benefit(person, "dibao", 1083, status="ended", until=None)
    w.benefit(person, "dibao", 1083, paying=other, since=months_before(w.as_of, 3 + turn))
    w.payments(person, "dibao", 1083, 3 + turn, paying=other, until=1)
    w.plant("duplicate_benefit", person, "unknown", "last day of the first benefit missing")


def duplicate_taken_back(w: World, county: str, turn: int) -> None:
    """The second claim is withdrawn; or it belonged to somebody else, and its citizen number is corrected."""
    person, _, second, payments = twice(w, county)
    stranger = elder(w, county, 64, sex=MALE)

    def withdrawn() -> None:
        w.remove("benefit", second)
        for row in payments:
            w.remove("payment", row)

    def corrected() -> None:
        w.alter("benefit", second, number=stranger.number)
        for row in payments:
            w.alter("payment", row, number=stranger.number)

    w.later(corrected if turn == 1 else withdrawn)
    why = ("second claim withdrawn", "citizen number corrected", "second claim withdrawn")
    w.plant("duplicate_benefit", person, "yes", why[turn], wave2="not_applicable")


def duplicate_amended(w: World, county: str, turn: int) -> None:
    """One more month turns out to have been paid twice."""
    person, _, second, _ = twice(w, county, months=3)

    def earlier() -> None:
        w.alter("benefit", second, since=months_before(w.as_of, 4))
        w.payment(
            person, "dibao", 1083, months_before(w.as_of, 4), paying=str(w.tables["benefit"][second].values["paying"])
        )

    w.later(earlier)
    w.plant("duplicate_benefit", person, "yes", "one more month", amended=True)


def age_yes(w: World, county: str, turn: int) -> None:
    """Over eighty, registered, and nowhere on the list of the allowance."""
    person = elder(w, county, 83 + turn)
    w.residence(person)
    w.plant("elder_age_allowance", person, "yes", "over 80 and not receiving")


def age_no(w: World, county: str, turn: int) -> None:
    """Receiving; or moved away."""
    person = elder(w, county, 84 + turn, status="moved_out" if turn == 2 else "registered")
    if turn < 2:
        w.benefit(person, "elder_age", 100)
        w.payments(person, "elder_age", 100, 6)
    w.plant("elder_age_allowance", person, "no", "receiving" if turn < 2 else "moved away")


def age_unknown(w: World, county: str, turn: int) -> None:
    """Over eighty where the assistance office states no coverage."""
    person = elder(w, UNCOVERED, 83 + turn)
    w.plant("elder_age_allowance", person, "unknown", "no coverage of benefits")


def age_taken_back(w: World, county: str, turn: int) -> None:
    """The allowance is granted; the person moves away."""
    person = elder(w, county, 85)
    if turn < 2:
        w.later(partial(w.benefit, person, "elder_age", 100, since=w.day(0).replace(day=1)))
    else:
        w.later(partial(w.alter, "resident", person.record, status="moved_out"))
    w.plant("elder_age_allowance", person, "yes", "granted" if turn < 2 else "moved away", wave2="no")


def age_reached(w: World, county: str, turn: int) -> None:
    """Eighty within days, and no event tells so."""
    day = w.as_of + timedelta(days=3 + turn)
    person = w.people.new(birth=years_before(day, 80), sex=FEMALE, county=county)
    w.family((person, "self"))
    w.plant("elder_age_allowance", person, "no", "reaches eighty", changes_on=day)


def conflicts(w: World, county: str, turn: int) -> None:
    """Sources that disagree: two days of death, two live households, a replaced number, somebody nobody registered."""
    person = elder(w, county, 70)
    if turn == 0:
        w.registered_death(person, w.day(40))
        w.certified_death(person, w.day(43))
        w.conflicts.append(("deaths_differ", person.number))
        stranger = w.adult(50, MALE, county)
        w.settlement(stranger, 30, 200, cash=60)
        w.conflicts.append(("unknown_in_registration", stranger.number))
    elif turn == 1:
        w.aid_household((person, "self"))
        w.aid_household((person, "self"))
        w.conflicts.append(("two_live_households", person.number))
    else:
        # One number was replaced long ago, and somebody still sends records under it; another is replaced now.
        old = w.people.number(person.birth, person.sex, county)
        w.put("identity", "BG", ago=30, old=old, new=person.number, reason="corrected", county=county)
        second = elder(w, county, 71)
        corrected = w.people.number(second.birth, second.sex, county)

        def later() -> None:
            w.put("identity", "BG", old=second.number, new=corrected, reason="corrected", county=county)
            w.alter("resident", second.record, number=corrected)
            second.number, person.number = corrected, old
            w.settlement(person, 0, 150, cash=40)

        w.later(later)
        w.conflicts.append(("replaced_identity", old))


STORIES: Final[tuple[Story, ...]] = (
    death_benefit_yes,
    death_benefit_no,
    death_benefit_to_verify,
    death_benefit_unknown,
    death_benefit_taken_back,
    death_benefit_amended,
    funeral_yes,
    funeral_no,
    funeral_unknown,
    funeral_taken_back,
    duplicate_yes,
    duplicate_no,
    duplicate_unknown,
    duplicate_taken_back,
    duplicate_amended,
    age_yes,
    age_no,
    age_unknown,
    age_taken_back,
    age_reached,
    conflicts,
)
