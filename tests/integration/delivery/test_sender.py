"""The sender against a real HTTP server that answers as it is told and keeps what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY
from sqlalchemy import Engine, select, update

from hub.delivery.lines import Budget, Budgets, Register, load_register
from hub.delivery.outbox import Gate, take
from hub.delivery.secrets import ensure_secrets, read_secrets, rotate, secrets_path
from hub.delivery.sender import Sender
from hub.delivery.signing import verified
from hub.domain.messages import Alert
from hub.ops.clock import Clock
from hub.settings import Settings
from hub.store.db import migrate, session
from hub.store.models import Endpoint, Outbox, Release
from hub.vault.cards import IdentityCard, Vault, open_vault
from hub.vault.keys import init_keys
from hub.vault.models import AUDIT
from hub.vault.models import CARD as SEALED
from tests.unit.delivery.alerts import ANNA, BERT, alert_id, make_alert

PATIENCE_S = 20.0
CARD = {"name": "蓝秀英", "number": "331102195003075545", "address": "紫金街道1号", "phone": "13900000000", "sex": "2"}


class Server(ThreadingHTTPServer):
    """Answers with what is left of `answers` (status, headers, seconds to wait), then 204."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], float]] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where alerts are posted."""
        return f"http://127.0.0.1:{self.server_address[1]}/alerts"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that gave up waiting is no news."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        """Keep it and answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers, wait_s = self.server.answers.pop(0) if self.server.answers else (204, {}, 0.0)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(wait_s)
        with self.server.lock:
            self.server.at_once -= 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Bench:
    """A store, a vault, a server, and a sender between them."""

    def __init__(self, settings: Settings, engine: Engine, server: Server) -> None:
        self.settings = settings
        self.engine = engine
        self.server = server
        self.vault: Vault = open_vault(settings)
        self.register = load_register(settings)
        plan = replace(self.register.delivery, schedule_s=(0.2, 0.2, 0.2, 0.2), timeout_s=1.0, concurrency=4)
        self.register = Register(delivery=plan, lines=self.register.lines)

    def put(self, *alerts: Alert) -> None:
        """Alerts, pending."""
        release = Release(region="", rule="", township="", per_minute=0, released_at=0)
        gate = Gate(region="331100", releases=(release,), budgets=Budgets(Budget(1000, 1000), {}))
        with session(self.engine) as db:
            take(db, alerts, gate, Clock(self.settings).now_ms())

    def send_until(self, done: Callable[[], bool]) -> None:
        """Run a sender until something is so, then stop it in order."""
        sender = Sender(
            engine=self.engine,
            vault=self.vault,
            register=self.register,
            secrets=lambda: read_secrets(secrets_path(self.settings)),
            region="331100",
            now_ms=Clock(self.settings).now_ms,
        )
        stop = threading.Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                sender.run(stop)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        deadline = time.monotonic() + PATIENCE_S
        try:
            while not done() and not failures and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            stop.set()
            thread.join()
        assert failures == []
        assert done(), "the sender did not get there in time"

    def rows(self) -> list[Outbox]:
        """The outbox."""
        with session(self.engine, writes=False) as db:
            return list(db.scalars(select(Outbox).order_by(Outbox.alert_id, Outbox.revision)))

    def settled(self) -> bool:
        """Nothing is pending."""
        return all(row.state != "pending" for row in self.rows())

    def audit(self) -> list[Any]:
        """Openings of the vault."""
        with session(self.engine_of_vault, writes=False) as db:
            return list(db.execute(select(AUDIT).order_by(AUDIT.c.seq)).mappings())

    @property
    def engine_of_vault(self) -> Engine:
        """The vault's database, past the vault."""
        return self.vault._engine


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """SQLite alone: what differs between databases is in the tests of claims."""
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    migrate(url)
    return url


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own."""
    made = Server()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def bench(engine: Engine, store_url: str, tmp_path: Path, server: Server) -> Iterator[Bench]:
    """All lines go to the one server; one person is known to the vault."""
    lines = {line.id: server.url for line in load_register(Settings()).lines}
    settings = Settings(
        data_dir=tmp_path, store_url=store_url, vault_url=f"sqlite:///{tmp_path / 'vault.db'}", line_endpoints=lines
    )
    init_keys(settings.keys)
    ensure_secrets(settings)
    made = Bench(settings, engine, server)
    made.vault.put_many([IdentityCard(person=ANNA, origin="huji/registration.resident", record_time=1, **CARD)])
    yield made
    made.vault.close()


def sample(name: str, **labels: str) -> float:
    """A metric's value; metrics are the process's, so tests compare before and after."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_an_alert_arrives_signed_with_its_lines_fields(bench: Bench) -> None:
    """One POST, whole and signed; identity as the register allows, and one audit row for each person."""
    bench.put(make_alert())
    bench.send_until(bench.settled)
    ((path, headers, body),) = bench.server.requests
    secrets = read_secrets(secrets_path(bench.settings))["social_assistance"]
    assert verified(secrets.to_line, headers, body)
    assert headers["content-type"] == "application/cloudevents+json"
    content = json.loads(body)
    assert (path, content["id"]) == ("/alerts", headers["webhook-id"])
    allowed = {name: CARD[name] for name in ("name", "number", "address", "phone")}
    assert [person["identity"] for person in content["data"]["people"]] == [allowed, {}]
    assert [(row["person"], row["purpose"], row["actor"], row["outcome"]) for row in bench.audit()] == [
        (ANNA, "delivery.social_assistance", "dispatcher", "opened"),
        (BERT, "delivery.social_assistance", "dispatcher", "no_card"),
    ]
    assert {row["fields"] for row in bench.audit()} == {"address,name,number,phone"}
    assert all(alert_id("one") in row["reason"] for row in bench.audit())


