"""The register of the twelve lines (`lines.yaml`): read, checked, endpoints filled in."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from hub.domain.messages import Alert
from hub.errors import ConfigurationError
from hub.ops.health import LOOPBACK
from hub.settings import Settings
from hub.vault.purposes import FIELDS

DEFAULT: Final = Path(__file__).with_name("lines.yaml")

ALWAYS: Final = ("alert_id", "revision", "state")
"""What every line gets of an alert: without these it could not tell two deliveries apart."""

NEVER: Final = frozenset({"subject", "home", "people", "line", "episode", "decided_at", "caused_at"})
"""What no line gets: tokens join records across lines, and the rest is the hub's own. People go by `people` of the
delivery, numbered."""

ALERT_FIELDS: Final = frozenset(Alert.__struct_fields__) - NEVER - frozenset(ALWAYS)


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line; lines.yaml explains each part. `endpoint` is filled in by `load_register`."""

    id: str
    name: str
    verified: bool
    purpose: str
    basis: tuple[str, ...] = ()
    identity_fields: tuple[str, ...]
    alert_fields: tuple[str, ...]
    endpoint: str = ""
    secret: str
    digest: Literal["zhezhengding"] | None = None


class Budget(Struct, frozen=True, forbid_unknown_fields=True):
    """Most alerts of a rule that may open, or be withdrawn, on one day."""

    opens: int
    withdrawals: int


class Budgets(Struct, frozen=True, forbid_unknown_fields=True):
    """Budgets of all rules."""

    default: Budget
    rules: dict[str, Budget]

    def of(self, rule: str) -> Budget:
        """Budget of a rule."""
        return self.rules.get(rule, self.default)


class Delivery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How all lines are delivered to."""

    endpoint: str
    timeout_s: float
    concurrency: int
    schedule_s: tuple[float, ...]
    budgets: Budgets


class Register(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    delivery: Delivery
    lines: tuple[Line, ...]

    def by_id(self) -> Mapping[str, Line]:
        """Line id → line."""
        return {line.id: line for line in self.lines}


def load_lines(path: Path = DEFAULT) -> tuple[Line, ...]:
    """The lines of a register, in its order. ConfigurationError as `load_register`; endpoints as they stand there."""
    return _read(path).lines


def load_register(settings: Settings) -> Register:
    """The register of this deployment, every line with its endpoint.

    ConfigurationError names the file, the line and what is wrong: a field that does not exist or that no line may
    have, a line that stands twice, an endpoint that is not https (http is allowed on loopback only).
    """
    path = settings.lines_file or DEFAULT
    register = _read(path)
    known = {line.id for line in register.lines}
    stray = sorted(set(settings.line_endpoints) - known)
    if stray:
        raise ConfigurationError(f"HUB_LINE_ENDPOINTS names {', '.join(stray)} — use ids of lines in {path}")
    lines = []
    for line in register.lines:
        endpoint = settings.line_endpoints.get(line.id) or line.endpoint or register.delivery.endpoint
        try:
            endpoint = endpoint.format(receiver_port=settings.receiver_port, line=line.id)
        except (KeyError, IndexError, ValueError) as error:
            raise _wrong(
                path, line.id, "its endpoint holds a part in braces other than {receiver_port}, {line}"
            ) from error
        fault = endpoint_fault(endpoint)
        if fault:
            raise _wrong(path, line.id, f"its endpoint {fault}")
        lines.append(msgspec.structs.replace(line, endpoint=endpoint))
    return msgspec.structs.replace(register, lines=tuple(lines))


def endpoint_fault(endpoint: str) -> str | None:
    """What is wrong with a URL to send personal data to, or None. The URL itself is not repeated: it may hold a key."""
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "is no URL"
    if not host or parts.scheme not in ("http", "https"):
        return "is no http(s) URL"
    if parts.username or parts.password or parts.fragment:
        return "holds a user name or a fragment; authentication is by signature"
    if parts.scheme == "http" and host not in LOOPBACK:
        return "is not https; personal data leaves this machine over TLS only"
    try:
        address = ip_address(host)
    except ValueError:
        return None
    # Cloud machines answer there with their own credentials; no department's server has such an address.
    return "is a link-local, multicast or unspecified address" if _never_a_server(address) else None


def _never_a_server(address: object) -> bool:
    return any(getattr(address, kind) for kind in ("is_link_local", "is_multicast", "is_unspecified"))


def _read(path: Path) -> Register:
    try:
        register = msgspec.yaml.decode(path.read_bytes(), type=Register)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"register of lines {path}: {error} — mend the file") from error
    seen: set[str] = set()
    for line in register.lines:
        if line.id in seen:
            raise _wrong(path, line.id, "it stands twice")
        seen.add(line.id)
        for known, wanted, what in (
            (frozenset(FIELDS), line.identity_fields, "identity_fields"),
            (ALERT_FIELDS, line.alert_fields, "alert_fields"),
        ):
            beyond = sorted(set(wanted) - known)
            if beyond:
                raise _wrong(
                    path, line.id, f"{what} may not hold {', '.join(beyond)}; allowed: {', '.join(sorted(known))}"
                )
    plan = register.delivery
    if plan.timeout_s <= 0 or plan.concurrency < 1 or any(delay < 0 for delay in plan.schedule_s):
        raise ConfigurationError(
            f"register of lines {path}: delivery needs a positive timeout_s and concurrency and no negative delay — "
            "mend the file"
        )
    return register


def _wrong(path: Path, line: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"register of lines {path}, line {line}: {what} — mend the line")
