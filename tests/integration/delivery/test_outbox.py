"""Taking alerts in, letting them out: the outbox and its cases on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, func, select

from hub.delivery.dispositions import StaleCase, UnknownAlert, record_disposition
from hub.delivery.holds import (
    Rates,
    add_release,
    drop_held,
    held,
    let_out,
    release_held,
    retry_refused,
    shadow_count,
)
from hub.delivery.lines import Budget, Budgets
from hub.delivery.outbox import Gate, take
from hub.domain.messages import Alert
from hub.domain.times import DAY_MS
from hub.store.db import session
from hub.store.models import Case, CaseHistory, DispositionRow, Outbox, Release
from tests.unit.delivery.alerts import alert_id, make_alert

NOW = 1_780_000_000_000
CITY = "331100"


def gate(*regions: str, opens: int = 1000, withdrawals: int = 1000) -> Gate:
    """A gate with these places released for all rules, and these budgets."""
    releases = tuple(Release(region=r, rule="", township="", per_minute=0, released_at=0) for r in regions)
    return Gate(region=CITY, releases=releases, budgets=Budgets(Budget(opens, withdrawals), {}))


def put(engine: Engine, *alerts: Alert, through: Gate | None = None, now: int = NOW) -> list[str]:
    """Take alerts in; the states of those that were new."""
    with session(engine) as db:
        return [state for _alert, state in take(db, alerts, through or gate(CITY), now)]


def states(engine: Engine, name: str = "one") -> dict[int, str]:
    """Revision → outbox state of an alert."""
    with session(engine, writes=False) as db:
        rows = db.scalars(select(Outbox).where(Outbox.alert_id == alert_id(name)))
        return {row.revision: row.state for row in rows}


def the_case(engine: Engine, name: str = "one") -> Case:
    """Case of an alert."""
    with session(engine, writes=False) as db:
        return db.scalars(select(Case).where(Case.alert_id == alert_id(name))).one()


def kinds(engine: Engine, name: str = "one") -> list[str]:
    """History of a case."""
    with session(engine, writes=False) as db:
        rows = select(CaseHistory.kind).where(CaseHistory.alert_id == alert_id(name)).order_by(CaseHistory.id)
        return list(db.scalars(rows))


def settle(engine: Engine, state: str, name: str = "one") -> None:
    """Pretend that the sender is through with what is pending."""
    with session(engine) as db:
        for row in db.scalars(select(Outbox).where(Outbox.alert_id == alert_id(name), Outbox.state == "pending")):
            row.state = state


def everything(engine: Engine) -> list[Any]:
    """All that delivery keeps, to see whether anything changed."""
    with session(engine, writes=False) as db:
        return [
            [{column.name: getattr(row, column.key) for column in model.__table__.columns} for row in db.scalars(rows)]
            for model in (Case, CaseHistory, Outbox)
            for rows in [select(model).order_by(*model.__table__.primary_key)]
        ]


def test_an_alert_becomes_a_row_and_a_case(engine: Engine) -> None:
    """With what pages and sender need; the body is the alert, field for field."""
    put(engine, make_alert())
    case = the_case(engine)
    with session(engine, writes=False) as db:
        row = db.scalars(select(Outbox)).one()
    assert (row.state, row.attempts, row.next_attempt_at) == ("pending", 0, NOW)
    assert row.body == case.body
    assert (case.work_state, case.released, case.revision, case.lock) == ("new", True, 1, 1)
    assert (case.amount_fen, case.due_on) == (85_000, make_alert().due_on)
    assert kinds(engine) == ["opened"]


def test_reading_the_topic_again_changes_nothing(engine: Engine) -> None:
    """From the start, in other batches, after work was done on the cases."""
    alerts = [
        make_alert(name, revision=revision, state=state)
        for name in ("one", "two", "three")
        for revision, state in ((1, "OPEN"), (2, "AMENDED"), (3, "WITHDRAWN"))
    ]
    put(engine, *alerts[:8])
    settle(engine, "accepted")
    with session(engine) as db:
        lock = db.get_one(Case, alert_id("one")).lock
        record_disposition(
            db, alert_id=alert_id("one"), lock=lock, outcome="helped", reason=None, note=None, by="w", now_ms=NOW
        )
    before = everything(engine)
    for alert in alerts[:8]:
        assert put(engine, alert, now=NOW + DAY_MS) == []
    assert put(engine, *alerts[:8], *alerts[:8], now=NOW + DAY_MS) == []
    assert everything(engine) == before


def test_an_older_revision_never_overwrites_a_newer(engine: Engine) -> None:
    """However the revisions are ordered, the newest is what the case shows."""
    for n in (3, 1, 5, 2, 4):
        put(engine, make_alert(revision=n, state="AMENDED" if n > 1 else "OPEN", title=f"第{n}版"))
    assert the_case(engine).title == "第5版"
    assert the_case(engine).revision == 5
    assert states(engine) == {1: "superseded", 2: "superseded", 3: "pending", 4: "superseded", 5: "pending"}


def test_nothing_leaves_before_its_place_is_released(engine: Engine) -> None:
    """A first load is kept and counted, and its cases are not shown."""
    elsewhere = make_alert("elsewhere", region="331121")
    assert put(engine, make_alert(), elsewhere, through=gate("331102")) == ["pending", "shadow"]
    assert the_case(engine).released
    assert not the_case(engine, "elsewhere").released


@pytest.mark.parametrize(
    ("release", "covered"),
    [
        (("331102", "", ""), True),
        (("331100", "", ""), True),
        (("330000", "", ""), True),
        (("", "", ""), True),
        (("331121", "", ""), False),
        (("330700", "", ""), False),
        (("331102", "dibao", ""), True),
        (("331102", "tekun", ""), False),
        (("331102", "dibao", "331102001"), True),
        (("331102", "", "331102002"), False),
    ],
)
def test_a_release_covers_its_places_rules_and_townships(
    engine: Engine, release: tuple[str, str, str], covered: bool
) -> None:
    """What comes in later, and what waits already, by the same measure."""
    wanted = Release(region=release[0], rule=release[1], township=release[2], per_minute=0, released_at=0)
    after = Gate(region=CITY, releases=(wanted,), budgets=gate().budgets)
    put(engine, make_alert("waits"), through=gate())
    assert put(engine, make_alert("comes"), through=after) == ["pending" if covered else "shadow"]
    with session(engine) as db:
        waiting = shadow_count(db, wanted, CITY)
        assert waiting == int(covered)
        assert let_out(db, wanted, CITY, 10, NOW) == int(covered)
    assert the_case(engine, "waits").released == covered


def test_an_alert_without_a_place_counts_to_the_deployment(engine: Engine) -> None:
    """It leaves with the city, not with one county."""
    nowhere = make_alert("nowhere", region=None, township=None)
    assert put(engine, nowhere, through=gate("331102")) == ["shadow"]
    comes = make_alert("comes", region=None, township=None)
    assert put(engine, comes, through=gate(CITY)) == ["pending"]
    county = Release(region="331102", rule="", township="", per_minute=0, released_at=0)
    city = Release(region=CITY, rule="", township="", per_minute=0, released_at=0)
    with session(engine) as db:
        assert let_out(db, county, CITY, 10, NOW) == 0
        assert let_out(db, city, CITY, 10, NOW) == 1


def test_what_changed_in_shadow_leaves_once_in_its_newest_form(engine: Engine) -> None:
    """Nobody outside needs the older revisions, nor an alert that was withdrawn before it left."""
    first = [make_alert(name) for name in ("stays", "goes")]
    put(engine, *first, through=gate())
    amended = make_alert("stays", revision=2, state="AMENDED", amount_fen=90_000)
    withdrawn = make_alert("goes", revision=2, state="WITHDRAWN")
    put(engine, amended, withdrawn, through=gate())
    with session(engine) as db:
        release = Release(region=CITY, rule="", township="", per_minute=0, released_at=0)
        assert let_out(db, release, CITY, 10, NOW) == 1
    assert states(engine, "stays") == {1: "superseded", 2: "pending"}
    assert states(engine, "goes") == {1: "superseded", 2: "superseded"}
    assert (the_case(engine, "goes").work_state, the_case(engine, "goes").released) == ("withdrawn", False)
    assert kinds(engine, "stays") == ["opened", "amended", "released"]


def test_an_amendment_in_shadow_waits_for_its_turn_though_its_place_is_released(engine: Engine) -> None:
    """Else every amendment would pass by the rate of the release."""
    put(engine, make_alert(), through=gate())
    assert put(engine, make_alert(revision=2, state="AMENDED")) == ["shadow"]


def test_a_release_leaves_at_its_rate() -> None:
    """So many a minute, none saved up beyond a minute, and 0 is no limit."""
    slow = Release(region="331102", rule="", township="", per_minute=30, released_at=0)
    rates = Rates()
    assert [share for _r, share in rates.allowance([slow], 0)] == [1]
    counted = sum(share for second in range(1, 121) for _r, share in rates.allowance([slow], second * 1000))
    assert counted == 60
    assert [share for _r, share in rates.allowance([slow], 10_000_000)] == [30]
    fast = Release(region="331102", rule="", township="", per_minute=0, released_at=0)
    assert [share for _r, share in Rates().allowance([fast], 0)] == [500]


def test_a_newer_revision_never_takes_the_place_of_one_that_may_be_on_the_wire(engine: Engine) -> None:
    """Pending stays pending; both go, in order."""
    put(engine, make_alert(), make_alert(revision=2, state="AMENDED"), make_alert(revision=3, state="WITHDRAWN"))
    assert states(engine) == {1: "pending", 2: "pending", 3: "pending"}
    assert kinds(engine) == ["opened", "amended", "withdrawn"]
    assert the_case(engine).work_state == "withdrawn"


def test_an_amendment_opens_a_closed_case_again_and_a_withdrawal_does_not(engine: Engine) -> None:
    """The decision answered other facts; a withdrawal after a decision changes nothing of it."""
    for name in ("amended", "withdrawn"):
        put(engine, make_alert(name))
        with session(engine) as db:
            record_disposition(
                db, alert_id=alert_id(name), lock=1, outcome="not_eligible", reason=None, note=None, by="w", now_ms=NOW
            )
        assert the_case(engine, name).work_state == "closed"
    put(engine, make_alert("amended", revision=2, state="AMENDED"))
    put(engine, make_alert("withdrawn", revision=2, state="WITHDRAWN"))
    reopened, closed = the_case(engine, "amended"), the_case(engine, "withdrawn")
    assert (reopened.work_state, reopened.outcome) == ("new", None)
    assert (closed.work_state, closed.outcome, closed.alert_state) == ("closed", "not_eligible", "WITHDRAWN")
    assert kinds(engine, "amended") == ["opened", "disposition", "amended", "reopened"]


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_what_opens_beyond_the_days_budget_is_held(engine: Engine) -> None:
    """By rule and by day, over several batches, and not shown until somebody decides."""
    narrow = gate(CITY, opens=2)
    assert put(engine, make_alert("a"), through=narrow) == ["pending"]
    rest = [make_alert("b"), make_alert("c"), make_alert("d", rule="tekun")]
    assert put(engine, *rest, through=narrow) == ["pending", "held", "pending"]
    assert put(engine, make_alert("e"), through=narrow, now=NOW + DAY_MS) == ["pending"]
    assert not the_case(engine, "c").released
    with session(engine, writes=False) as db:
        assert [(row.state, row.rule, row.alert_state, row.count) for row in held(db)] == [("held", "dibao", "OPEN", 1)]


def test_a_first_load_counts_for_no_budget(engine: Engine) -> None:
    """Releasing it is somebody's decision already."""
    many = [make_alert(str(n)) for n in range(5)]
    assert set(put(engine, *many, through=gate(opens=2))) == {"shadow"}
    assert put(engine, make_alert("next"), through=gate(CITY, opens=2)) == ["pending"]


