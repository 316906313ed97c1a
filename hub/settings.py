"""All settings of all processes, in one place: environment variables `HUB_…`, each with its default.

A process reads them once at its start; the pure core never sees them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one deployment. `HUB_STORE_URL` alone moves it from SQLite to PostgreSQL."""

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="ignore")

    data_dir: Path = Field(Path("var"), description="where this deployment keeps its files")
    brokers: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, comma separated")
    registry_url: str = Field(
        "http://127.0.0.1:8081/apis/ccompat/v7", description="schema registry, Confluent-compatible API"
    )
    store_url: str = Field("", description="SQLAlchemy URL of the store; empty: SQLite in data_dir")
    vault_url: str = Field("", description="SQLAlchemy URL of the identity vault; empty: beside the store")
    key_file: Path | None = Field(None, description="key file of the vault; empty: data_dir/keys.json")
    sources: Path = Field(Path("connectors/sources"), description="folder of source mappings (YAML)")
    expectations: Path = Field(Path("expectations"), description="folder of expectation suites (JSON)")
    source_root: Path = Field(Path(), description="what relative addresses in source mappings stand on")
    lines_file: Path | None = Field(None, description="register of the lines (YAML); empty: the one shipped")
    line_endpoints: dict[str, str] = Field(
        {}, description='line → URL its alerts go to, as JSON: {"funeral": "https://…"}; over what the register says'
    )
    region: str = Field("331100", description="GB/T 2260 code of the deployment's region; chooses the policy pack")
    overlay: str = Field("", description="policy pack laid over the official ones; demo: 演示参数（非官方）")
    partitions: int = Field(8, description="partitions of every joined topic; fixed at creation")
    generation: int = Field(
        0, ge=0, description="generation of worker state; raised by one when state is rebuilt from the log"
    )
    session_timeout_s: float = Field(
        10.0,
        ge=1,
        le=60,
        description="worker: after this many seconds without a heartbeat its partitions go to the others; a broker "
        "refuses less than its group.min.session.timeout.ms (6 s unless changed)",
    )
    heartbeat_s: float | None = Field(
        None,
        gt=0,
        description="worker: seconds between heartbeats to the group; empty: a quarter of the session timeout",
    )
    transaction_timeout_s: float = Field(
        10.0,
        ge=1,
        description="worker: how long the broker lets a dead owner's open transaction hold up readers, where no new "
        "owner ends it sooner",
    )
    hang_loop_s: float = Field(
        60.0, gt=0, description="worker: ends when its event loop stands still this long; a commit may take half of it"
    )
    hang_batch_s: float = Field(
        60.0,
        gt=0,
        description="worker: ends when one batch stays this long in one step; the longest is a commit over a leader "
        "election, 30 s",
    )
    hang_restore_s: float = Field(
        150.0,
        gt=0,
        description="worker: ends when a restore reads nothing for this long; opening writers may take 60 s and the "
        "restore itself gives up a silent broker after 60 s",
    )
    hang_assignment_s: float = Field(
        300.0,
        gt=0,
        description="worker: ends when the group gives it no assignment for this long; a rebalance waits 60 s for a "
        "silent member",
    )
    hang_lag_s: float = Field(
        180.0,
        gt=0,
        description="worker: ends when records wait, or Kafka answers no fetch, and no batch was processed for this "
        "long: three leader elections",
    )
    state: Literal["memory", "disk"] = Field(
        "memory",
        description="where a worker keeps the states of its partitions: memory (a county: some kB a person; each start "
        "reads the changelogs whole) or disk (a province: bounded memory; a start reads only what it missed)",
    )
    state_dir: Path | None = Field(
        None,
        description="disk only: folder of the states; empty: data_dir/state. Workers of one machine may share it, each "
        "partition is held by one; workers of two machines may not. It may be lost: the changelogs have it all",
    )
    state_cache_mb: int = Field(
        256,
        ge=16,
        description="disk only: MiB a worker spends on its store, all partitions together: cache of blocks, indexes, "
        "and writes not yet flushed",
    )
    state_write_mb: int = Field(
        64,
        ge=8,
        description="disk only: MiB of state_cache_mb for writes not yet flushed; a killed worker reads about as much "
        "again from its changelogs. Keep it under half of state_cache_mb",
    )
    clock_file: Path | None = Field(
        None, description="rehearsal only: a file holding an ISO instant that is used as now; empty: the system clock"
    )
    quality_keep_days: int = Field(
        90,
        ge=1,
        description="days the store keeps results of expectations, over which scores are taken; the last runs of a "
        "source and the newest result of each expectation stay longer, and their topic keeps all",
    )
    bind: str = Field("127.0.0.1", description="address HTTP servers bind to; there is no login yet, so loopback only")
    worker_port: int = Field(
        6070, description="worker: health and metrics; of several on one machine the first, the others count up"
    )
    health_bind: str = Field(
        "",
        description="worker: address of health and metrics alone, where probes come from outside as in a pod; they "
        "hold no personal data, but let only probes and Prometheus reach them; empty: as HUB_BIND",
    )
    client_id: str = Field("hub-worker", description="worker: what Kafka's logs and quotas call it")
    connector_port: int = Field(6067, description="connectors: health and metrics")
    quality_port: int = Field(6068, description="quality: health and metrics")
    dispatcher_port: int = Field(6069, description="dispatcher: health and metrics")
    web_port: int = Field(8080, description="pages and API")
    receiver_port: int = Field(8090, description="reference downstream receiver")

    @property
    def store(self) -> str:
        """Store URL with its default filled in."""
        return self.store_url or f"sqlite:///{self.data_dir / 'hub.db'}"

    @property
    def states(self) -> Path:
        """Folder of worker states on disk."""
        return self.state_dir or self.data_dir / "state"

    @property
    def vault(self) -> str:
        """Vault URL: its own file under SQLite (writers do not wait for each other), the same database otherwise."""
        if self.vault_url:
            return self.vault_url
        return self.store_url if self.store_url else f"sqlite:///{self.data_dir / 'vault.db'}"

    @property
    def heartbeat(self) -> float:
        """Seconds between heartbeats to the group: three may be missed before the session ends."""
        return self.heartbeat_s or self.session_timeout_s / 4

    @property
    def keys(self) -> Path:
        """Path of the key file."""
        return self.key_file or self.data_dir / "keys.json"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
