"""Code lists that must not drift from what they name."""

from __future__ import annotations

from hub.domain.codes import TOPIC
from hub.domain.facts import PAYLOADS


def test_every_source_topic_has_a_chinese_name() -> None:
    """One list of names for rules, pages and lists of what is missing."""
    assert TOPIC.keys() == PAYLOADS.keys()
    assert len(set(TOPIC.values())) == len(TOPIC)
