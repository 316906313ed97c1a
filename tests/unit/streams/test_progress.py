"""What a restore says of itself while it runs, before, and after."""

from __future__ import annotations

import pytest

from hub.streams import metrics, progress
from hub.streams.progress import RestoreProgress, Snapshot


class Watch:
    """A monotonic clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def time_ns(self) -> int:
        """The system clock."""
        return 7_000_000


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """The clock of the module."""
    made = Watch()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_before_any_restore_there_is_nothing_to_say() -> None:
    """And nothing under way."""
    assert RestoreProgress().snapshot() == Snapshot()
    assert RestoreProgress().snapshot().text() == "no restore is under way"


def test_time_left_follows_from_the_speed_so_far(watch: Watch) -> None:
    """By stage and for the whole; offsets without a record count as passed."""
    seen = RestoreProgress()
    seen.begin({("person", 0): 1000, ("person", 1): 1000, ("subject", 0): 500})
    watch.now += 0.5
    seen.moved("person", 0, read=100, left=800, keys=90)
    early = seen.snapshot()
    assert early.seconds_left is None
    assert "not known yet" in early.text()
    watch.now += 1.5
    seen.moved("person", 0, read=150, left=600, keys=200)
    seen.moved("subject", 0, read=100, left=400, keys=100)
    now = seen.snapshot()
    assert (now.active, now.started_at, now.seconds) == (True, 7, 2.0)
    assert (now.records_read, now.records_left, now.keys) == (350, 2000, 300)
    assert now.seconds_left == pytest.approx(2.0 * 2000 / 500)
    assert now.share == pytest.approx(350 / 2350)
    person, subject = now.stages
    assert (person.stage, person.partitions, person.partitions_done) == ("person", 2, 0)
    assert person.seconds_left == pytest.approx(2.0 * 1600 / 400)
    assert (subject.records_read, subject.records_left, subject.keys) == (100, 400, 100)
    assert subject.seconds_left == pytest.approx(2.0 * 400 / 100)
    assert now.text() == "restoring state: 350 records read, at most 2000 left, about 8 s left"


def test_at_the_end_nothing_is_left_and_the_time_stands(watch: Watch) -> None:
    """Also in the gauges; the next restore begins from nothing."""
    seen = RestoreProgress()
    seen.begin({("person", 0): 1000})
    seen.moved("person", 0, read=100, left=500, keys=90)
    watch.now += 4
    seen.show()
    assert metrics.RESTORE_LEFT.labels("person")._value.get() == 500
    assert metrics.RESTORE_SECONDS_LEFT.labels("person")._value.get() == pytest.approx(4.0)
    seen.done("person", 0)
    seen.end()
    watch.now += 100
    last = seen.snapshot()
    assert (last.active, last.seconds, last.records_left, last.seconds_left, last.share) == (False, 4.0, 0, 0.0, 1.0)
    assert last.stages[0].partitions_done == 1
    assert metrics.RESTORE_LEFT.labels("person")._value.get() == 0
    seen.begin({("person", 0): 10})
    assert seen.snapshot().records_read == 0


def test_a_restore_given_up_says_so(watch: Watch) -> None:
    """What was left is not said to be done."""
    seen = RestoreProgress()
    seen.begin({("person", 0): 1000})
    seen.end()
    assert seen.snapshot().stages[0].partitions_done == 0
    assert not seen.snapshot().active
    assert seen.snapshot().share == 0.0
    assert metrics.RESTORE_LEFT.labels("person")._value.get() == 0
