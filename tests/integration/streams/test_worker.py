"""What a worker meets from outside: bad records, absent parts, wrong topics, days that come."""

from __future__ import annotations

import struct
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Producer as KafkaProducer

from hub.domain.messages import Event, Quarantined
from hub.errors import TopologyMismatch
from hub.stack import ManagedProcess, free_port
from hub.streams.admin import check_topics, create_topics
from hub.streams.partitioner import partition_of
from hub.streams.producers import producer
from hub.streams.schemas import register
from hub.streams.topics import CONTRIBUTIONS, EVENT_BYTES, QUARANTINE
from hub.vault.keys import load_keys
from hub.vault.sealed import Sealer
from tests.integration.streams import ledger
from tests.integration.streams.conftest import Bench, wait_exit
from tests.unit.quality.samples import event

RESIDENT = "registration.resident.v1"
PATIENCE_S = 60.0


def until(good: Callable[[], bool], worker: ManagedProcess) -> None:
    """Wait for something a worker is to bring about."""
    deadline = time.monotonic() + PATIENCE_S
    while not good():
        assert time.monotonic() < deadline, worker.log_tail()
        time.sleep(0.2)


def quarantined(bench: Bench) -> list[Quarantined]:
    """What lies in quarantine."""
    values = [
        bench.codec.decode(QUARANTINE.name, value) for value in ledger.read_committed(bench.settings, QUARANTINE.name)
    ]
    return [value for value in values if isinstance(value, Quarantined)]


def resident(person: str, version: int = 1, valid_to: date | None = None) -> Event:
    """A registration."""
    made = event("registration.resident")
    header = msgspec.structs.replace(
        made.header, person=person, record_id=f"resident-{person}", version=version, valid_to=valid_to
    )
    return made._replace(header=header)


def nobodys(made: Event) -> Event:
    """The same without a person."""
    return made._replace(header=msgspec.structs.replace(made.header, person=None))


def test_every_class_of_bad_record_is_put_aside_whole(bench_of_its_own: Bench) -> None:
    """Each with its reason and its sealed original; the good ones around them are folded in."""
    bench = bench_of_its_own
    bench.ledger("poison")
    bench.send(30)
    good = bench.codec.encode(RESIDENT, resident("d" * 32))
    nobody = bench.codec.encode(RESIDENT, nobodys(resident("d" * 32)))
    hollow = bench.codec.encode(RESIDENT, resident("d" * 32)._replace(payload=None))
    partitions = bench.settings.partitions
    elsewhere = (partition_of(b"e" * 32, partitions) + 1) % partitions
    poison: list[tuple[str, bytes | None, bytes | None, int | None]] = [
        ("bad_magic", b"d" * 32, b"\x01" + good[1:], None),
        ("bad_magic", b"d" * 32, None, None),
        ("truncated", b"d" * 32, good[:-6], None),
        ("unknown_schema", b"d" * 32, good[:1] + struct.pack(">I", 987654) + good[5:], None),
        ("schema_misfit", b"d" * 32, good + b"\x00", None),
        ("null_key", None, good, 0),
        ("key_mismatch", b"f" * 32, good, None),
        ("key_mismatch", b"e" * 32, bench.codec.encode(RESIDENT, resident("e" * 32)), elsewhere),
        ("missing_field", b"d" * 32, nobody, None),
        ("schema_misfit", b"d" * 32, hollow, None),
        ("oversize", b"d" * 32, good + bytes(EVENT_BYTES), None),
    ]
    sender = KafkaProducer(
        {"bootstrap.servers": bench.settings.brokers, "partitioner": "murmur2_random", "compression.type": "lz4",
         "message.max.bytes": 2 * EVENT_BYTES}
    )  # fmt: skip
    for _, key, value, partition in poison:
        where = {} if partition is None else {"partition": partition}
        sender.produce(RESIDENT, value=value, key=key, **where)
    assert sender.flush(30) == 0
    sender.close()
    bench.send(30)
    before = len(quarantined(bench))
    bench.worker("poison", "poison")
    assert bench.faults("poison") == []

    found = quarantined(bench)[before:]
    assert sorted(row.reason for row in found) == sorted(reason for reason, *_ in poison)
    assert {row.stage for row in found} == {"worker"}
    assert len({row.quarantine_id for row in found}) == len(poison)
    sealer = Sealer(load_keys(bench.settings.keys))
    assert sorted(sealer.unseal(row.original) for row in found) == sorted(value or b"" for _, _, value, _ in poison)


