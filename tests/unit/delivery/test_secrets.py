"""The file of webhook secrets."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import pytest

from hub.delivery.lines import DEFAULT, load_lines
from hub.delivery.secrets import Pair, ensure_secrets, read_secrets, rotate, secrets_path
from hub.errors import ConfigurationError
from hub.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment of its own."""
    return Settings(data_dir=tmp_path / "data")


def test_every_line_has_its_own_secrets_in_both_directions(settings: Settings) -> None:
    """32 random bytes each, none used twice, readable by the owner alone."""
    made = ensure_secrets(settings)
    assert set(made) == {line.secret for line in load_lines()}
    every = [secret for pair in made.values() for secret in (*pair.to_line, *pair.from_line)]
    assert len(set(every)) == len(every) == 24
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32 for secret in every)
    assert secrets_path(settings).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.data_dir.iterdir()] == ["webhook-secrets.json"]


def test_secrets_stay_as_they_are(settings: Settings) -> None:
    """A second start signs as the first did."""
    assert ensure_secrets(settings) == ensure_secrets(settings) == read_secrets(secrets_path(settings))


def test_a_new_line_gets_secrets_and_the_others_keep_theirs(settings: Settings, tmp_path: Path) -> None:
    """Lines come one by one."""
    before = ensure_secrets(settings)
    register = tmp_path / "lines.yaml"
    register.write_text(DEFAULT.read_text(encoding="utf-8").replace("secret: rescue", "secret: shelter"), "utf-8")
    after = ensure_secrets(settings.model_copy(update={"lines_file": register}))
    assert after == before | {"shelter": after["shelter"]}


def test_processes_that_start_together_agree(settings: Settings) -> None:
    """All read what the first one wrote."""
    results: list[dict[str, Pair]] = []
    gate = threading.Barrier(8)

    def start() -> None:
        gate.wait()
        results.append(ensure_secrets(settings))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(result == results[0] for result in results)


def test_rotation_keeps_one_old_secret(settings: Settings) -> None:
    """New first, then the one before; the one before that is gone."""
    first = ensure_secrets(settings)["funeral"]
    rotate(settings, "funeral")
    second = read_secrets(secrets_path(settings))["funeral"]
    assert second.to_line[1:] == first.to_line
    assert second.from_line[1:] == first.from_line
    rotate(settings, "funeral")
    third = read_secrets(secrets_path(settings))["funeral"]
    assert len(third.to_line) == 2
    assert third.to_line[1] == second.to_line[0]
    with pytest.raises(ConfigurationError, match="no secret nobody"):
        rotate(settings, "nobody")


def test_a_file_that_others_can_read_is_refused(settings: Settings) -> None:
    """Whoever read it could sign as the hub."""
    ensure_secrets(settings)
    secrets_path(settings).chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        ensure_secrets(settings)


def test_what_is_missing_or_broken_says_what_to_do(settings: Settings) -> None:
    """And shows nothing of what it held."""
    with pytest.raises(ConfigurationError, match="hub dispatch --init"):
        read_secrets(secrets_path(settings))
    ensure_secrets(settings)
    secrets_path(settings).write_text('{"funeral": "whsec_shown"}')
    with pytest.raises(ConfigurationError, match="restore it") as refused:
        read_secrets(secrets_path(settings))
    assert "shown" not in str(refused.value)
    assert "whsec" not in repr(Pair(to_line=("whsec_a",), from_line=("whsec_b",)))
