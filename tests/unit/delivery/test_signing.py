"""Standard Webhooks, against a signature made by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest

from hub.delivery.secrets import new_secret
from hub.delivery.signing import signed, verified

BODY = '{"title":"疑似符合"}'.encode()


def by_hand(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA-256 over id.timestamp.body, as the standard's text has it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def test_headers_are_the_standards() -> None:
    """Id, time, and one signature for each secret."""
    secrets = [new_secret(), new_secret()]
    headers = signed(secrets, "msg_1", BODY)
    wanted = [by_hand(secret, "msg_1", headers["webhook-timestamp"], BODY) for secret in secrets]
    assert headers["webhook-signature"].split(" ") == wanted
    assert headers["webhook-id"] == "msg_1"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


def test_either_end_may_change_its_secret_first() -> None:
    """While both honour the old one, no message is lost."""
    old, new = new_secret(), new_secret()
    assert verified([old], signed([new, old], "msg_1", BODY), BODY)
    assert verified([new, old], signed([old], "msg_1", BODY), BODY)
    assert not verified([new], signed([old], "msg_1", BODY), BODY)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": "1"},
        {"webhook-timestamp": "never"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1,A"},
        {"webhook-signature": "nonsense"},
        {"webhook-signature": ""},
    ],
)
def test_a_changed_header_is_no_signature(change: dict[str, str]) -> None:
    """None of them raises: a stranger's request is answered, not a crash."""
    secret = new_secret()
    assert not verified([secret], {**signed([secret], "msg_1", BODY), **change}, BODY)


def test_a_changed_or_unreadable_body_is_refused() -> None:
    """One byte is enough; bytes that are no text are refused like any other."""
    secret = new_secret()
    headers = signed([secret], "msg_1", BODY)
    assert not verified([secret], headers, BODY + b" ")
    assert not verified([secret], headers, b"\xff\xfe")


def test_an_old_message_cannot_be_played_again() -> None:
    """More than five minutes old, though its signature fits."""
    secret = new_secret()
    then = str(int(time.time()) - 600)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": then,
        "webhook-signature": by_hand(secret, "msg_1", then, BODY),
    }
    assert not verified([secret], headers, BODY)
