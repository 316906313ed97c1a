"""Every error the hub raises on purpose.

    HubError
    ├── Transient                    may pass by itself: try again
    │   ├── BrokerUnavailable        Kafka does not answer
    │   ├── RegistryUnavailable      the schema registry does not answer
    │   ├── StoreUnavailable         the SQL store does not answer
    │   ├── Hung                     something made no progress for too long: start the process again
    │   ├── SourceUnavailable        a source system, or its drop folder, cannot be read now
    │   ├── StateUnavailable         the state directory is full, failing, or held by another process
    │   ├── NotActive                another policy pack or generation of state is the active one
    │   └── DeliveryRefusedForNow    a line answered 429 or 5xx, or not at all
    └── Terminal                     will fail the same way again: mend something first
        ├── ConfigurationError       a setting, mapping, policy pack or key file is wrong
        │   ├── StackError           a real part (Kafka, registry, PostgreSQL) cannot be started here
        │   ├── TopologyMismatch     partition counts or partitioners differ from what was agreed
        │   └── StateElsewhere       a state directory of another application, cluster or partition
        ├── SchemaError              a schema is missing, incompatible or does not fit its record
        ├── DataFault                one bad record: to quarantine, with its reason
        ├── VaultError               a key is missing, or a sealed value was altered
        ├── PurposeRefused           a purpose does not cover what was asked
        ├── Fenced                   another owner took this partition over: stop at once
        ├── LogDamaged               Kafka's own copy of some records is damaged
        ├── StateFromTheFuture       state was written by a newer release than this one
        ├── StateUnreadable          state is damaged, or older than this release reads
        ├── BackupRefused            a backup is damaged or newer than this release, or its target is not empty
        ├── StaleCase                a case changed since it was read: look again, then decide
        ├── UnknownAlert             no case, or no delivery, of this alert
        └── DeliveryRefused          a line answered with a final refusal
            └── EndpointGone         a line answered 410: nothing is sent there until somebody enables it

A retry policy reads the class (Transient or Terminal), never the text. Every text ends with what to do.
"""

from __future__ import annotations

from typing import ClassVar


class HubError(Exception):
    """Base of all. `code` is stable and may be counted in a metric; it never contains data."""

    code: ClassVar[str] = "hub"


class Transient(HubError):
    """May pass by itself."""

    code = "transient"


class Terminal(HubError):
    """Will fail the same way again."""

    code = "terminal"


class BrokerUnavailable(Transient):
    """Kafka does not answer."""

    code = "broker_unavailable"


class RegistryUnavailable(Transient):
    """The schema registry does not answer."""

    code = "registry_unavailable"


class StoreUnavailable(Transient):
    """The SQL store does not answer."""

    code = "store_unavailable"


class Hung(Transient):
    """Something made no progress for longer than it may: the process ends rather than wait on."""

    code = "hung"


class SourceUnavailable(Transient):
    """A source system, or its drop folder, cannot be read now."""

    code = "source_unavailable"


class NotActive(Transient):
    """Another policy pack or generation of state is the active one: started again, a worker waits for its turn."""

    code = "not_active"


class StateUnavailable(Transient):
    """The state directory is full, failing, or held by another process. Nothing is lost: the changelog has it all."""

    code = "state_unavailable"


class DeliveryRefusedForNow(Transient):
    """A line answered 429 or 5xx, or not at all.

    `answer` is a stable code of what happened, as `http_503` or `timeout`; `retry_after_s` is what the line asked
    for, if it did.
    """

    code = "delivery_refused_for_now"

    def __init__(self, message: str, answer: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.answer = answer
        self.retry_after_s = retry_after_s


class ConfigurationError(Terminal):
    """A setting, mapping, policy pack or key file is wrong."""

    code = "configuration"


class StackError(ConfigurationError):
    """A real part cannot be started here. Says the problem and its remedy."""

    code = "stack"

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} — {remedy}")
        self.problem = problem
        self.remedy = remedy


class TopologyMismatch(ConfigurationError):
    """Partition counts or partitioners differ from what was agreed."""

    code = "topology_mismatch"


class StateElsewhere(ConfigurationError):
    """A state directory of another application, cluster or partition. It was left as it is."""

    code = "state_elsewhere"


class SchemaError(Terminal):
    """A schema is missing, incompatible or does not fit its record."""

    code = "schema"


class DataFault(Terminal):
    """One bad record.

    It names source, record, field and value class; the value itself never appears, since the text reaches
    logs and pages. `reason` is one of `hub.domain.codes.QUARANTINE_REASONS`.
    """

    code = "data_fault"

    def __init__(self, source: str, record: str, field: str, reason: str, value_class: str, remedy: str) -> None:
        super().__init__(f"{source} record {record}, field {field}: {reason} ({value_class}) — {remedy}")
        self.source = source
        self.record = record
        self.field = field
        self.reason = reason
        self.value_class = value_class
        self.remedy = remedy


class VaultError(Terminal):
    """A key is missing, or a sealed value was altered."""

    code = "vault"


class PurposeRefused(Terminal):
    """A purpose does not cover what was asked."""

    code = "purpose_refused"


class Fenced(Terminal):
    """Another owner took this partition over: this process must stop at once."""

    code = "fenced"


class LogDamaged(Terminal):
    """Kafka's copy is not what was sent: a batch's checksum differs, or a topic ends before what was read of it."""

    code = "log_damaged"


class StateFromTheFuture(Terminal):
    """State was written by a newer release than this one."""

    code = "state_from_the_future"


class StateUnreadable(Terminal):
    """State is damaged, or older than this release reads."""

    code = "state_unreadable"


class BackupRefused(Terminal):
    """A backup is damaged, newer than this release or unfit for its target, or its target is not empty."""

    code = "backup_refused"


class StaleCase(Terminal):
    """A case changed since it was read: look again, then decide."""

    code = "stale_case"


class UnknownAlert(Terminal):
    """No case, or no delivery, of this alert."""

    code = "unknown_alert"


class DeliveryRefused(Terminal):
    """A line answered with a final refusal. `answer` is a stable code of it, as `http_400`."""

    code = "delivery_refused"

    def __init__(self, message: str, answer: str) -> None:
        super().__init__(message)
        self.answer = answer


class EndpointGone(DeliveryRefused):
    """A line answered 410: nothing is sent there until somebody enables it."""

    code = "endpoint_gone"
