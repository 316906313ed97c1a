"""The key file: never overwritten, never read where others can read it, never half believed. And its commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli.keys import command
from hub.errors import ConfigurationError, VaultError
from hub.settings import settings
from hub.vault.keys import generate, init_keys, load_keys


def test_what_is_made_is_what_is_read(tmp_path: Path) -> None:
    """Every secret comes back, the file is its owner's only, and nothing else is left in the folder."""
    path = tmp_path / "folder" / "keys.json"
    made, read = init_keys(path), load_keys(path)
    assert read == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]


def test_every_secret_is_its_own(tmp_path: Path) -> None:
    """No key serves two uses, and two files share none."""
    secrets = [
        secret
        for keys in (generate(), generate())
        for secret in (keys.token_secret, keys.audit, *keys.wrapping.keys.values(), *keys.quarantine.keys.values())
    ]
    assert len(set(secrets)) == len(secrets) == 8
    assert {len(secret) for secret in secrets} == {32}


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    """A second init would make everything sealed unreadable."""
    path = tmp_path / "keys.json"
    init_keys(path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        init_keys(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602])
def test_a_file_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    """The error says the command that mends it."""
    path = tmp_path / "keys.json"
    init_keys(path)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_keys(path)


def test_no_file(tmp_path: Path) -> None:
    """The error says how to make one."""
    with pytest.raises(ConfigurationError, match="hub keys init"):
        load_keys(tmp_path / "keys.json")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="HUB_KEY_FILE"):
        init_keys(tmp_path / "file" / "keys.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.pop("audit"),
        lambda file: file.update(format=2),
        lambda file: file.update(token_secret="AAAA"),
        lambda file: file.update(audit="AAAA"),
        lambda file: file["wrapping"].update(active="00000000"),
        lambda file: file["quarantine"].update(keys={file["quarantine"]["active"]: file["audit"]}),
        lambda file: file["wrapping"].update(keys={file["wrapping"]["active"]: file["audit"]}),
    ],
)
def test_a_damaged_file_is_refused_and_not_quoted(tmp_path: Path, damage: object) -> None:
    """Missing parts, short secrets, keys that do not fit their ids."""
    path = tmp_path / "keys.json"
    init_keys(path)
    file = json.loads(path.read_text())
    secret = file["token_secret"]
    assert callable(damage)
    damage(file)
    path.write_text(json.dumps(file))
    with pytest.raises(ConfigurationError) as caught:
        load_keys(path)
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_that_is_not_held_is_named() -> None:
    """Which key file is wanted."""
    with pytest.raises(VaultError, match="deadbeef"):
        generate().wrapping.key("deadbeef")


def test_the_commands_show_ids_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init` makes the file of the settings, `show` reads it; a secret stands in neither's output, nor in a repr."""
    path = tmp_path / "k.json"
    monkeypatch.setenv("HUB_KEY_FILE", str(path))
    settings.cache_clear()
    try:
        made = CliRunner().invoke(command, ["init"], catch_exceptions=False).output
        shown = CliRunner().invoke(command, ["show"], catch_exceptions=False).output
    finally:
        settings.cache_clear()
    keys = load_keys(path)
    assert f"{keys.wrapping.active} (active)" in shown
    assert made.endswith(shown)
    file = json.loads(path.read_text())
    for secret in (file["token_secret"], file["audit"], *file["wrapping"]["keys"].values()):
        assert secret not in made + repr(keys)
    assert repr(keys.token_secret) not in repr(keys)
    assert repr(keys.wrapping.keys[keys.wrapping.active]) not in repr(keys) + repr(keys.wrapping)
