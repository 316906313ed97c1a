"""`hub doctor` on real parts: it finds each planted fault and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.doctor import EXPECTED, Check, examine
from hub.ops.announce import announce
from hub.settings import Settings
from hub.stack.process import free_port
from hub.streams.admin import create_topics
from hub.streams.schemas import register
from hub.vault.keys import init_keys


@pytest.fixture
def deployment(tmp_path: Path, kafka: str, registry_url: str) -> Settings:
    """A whole deployment without its processes."""
    settings = Settings(data_dir=tmp_path, brokers=kafka, registry_url=registry_url, partitions=4)
    init_keys(settings.keys)
    create_topics(settings)
    register(registry_url)
    return settings


def wrong(settings: Settings, *, processes: bool = False) -> dict[str, str]:
    """What it finds wrong, by the English word of the check."""
    found: list[Check] = list(examine(settings, processes=processes))
    return {check.name.split()[0]: check.said for check in found if not check.good}


def test_a_whole_deployment_is_well(deployment: Settings) -> None:
    """Nothing is wrong, and with every process announced nothing is wrong either."""
    assert wrong(deployment) == {}
    beats = [announce(deployment.store, name, "http://127.0.0.1:1") for name in EXPECTED]
    try:
        assert wrong(deployment, processes=True) == {}
    finally:
        for beat in beats:
            beat.close()


def test_each_fault_is_found_by_itself(deployment: Settings, tmp_path: Path) -> None:
    """One fault does not hide another, and each text says what to do."""
    deployment.keys.chmod(0o644)
    away = deployment.model_copy(
        update={
            "registry_url": f"http://127.0.0.1:{free_port()}",
            "sources": tmp_path / "nothing",
            "partitions": 5,
        }
    )
    found = wrong(away, processes=True)
    assert set(found) == {"keys", "vault", "broker", "registry", "sources", "processes"}
    assert all("—" in said for said in found.values())
    assert "worker" in found["processes"]
