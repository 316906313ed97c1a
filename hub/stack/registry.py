"""The Apicurio schema registry on loopback, with the Confluent-compatible API, for the demo and the tests.

It keeps its schemas in an H2 file: up in 4 s without waiting for the broker. A deployment uses PostgreSQL instead.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

from hub.errors import RegistryUnavailable, StackError
from hub.stack.java import JavaParts, java
from hub.stack.process import ManagedProcess, accepts, free_port

READY_TIMEOUT_S = 120.0  # 4 s on a quiet machine
REQUEST_TIMEOUT_S = 10.0
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


class SchemaRegistry:
    """A registry under `data_dir`, listening on 127.0.0.1:`port` (0: any free port, kept over restarts)."""

    def __init__(self, parts: JavaParts, data_dir: Path, port: int = 0) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self.process = ManagedProcess(
            "schema registry", self._command(), self.data_dir / "registry.log", cwd=parts.registry
        )

    @property
    def url(self) -> str:
        """Base URL of the Confluent-compatible API."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def start(self) -> None:
        """Start; returns before the registry is ready."""
        if accepts(self.port):
            raise StackError(
                f"port {self.port} is taken", "stop what listens there, or choose another port for the registry"
            )
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.process.start()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until it lists its subjects."""
        self.process.wait_ready(f"{self.url}/subjects", timeout_s)

    def stop(self) -> None:
        """Stop in order (SIGTERM), by force after a while."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL, as a power cut would; what it acknowledged is there after the next start."""
        self.process.kill()

    def set_compatibility(self, level: str) -> None:
        """Set the global level, for example FULL_TRANSITIVE. Raises RegistryUnavailable if it is refused."""
        request = urllib.request.Request(  # noqa: S310 - a loopback URL built by this class
            f"{self.url}/config",
            method="PUT",
            data=json.dumps({"compatibility": level}).encode(),
            headers={"Content-Type": MEDIA_TYPE},
        )
        try:
            urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S).close()  # noqa: S310 - the same
        except (urllib.error.URLError, OSError) as error:
            raise RegistryUnavailable(
                f"the registry did not take compatibility {level} ({error}) — read {self.process.log_file}"
            ) from error

    def _command(self) -> list[str]:
        # WRITE_DELAY=0: H2 acknowledges a commit up to 500 ms before it is in the file, and a kill would lose it.
        options = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(self.port),
            "quarkus.http.access-log.enabled": "false",
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            "apicurio.datasource.url": f"jdbc:h2:file:{self.data_dir / 'registry'};WRITE_DELAY=0",
            "apicurio.datasource.jdbc.initial-size": "2",
            "apicurio.datasource.jdbc.min-size": "2",
            "apicurio.datasource.jdbc.max-size": "10",
        }
        return [
            str(java()),
            # Without the optimising compiler and the parallel collector it starts in 4 s instead of 12.
            "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
            *(f"-D{key}={value}" for key, value in options.items()),
            "-cp", "*:lib/*", "io.quarkus.runner.GeneratedMain",
        ]  # fmt: skip
