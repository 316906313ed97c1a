"""`hub receiver`: the reference downstream, for the demonstration, for trials and as a pattern to copy."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from hub.settings import settings


@click.command(name="receiver")
@click.option("--store", help="SQLAlchemy URL of its own store  [default: SQLite receiver.db in HUB_DATA_DIR]")
@click.option(
    "--secrets", type=click.Path(dir_okay=False, path_type=Path), help="webhook secrets  [default: the hub's own file]"
)
@click.option("--hub", "hub_url", help="where receipts go  [default: the pages of this machine]")
@click.option(
    "--answer",
    type=click.Choice(["accept", "handle"]),
    default="accept",
    show_default=True,
    help="accept: acknowledge only; handle: also decide a quarter of the cases, by the alert id's first digit "
    "(0 helped, 1 not eligible, 2 already served, 3 unreachable)",
)
@click.option("--fail", metavar="STATUS:TIMES", help="answer STATUS to the first TIMES deliveries, as 429:3")
@click.option("--retry-after", metavar="TEXT", help="Retry-After header of those answers: seconds or an HTTP date")
@click.option("--slow", type=float, default=0.0, metavar="SECONDS", help="store at once, answer after SECONDS")
@click.option("--gone", is_flag=True, help="answer 410 to everything")
def command(
    store: str | None,
    secrets: Path | None,
    hub_url: str | None,
    answer: Literal["accept", "handle"],
    fail: str | None,
    retry_after: str | None,
    slow: float,
    gone: bool,
) -> None:
    """Receive alerts as the lines' systems would: verify, keep once, answer with receipts.

    Receipts are posted to the hub until it has them. It binds to loopback.

    \b
    Example:
      hub receiver --answer handle
      hub receiver --fail 429:3 --retry-after 1
    """
    import uvicorn

    from hub.delivery.lines import load_register
    from hub.delivery.receiver import Failing, Receiver
    from hub.delivery.secrets import ensure_secrets, read_secrets, secrets_path
    from hub.ops.announce import announce
    from hub.ops.clock import Clock
    from hub.ops.health import refuse_beyond_loopback
    from hub.ops.logs import configure
    from hub.store.db import migrate, open_store

    configure("receiver")
    chosen = settings()
    refuse_beyond_loopback(chosen.bind)
    status, times = _failures(fail)
    if secrets is None:
        ensure_secrets(chosen)
    path = secrets or secrets_path(chosen)
    own = store or f"sqlite:///{chosen.data_dir / 'receiver.db'}"
    migrate(own)
    receiver = Receiver(
        engine=open_store(own),
        lines=load_register(chosen).lines,
        secrets=lambda: read_secrets(path),
        hub_url=hub_url or f"http://{chosen.bind}:{chosen.web_port}",
        answer=answer,
        failing=Failing(status=status, left=times, retry_after=retry_after, slow_s=slow, gone=gone),
        now_ms=Clock(chosen).now_ms,
    )
    migrate(chosen.store)
    heartbeat = announce(chosen.store, "receiver", f"http://{chosen.bind}:{chosen.receiver_port}")
    try:
        uvicorn.run(receiver.app(), host=chosen.bind, port=chosen.receiver_port, access_log=False, log_config=None)
    finally:
        heartbeat.close()


def _failures(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 0
    status, _, times = text.partition(":")
    if not (status.isdigit() and times.isdigit() and 400 <= int(status) <= 599):
        raise click.BadParameter("write a status from 400 to 599 and how often, as 429:3", param_hint="--fail")
    return int(status), int(times)