def test_an_absent_registry_ends_the_worker_and_skips_nothing(bench: Bench) -> None:
    """75 asks for another start; nothing went to quarantine, and the next worker folds everything in."""
    bench.ledger("away")
    bench.send(40)
    before = len(quarantined(bench))
    away = f"http://127.0.0.1:{free_port()}/apis/ccompat/v7"
    worker = bench.worker("away", "away-1", ready=False, HUB_REGISTRY_URL=away)
    assert wait_exit(worker) == 75, worker.log_tail()
    assert "registry" in worker.log_tail()
    assert len(quarantined(bench)) == before
    bench.worker("away", "away-2")
    assert bench.faults("away") == []


def test_an_absent_broker_ends_the_worker(bench: Bench) -> None:
    """With a word that names it."""
    worker = bench.worker("any", "absent", ready=False, HUB_BROKERS=f"127.0.0.1:{free_port()}")
    assert wait_exit(worker) == 75, worker.log_tail()
    assert "HUB_BROKERS" in worker.log_tail()


def test_topics_that_differ_end_the_worker(bench: Bench) -> None:
    """Other partition counts would make joins miss; a missing topic would be read as empty."""
    worker = bench.worker("any", "differ", ready=False, HUB_PARTITIONS="3")
    assert wait_exit(worker) == 1, worker.log_tail()
    assert "has 5 partitions, not 3" in worker.log_tail()
    worker = bench.worker("never-made", "differ", ready=False)
    assert wait_exit(worker) == 1, worker.log_tail()
    assert "ledger-never-made-state.v1 does not exist" in worker.log_tail()


def test_topics_are_made_once_and_compared(bench: Bench) -> None:
    """A second call makes nothing; a setting that differs is named."""
    assert create_topics(bench.settings, [CONTRIBUTIONS]) == [CONTRIBUTIONS.name]
    assert create_topics(bench.settings, [CONTRIBUTIONS]) == []
    changed = msgspec.structs.replace(CONTRIBUTIONS, retention_ms=1, cleanup="compact")
    with pytest.raises(TopologyMismatch, match=r"cleanup\.policy=delete, not compact.*retention\.ms=\d+, not 1"):
        check_topics(bench.settings, [changed])


def test_a_producer_with_another_partitioner_ends_the_worker(bench_of_its_own: Bench) -> None:
    """librdkafka's own default is CRC32: four of five keys lie elsewhere, and every join would miss without a word."""
    bench = bench_of_its_own
    bench.ledger("crc")
    worker = bench.worker("crc", "crc-1")
    # In one transaction, so that they come to the worker together: a few at a time would be single mistakes.
    sender = KafkaProducer({"bootstrap.servers": bench.settings.brokers, "transactional.id": "crc"})
    sender.init_transactions(30)
    sender.begin_transaction()
    for number in range(400):
        person = f"{number:032x}"[::-1]
        sender.produce(RESIDENT, bench.codec.encode(RESIDENT, resident(person, version=10_000)), person)
    sender.commit_transaction(30)
    sender.close()
    assert wait_exit(worker) == 1, worker.log_tail()
    assert "have keys that belong to other partitions" in worker.log_tail()
    worker = bench.worker("crc", "crc-2", ready=False)
    assert wait_exit(worker) == 1, worker.log_tail()
    assert f"newest records of {RESIDENT} lie in partitions where nobody looks" in worker.log_tail()


