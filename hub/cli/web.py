"""`hub web`: pages and API."""

from __future__ import annotations

import click

from hub.settings import settings


@click.command(name="web")
def command() -> None:
    """Serve the pages: queue, case, data quality, operator; and the lines' receipts API.

    There is no login yet, so it refuses to bind beyond loopback.

    \b
    Example:
      HUB_WEB_PORT=8080 hub web
    """
    import uvicorn

    from hub.ops.announce import announce
    from hub.ops.health import refuse_beyond_loopback
    from hub.ops.logs import configure
    from hub.store.db import migrate
    from hub.web.app import create_app

    configure("web")
    chosen = settings()
    refuse_beyond_loopback(chosen.bind)
    migrate(chosen.store)
    app = create_app(chosen)
    heartbeat = announce(chosen.store, "web", f"http://{chosen.bind}:{chosen.web_port}")
    try:
        # Access lines would hold addresses, which name alerts; the metrics count requests instead.
        uvicorn.run(app, host=chosen.bind, port=chosen.web_port, access_log=False, log_config=None)
    finally:
        heartbeat.close()
