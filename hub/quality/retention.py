"""How long the store keeps results of expectations: `HUB_QUALITY_KEEP_DAYS`, and longer what the pages list.

Every result stays in its topic. The store sums what it holds on every look at the quality page, so it must not grow
for ever: a stream that is never quiet makes some ten thousand runs a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Engine, delete, select, tuple_
from sqlalchemy.orm import Session

from hub.quality.reports import newest_runs, newest_with_data
from hub.store.db import session
from hub.store.models import QualityResultRow

RUNS: Final = 200
"""Runs deleted in one transaction: some thousand rows, far less than a second of writing."""


def prune(engine: Engine, before_ms: int) -> Iterator[int]:
    """Delete published results made before a moment (UTC ms), and yield the rows deleted after each transaction.

    What the pages list stays however old it is: of each source the last runs, and the run in which an expectation
    last had data. So a source that delivers once a year is not forgotten in between.
    """
    with session(engine, writes=False) as db:
        sources = db.scalars(select(QualityResultRow.source).distinct().order_by(QualityResultRow.source)).all()
    for source in sources:
        with session(engine, writes=False) as db:
            shown = _shown(db, source)
        # A run that is stored meanwhile is newer than `before_ms`, so `shown` holds too much at worst.
        while True:
            with session(engine) as db:
                runs = _old_runs(db, source, before_ms, shown)
                if not runs:
                    break
                deleted = db.execute(
                    delete(QualityResultRow).where(
                        QualityResultRow.run_id.in_(runs), QualityResultRow.published.is_(True)
                    )
                )
            yield int(getattr(deleted, "rowcount", 0))


def _shown(db: Session, source: str) -> frozenset[str]:
    """Runs that the pages list, whole: what a run came to is counted over all its expectations."""
    last = db.execute(newest_runs(source)).all()
    newest = newest_with_data(source).subquery()
    place = tuple_(QualityResultRow.suite, QualityResultRow.expectation, QualityResultRow.made_at)
    listed = db.scalars(
        select(QualityResultRow.run_id)
        .where(QualityResultRow.source == source)
        .where(place.in_(select(newest.c.suite, newest.c.expectation, newest.c.made_at)))
        .distinct()
    ).all()
    return frozenset({*listed, *(run_id for run_id, _made_at in last)})


def _old_runs(db: Session, source: str, before_ms: int, shown: frozenset[str]) -> list[str]:
    """Up to RUNS runs that may go, by the index over source and time."""
    found = db.scalars(
        select(QualityResultRow.run_id)
        .where(
            QualityResultRow.source == source,
            QualityResultRow.made_at < before_ms,
            QualityResultRow.published.is_(True),
        )
        .distinct()
        .limit(RUNS + len(shown))
    ).all()
    return [run_id for run_id in found if run_id not in shown][:RUNS]
