"""What one round takes: a share for every partition, bounded in count, time and bytes; and a record that defeats it."""

from __future__ import annotations

import time
import urllib.request
from collections import defaultdict
from datetime import UTC, date, datetime
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.facts import Settlement
from hub.domain.messages import Event, Quarantined
from hub.stack import free_port
from hub.streams import rounds, transport
from hub.streams.rounds import LEAST_RECORDS, PATIENCE_S, ROUND_S, Pace, Turns
from hub.streams.state import OFFSETS, Slot
from hub.streams.topics import QUARANTINE
from hub.streams.transport import BATCH_BYTES, first_batch
from hub.vault.keys import load_keys
from hub.vault.sealed import Sealer
from tests.integration.streams import ledger
from tests.integration.streams.conftest import Bench, wait_exit
from tests.unit.quality.samples import event

ROUND: Final = 100


def test_a_long_queue_in_one_topic_does_not_starve_another(bench_of_its_own: Bench) -> None:
    """Wherever the worker stood between two commits, both topics of a partition were within rounds of each other."""
    bench = bench_of_its_own
    bench.ledger("shares")
    each = 1_500
    for topic in ("medical.settlement", "registration.resident"):  # one queue is written whole before the other begins
        bench.send_events(settlement(number) if "settlement" in topic else resident(number) for number in range(each))
    bench.worker("shares", "shares", LEDGER_FETCH=str(ROUND))
    assert bench.faults("shares") == []

    ends = ledger.ends(bench.settings)
    steps: dict[int, list[dict[str, int]]] = defaultdict(list)
    for message in ledger.messages(bench.settings, ledger.state_topic("shares").name):
        if message.key() == OFFSETS:
            steps[message.partition()].append(msgspec.msgpack.decode(message.value()))
    first, second = (topic.name for topic in ledger.INPUTS)
    apart = [
        abs(step.get(first, 0) - step.get(second, 0))
        for partition, taken in steps.items()
        for step in taken
        if step.get(first, 0) < ends[first, partition] and step.get(second, 0) < ends[second, partition]
    ]
    assert len(apart) > 5 * bench.settings.partitions
    assert max(apart) <= 2 * ROUND


def test_a_record_that_defeats_the_fold_is_put_aside_and_stops_nobody(bench_of_its_own: Bench) -> None:
    """Those around it, of the same person too, are folded in; it is kept whole, and no value reaches the log."""
    bench = bench_of_its_own
    bench.ledger("boom")
    bench.send(60)
    bad = [settlement(7, ledger.BOOM_FEN), settlement(8, ledger.BOOM_FEN)]
    bench.send_events(bad, remember=False)
    bench.send(60)
    worker = bench.worker("boom", "boom")
    assert bench.faults("boom") == []
    bench.send(30)
    assert bench.faults("boom") == []
    assert worker.running

    found = [bench.codec.decode(QUARANTINE.name, v) for v in ledger.read_committed(bench.settings, QUARANTINE.name)]
    rows = [row for row in found if isinstance(row, Quarantined)]
    assert [(row.reason, row.value_class, row.stage) for row in rows] == [
        ("fold_failed", "ArithmeticError", "worker")
    ] * 2
    sealer = Sealer(load_keys(bench.settings.keys))
    assert sorted(sealer.unseal(row.original) for row in rows) == sorted(bench.encoded(one) for one in bad)
    log = worker.log_file.read_text()
    assert "could not be folded" in log
    assert not any(str(one.header.person) in log for one in bad)


def test_a_review_that_defeats_the_fold_is_not_fired_again_and_again(bench_of_its_own: Bench) -> None:
    """It is counted once and waits, whatever number of looks; the others of its partition are reviewed."""
    bench = bench_of_its_own
    bench.ledger("review")
    clock = bench.folder / "clock"
    clock.write_text(datetime(2026, 3, 1, 4, tzinfo=UTC).isoformat())
    day = date(2026, 3, 10)
    bench.send_events([resident(1, ledger.BOOM_VERSION, day), *(resident(number, 1, day) for number in range(2, 9))])
    port = str(free_port())
    worker = bench.worker("review", "review", HUB_CLOCK_FILE=str(clock), HUB_WORKER_PORT=port)
    ledger.wait_folded(bench.settings, "review")
    clock.write_text(datetime(2026, 3, 10, 4, tzinfo=UTC).isoformat())

    def reviewed() -> int:
        states = [state for part in ledger.restored(bench.settings, "review") for _, state in ledger.decoded(part)]
        return sum(state.reviewed for state in states)

    deadline = time.monotonic() + 60
    while reviewed() < 7:
        assert time.monotonic() < deadline, worker.log_tail()
        time.sleep(0.2)
    time.sleep(3.5)  # three looks, in which it would have been fired
    assert worker.running
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        metrics = answer.read().decode()
    assert 'hub_worker_failed_reviews_total{stage="ledger-review"} 1.0' in metrics
    assert reviewed() == 7


