"""`LocalStack`: broker and registry, and PostgreSQL where asked for, started together and stopped in reverse."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from hub.stack.java import Progress, resolve
from hub.stack.kafka import DEFAULT_MESSAGE_BYTES, KafkaBroker
from hub.stack.postgres import PostgresServer
from hub.stack.registry import SchemaRegistry

COMPATIBILITY = "FULL_TRANSITIVE"  # any release reads what any other wrote; source topics are kept for ever


class LocalStack:
    """Context manager: real parts, ready inside the block, stopped after it.

    Files lie under `data_dir` and stay there: started again on it, broker and registry hold what they held, while
    PostgreSQL starts empty. Ports are free ones unless given. `progress` gets one line per step. Use it from the main
    thread (see hub.stack.process).
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        kafka_port: int = 0,
        registry_port: int = 0,
        postgres: bool = False,
        message_max_bytes: int = DEFAULT_MESSAGE_BYTES,
        progress: Progress = lambda _: None,
    ) -> None:
        self._progress = progress
        parts = resolve(progress)
        self.registry = SchemaRegistry(parts, data_dir / "registry", registry_port)
        self.broker = KafkaBroker(parts, data_dir / "kafka", kafka_port, message_max_bytes=message_max_bytes)
        self.postgres = PostgresServer() if postgres else None
        # The registry takes longest, so it goes first and the others start beside it.
        started: list[SchemaRegistry | KafkaBroker | PostgresServer | None] = [
            self.registry,
            self.broker,
            self.postgres,
        ]
        self._parts = [part for part in started if part is not None]

    @property
    def bootstrap(self) -> str:
        """Kafka bootstrap.servers."""
        return self.broker.bootstrap

    @property
    def registry_url(self) -> str:
        """Base URL of the registry's Confluent-compatible API."""
        return self.registry.url

    @property
    def postgres_url(self) -> str | None:
        """SQLAlchemy URL of PostgreSQL, or None if it was not asked for."""
        return self.postgres.url if self.postgres else None

    def start(self) -> None:
        """Start all parts, then wait for each; a failure stops what was started. Raises StackError."""
        began = time.monotonic()
        try:
            for part in self._parts:
                part.start()
            for part in reversed(self._parts):
                part.wait_ready()
                name = type(part).__name__
                self._progress(f"{name} answers on port {part.port} after {time.monotonic() - began:.1f} s")
            self.registry.set_compatibility(COMPATIBILITY)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all parts, the last started first."""
        for part in reversed(self._parts):
            part.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
