"""The site: routes, security headers, request metrics. Pages are in `pages`, the API in `api`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.delivery.api import routes as delivery_routes
from hub.errors import StoreUnavailable
from hub.settings import Settings
from hub.store.db import open_store, session
from hub.store.models import Case
from hub.vault.cards import Vault, open_vault
from hub.web.pages import Pages

ROOM: Final = Path(__file__).parent
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""No page needs anything from elsewhere, so nothing from elsewhere is allowed."""

_REQUESTS = Counter("hub_web_requests", "Requests by route and status", ("route", "status"))
_SECONDS = Histogram("hub_web_request_seconds", "Seconds to answer", ("route",))


class Guard:
    """Adds the security headers and counts requests by route, never by address (an address names an alert)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = "500"

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if not scope["path"].startswith("/static/"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        finally:
            route = scope.get("route")
            name = route.path if isinstance(route, Route) else scope["path"].split("/")[1] or "/"
            name = name if isinstance(route, Route) or name == "static" else "other"
            _REQUESTS.labels(name, status).inc()
            _SECONDS.labels(name).observe(time.monotonic() - started)


def create_app(settings: Settings, *, engine: Engine | None = None, vault: Vault | None = None) -> Starlette:
    """The site over a store and a vault; both are opened from the settings unless given."""
    store = engine or open_store(settings.store)
    pages = Pages(settings, store, vault or open_vault(settings))

    async def live(_request: Request) -> Response:
        return JSONResponse({"ok": True, "detail": ""})

    async def ready(_request: Request) -> Response:
        try:
            with session(store, writes=False) as db:
                db.query(Case.alert_id).limit(1).all()
        except StoreUnavailable as error:
            return JSONResponse({"ok": False, "detail": error.code}, status_code=503)
        return JSONResponse({"ok": True, "detail": "serving"})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    routes: list[BaseRoute] = [
        *pages.routes(),
        *delivery_routes(settings, store),
        Route("/live", live),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Mount("/static", StaticFiles(directory=ROOM / "static"), name="static"),
    ]
    app = Starlette(routes=routes, exception_handlers=pages.exception_handlers())
    app.add_middleware(Guard)
    return app
