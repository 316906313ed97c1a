"""The world all tests of this room share."""

from __future__ import annotations

import pytest

from tests.unit.simulate.worlds import Read, read_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Both waves of one small world, read through the real mappings."""
    return read_world(tmp_path_factory.mktemp("world") / "departments")