def test_identity_is_opened_for_nobody_who_may_not_have_it(bench: Bench) -> None:
    """A line without identity fields opens nothing; nor does a withdrawal."""
    bench.put(
        make_alert("plain", line="place_names"), make_alert("gone"), make_alert("gone", revision=2, state="WITHDRAWN")
    )
    bench.send_until(bench.settled)
    assert len(bench.server.requests) == 3
    known = [CARD["name"].encode() in body for _path, _headers, body in bench.server.requests]
    assert known.count(True) == 1
    assert len(bench.audit()) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 408, 425, 429, 301, 302, 307])
def test_a_failure_is_tried_again_under_the_same_id(bench: Bench, status: int) -> None:
    """Until it is accepted; a redirect leads nowhere, least of all with somebody's identity."""
    elsewhere = {"Location": bench.server.url.replace("/alerts", "/stolen")}
    bench.server.answers = [(status, elsewhere, 0.0)] * 2
    bench.put(make_alert())
    bench.send_until(bench.settled)
    (row,) = bench.rows()
    assert (row.state, row.attempts, row.last_error) == ("accepted", 3, None)
    assert [path for path, _headers, _body in bench.server.requests] == ["/alerts"] * 3
    assert len({headers["webhook-id"] for _path, headers, _body in bench.server.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422])
def test_a_final_refusal_is_not_tried_again(bench: Bench, status: int) -> None:
    """The row says why, and the next alert goes."""
    bench.server.answers = [(status, {}, 0.0)]
    bench.put(make_alert("a"))
    bench.send_until(bench.settled)
    bench.put(make_alert("b"))
    bench.send_until(bench.settled)
    assert {row.alert_id: (row.state, row.last_error) for row in bench.rows()} == {
        alert_id("a"): ("refused", f"http_{status}"),
        alert_id("b"): ("accepted", None),
    }
    assert len(bench.server.requests) == 2


def test_what_is_never_accepted_is_given_up_at_the_end_of_the_schedule(bench: Bench) -> None:
    """Five attempts here; the row stays for `hub hold retry`."""
    bench.server.answers = [(503, {}, 0.0)] * 10
    bench.put(make_alert())
    bench.send_until(bench.settled)
    (row,) = bench.rows()
    assert (row.state, row.attempts, row.last_error) == ("refused", 5, "http_503")
    assert len(bench.server.requests) == 5


