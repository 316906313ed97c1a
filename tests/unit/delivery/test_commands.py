"""The operator's commands, on a store of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select

from hub.cli.main import hub
from hub.delivery.lines import Budget, Budgets
from hub.delivery.outbox import Gate, take
from hub.delivery.secrets import read_secrets, secrets_path
from hub.settings import Settings, settings
from hub.store.db import migrate, open_store, session
from hub.store.models import Endpoint, Outbox, Release
from tests.unit.delivery.alerts import make_alert

NOW = 1_780_000_000_000


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of this test's own deployment, as commands read them."""
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    migrate(settings().store)
    yield settings()
    settings.cache_clear()


@pytest.fixture
def engine(place: Settings) -> Iterator[Engine]:
    """The store, with three openings held and one in shadow."""
    made = open_store(place.store)
    everywhere = Release(region="", rule="", township="", per_minute=0, released_at=0)
    nothing = Budgets(Budget(0, 0), {})
    with session(made) as db:
        held = Gate(region="331100", releases=(everywhere,), budgets=nothing)
        take(db, [make_alert(str(n)) for n in range(3)], held, NOW)
        take(db, [make_alert("shadow")], Gate(region="331100", releases=(), budgets=nothing), NOW)
    yield made
    made.dispose()


def run(*words: str) -> Result:
    """One command, as typed."""
    return CliRunner(env={"COLUMNS": "160"}).invoke(hub, words)


def states(engine: Engine) -> list[str]:
    """States of the outbox, sorted."""
    with session(engine, writes=False) as db:
        return sorted(db.scalars(select(Outbox.state)))


def test_held_alerts_are_listed_released_and_dropped(engine: Engine) -> None:
    """Each by rule, oldest first, as many as asked."""
    listed = run("hold", "list")
    assert "held back: 3" in listed.output
    assert "daily budget" in listed.output
    assert run("hold", "release", "dibao", "--limit", "1").output == "1 alerts released\n"
    assert states(engine) == ["held", "held", "pending", "shadow"]
    assert run("hold", "release", "tekun").output == "0 alerts released\n"
    assert run("hold", "drop", "dibao").exit_code == 1  # nobody confirmed
    assert states(engine) == ["held", "held", "pending", "shadow"]
    assert run("hold", "drop", "dibao", "--yes").output == "2 alerts dropped\n"
    assert states(engine) == ["dropped", "dropped", "pending", "shadow"]


def test_refused_alerts_are_listed_with_their_reason_and_sent_again(engine: Engine) -> None:
    """From the start of the schedule."""
    with session(engine) as db:
        for row in db.scalars(select(Outbox).where(Outbox.state == "held")):
            row.state, row.last_error, row.attempts = "refused", "http_401", 7
    assert "http_401" in run("hold", "list").output
    assert run("hold", "retry", "social_assistance").output.startswith("3 alerts wait")
    with session(engine, writes=False) as db:
        assert set(db.scalars(select(Outbox.attempts).where(Outbox.state == "pending"))) == {0}


def test_a_line_is_paused_and_enabled(engine: Engine) -> None:
    """And shown while it is not open."""
    run("hold", "pause", "funeral")
    assert "funeral: paused" in run("hold", "list").output
    run("hold", "enable", "funeral")
    assert "funeral" not in run("hold", "list").output
    with session(engine, writes=False) as db:
        assert [(row.line, row.state) for row in db.scalars(select(Endpoint))] == [("funeral", "open")]


@pytest.mark.parametrize("word", ["pause", "enable", "retry"])
def test_a_misspelt_line_is_refused_with_those_there_are(word: str) -> None:
    """Else a line would seem paused."""
    refused = run("hold", word, "funerals")
    assert refused.exit_code == 2
    assert "social_assistance" in refused.output


def test_a_release_is_written_and_counts_what_it_lets_out(engine: Engine) -> None:
    """Place, rule, township and rate."""
    done = run("release", "--region", "331102", "--rule", "dibao", "--township", "331102001", "--per-minute", "20")
    assert "1 alerts leave shadow 20 a minute" in done.output
    assert "0 alerts leave shadow at once" in run("release", "--region", "331121").output
    assert "1 alerts leave shadow at once" in run("release", "--all").output
    with session(engine, writes=False) as db:
        rows = {(row.region, row.rule, row.township, row.per_minute) for row in db.scalars(select(Release))}
    assert rows == {("331102", "dibao", "331102001", 20), ("331121", "", "", 0), ("", "", "", 0)}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--all", "--region", "331102"),
        ("--region", "331199"),
        ("--region", "331102", "--rule", "diabo"),
        ("--region", "331102", "--township", "331102999"),
        ("--region", "331102", "--per-minute", "-1"),
    ],
)
def test_a_release_of_nothing_known_is_refused(engine: Engine, words: tuple[str, ...]) -> None:
    """A misspelt place would silently stay in shadow."""
    assert run("release", *words).exit_code == 2
    with session(engine, writes=False) as db:
        assert list(db.scalars(select(Release))) == []


def test_secrets_are_made_and_rotated(place: Settings) -> None:
    """And never printed."""
    made = run("dispatch", "--init")
    before = read_secrets(secrets_path(place))
    turned = run("dispatch", "--rotate", "funeral")
    after = read_secrets(secrets_path(place))
    assert before["funeral"].to_line == after["funeral"].to_line[1:]
    assert before | {"funeral": after["funeral"]} == after
    assert "whsec" not in made.output + turned.output


@pytest.mark.parametrize("text", ["429", "429:", "200:3", "x:3", "429:-1", "999:1"])
def test_the_receiver_refuses_a_failure_it_cannot_play(text: str) -> None:
    """It says how to write one."""
    refused = run("receiver", "--fail", text)
    assert refused.exit_code == 2
    assert "429:3" in refused.output


def test_no_process_binds_beyond_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no login yet."""
    monkeypatch.setenv("HUB_BIND", "0.0.0.0")  # noqa: S104  # this is what must be refused
    settings.cache_clear()
    refused = run("receiver")
    assert refused.exit_code != 0
    assert "no login" in str(refused.exception)
