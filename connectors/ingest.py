"""The way in: rows of a batch are converted, decided, sealed into the vault, written down, published, settled.

`Ingest.apply` is the protocol that makes a restart neither skip nor flood; its docstring lists the steps.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from connectors.convert import REMEDIES, Converted, Converter, Draft, Key
from connectors.decide import Held, Step, annul, upsert
from connectors.files import KEPT_BYTES
from connectors.loading import mapping_hash
from connectors.mapping import SourceMapping, Stream
from connectors.original import pack_file, pack_row
from connectors.parts import Parts
from connectors.records import Records
from connectors.source import Batch, Position, Row, Unreadable
from connectors.values import Misfit
from hub.domain.messages import Event, Header, Quarantined
from hub.errors import DataFault, SchemaError
from hub.streams.topics import EVENT_BYTES, QUARANTINE
from hub.vault.cards import IdentityCard, RecordId

ENVELOPE_BYTES: Final = 2048  # what key, headers and batch add to a value, so that the broker still takes it
QUARANTINED: Final = "quarantine"
"""Under this topic the store remembers what was quarantined, so that a row that stays bad is said once."""


class Hold(Struct, frozen=True):
    """A snapshot that is not believed: so many records of so many vanished, with so many rows unreadable."""

    stream: str
    vanished: int
    of: int
    unreadable: int


class Message(NamedTuple):
    """One encoded message. `kind` is what it counts as; `partition` None: by its key."""

    topic: str
    key: str
    value: bytes
    kind: Literal["published", "annulled", "quarantined"]
    partition: int | None = None


class _Work:
    """What a batch has come to so far."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.rows: dict[tuple[str, str, str], Held] = {}
        self.cards: dict[tuple[str, str], IdentityCard] = {}
        self.record_ids: dict[str, RecordId] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.newest = 0


class _Parsed(NamedTuple):
    """A row between conversion and decision: `converted` None for one that fails `when`."""

    row: Row
    key: Key
    converted: Converted | None