def test_a_held_opening_follows_its_alert(engine: Engine) -> None:
    """Amended it stays held in its newest form; withdrawn it never leaves."""
    none = gate(CITY, opens=0)
    put(engine, make_alert("kept"), make_alert("gone"), through=none)
    put(engine, make_alert("kept", revision=2, state="AMENDED"), make_alert("gone", revision=2, state="WITHDRAWN"))
    assert states(engine, "kept") == {1: "superseded", 2: "held"}
    assert states(engine, "gone") == {1: "superseded", 2: "superseded"}
    with session(engine) as db:
        assert release_held(db, "dibao", None, NOW + 5) == 1
    assert states(engine, "kept")[2] == "pending"
    assert the_case(engine, "kept").released


def test_withdrawals_beyond_the_budget_leave_their_cases_alone(engine: Engine) -> None:
    """When a source annuls by mistake, the queue must not empty."""
    put(engine, *(make_alert(name) for name in ("a", "b", "c")))
    for name in ("a", "b", "c"):
        settle(engine, "accepted", name)
    gone = [make_alert(name, revision=2, state="WITHDRAWN") for name in ("a", "b", "c")]
    assert put(engine, *gone, through=gate(CITY, withdrawals=1)) == ["pending", "held", "held"]
    assert [the_case(engine, name).work_state for name in ("a", "b", "c")] == ["withdrawn", "new", "new"]
    with session(engine) as db:
        assert release_held(db, "dibao", 1, NOW) == 1
        assert drop_held(db, "dibao", None) == 1
    after = sorted((the_case(engine, name).work_state, states(engine, name)[2]) for name in ("b", "c"))
    assert after == [("new", "dropped"), ("withdrawn", "pending")]