def test_positions_come_from_state_and_not_from_the_group(bench: Bench) -> None:
    """A ledger that begins anew reads from the start, though its group was told that all had been read."""
    bench.ledger("told")
    bench.send(60)
    worker = bench.worker("told", "told")
    ledger.wait_folded(bench.settings, "told")
    reader = Consumer({"bootstrap.servers": bench.settings.brokers, "group.id": "told"})
    places = [TopicPartition(*place) for place in ledger.ends(bench.settings)]
    until(lambda: all(place.offset > 0 for place in reader.committed(places, timeout=10)), worker)
    reader.close()
    worker.terminate()
    bench.ledger("anew")
    bench.worker("anew", "told")
    assert bench.faults("anew") == []


def test_a_day_that_comes_wakes_a_state_once(bench: Bench) -> None:
    """The clock is moved; the review is folded like any record, and a restart does not fire it again."""
    bench.ledger("days")
    clock = bench.folder / "clock"
    clock.write_text(datetime(2026, 3, 1, 4, tzinfo=UTC).isoformat())
    person = "9" * 32
    made = resident(person, version=1_000_000, valid_to=date(2026, 3, 10))
    with closing(producer(bench.settings)) as out:
        out.send(RESIDENT, person, bench.codec.encode(RESIDENT, made))
        out.flush()
    worker = bench.worker("days", "days-1", HUB_CLOCK_FILE=str(clock))
    ledger.wait_folded(bench.settings, "days")

    def held() -> ledger.Held:
        parts = ledger.restored(bench.settings, "days")
        found: ledger.Held = parts[partition_of(person.encode(), bench.settings.partitions)].get(person)
        return found

    assert (held().reviewed, held().next_review) == (0, date(2026, 3, 10))
    clock.write_text(datetime(2026, 3, 10, 4, tzinfo=UTC).isoformat())
    until(lambda: held().reviewed == 1, worker)
    assert held().next_review is None
    worker.terminate()
    assert worker.exit_code == 0
    again = bench.worker("days", "days-2", HUB_CLOCK_FILE=str(clock))
    bench.send(20)
    ledger.wait_folded(bench.settings, "days")
    time.sleep(2.5)  # two ticks, in which a review would have fired
    assert held().reviewed == 1
    assert again.running


def test_metrics_say_what_was_done_and_survive_a_restart(bench: Bench) -> None:
    """Counters for the work of this process; standing numbers also after it was restored."""
    bench.ledger("metrics")
    bench.send(100)
    port = str(free_port())
    worker = bench.worker("metrics", "metrics-1", HUB_WORKER_PORT=port)
    ledger.wait_folded(bench.settings, "metrics")

    def value(line: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return next((float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(line)), 0.0)

    yes = 'hub_worker_findings{rule="ledger",truth="yes"}'
    states = 'hub_worker_states{stage="ledger-metrics"}'
    lag = 'hub_worker_lag_records{partition="0",topic="medical.settlement.v1"}'
    until(lambda: value('hub_worker_records_total{stage="ledger-metrics",topic="medical.settlement.v1"}') >= 90, worker)
    assert value('hub_worker_transactions_total{outcome="committed",stage="ledger-metrics"}') > 0
    assert value(states) > 0
    until(lambda: value(lag) == 0, worker)
    batches = value('hub_worker_batches_total{stage="ledger-metrics"}')
    assert value('hub_worker_batch_seconds_count{stage="ledger-metrics"}') == batches > 0
    waited = 'hub_worker_waited_seconds_%s{record="%s",stage="ledger-metrics"}'
    for record in ("oldest", "newest"):
        assert value(waited % ("count", record)) == batches
    # Receipt as the events state it, long ago, and not the moment they were published.
    assert value(waited % ("sum", "oldest")) >= value(waited % ("sum", "newest")) > 30 * 86_400
    known = value(states)
    worker.terminate()
    worker = bench.worker("metrics", "metrics-2", HUB_WORKER_PORT=port)
    assert value(states) == known
    registered = sum(
        held.registered > 0 for part in ledger.restored(bench.settings, "metrics") for _, held in ledger.decoded(part)
    )
    assert value(yes) == registered > 0
    register(bench.settings.registry_url, [RESIDENT])  # again: harmless while a worker runs
    assert worker.running
