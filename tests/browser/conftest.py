"""The site on a fresh store and vault, served by uvicorn on a free loopback port; a browser watched."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
import uvicorn
from msgspec import Struct
from playwright.sync_api import Page, Route
from sqlalchemy import Engine

from hub.ops.health import LOOPBACK
from hub.settings import Settings
from hub.store.db import migrate, open_store, session
from hub.vault.cards import Vault, open_vault
from hub.vault.keys import init_keys
from hub.web.app import create_app
from tests.browser import days, people, seed

DESKTOP: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
START_S: Final = 20.0
"""Longest wait for uvicorn to answer; it takes a fraction of a second."""


SCREENS: Final = Path(__file__).parents[2] / "build" / "screens"


def picture(page: Page, name: str) -> None:
    """Keep what the page looks like, for people to look at."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png", full_page=True)


class Site(Struct, frozen=True):
    """A running site and what lies under it."""

    url: str
    engine: Engine
    vault: Vault
    settings: Settings
    cases: dict[str, str]
    tokens: dict[str, str]

    def case(self, name: str) -> str:
        """Address of a planted case."""
        return f"{self.url}/cases/{self.cases[name]}"

    @property
    def pages(self) -> dict[str, str]:
        """Every kind of page by a name for its picture."""
        return {
            "home": f"{self.url}/",
            "queue": f"{self.url}/cases",
            "queue-empty": f"{self.url}/cases?line=charity",
            "quality": f"{self.url}/quality",
            "operator": f"{self.url}/operator",
            "missing": f"{self.url}/cases/{'0' * 32}",
            **{f"case-{name}": self.case(name) for name in self.cases if name != "shadow"},
        }


class Seeded(Struct, frozen=True):
    """A folder with a planted store and vault, to be copied; alert ids and tokens by name."""

    folder: Path
    cases: dict[str, str]
    tokens: dict[str, str]


def settings_in(folder: Path) -> Settings:
    """Settings of a deployment whose files lie in a folder, on the rehearsed day."""
    return Settings(data_dir=folder, clock_file=folder / "now")


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """Planted once a session."""
    folder = tmp_path_factory.mktemp("seeded")
    (folder / "now").write_text(days.NOW_TEXT)
    settings = settings_in(folder)
    init_keys(settings.keys)
    migrate(settings.store)
    engine, vault = open_store(settings.store), open_vault(settings)
    tokens = dict(people.write_cards(vault, but=("liu",)))
    with session(engine) as db:
        cases = seed.plant(db, tokens)
    vault.close()
    engine.dispose()
    return Seeded(folder, cases, tokens)


@pytest.fixture
def site(seeded: Seeded, tmp_path: Path) -> Iterator[Site]:
    """The site over planted rows of its own, with no worker, broker or network behind it."""
    folder = shutil.copytree(seeded.folder, tmp_path / "data")
    (folder / "now").write_text(days.NOW_TEXT)  # the rehearsed clock runs on from when it was written
    settings = settings_in(folder)
    engine, vault = open_store(settings.store), open_vault(settings)
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings, engine=engine, vault=vault)
    server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="site")
    thread.start()
    try:
        deadline = time.monotonic() + START_S
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.started, "uvicorn did not start"
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with session(engine) as db:
            seed.announce(db, url)
        yield Site(url, engine, vault, settings, seeded.cases, seeded.tokens)
    finally:
        server.should_exit = True
        thread.join(START_S)
        listener.close()
        vault.close()
        engine.dispose()


@pytest.fixture
def strangers(page: Page) -> list[str]:
    """Hosts beyond loopback that pages asked for; none is reached."""
    asked: list[str] = []

    def watch(route: Route) -> None:
        host = urlsplit(route.request.url).hostname or ""
        if host in LOOPBACK:
            route.continue_()
        else:
            asked.append(host)
            route.abort()

    page.route("**/*", watch)
    return asked
