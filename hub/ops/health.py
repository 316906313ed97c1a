"""`/live`, `/ready` and `/metrics` of a process, served by a thread of its own so that a busy loop cannot hide it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from hub.errors import ConfigurationError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def refuse_beyond_loopback(host: str) -> None:
    """ConfigurationError unless the address is a loopback one: there is no login yet."""
    if host not in LOOPBACK:
        raise ConfigurationError(
            f"refusing to bind {host}: there is no login yet — set HUB_BIND to 127.0.0.1 and reach it through a tunnel"
        )


class HealthServer:
    """Serves health and metrics of this process until `close`.

    `ready` returns whether the process does its work now, and a detail for people; `more` is said beside it on
    /ready, for pages that word it themselves. Live means the process runs and `alive` (default: always) agrees; an
    orchestrator restarts what is not live and waits for what is not ready. `exposed` lets it bind beyond loopback:
    for a process whose metrics name nobody.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ready: Callable[[], tuple[bool, str]],
        alive: Callable[[], bool] = lambda: True,
        more: Callable[[], Mapping[str, Any]] = dict,
        exposed: bool = False,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        if not exposed:
            refuse_beyond_loopback(host)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
                elif self.path == "/live":
                    self._state(alive(), "")
                elif self.path == "/ready":
                    self._state(*ready(), more())
                else:
                    self._answer(404, b"try /live, /ready or /metrics\n", "text/plain")

            def _state(self, good: bool, detail: str, more: Mapping[str, Any] | None = None) -> None:
                body = json.dumps({"ok": good, "detail": detail, **(more or {})}, ensure_ascii=False).encode()
                self._answer(200 if good else 503, body, "application/json")

            def _answer(self, status: int, body: bytes, content_type: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Requests for health are not worth a log line."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve health on {host}:{port} ({error.strerror}) — choose another port by its HUB_…_PORT"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of this server, as `http://127.0.0.1:6066`."""
        host, port = self._server.server_address[:2]
        return f"http://{host if isinstance(host, str) else host.decode()}:{port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)
