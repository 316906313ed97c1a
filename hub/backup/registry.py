"""Subjects of the schema registry with their ids: a topic's bytes name a schema by its id, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from hub.backup.files import Out, records
from hub.errors import SchemaError
from hub.streams.schemas import COMPATIBILITY, UNREACHABLE, registry_client, unavailable

SUBJECT: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Subject",
    "namespace": "hub.backup",
    "fields": [
        {"name": "subject", "type": "string"},
        {"name": "version", "type": "long"},
        {"name": "id", "type": "long"},
        {"name": "kind", "type": "string"},
        {"name": "schema", "type": "string"},
    ],
}


def subjects(registry_url: str) -> list[str]:
    """Every subject. RegistryUnavailable."""
    with registry_client(registry_url) as client:
        try:
            return sorted(client.get_subjects())
        except (SchemaRegistryError, *UNREACHABLE) as error:
            raise unavailable(registry_url) from error


def dump(registry_url: str, out: Out, say: Callable[[str], None]) -> None:
    """Every version of every subject. RegistryUnavailable."""
    with registry_client(registry_url) as client:
        try:
            for subject in sorted(client.get_subjects()):
                for version in sorted(client.get_versions(subject)):
                    found = client.get_version(subject, version)
                    out.add(
                        {
                            "subject": subject,
                            "version": version,
                            "id": found.schema_id,
                            "kind": found.schema.schema_type or "AVRO",
                            "schema": found.schema.schema_str or "",
                        }
                    )
        except (SchemaRegistryError, *UNREACHABLE) as error:
            raise unavailable(registry_url) from error
    say(f"{out.name}: {out.records} schemas")


def fill(registry_url: str, folder: Path, name: str, say: Callable[[str], None]) -> dict[int, int]:
    """Register everything in the order of the ids it had; old id → id it has now.

    An empty registry counts from one, so that ids come out as they were where none was ever lost. SchemaError where
    the registry refuses one; RegistryUnavailable.
    """
    held = sorted(records(folder, name), key=lambda one: (one["id"], one["subject"], one["version"]))
    ids: dict[int, int] = {}
    with registry_client(registry_url) as client:
        try:
            for one in held:
                given = client.register_schema(one["subject"], Schema(one["schema"], one["kind"]))
                ids[one["id"]] = given
            for subject in sorted({one["subject"] for one in held}):
                client.set_compatibility(subject, COMPATIBILITY)
        except SchemaRegistryError as error:
            if error.http_status_code in (409, 422):
                raise SchemaError("the registry refuses a schema of the backup — empty it, then try again") from error
            raise unavailable(registry_url) from error
        except UNREACHABLE as error:
            raise unavailable(registry_url) from error
    say(f"{name}: {len(held)} schemas, {sum(old != new for old, new in ids.items())} under another id than before")
    return ids
