"""Memory and disk give the same answers, whatever is loaded, applied and reopened; and what is on disk is whole."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import StateUnavailable
from hub.streams import disk
from hub.streams.disk import DAMAGED, DiskStore, Limits
from hub.streams.state import OFFSETS, PartitionState, encode_offsets
from hub.streams.store import Mark
from tests.integration.streams.ledger import Held, decoded, stage
from tests.unit.streams.disk_child import FIRST_DAY

LAW = msgspec.structs.replace(stage("unit"), stale=lambda held: held.sequence % 2 == 1, law="even")
LIMITS = Limits(8, 1)

keys = st.sampled_from("abcdefgh")
days = st.none() | st.integers(0, 5).map(lambda number: FIRST_DAY + timedelta(days=number))
states = st.builds(Held, sequence=st.integers(0, 5), registered=st.integers(0, 1), next_review=days)
records = st.lists(st.tuples(keys, st.none() | states), max_size=6)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("load"), records),
        st.tuples(st.just("apply"), st.dictionaries(keys, states, max_size=4)),
        st.tuples(st.just("reopen"), st.none()),
        st.tuples(st.just("rebuild"), records),
        st.tuples(st.just("look"), st.integers(0, 5)),
    ),
    max_size=12,
)


def answers(state: PartitionState) -> dict[str, Any]:
    """Everything that can be asked of a state."""
    dates = [FIRST_DAY + timedelta(days=number) for number in range(-1, 7)]
    return {
        "states": dict(decoded(state)),
        "keys": sorted(state.keys()),
        "number": len(state),
        "known": [key in state for key in "abcdefghi"],
        "absent": state.get("i"),
        "offsets": state.offsets,
        "position": state.position,
        "standing": +state.standing,
        "due": [state.reviews.due(day, budget) for day in dates for budget in (None, 0, 1, 3)],
        "waiting": len(state.reviews),
    }


@settings(max_examples=60, deadline=None)
@given(steps)
def test_memory_and_disk_give_the_same_answers(taken: list[tuple[str, Any]]) -> None:
    """After each step. Only the disk is closed and opened again, and it answers as the memory that never was."""
    with TemporaryDirectory() as folder:
        memory, kept = PartitionState(LAW, 0), PartitionState(LAW, 0, DiskStore(Path(folder) / "db", LIMITS))
        for position, (step, given_) in enumerate(taken, 1):
            if step == "reopen":
                kept.close()
                kept = PartitionState(LAW, 0, DiskStore(Path(folder) / "db", LIMITS))
                kept.settle()
            for state in (memory, kept):
                if step in ("load", "rebuild"):
                    if step == "rebuild":
                        state.rebuild()
                    for key, value in given_:
                        state.load(key.encode(), None if value is None else LAW.encode(value))
                    state.load(OFFSETS, encode_offsets({"t": position}))
                    state.loaded(position)
                    state.settle()
                elif step == "apply":
                    counts = Counter({"record:new": 1})
                    for key, value in given_.items():
                        held = state.get(key)
                        counts.update(LAW.standing(value))
                        counts.subtract(LAW.standing(held) if held is not None else {})
                    encoded = {key: LAW.encode(value) for key, value in given_.items()}
                    state.apply(given_, encoded, {"u": position}, counts, position)
                elif step == "look":
                    state.reviews.due(FIRST_DAY + timedelta(days=given_))
            assert answers(kept) == answers(memory)
        kept.close()


def disk_state(folder: Path, law: str = "even") -> PartitionState:
    """A state on disk as a start finds it."""
    return PartitionState(msgspec.structs.replace(LAW, law=law), 0, DiskStore(folder / "db", LIMITS))


def fill(state: PartitionState, **held: int) -> None:
    """States with these sequences."""
    changes = {key: Held(sequence=sequence) for key, sequence in held.items()}
    state.apply(changes, {key: LAW.encode(value) for key, value in changes.items()}, {}, {}, state.position + 1)


def swept(state: PartitionState) -> list[str]:
    """Keys a start would have reviewed, taken as if they had been."""
    state.settle()
    found = list(state.stale)
    for _ in found:
        state.stale.popleft()
    return found


def test_what_was_gone_through_under_a_law_is_not_gone_through_again(tmp_path: Path) -> None:
    """Until the law is another, or another worker's states come in under one; a sweep cut short begins again."""
    state = disk_state(tmp_path)
    fill(state, a=1, b=2)
    state.settle()
    assert list(state.stale) == ["a"]  # found and not taken: the process ends here
    state.close()

    state = disk_state(tmp_path)
    assert swept(state) == ["a"]
    fill(state, c=2)  # the first write behind the sweep says that it is over
    state.close()

    state = disk_state(tmp_path)
    assert swept(state) == []
    state.close()

    state = disk_state(tmp_path, law="another")
    assert swept(state) == ["a"]
    state.close()

    state = disk_state(tmp_path)
    state.load(b"d", LAW.encode(Held(sequence=3)))
    state.loaded(state.position + 1)
    assert sorted(swept(state)) == ["a", "d"]
    state.close()


