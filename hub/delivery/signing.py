"""Standard Webhooks: headers of a signed message, and the check of one (https://www.standardwebhooks.com).

Signatures carry the system's time, whatever clock is rehearsed: the other end compares with its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook, WebhookVerificationError


def signed(secrets: Sequence[str], webhook_id: str, body: bytes) -> dict[str, str]:
    """`webhook-id`, `webhook-timestamp` and `webhook-signature` of a body, one signature a secret."""
    moment = datetime.now(UTC)
    text = body.decode()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(webhook_id, moment, text) for secret in secrets),
    }


def verified(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of the secrets signed this body, at most five minutes ago."""
    for secret in secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            continue  # a header in another form, or text that is no UTF-8, is no signature either
        return True
    return False
