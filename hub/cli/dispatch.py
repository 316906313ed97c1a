"""`hub dispatch`: the dispatcher process, and the webhook secrets it signs with."""

from __future__ import annotations

from contextlib import closing

import click

from hub.settings import settings


@click.command(name="dispatch")
@click.option("--init", is_flag=True, help="make missing webhook secrets (data_dir/webhook-secrets.json) and end")
@click.option("--rotate", metavar="LINE", help="put new secrets first for LINE, keep the old ones valid, and end")
def command(init: bool, rotate: str | None) -> None:
    """Take alerts into the outbox and deliver them to their lines, signed; publish what comes back.

    Alerts stay in shadow until `hub release`. The lines, what each may have, the retry schedule and the daily budgets
    stand in hub/delivery/lines.yaml (HUB_LINES_FILE names another one, HUB_LINE_ENDPOINTS overrides addresses). One
    dispatcher runs at a time.

    \b
    Example:
      hub dispatch --init
      HUB_BROKERS=kafka:9092 hub dispatch
      hub dispatch --rotate funeral
    """
    from hub.delivery import secrets

    chosen = settings()
    if init or rotate:
        secrets.ensure_secrets(chosen)
        if rotate:
            secrets.rotate(chosen, rotate)
        click.echo(f"webhook secrets: {secrets.secrets_path(chosen)}")
        return

    from hub.delivery.dispatcher import Dispatcher
    from hub.delivery.lines import load_register
    from hub.ops.announce import announce
    from hub.ops.health import HealthServer
    from hub.ops.logs import configure
    from hub.ops.shutdown import stop_event
    from hub.store.db import migrate, open_store
    from hub.vault.cards import open_vault

    configure("dispatcher")
    register = load_register(chosen)
    migrate(chosen.store)
    stop = stop_event()
    with closing(open_vault(chosen)) as vault:
        dispatcher = Dispatcher(chosen, open_store(chosen.store), vault, register)
        health = HealthServer(chosen.bind, chosen.dispatcher_port, ready=dispatcher.ready)
        heartbeat = announce(chosen.store, "dispatcher", health.url)
        try:
            dispatcher.run(stop)
        finally:
            heartbeat.close()
            health.close()
