"""The real parts for tests: started once a session, when first asked for, on free loopback ports.

`make pytest` spreads the tests over workers, each a session of its own with its own parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from hub.stack import LocalStack, PostgresServer
from hub.stack.java import JavaParts, resolve
from tests.topics import empty

CHROMIUM = Path("/usr/bin/chromium")

hypothesis.settings.register_profile("hub", deadline=None)  # a busy machine is no failure; no test asserts on a time
hypothesis.settings.load_profile("hub")


class FileByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """A file's tests go to one worker, since its fixtures are costly, and whole deployments to one after another.

    Two deployments at a time would starve each other.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "deployments" if _deploys(file) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How workers share the tests."""
    return FileByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For workers, deployments first: one that began last would be waited for alone."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _deploys(item.nodeid), reverse=True)  # stable: the rest keeps its order


def _deploys(nodeid: str) -> bool:
    return nodeid.startswith("tests/faults/")


@pytest.fixture(scope="session")
def java_parts() -> JavaParts:
    """The resolved Kafka and registry; the first run downloads them."""
    return resolve()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The session's broker and registry. Shared: a test that stops or kills a part starts its own instead."""
    with LocalStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def own_stack(stack: LocalStack) -> LocalStack:
    """The session's broker and registry without any topic, for modules whose topics have fixed names."""
    empty(stack.bootstrap)
    return stack


@pytest.fixture(scope="session")
def kafka(stack: LocalStack) -> str:
    """bootstrap.servers of the session's broker. Shared: use topic and group names of your own."""
    return stack.bootstrap


@pytest.fixture(scope="session")
def registry_url(stack: LocalStack) -> str:
    """Base URL of the session's registry (Confluent-compatible API, FULL_TRANSITIVE). Shared."""
    return stack.registry_url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """SQLAlchemy URL of the session's PostgreSQL. Shared: make a database or schema of your own in it."""
    server = PostgresServer()
    try:
        server.start()
        server.wait_ready()
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Playwright drives Debian's Chromium, which asks nobody on the network for anything."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    return {
        **browser_type_launch_args,
        "executable_path": str(CHROMIUM),
        "args": ["--no-sandbox", "--disable-gpu", *quiet],  # its sandbox does not start as root
    }


@pytest.fixture(scope="session")
def base_url() -> None:
    """None: tests name full addresses. Replaces pytest-playwright's own fixture, whose form pytest 9 warns about."""
