"""What every batch goes through: vault, codec, producer and clock, opened, checked and closed together."""

from __future__ import annotations

from typing import NamedTuple

from hub.domain.messages import Quarantined
from hub.ops.clock import Clock
from hub.settings import Settings
from hub.streams.admin import check_topics
from hub.streams.codec import Codec
from hub.streams.producers import Producer, producer
from hub.streams.topics import LARGE_BYTES, QUARANTINE, SOURCE_TOPICS
from hub.vault.cards import Vault


class Parts(NamedTuple):
    """The parts a batch goes through; one set serves all sources of a process."""

    vault: Vault
    codec: Codec
    producer: Producer
    clock: Clock
    partitions: int

    def close(self) -> None:
        """Let go of broker and registry. The vault is closed by whoever opened it."""
        self.producer.close()
        self.codec.close()


def open_parts(settings: Settings, vault: Vault) -> Parts:
    """Codec, producer and clock of this deployment beside its vault; connects when first used."""
    return Parts(
        vault=vault,
        codec=Codec(settings.registry_url),
        # Quarantined originals may be larger than an event.
        producer=producer(settings, message_max_bytes=LARGE_BYTES),
        clock=Clock(settings),
        partitions=settings.partitions,
    )


def check_parts(settings: Settings, parts: Parts) -> None:
    """BrokerUnavailable, RegistryUnavailable, or what is wrong with topics and schemas; returns when all is well."""
    check_topics(settings, [*SOURCE_TOPICS, QUARANTINE])
    sample = Quarantined(
        quarantine_id="",
        stage="connector",
        source="",
        locator="",
        reason="schema_misfit",
        value_class="",
        message="",
        original=b"",
        received_at=0,
    )
    parts.codec.encode(QUARANTINE.name, sample)