def test_what_was_refused_can_be_tried_again(engine: Engine) -> None:
    """From the start of the schedule, for one line alone."""
    put(engine, make_alert("ours"), make_alert("theirs", line="funeral"))
    settle(engine, "refused", "ours")
    settle(engine, "refused", "theirs")
    with session(engine) as db:
        assert retry_refused(db, "funeral", NOW + 9) == 1
    assert states(engine, "theirs") == {1: "pending"}
    assert states(engine, "ours") == {1: "refused"}


def test_releasing_again_changes_the_rate(engine: Engine) -> None:
    """One row a place and rule."""
    with session(engine) as db:
        add_release(db, "331102", "", "", 10, NOW)
        add_release(db, "331102", "", "", 0, NOW)
        assert [row.per_minute for row in db.scalars(select(Release))] == [0]


# --- dispositions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "work_state", "suppress"),
    [
        ("accepted", "working", False),
        ("unreachable", "working", False),
        ("helped", "closed", True),
        ("already_served", "closed", True),
        ("not_eligible", "closed", True),
        ("source_wrong", "closed", True),
        ("declined", "closed", True),
    ],
)
def test_a_disposition_moves_the_case_and_waits_to_be_published(
    engine: Engine, outcome: str, work_state: str, suppress: bool
) -> None:
    """It answers the revision that was on the page; the note stays in the store."""
    alert = make_alert(revision=2, state="AMENDED")
    put(engine, alert)
    with session(engine) as db:
        record_disposition(
            db, alert_id=alert.alert_id, lock=1, outcome=outcome, reason="other", note="已电话联系", by="w", now_ms=NOW
        )
    case = the_case(engine)
    with session(engine, writes=False) as db:
        row = db.scalars(select(DispositionRow)).one()
    assert (case.work_state, case.outcome, case.lock) == (work_state, outcome, 2)
    assert (row.published, row.note) == (False, "已电话联系")
    assert row.body["suppress"] == suppress
    assert {row.body[name] for name in ("evidence_hash", "policy_hash", "home")} == {"e" * 32, "p" * 32, alert.home}
    assert row.body["revision"] == 2
    assert "已电话联系" not in str(row.body)


