"""The purpose register: the file that ships, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.errors import ConfigurationError, PurposeRefused
from hub.vault.purposes import CARD_FIELDS, DEFAULT, allow, load_purposes


def test_a_caseworker_never_sees_a_whole_number() -> None:
    """What the brief of a review needs, and not more."""
    review = load_purposes().get("caseworker.review")
    assert set(review.fields) == {"name", "number_last4", "address", "phone"}
    assert set(load_purposes().get("quality.return_file").fields).isdisjoint(CARD_FIELDS)


def test_a_line_gets_what_it_stated() -> None:
    """`delivery.<line>`, for the dispatcher only, with the common basis and its own; stated again, it is replaced."""
    register = load_purposes()
    register.add_line("funeral", "身后事码上联办", ["name", "address"])
    register.add_line("funeral", "身后事码上联办", ["name"], basis=["殡葬管理条例"])
    purpose = register.get("delivery.funeral")
    assert purpose.fields == ("name",)
    assert purpose.basis[-1] == "殡葬管理条例"
    assert len(purpose.basis) > 1
    allow(purpose, ["name"], "dispatcher")
    with pytest.raises(PurposeRefused, match="may be used by dispatcher"):
        allow(purpose, ["name"], "web:li")


def test_no_line_goes_beyond_all_lines() -> None:
    """Ids of source records are no line's business; an unknown field is nobody's."""
    for field in ("record_id", "shoe_size"):
        with pytest.raises(ConfigurationError, match=field):
            load_purposes().add_line("funeral", "身后事", ["name", field])


def test_refusals_say_what_may_be_asked() -> None:
    """Unknown purpose, field beyond it, nothing asked, a channel that only begins alike."""
    register = load_purposes()
    with pytest.raises(PurposeRefused, match=r"caseworker\.review"):
        register.get("curiosity")
    review = register.get("caseworker.review")
    with pytest.raises(PurposeRefused, match="does not cover number — ask only for name"):
        allow(review, ["name", "number"], "web:li")
    with pytest.raises(PurposeRefused, match="nothing"):
        allow(review, [], "web:li")
    with pytest.raises(PurposeRefused, match="not by webhook"):
        allow(review, ["name"], "webhook:li")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[record_id]", "[record_id, soul]", "soul"),
        ("id: quality.return_file", "id: caseworker.review", "twice"),
        ("    channels: [web]\n", "    channels: []\n", "channels"),
        ("    channels: [web]\n", "", "channels"),
        ("    channels: [web]\n", "    channels: [web]\n    extra: 1\n", "extra"),
        ("purposes:", "purposes: [", "mend the file"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each slip in the file has its word."""
    text = DEFAULT.read_text("utf-8")
    assert old in text
    path = tmp_path / "purposes.yaml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ConfigurationError, match=said):
        load_purposes(path)


def test_no_file_is_refused(tmp_path: Path) -> None:
    """The path is in the word."""
    with pytest.raises(ConfigurationError, match="gone"):
        load_purposes(tmp_path / "gone.yaml")