class Ingest:
    """Takes the batches of one source."""

    def __init__(self, mapping: SourceMapping, records: Records, parts: Parts) -> None:
        self.mapping: Final = mapping
        self.records: Final = records
        self.holds: dict[str, Hold] = {}
        self._parts = parts
        self._hash = mapping_hash(mapping)
        self._converters = {stream.id: Converter(mapping, stream, parts.vault.tokens) for stream in mapping.streams}
        self._read_once = mapping.kind == "files"
        self._seen: set[str] = set()
        self._before = 0
        self._unreadable = 0

    def reload(self) -> None:
        """Take up the store's view, after the source's lock was taken."""
        self.records.reload()
        self.holds = {
            stream.id: Hold(stream.id, **held)
            for stream in self.mapping.streams
            if (held := self.records.position(stream.id).get("held"))
        }

    def apply(self, batch: Batch) -> tuple[Counter[tuple[str, str]], int]:
        """Take one batch. Returns counts by (topic, kind), and the newest record time (UTC ms, 0: none).

        1. Convert the rows; one that does not fit becomes a quarantined message.
        2. Decide, from what the store holds of each record, what is to be said and in which version.
        3. Put the identity cards into the vault; what concerns an erased person is dropped.
        4. Write down what is about to be published, and open the batch.
        5. Publish, and wait for every acknowledgement.
        6. Settle: positions and counts, and the batch closed, in one transaction.

        A failure anywhere raises and leaves the position where it was. Before step 4 nothing has happened; after
        it the rows are read again, and what was written down is published again as it was (same version, same
        moment of arrival, so the same bytes), which changes nothing downstream.
        """
        now = self._parts.clock.now_ms()
        stream = batch.stream
        if batch.first:
            self._start_snapshot(stream)
        work = _Work()

        # Step 1: convert.
        parsed = self._convert(batch, work, now)

        # Step 2: decide.
        self._decide(stream, parsed, work, now)
        positions = dict(batch.positions)
        if batch.last and stream.delivery == "snapshot":
            self._end_snapshot(stream, positions, work, now)
        self._merge(stream, positions)

        # Step 3: identity first.
        self._seal(work)

        # Step 4: write down.
        if work.rows:
            self.records.begin(work.rows, now)

        # Step 5: publish.
        if work.messages:
            for message in work.messages:
                self._parts.producer.send(message.topic, message.key, message.value, partition=message.partition)
            self._parts.producer.flush()

        # Step 6: settle.
        self.records.settle(positions, work.counts, bool(work.rows), now)
        return work.counts, work.newest

    # --- step 1 ------------------------------------------------------------------------------------------------

    def _convert(self, batch: Batch, work: _Work, now: int) -> list[_Parsed]:
        stream, converter = batch.stream, self._converters[batch.stream.id]
        parsed: list[_Parsed] = []
        bad: list[tuple[Row, DataFault]] = []
        for row in batch.rows:
            try:
                if row.unreadable is not None:
                    misfit = Misfit(row.unreadable.reason, row.unreadable.value_class)
                    raise converter.fault("unreadable", row.unreadable.field, misfit)
                if not converter.passes(row):
                    if (foreign := converter.foreign_key(row)) is not None:
                        parsed.append(_Parsed(row, foreign, None))
                    continue
                key = converter.key(row)
                self._see(stream, key.record_id)
                parsed.append(_Parsed(row, key, converter.convert(row, key, now)))
            except DataFault as fault:
                bad.append((row, fault))
                self._see(stream, None if row.unreadable else converter.record_id(row))
        self._quarantine(stream, [(row, fault, pack_row(stream.id, row)) for row, fault in bad], work, now)
        if batch.bad_file is not None:
            file = batch.bad_file
            unread = DataFault(
                self.mapping.source,
                file.name,
                file.unreadable.field,
                file.unreadable.reason,
                file.unreadable.value_class,
                "have it dropped again, or mend the mapping; it was left in place",
            )
            self._quarantine(stream, [(Row({}, file.name), unread, pack_file(stream.id, file))], work, now)
        return parsed

    def _quarantine(self, stream: Stream, bad: Sequence[tuple[Row, DataFault, bytes]], work: _Work, now: int) -> None:
        """Quarantine rows, except those that were quarantined before under the same mapping."""
        if not bad:
            return
        tokens, source = self._parts.vault.tokens, self.mapping.source
        made: dict[str, tuple[str, DataFault, bytes]] = {}
        for row, fault, original in bad:
            locator = row.locator or f"{stream.table or stream.id}/{fault.record}"
            # Keyed, since the original holds personal data and its hash will travel.
            content = hashlib.sha256(original).hexdigest()
            name = tokens.scoped_token(source, "quarantine", f"{locator}\x1f{content}")
            if len(original) > KEPT_BYTES:
                cut = Unreadable(fault.reason, f"{len(original)} bytes, too large to keep", fault.field)
                original = pack_row(stream.id, Row({}, locator, unreadable=cut))
            made[name] = (locator, fault, original)
        before = self.records.find(QUARANTINED, made)
        for name, (locator, fault, original) in made.items():
            known = before.get(name, {}).get("")
            if known is not None and known.settled and known.digest == self._hash:
                continue
            again = known is not None and known.digest == self._hash
            arrived = known.received_at if known is not None and again else now
            quarantined = Quarantined(
                quarantine_id=name,
                stage="connector",
                source=source,
                topic=f"{stream.topic}.v1",
                locator=locator,
                record_id=None if fault.record == "unreadable" else fault.record,
                field=fault.field,
                reason=fault.reason,
                value_class=fault.value_class,
                message=str(fault),
                original=self._parts.vault.sealer.seal(original),
                mapping_hash=self._hash,
                received_at=arrived,
            )
            value = self._parts.codec.encode(QUARANTINE.name, quarantined)
            work.messages.append(Message(QUARANTINE.name, name, value, "quarantined"))
            work.rows[QUARANTINED, name, ""] = Held(
                version=1, source_version=0, digest=self._hash, live=True, received_at=arrived, settled=True
            )
            work.counts[stream.topic, "quarantined"] += 1

    # --- step 2 ------------------------------------------------------------------------------------------------

    def _decide(self, stream: Stream, parsed: Sequence[_Parsed], work: _Work, now: int) -> None:
        held = self.records.find(stream.topic, [one.key.record_id for one in parsed])
        own = {key.record_id for _row, key, converted in parsed if converted is not None}
        bad: list[tuple[Row, DataFault, bytes]] = []
        for row, key, converted in parsed:
            if converted is None and key.record_id in own:
                continue  # another row of the record is this stream's: the record is not gone
            mine = held.setdefault(key.record_id, {})
            drafts = {} if converted is None else {draft.person: draft for draft in converted.drafts}
            if converted is None or converted.void:
                people = () if converted is None else converted.people
                outcome, steps = annul(mine, people, key.version, now)
            else:
                wanted = {person: draft.digest for person, draft in drafts.items()}
                outcome, steps = upsert(mine, wanted, key.version, now, read_once=self._read_once)
            try:
                messages = self._messages(stream, key.record_id, steps, drafts)
            except DataFault as fault:
                bad.append((row, fault, pack_row(stream.id, row)))
                continue
            self._take(stream, key.record_id, steps, messages, mine, work)
            if outcome != "published" and converted is not None:
                work.counts[stream.topic, outcome] += 1
            if converted is not None and any(step.change == "UPSERT" for step in steps):
                self._note_identity(converted, work)
                work.newest = max(work.newest, *(draft.record_time or 0 for draft in converted.drafts))
        self._quarantine(stream, bad, work, now)

    def _take(
        self,
        stream: Stream,
        record_id: str,
        steps: Iterable[Step],
        messages: Iterable[Message],
        held: dict[str, Held],
        work: _Work,
    ) -> None:
        work.messages += messages
        for step in steps:
            if step.held is not None:
                held[step.person] = step.held  # a later row of this batch goes on from here
                work.rows[stream.topic, record_id, step.person] = step.held
            if step.change is not None:
                work.counts[stream.topic, "published" if step.change == "UPSERT" else "annulled"] += 1

    def _messages(
        self, stream: Stream, record_id: str, steps: Iterable[Step], drafts: Mapping[str, Draft]
    ) -> list[Message]:
        """Encoded events of the steps. DataFault when one fits no event, or is larger than a message may be."""
        topic = f"{stream.topic}.v1"
        made = []
        for step in steps:
            if step.change is None:
                continue
            event = self._event(stream.topic, record_id, step, drafts.get(step.person))
            try:
                value = self._parts.codec.encode(topic, event)
            except SchemaError as error:
                if not isinstance(error.__cause__, ValueError | TypeError | AttributeError | OverflowError):
                    raise  # no fault of the row: the schema itself is not there
                raise self._misfit(record_id, "schema_misfit", "a value the schema does not take") from error
            if len(value) + ENVELOPE_BYTES > EVENT_BYTES:
                raise self._misfit(record_id, "oversize", f"{len(value)} bytes")
            kind: Literal["published", "annulled"] = "published" if step.change == "UPSERT" else "annulled"
            if step.person:
                made.append(Message(topic, step.person, value, kind))
            else:
                # What is about no person concerns every partition.
                every = range(self._parts.partitions)
                made += [Message(topic, self.mapping.source, value, kind, one) for one in every]
        return made

    def _misfit(self, record_id: str, reason: str, value_class: str) -> DataFault:
        return DataFault(self.mapping.source, record_id, "event", reason, value_class, REMEDIES[reason])

    def _event(self, topic: str, record_id: str, step: Step, draft: Draft | None) -> Event:
        arrived = step.received_at
        if step.change == "ANNUL" or draft is None:
            header = Header(
                source=self.mapping.source,
                record_id=record_id,
                version=step.version,
                change="ANNUL",
                person=step.person or None,
                event_time=arrived,
                record_time=arrived,
                received_at=arrived,
            )
            return Event(topic, header, None)
        record_time = arrived if draft.record_time is None else draft.record_time
        header = Header(
            source=self.mapping.source,
            record_id=record_id,
            version=step.version,
            change="UPSERT",
            person=step.person or None,
            region=draft.region,
            event_time=record_time if draft.event_time is None else draft.event_time,
            record_time=record_time,
            received_at=arrived,
            valid_from=draft.valid_from,
            valid_to=draft.valid_to,
        )
        return Event(topic, header, draft.payload)

    # --- snapshots ---------------------------------------------------------------------------------------------

    def _start_snapshot(self, stream: Stream) -> None:
        self._seen = set()
        self._unreadable = 0
        self._before = self.records.live(stream.topic, stream.record_id.prefix)

    def _see(self, stream: Stream, record_id: str | None) -> None:
        """A record is there, even where its row is bad; None where nobody can tell which it is."""
        if stream.delivery != "snapshot":
            return
        if record_id is None:
            self._unreadable += 1
        else:
            self._seen.add(record_id)

    def _end_snapshot(self, stream: Stream, positions: dict[str, Position], work: _Work, now: int) -> None:
        """Annul what vanished, or hold when that cannot be believed and nobody has accepted it."""
        gone = self.records.absent(stream.topic, stream.record_id.prefix, self._seen)
        vanished = sum(any(one.live for one in people.values()) for people in gone.values())
        own = dict(self.records.position(stream.id))
        accepted = own.pop("accept", False)
        own.pop("held", None)
        self.holds.pop(stream.id, None)
        shrunk = vanished > stream.hold_if_shrinks_by * self._before
        if vanished and (shrunk or self._unreadable) and not accepted:
            hold = Hold(stream.id, vanished, self._before, self._unreadable)
            self.holds[stream.id] = hold
            own["held"] = {"vanished": hold.vanished, "of": hold.of, "unreadable": hold.unreadable}
            for key, position in positions.items():
                if position.get("state") == "done":
                    positions[key] = {**position, "state": "held"}
        else:
            for record_id, people in gone.items():
                _outcome, steps = annul(people, (), None, now)
                messages = self._messages(stream, record_id, steps, {})
                self._take(stream, record_id, steps, messages, people, work)
        positions[stream.id] = {**own, **positions.get(stream.id, {})}

    def _merge(self, stream: Stream, positions: dict[str, Position]) -> None:
        """What else is kept under the stream's own key stays."""
        if stream.id in positions and stream.delivery != "snapshot":
            positions[stream.id] = {**self.records.position(stream.id), **positions[stream.id]}

    # --- step 3 ------------------------------------------------------------------------------------------------

    def _note_identity(self, converted: Converted, work: _Work) -> None:
        for card in converted.cards:
            held = work.cards.get((card.person, card.origin))
            if held is None or held.record_time <= card.record_time:
                work.cards[card.person, card.origin] = card
        key = converted.key
        if key.original is not None and converted.people and converted.people[0]:
            work.record_ids[key.record_id] = RecordId(
                person=converted.people[0],
                source=self.mapping.source,
                record_id=key.record_id,
                original=key.original,
            )

    def _seal(self, work: _Work) -> None:
        erased: frozenset[str] = frozenset()
        if work.cards:
            erased |= self._parts.vault.put_many(list(work.cards.values()))
        if work.record_ids:
            erased |= self._parts.vault.map_records(list(work.record_ids.values()))
        if erased:
            for message in work.messages:
                if message.key in erased:
                    topic = message.topic.removesuffix(".v1")
                    work.counts[topic, message.kind] -= 1
                    work.counts[topic, "erased"] += 1
            work.messages = [message for message in work.messages if message.key not in erased]
            work.rows = {key: held for key, held in work.rows.items() if key[2] not in erased}
