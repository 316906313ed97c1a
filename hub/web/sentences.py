"""The sentence of an expectation, read from the suites: pages need the words and never Great Expectations itself."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=64)
def _sentences(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    suite = json.loads(file.read_text())
    return {item["meta"]["id"]: item["meta"]["sentence"] for item in suite["expectations"]}


def sentence_of(folder: Path, suite: str, expectation: str) -> str:
    """What an expectation asks, in Chinese; its id where the suite is no longer there."""
    return _sentences(folder / f"{suite}.json").get(expectation, expectation)