def test_many_of_them_end_the_worker_before_anything_is_committed(bench_of_its_own: Bench) -> None:
    """Then it is the program: a release that cannot fold must not put a register into quarantine."""
    bench = bench_of_its_own
    bench.ledger("faulty")
    bench.send_events((settlement(number, ledger.BOOM_FEN) for number in range(200)), remember=False)
    worker = bench.worker("faulty", "faulty", ready=False)
    assert wait_exit(worker) == 1, worker.log_tail()
    assert ledger.read_committed(bench.settings, QUARANTINE.name) == []
    assert ledger.read_committed(bench.settings, ledger.state_topic("faulty").name) == []


def test_a_round_takes_what_was_lately_done_in_its_time() -> None:
    """Quick work makes rounds long, slow work short, within bounds; a small round says nothing about a large one."""
    now = [0.0]
    pace = Pace(lambda: now[0])

    def work(record_s: float, rounds: int = 40) -> int:
        for _ in range(rounds):
            with pace.folding(pace.limit):
                now[0] += pace.limit * record_s
            now[0] += 60  # the wait for its commits
            pace.end()
        return pace.limit

    assert pace.limit < rounds.FETCH_RECORDS
    assert work(0.00001) == rounds.FETCH_RECORDS
    assert work(0.001) == pytest.approx(ROUND_S / 0.001, rel=0.05)
    assert work(1.0) == LEAST_RECORDS
    before = pace.limit
    with pace.folding(1):
        now[0] += 100
    pace.end()
    assert pace.limit == before
    assert work(0.00001) == rounds.FETCH_RECORDS


@given(
    st.dictionaries(
        st.integers(0, 9), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5000), min_size=1), min_size=1
    ),
    st.integers(1, 4000),
)
def test_a_round_serves_the_quiet_whole_and_the_others_in_turn(held: dict[int, dict[str, int]], limit: int) -> None:
    """No queue waits longer than the others' turns, and nothing more is taken than there is or the round bears."""
    waiting = {Slot("s", slot): {(slot, topic): count for topic, count in own.items()} for slot, own in held.items()}
    turns = Turns()
    few = limit // len(waiting)
    behind = sum(sum(own.values()) for own in waiting.values()) > limit
    seen: set[int] = set()
    for number in range(len(waiting) + 1):
        planned = turns.plan(waiting, limit, 1000.0 + number * PATIENCE_S)
        assert len({place for place, _ in planned}) == len(planned)
        assert sum(count for _, count in planned) <= limit + len(planned)  # one of each topic at least
        assert all(1 <= count <= waiting[Slot("s", place[0])][place] for place, count in planned)
        for own in waiting.values():
            if not behind or sum(own.values()) <= few:
                assert dict(planned).items() >= own.items(), "a quiet slot is served whole"
        seen |= {place[0] for place, _ in planned}
    assert seen == set(held), "within as many rounds as there are slots, each had its turn"


def test_a_quiet_slot_waits_only_while_others_are_behind() -> None:
    """And then not longer than its patience."""
    quiet, busy = Slot("s", 0), Slot("s", 1)
    turns = Turns()
    both = {quiet: {"a": 5}, busy: {"b": 10_000}}
    assert dict(turns.plan(both, 1000, 100.0)) == {"a": 5, "b": 995}
    assert dict(turns.plan(both, 1000, 100.0 + PATIENCE_S / 2)) == {"b": 1000}
    assert dict(turns.plan({quiet: {"a": 5}, busy: {"b": 7}}, 1000, 100.0 + PATIENCE_S / 2)) == {"a": 5, "b": 7}
    assert dict(turns.plan(both, 1000, 100.0 + PATIENCE_S * 2)) == {"a": 5, "b": 995}


def test_a_batch_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may only hold more if one record alone is larger."""

    class Sized:
        def __init__(self, size: int) -> None:
            self.value = bytes(size)

    third = BATCH_BYTES // 3
    assert first_batch([Sized(third)] * 5) == 3
    assert first_batch([Sized(2 * BATCH_BYTES), Sized(1)]) == 1
    assert first_batch([Sized(1), Sized(2 * BATCH_BYTES)]) == 1
    assert first_batch([Sized(100)] * 5) == 5
    monkeypatch.setattr(transport, "BATCH_BYTES", 0)
    assert first_batch([Sized(1)] * 5) == 1


def test_batches_cut_by_bytes_lose_nothing(bench_of_its_own: Bench) -> None:
    """What does not fit waits for the next round, in order."""
    bench = bench_of_its_own
    bench.ledger("cut")
    bench.send(800)
    bench.worker("cut", "cut", LEDGER_BYTES="2000")
    bench.send(200)
    assert bench.faults("cut") == []


def settlement(number: int, total_fen: int = 100) -> Event:
    """A bill of a person of its own, later than any other."""
    made = event("medical.settlement")
    assert isinstance(made.payload, Settlement)
    person = f"{number:032x}"[::-1]
    header = msgspec.structs.replace(made.header, person=person, record_id=f"s-{number}", version=1)
    return made._replace(header=header, payload=msgspec.structs.replace(made.payload, total_fen=total_fen))


def resident(number: int, version: int = 1, review_on: date | None = None) -> Event:
    """The same person's registration."""
    made = event("registration.resident")
    person = f"{number:032x}"[::-1]
    header = msgspec.structs.replace(
        made.header, person=person, record_id=f"r-{number}", version=version, valid_to=review_on
    )
    return made._replace(header=header)