def test_gone_disables_the_endpoint(bench: Bench) -> None:
    """Nothing more is sent to that line, and the other lines get theirs."""
    bench.server.answers = [(410, {}, 0.0)]
    bench.put(make_alert("a"))
    bench.send_until(lambda: bool(bench.server.requests) and bool(bench.rows()[0].attempts))
    bench.put(make_alert("b"), make_alert("c", line="funeral"))
    bench.send_until(lambda: [row.line for row in bench.rows() if row.state == "accepted"] == ["funeral"])
    with session(bench.engine, writes=False) as db:
        endpoint = db.get_one(Endpoint, "social_assistance")
    assert endpoint.state == "disabled"
    assert len(bench.server.requests) == 2
    assert sum(row.state == "pending" for row in bench.rows()) == 2


def test_a_line_that_does_not_answer_in_time_is_asked_again(bench: Bench) -> None:
    """It may have stored the alert; the id tells it."""
    bench.server.answers = [(204, {}, 1.6)]
    before = sample("hub_deliveries_total", line="social_assistance", result="failed")
    bench.put(make_alert())
    bench.send_until(bench.settled)
    (row,) = bench.rows()
    assert (row.state, row.attempts) == ("accepted", 2)
    assert sample("hub_deliveries_total", line="social_assistance", result="failed") == before + 1


def test_a_line_that_cannot_be_reached_is_asked_again(bench: Bench, server: Server) -> None:
    """Nobody listens there: the row says so and keeps its place in the schedule."""
    bench.put(make_alert())
    port = server.server_address[1]
    closed = [replace(line, endpoint=line.endpoint.replace(str(port), "9")) for line in bench.register.lines]
    bench.register = replace(bench.register, lines=tuple(closed))
    bench.send_until(lambda: bench.rows()[0].attempts >= 2)
    assert (bench.rows()[0].state, bench.rows()[0].last_error) == ("pending", "unreachable")


def test_no_line_gets_more_requests_at_once_than_agreed(bench: Bench) -> None:
    """Four here, though forty wait."""
    bench.server.answers = [(204, {}, 0.05)] * 40
    bench.put(*(make_alert(str(n)) for n in range(40)))
    bench.send_until(bench.settled)
    assert 2 <= bench.server.most_at_once <= 4
    assert len(bench.server.requests) == 40


def test_revisions_arrive_in_order(bench: Bench) -> None:
    """Whatever fails on the way."""
    bench.server.answers = [(503, {}, 0.0), (204, {}, 0.1), (503, {}, 0.0)]
    states = ("OPEN", "AMENDED", "AMENDED", "WITHDRAWN")
    bench.put(*(make_alert(revision=n, state=state) for n, state in enumerate(states, start=1)))
    bench.send_until(bench.settled)
    order = [json.loads(body)["data"]["alert"]["revision"] for _path, _headers, body in bench.server.requests]
    assert order == sorted(order)
    assert set(order) == {1, 2, 3, 4}


def test_both_secrets_sign_after_a_rotation(bench: Bench) -> None:
    """The line changes over when it likes."""
    old = read_secrets(secrets_path(bench.settings))["social_assistance"].to_line
    rotate(bench.settings, "social_assistance")
    new = read_secrets(secrets_path(bench.settings))["social_assistance"].to_line
    bench.put(make_alert())
    bench.send_until(bench.settled)
    ((_path, headers, body),) = bench.server.requests
    assert verified(old[:1], headers, body)
    assert verified(new[:1], headers, body)


def test_an_altered_card_stops_one_alert_and_no_other(bench: Bench) -> None:
    """It is not sent without the identity it should have, and not lost."""
    with session(bench.engine_of_vault) as db:
        db.execute(update(SEALED).values(record_time=SEALED.c.record_time + 1))
    bench.put(make_alert("theirs"), make_alert("other", people=()))
    bench.send_until(bench.settled)
    assert {row.alert_id: (row.state, row.last_error) for row in bench.rows()} == {
        alert_id("theirs"): ("refused", "vault"),
        alert_id("other"): ("accepted", None),
    }


def test_stopping_waits_for_what_is_on_the_wire(bench: Bench) -> None:
    """An answer that comes is recorded before the sender ends."""
    bench.server.answers = [(204, {}, 0.5)]
    bench.put(make_alert())
    bench.send_until(lambda: len(bench.server.requests) == 1)
    assert [row.state for row in bench.rows()] == ["accepted"]
