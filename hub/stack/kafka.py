"""One Apache Kafka node on loopback, broker and controller in one (KRaft), for the demo and the tests.

It can be stopped or killed and started again on the same data and the same port.
"""

from __future__ import annotations

import base64
import logging
import subprocess
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from hub.errors import StackError
from hub.stack.java import POM, JavaParts, java
from hub.stack.process import ManagedProcess, accepts, free_port

HEAP = "-Xmx512m"
# Without the optimising compiler and the parallel collector it starts in 4 s instead of 6, on half the processor time.
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
LOG4J = POM.with_name("log4j2.properties")
FORMAT_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 90.0  # 3 s on a quiet machine; a busy one with a log to recover after a kill needs longer
METADATA_TIMEOUT_S = 2.0
DEFAULT_MESSAGE_BYTES = 1_048_588  # Kafka's own default of message.max.bytes


class KafkaBroker:
    """A broker under `data_dir`, listening on 127.0.0.1:`port` (0: any free port, kept over restarts).

    `message_max_bytes` bounds a record batch; `settings` adds or replaces lines of server.properties. `quick` trades
    speed under load for a quick start, which is what tests and the demo need; a benchmark does not. `cluster_id` is
    that of a cluster of several nodes, whose `settings` name the others (see `cluster`).
    """

    def __init__(
        self,
        parts: JavaParts,
        data_dir: Path,
        port: int = 0,
        *,
        message_max_bytes: int = DEFAULT_MESSAGE_BYTES,
        settings: dict[str, str] | None = None,
        quick: bool = True,
        cluster_id: str = "",
    ) -> None:
        self._cluster_id = cluster_id or new_cluster_id()
        self._flags = QUICK if quick else ()
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self._controller_port = free_port()
        self._parts = parts
        self._settings = self._properties(message_max_bytes) | (settings or {})
        self.process = ManagedProcess(
            "Kafka", [*self._java(HEAP), "kafka.Kafka", self._properties_file], self.data_dir / "kafka.log"
        )

    @property
    def bootstrap(self) -> str:
        """The bootstrap.servers string."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Format the storage if it is new, and start; returns before the broker is ready."""
        if accepts(self.port):
            raise StackError(f"port {self.port} is taken", "stop what listens there, or choose another port for Kafka")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._properties_file.write_text("".join(f"{key}={value}\n" for key, value in self._settings.items()))
        if not (self._log_dir / "meta.properties").exists():
            self._format()
        self.process.start()

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the broker answers a metadata request with itself in it."""
        self.process.wait_ready(self._answers_metadata, timeout_s)

    def stop(self) -> None:
        """Stop in order (SIGTERM), by force after a while."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL, as a power cut would; `start` recovers the log."""
        self.process.kill()

    @property
    def _properties_file(self) -> Path:
        return self.data_dir / "server.properties"

    @property
    def _log_dir(self) -> Path:
        return self.data_dir / "log"

    def _java(self, heap: str) -> list[str]:
        return [
            str(java()), heap, *self._flags, "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={LOG4J}",
            "-cp", f"{self._parts.kafka}/*",
        ]  # fmt: skip

    def _properties(self, message_max_bytes: int) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}",
            "log.dirs": str(self._log_dir),
            "auto.create.topics.enable": "false",  # a topic that nobody created is a mistake to be seen
            "message.max.bytes": str(message_max_bytes),
            "replica.fetch.max.bytes": str(max(message_max_bytes, DEFAULT_MESSAGE_BYTES)),
            # One node: nothing can be replicated, and internal topics of 50 partitions only slow the start down.
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "8",
            "group.initial.rebalance.delay.ms": "0",  # 3 s by default, paid by every consumer group of a test
            "log.cleaner.dedupe.buffer.size": str(32 * 1024 * 1024),  # 128 MiB by default, a quarter of the heap
        }

    def _format(self) -> None:
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [
                *self._java("-Xmx256m"), "kafka.tools.StorageTool", "format",
                f"--cluster-id={self._cluster_id}", f"--config={self._properties_file}",
            ],
            capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise StackError(
                f"Kafka could not format its storage in {self._log_dir}: {(done.stderr or done.stdout).strip()}",
                "empty the data directory, or choose another one",
            )

    def _answers_metadata(self) -> bool:
        if not accepts(self.port):
            return False
        client = AdminClient({"bootstrap.servers": self.bootstrap}, logger=_SILENT)
        try:
            return bool(client.list_topics(timeout=METADATA_TIMEOUT_S).brokers)
        except KafkaException:
            return False


def new_cluster_id() -> str:
    """An id as Kafka makes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def cluster(parts: JavaParts, data_dir: Path, nodes: int = 3) -> list[KafkaBroker]:
    """Nodes that form one cluster: each broker and controller, everything replicated to all, a majority must answer.

    Start all of them, then wait for each.
    """
    ports, controllers = [free_port() for _ in range(nodes)], [free_port() for _ in range(nodes)]
    shared = {
        "controller.quorum.voters": ",".join(f"{n + 1}@127.0.0.1:{port}" for n, port in enumerate(controllers)),
        "default.replication.factor": str(nodes),
        "min.insync.replicas": str(nodes // 2 + 1),
        "offsets.topic.replication.factor": str(nodes),
        "transaction.state.log.replication.factor": str(nodes),
        "transaction.state.log.min.isr": str(nodes // 2 + 1),
    }
    cluster_id = new_cluster_id()
    return [
        KafkaBroker(
            parts,
            data_dir / f"kafka-{number + 1}",
            port,
            settings=shared
            | {
                "node.id": str(number + 1),
                "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controllers[number]}",
            },
            cluster_id=cluster_id,
        )
        for number, port in enumerate(ports)
    ]


_SILENT = logging.Logger("hub.stack.kafka.probe", level=logging.CRITICAL)
"""librdkafka says on stderr that it cannot connect; while waiting for the broker that is no news."""