def test_two_who_decide_at_once_do_not_overwrite_each_other(engine: Engine) -> None:
    """The second one is told to look again; so is whoever looked before an amendment came."""
    put(engine, make_alert())

    def decide(lock: int) -> None:
        with session(engine) as db:
            record_disposition(
                db, alert_id=alert_id("one"), lock=lock, outcome="helped", reason=None, note=None, by="w", now_ms=NOW
            )

    decide(1)
    with pytest.raises(StaleCase, match="look at it again"):
        decide(1)
    put(engine, make_alert(revision=2, state="AMENDED"))
    with pytest.raises(StaleCase):
        decide(2)
    decide(3)
    with session(engine, writes=False) as db:
        assert db.scalar(select(func.count()).select_from(DispositionRow)) == 2


def test_a_disposition_of_a_withdrawn_alert_is_kept_as_outcome_only(engine: Engine) -> None:
    """The work was done all the same."""
    put(engine, make_alert(), replace(make_alert(), revision=2, state="WITHDRAWN"))
    with session(engine) as db:
        record_disposition(
            db, alert_id=alert_id("one"), lock=2, outcome="helped", reason=None, note=None, by="w", now_ms=NOW
        )
    assert (the_case(engine).work_state, the_case(engine).outcome) == ("withdrawn", "helped")


def test_no_case_and_no_code_are_refused(engine: Engine) -> None:
    """Nothing is written."""
    put(engine, make_alert())
    with pytest.raises(UnknownAlert), session(engine) as db:
        record_disposition(db, alert_id="0" * 32, lock=1, outcome="helped", reason=None, note=None, by="w", now_ms=NOW)
    with pytest.raises(ValueError, match="codes"), session(engine) as db:
        record_disposition(
            db, alert_id=alert_id("one"), lock=1, outcome="won", reason=None, note=None, by="w", now_ms=NOW
        )
    assert kinds(engine) == ["opened"]
