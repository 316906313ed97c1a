"""Old results leave the store, on both databases; what the pages list stays, and what Kafka has not acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, func, select, update

from hub.divisions import county_codes
from hub.domain.messages import QualityResult
from hub.domain.times import DAY_MS
from hub.ops.clock import Clock
from hub.quality import retention
from hub.quality.reports import LAST_RUNS, SourceReport
from hub.quality.retention import prune
from hub.quality.service import Quality
from hub.settings import Settings
from hub.store.db import session
from hub.store.models import QualityResultRow
from tests.integration.quality.test_reports import keep, reports, run
from tests.unit.quality.samples import ARRIVAL
from tests.unit.quality.test_scores import result


def publish_all(engine: Engine) -> None:
    """As after the broker has acknowledged everything."""
    with session(engine) as db:
        db.execute(update(QualityResultRow).values(published=True))


def kept(engine: Engine) -> list[tuple[str, str]]:
    """(run, expectation) of what the store holds."""
    with session(engine, writes=False) as db:
        rows = db.execute(select(QualityResultRow.run_id, QualityResultRow.expectation))
        return sorted((run_id, expectation) for run_id, expectation in rows)


def listed(engine: Engine) -> dict[str, Sequence[object]]:
    """What the page lists of each source: failing expectations, last runs, when it was last checked."""
    found: dict[str, SourceReport] = reports(engine)
    return {source: (one.failing, one.last_runs, one.last_run_at) for source, one in found.items()}


def test_what_the_pages_list_is_the_same_before_and_after(engine: Engine) -> None:
    """The last runs of each source, and each expectation where it last had data, however old; the rest goes."""
    keep(
        engine,
        *run(0, result("a", "critical", "pass", 9, 0), result("seldom", "info", "fail", 4, 4)),
        *run(1, result("a", "critical", "fail", 9, 9), result("seldom", "info", "no_data", 0, 0)),
    )
    for number in range(2, 2 + LAST_RUNS):
        keep(engine, *run(number, result("a", "critical", "pass", 8, 0), result("seldom", "info", "no_data", 0, 0)))
    keep(engine, *run(1, result("once", "warning", "fail", 3, 1, source="yearly")))
    publish_all(engine)
    before = listed(engine)
    assert [one.expectation for one in reports(engine)["yibao"].failing] == ["seldom"]
    assert list(prune(engine, ARRIVAL + 1_000)) == [2]
    assert listed(engine) == before
    names = ("a", "seldom")
    runs = (0, *range(2, 2 + LAST_RUNS))  # the first for the sake of `seldom`, and whole
    assert kept(engine) == sorted([*((f"yibao-{n}", one) for n in runs for one in names), ("yearly-1", "once")])


def many(engine: Engine, count: int) -> None:
    """As many runs, one millisecond apart."""
    found: list[QualityResult] = []
    for number in range(count):
        found += run(number, result("a", "info", "pass", 1, 0), result("b", "info", "pass", 1, 0))
    keep(engine, *found)


def test_what_is_unpublished_stays_and_what_is_younger(engine: Engine) -> None:
    """Both sides of the moment, and a run that Kafka has not acknowledged."""
    many(engine, 20)
    with session(engine) as db:
        waits = QualityResultRow.run_id.in_(["yibao-3", "yibao-4"])
        db.execute(update(QualityResultRow).where(~waits).values(published=True))
    assert sum(prune(engine, ARRIVAL + 10)) == 2 * 8
    assert {run_id for run_id, _ in kept(engine)} == {f"yibao-{number}" for number in (3, 4, *range(10, 20))}
    assert list(prune(engine, ARRIVAL + 10)) == []


def test_it_goes_in_steps(engine: Engine) -> None:
    """Each step is one bounded transaction, and a pass that is broken off is taken up by the next."""
    many(engine, 2 * retention.RUNS + 10 + LAST_RUNS)
    publish_all(engine)
    first = prune(engine, ARRIVAL + DAY_MS)
    assert next(first) == 2 * retention.RUNS
    assert len(kept(engine)) == 2 * (retention.RUNS + 10 + LAST_RUNS)
    assert list(prune(engine, ARRIVAL + DAY_MS)) == [2 * retention.RUNS, 20]
    assert list(first) == []
    assert len(kept(engine)) == 2 * LAST_RUNS


def test_old_results_are_found_by_the_index(engine: Engine) -> None:
    """A pass reads what is old of a source, not the table."""
    if engine.dialect.name != "sqlite":
        return  # PostgreSQL reads so small a table whole
    statement = (
        select(func.count())
        .select_from(QualityResultRow)
        .where(QualityResultRow.source == "yibao", QualityResultRow.made_at < 5, QualityResultRow.published.is_(True))
    )
    text = str(statement.compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all())
    assert "ix_quality_result_source (source=? AND made_at<?)" in plan


def test_the_process_keeps_as_many_days_as_it_is_told(store: Settings, engine: Engine) -> None:
    """By its own clock, a step at a time, and then not again for an hour."""
    told = store.model_copy(update={"quality_keep_days": 7})
    now = Clock(told).now_ms()
    ages = [(age, f"{age}-{n}") for age in (6, 8) for n in range(10)]
    for age, name in ages:
        one = result("a", "info", "pass", 1, 0, run_id=name, made_at=now - age * DAY_MS)
        keep(engine, one)
    publish_all(engine)
    quality = Quality(told, engine, county_codes())
    for _ in range(5):
        quality._prune()
    assert {run_id for run_id, _ in kept(engine)} == {name for age, name in ages if age == 6}
    keep(engine, result("a", "info", "pass", 1, 0, run_id="late", made_at=now - 8 * DAY_MS))
    publish_all(engine)
    quality._prune()
    quality._prune()
    assert len(kept(engine)) == 11
