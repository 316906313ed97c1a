"""The comparison with a running deployment, on a real broker: what it takes for open, and what it makes of the rest."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from hub.discovery.topology import LocalTopology
from hub.domain.messages import Alert, Disposition, Event
from hub.domain.times import local_moment
from hub.packs import load_book
from hub.settings import Settings
from hub.simulate import departments
from hub.simulate.check import read
from hub.simulate.oracle import Agreement, Open, compare, read_events_from_kafka
from hub.stack import LocalStack
from hub.streams.admin import create_topics
from hub.streams.codec import Codec
from hub.streams.producers import producer
from hub.streams.schemas import register
from hub.vault.keys import generate
from hub.vault.tokens import Tokens
from tests.unit.simulate.worlds import MANIFEST, NOW, SOURCES

PARTITIONS = 3


class Deployed(NamedTuple):
    """A log in Kafka as source systems and the worker would have left it."""

    settings: Settings
    events: list[Event]
    alerts: tuple[Alert, ...]

    def send(self, topic: str, key: str, value: Event | Alert | Disposition) -> None:
        """Add one message."""
        with closing(producer(self.settings)) as out, closing(Codec(self.settings.registry_url)) as codec:
            out.send(topic, key, codec.encode(topic, value))
            out.flush()


@pytest.fixture(scope="module")
def deployed(own_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Both waves on the source topics, and what the steps made of them on alerts.v1 and quality.conflicts.v1."""
    folder = tmp_path_factory.mktemp("deployed")
    clock = folder / "clock"
    clock.write_text(local_moment(NOW).isoformat())
    departments.first(folder / "offices", MANIFEST)
    source = read(folder / "offices", SOURCES, Tokens(generate()))
    events = source.read(NOW)
    departments.second(folder / "offices")
    events += source.read(NOW + 1000)
    source.close()
    topology = LocalTopology(load_book(overlay="demo"), clock=NOW)
    topology.send(events)
    settings = Settings(
        brokers=own_stack.bootstrap,
        registry_url=own_stack.registry_url,
        partitions=PARTITIONS,
        clock_file=clock,
        overlay="demo",
    )
    register(settings.registry_url)
    create_topics(settings)
    out, codec = producer(settings), Codec(settings.registry_url)
    for event in events:
        value = codec.encode(f"{event.topic}.v1", event)
        if event.header.person:
            out.send(f"{event.topic}.v1", event.header.person, value)
        else:
            for partition in range(PARTITIONS):
                out.send(f"{event.topic}.v1", event.header.source, value, partition=partition)
    for alert in topology.alerts():
        out.send("alerts.v1", alert.home, codec.encode("alerts.v1", alert))
    for conflict in topology.conflicts():
        out.send("quality.conflicts.v1", conflict.person, codec.encode("quality.conflicts.v1", conflict))
    out.flush()
    out.close()
    codec.close()
    return Deployed(settings, events, topology.alerts())


def only(agreement: Agreement) -> tuple[set[object], set[object]]:
    return set(agreement.only_hub), set(agreement.only_oracle)


def test_what_the_steps_left_agrees(deployed: Deployed) -> None:
    agreement = compare(deployed.settings)
    assert only(agreement) == (set(), set())
    assert agreement.agrees
    assert agreement.counts["open"] > 15
    assert agreement.counts["conflicts"] >= 4
    assert agreement.joined["households"] > 20


def test_every_event_is_read_once_and_nothing_that_nobody_can_read(deployed: Deployed) -> None:
    before = read_events_from_kafka(deployed.settings)
    assert sorted(before.events, key=repr) == sorted(deployed.events, key=repr)
    assert before.superseded == 1  # the older settlement of the second wave
    with closing(producer(deployed.settings)) as out:
        out.send("registration.resident.v1", "0" * 32, b"\x07no frame")
        out.flush()
    stranger = next(event for event in deployed.events if event.header.person)
    deployed.send(f"{stranger.topic}.v1", "f" * 32, stranger)  # under another's key
    after = read_events_from_kafka(deployed.settings)
    assert (len(after.events), after.refused) == (len(before.events), before.refused + 2)


def test_each_difference_is_told_on_its_side(deployed: Deployed) -> None:
    live = {alert.alert_id: alert for alert in deployed.alerts}
    one = min((alert for alert in live.values() if alert.state != "WITHDRAWN"), key=lambda alert: alert.alert_id)
    open_one = Open(one.rule, one.subject, one.evidence_hash, one.amount_fen)
    invented = replace(one, alert_id="0" * 32, subject="person:" + "0" * 32, revision=1)
    deployed.send("alerts.v1", one.home, invented)
    phantom = Open(invented.rule, invented.subject, invented.evidence_hash, invented.amount_fen)
    assert only(compare(deployed.settings)) == ({phantom}, set())
    deployed.send("alerts.v1", one.home, replace(invented, revision=2, state="WITHDRAWN"))
    deployed.send("alerts.v1", one.home, replace(one, revision=one.revision + 1, state="WITHDRAWN"))
    assert only(compare(deployed.settings)) == (set(), {open_one})
    deployed.send("alerts.v1", one.home, replace(one, revision=one.revision + 2))
    assert compare(deployed.settings).agrees


def test_an_answered_alert_is_open_on_neither_side(deployed: Deployed) -> None:
    before = compare(deployed.settings).counts["open"]
    one = max(
        (alert for alert in {a.alert_id: a for a in deployed.alerts}.values() if alert.state != "WITHDRAWN"),
        key=lambda alert: alert.alert_id,
    )
    answer = Disposition(
        disposition_id="d1",
        alert_id=one.alert_id,
        home=one.home,
        subject=one.subject,
        rule=one.rule,
        revision=one.revision,
        evidence_hash=one.evidence_hash,
        policy_hash=one.policy_hash,
        outcome="not_eligible",
        suppress=True,
        by="test",
        made_at=NOW,
    )
    deployed.send("dispositions.v1", one.home, answer)
    agreement = compare(deployed.settings)
    assert agreement.agrees
    assert agreement.counts["open"] == before - 1