def test_reviews_gone_by_are_not_passed_over_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look begins where the last one began to find any, else each would wade through all that are done."""
    store = DiskStore(tmp_path / "db", LIMITS)
    began: list[bytes] = []
    real = store._range

    def noted(start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        began.append(start)
        return real(start, end)

    monkeypatch.setattr(store, "_range", noted)
    store.write({"a": b"1", "b": b"1"}, {"a": FIRST_DAY, "b": FIRST_DAY + timedelta(days=3)}, Mark())
    assert [review.home for review in store.reviews.due(FIRST_DAY)] == ["a"]
    store.write({"a": b"2"}, {"a": None}, Mark())
    assert store.reviews.due(FIRST_DAY + timedelta(days=1)) == []
    assert store.reviews.due(FIRST_DAY + timedelta(days=1)) == []  # nothing is looked at for it
    assert [review.home for review in store.reviews.due(date.max - timedelta(days=1))] == ["b"]
    assert began == sorted(began)
    assert len(began) == 3
    store.close()


def files(folder: Path) -> list[Path]:
    """Tables of a database."""
    return sorted((folder / "db").glob("*.sst"))


COUNT = 4_000
"""States whose small rows fill more than one block of a table, so that damage to the first leaves the mark whole."""


def flushed(folder: Path) -> None:
    """A database with tables on disk."""
    state = disk_state(folder)
    for number in range(COUNT):
        records = {os.urandom(8).hex(): (1, 1) for _ in range(20)}
        state.load(f"k{number}".encode(), LAW.encode(Held(sequence=number, records=records)))
    state.loaded(COUNT)
    state.settle()
    state.close()
    assert files(folder)


def test_a_table_cut_short_is_built_anew(tmp_path: Path) -> None:
    """A write the machine's end tore: the store opens empty, and asks for the changelog from its start."""
    flushed(tmp_path)
    table = files(tmp_path)[0]
    table.write_bytes(table.read_bytes()[:100])
    state = disk_state(tmp_path)
    assert (len(state), state.position) == (0, 0)
    fill(state, a=1)
    state.close()
    state = disk_state(tmp_path)
    assert list(state.keys()) == ["a"]
    state.close()


def spoil(folder: Path, first: float, last: float) -> None:
    """Turn bytes over between two places of each table, as parts of its length."""
    for table in files(folder):
        data = bytearray(table.read_bytes())
        for place in range(int(first * len(data)), int(last * len(data))):
            data[place] ^= 0x5A
        table.write_bytes(data)


@pytest.mark.parametrize(("asked", "first", "last"), [("get", 0.3, 0.5), ("items", 0.3, 0.5), ("keys", 0.0, 0.001)])
def test_a_damaged_block_ends_the_process_and_the_next_start_builds_anew(
    tmp_path: Path, asked: str, first: float, last: float
) -> None:
    """However it is met: nothing is passed over without a word, and what RocksDB says of it may quote keys."""
    flushed(tmp_path)
    spoil(tmp_path, first, last)
    state = disk_state(tmp_path)
    assert state.position == COUNT
    with pytest.raises(StateUnavailable, match="built anew"):
        if asked == "get":
            for number in range(COUNT):
                state.get(f"k{number}")
        else:
            list(state.keys() if asked == "keys" else state._store.items())
    assert (tmp_path / "db" / DAMAGED).exists()
    state.close()
    state = disk_state(tmp_path)
    assert (len(state), state.position) == (0, 0)
    assert not (tmp_path / "db" / DAMAGED).exists()
    state.close()


def test_damage_met_at_the_start_is_mended_at_once(tmp_path: Path) -> None:
    """Here of the mark itself."""
    flushed(tmp_path)
    spoil(tmp_path, 0.0, 0.5)
    state = disk_state(tmp_path)
    assert (len(state), state.position) == (0, 0)
    state.close()


def test_a_store_that_lags_is_flushed_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition with few writes must not start from days ago."""
    monkeypatch.setattr(disk, "FLUSH_EVERY_S", 0.0)
    state = disk_state(tmp_path)
    fill(state, a=1)
    deadline = time.monotonic() + 30
    while not files(tmp_path):  # it is flushed beside the writer
        assert time.monotonic() < deadline
        time.sleep(0.02)
    state.close()


def test_memory_is_counted_over_all_partitions(tmp_path: Path) -> None:
    """Writes of one partition that reach the allowance of all are flushed before its own buffer is full."""

    def written(folder: Path, limits: Limits) -> list[DiskStore]:
        stores = [DiskStore(folder / str(number), limits) for number in range(3)]
        for number in range(40):
            for store in stores:
                store.write({f"k{number}": os.urandom(50_000)}, {}, Mark(number))
        return stores

    def tables(folder: Path) -> list[int]:
        return [len(list((folder / str(number)).glob("*.sst"))) for number in range(3)]

    ample = written(tmp_path / "ample", Limits(64, 32))
    tight = written(tmp_path / "tight", Limits(8, 1))
    deadline = time.monotonic() + 30
    while not all(tables(tmp_path / "tight")):  # it flushes beside the writer
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert tables(tmp_path / "ample") == [0, 0, 0]
    for store in ample + tight:
        store.close()
