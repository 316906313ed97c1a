"""What goes over the wire: the CloudEvent of one alert revision, cut down to what its line may have.

Pure. Tokens stay in the hub: people are numbered within the delivery, and evidence names them by that number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from hub.delivery.lines import ALWAYS, Line
from hub.domain.messages import Alert

CONTENT_TYPE: Final = "application/cloudevents+json"
TYPE_PREFIX: Final = "civil-affairs-hub.alert"


def webhook_id(alert_id: str, revision: int) -> str:
    """The idempotency key of a revision: the same over retries, restarts and a store made anew from the log."""
    digest = hashlib.blake2b(f"{alert_id}\x1f{revision}".encode(), digest_size=16).hexdigest()
    return f"msg_{digest}"


def event(alert: Alert, line: Line, region: str, identity: Mapping[str, Mapping[str, str]]) -> bytes:
    """CloudEvents 1.0 in structured JSON. `identity` is what the vault gave: token → field → value.

    Only fields the register allows to the line pass, whatever is handed in.
    """
    data: dict[str, Any] = {"alert": projection(alert, line), "people": []}
    for number, person in enumerate(alert.people, start=1):
        known = identity.get(person.person, {})
        data["people"].append(
            {
                "number": number,
                "role": person.role,
                "identity": {name: known[name] for name in line.identity_fields if name in known},
            }
        )
    whole = {
        "specversion": "1.0",
        "id": webhook_id(alert.alert_id, alert.revision),
        "source": f"/civil-affairs-hub/{region}",
        "type": f"{TYPE_PREFIX}.{alert.state.lower()}",
        "subject": alert.alert_id,
        "time": datetime.fromtimestamp(alert.decided_at / 1000, tz=UTC).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": data,
    }
    return msgspec.json.encode(whole)


def projection(alert: Alert, line: Line) -> dict[str, Any]:
    """The fields of an alert that its line may have, as JSON values."""
    number = {person.person: index for index, person in enumerate(alert.people, start=1)}
    whole: dict[str, Any] = msgspec.to_builtins(alert)
    for part in ("evidence", "missing"):
        for item in whole[part]:
            item["person"] = number.get(item["person"])
    return {name: whole[name] for name in (*ALWAYS, *line.alert_fields)}
