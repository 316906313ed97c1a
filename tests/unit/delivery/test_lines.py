"""The register of lines, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.delivery.lines import ALERT_FIELDS, DEFAULT, NEVER, endpoint_fault, load_lines, load_register
from hub.errors import ConfigurationError
from hub.policy.catalogue import RULES
from hub.settings import Settings
from hub.vault.purposes import load_purposes

NAMED_IN_THE_PLAN = {"social_assistance", "social_organisation", "funeral"}


def changed(tmp_path: Path, old: str, new: str) -> Settings:
    """Settings with the shipped register, one text in it replaced."""
    text = DEFAULT.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "lines.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return Settings(lines_file=path)


def test_there_are_twelve_lines_and_three_of_their_names_are_verified() -> None:
    """The plan counts twelve and names three."""
    lines = load_lines()
    assert len({line.id for line in lines}) == len({line.name for line in lines}) == 12
    assert {line.id for line in lines if line.verified} == NAMED_IN_THE_PLAN


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_has_a_line_to_go_to(rule: str) -> None:
    """An alert for nobody would end the dispatcher."""
    assert RULES[rule].line in load_register(Settings()).by_id()


def test_the_vault_accepts_every_line_as_a_purpose() -> None:
    """No line is given a field that the purpose register allows to no line."""
    purposes = load_purposes()
    for line in load_lines():
        assert purposes.add_line(line.id, line.name, line.identity_fields, line.basis).fields == line.identity_fields


def test_no_line_may_get_tokens_or_homes() -> None:
    """They would let lines join what they know of a person."""
    assert {"subject", "home", "people"} <= NEVER
    assert not NEVER & ALERT_FIELDS


def test_endpoints_come_from_the_setting_then_the_line_then_all_lines(tmp_path: Path) -> None:
    """Three places, the nearest one wins."""
    settings = changed(tmp_path, "secret: funeral", "secret: funeral\n    endpoint: https://line.example/alerts")
    settings = settings.model_copy(
        update={"line_endpoints": {"charity": "https://charity.example/"}, "receiver_port": 8123}
    )
    lines = load_register(settings).by_id()
    assert lines["charity"].endpoint == "https://charity.example/"
    assert lines["funeral"].endpoint == "https://line.example/alerts"
    assert lines["rescue"].endpoint == "http://127.0.0.1:8123/lines/rescue"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "identity_fields: [name, number, address]",
            "identity_fields: [salary]",
            "line funeral: identity_fields .*salary",
        ),
        ("      - due_kind\n    secret: social_org", "      - home\n    secret: social_org", "alert_fields .*home"),
        ("  - id: charity", "  - id: funeral", "line funeral: it stands twice"),
        ("purpose: 慈善帮扶对接", "purpos: 慈善帮扶对接", "purpos"),
        ("concurrency: 8", "concurrency: 0", "positive timeout_s and concurrency"),
        ("{receiver_port}", "{port}", "part in braces"),
        ("http://127.0.0.1:", "http://10.1.2.3:", "not https"),
    ],
)
def test_a_wrong_register_is_refused_with_the_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    """File, line and field are named, and what to do."""
    with pytest.raises(ConfigurationError, match=message):
        load_register(changed(tmp_path, old, new))


def test_an_override_for_no_line_is_refused() -> None:
    """A misspelt line would silently keep its old address."""
    with pytest.raises(ConfigurationError, match="funerals"):
        load_register(Settings(line_endpoints={"funerals": "https://line.example/"}))


@pytest.mark.parametrize(
    ("endpoint", "fits"),
    [
        ("https://line.example/alerts", True),
        ("https://10.20.30.40:8443/alerts", True),
        ("http://127.0.0.1:8090/lines/funeral", True),
        ("http://[::1]:8090/", True),
        ("http://line.example/", False),
        ("https://user:secret@line.example/", False),
        ("https://169.254.169.254/latest", False),
        ("https://[fe80::1]/", False),
        ("https://0.0.0.0/", False),
        ("file:///etc/passwd", False),
        ("https://line.example:99999/", False),
        ("https:///alerts", False),
        ("", False),
    ],
)
def test_only_safe_endpoints_are_sent_to(endpoint: str, fits: bool) -> None:
    """Personal data goes to configured servers over TLS, never to addresses that only a trick would name."""
    assert (endpoint_fault(endpoint) is None) == fits
