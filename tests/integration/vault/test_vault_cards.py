"""The vault on SQLite and on PostgreSQL: sealed stays sealed, opened is audited, erased is gone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import pytest
from sqlalchemy import Engine, Table, func, insert, select, update

from hub.errors import PurposeRefused, StateFromTheFuture, VaultError
from hub.settings import Settings
from hub.store.db import open_store, session
from hub.vault.cards import IdentityCard, RecordId, Vault, open_vault
from hub.vault.keys import generate, init_keys
from hub.vault.models import AUDIT, CARD, META, PERSON_KEY, RECORD
from hub.vault.purposes import load_purposes

LI, WANG, NOBODY = "1" * 32, "2" * 32, "9" * 32
NUMBER: Final = "11010519491231002X"  # example of GB 11643-1999
NAME: Final = "李宝玉"
REVIEW: Final = ("caseworker.review", "web:zhou", "alert-1")


def card(
    person: str = LI, origin: str = "gongan/registration.resident", record_time: int = 1, **known: str
) -> IdentityCard:
    """A card; without more it has a name and a number."""
    return IdentityCard(
        person=person, origin=origin, record_time=record_time, **(known or {"name": NAME, "number": NUMBER})
    )


def rows(engine: Engine, table: Table) -> list[dict[str, object]]:
    """All rows, in the order of the key."""
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


# --- cards ---------------------------------------------------------------------------------------------------------


def test_an_opening_gives_what_was_asked_and_is_audited(vault: Vault, engine: Engine) -> None:
    """Asked fields only, and one row that says who, what, for what and why, with no value in it."""
    vault.put_many([card(name=NAME, number=NUMBER, address="莲都区", phone="0578-1"), card(WANG, name="王")])
    opening = vault.open(LI, ["name", "number_last4"], *REVIEW)
    assert (opening.outcome, opening.fields) == ("opened", {"name": NAME, "number_last4": "002X"})
    [row] = rows(engine, AUDIT)
    assert row | {"at": 0, "link": ""} == {
        "seq": 1,
        "at": 0,
        "action": "open",
        "person": LI,
        "fields": "name,number_last4",
        "purpose": "caseworker.review",
        "actor": "web:zhou",
        "reason": "alert-1",
        "outcome": "opened",
        "link": "",
    }
    assert NAME not in repr(opening) and NAME not in repr(card())


def test_opening_many_is_one_row_a_person(vault: Vault, engine: Engine) -> None:
    """Those without a card too; a person named twice counts once."""
    vault.put_many([card(), card(WANG, name="王")])
    openings = vault.open_many([LI, WANG, NOBODY, LI], ["name"], *REVIEW)
    assert {person: (found.outcome, found.fields.get("name")) for person, found in openings.items()} == {
        LI: ("opened", NAME),
        WANG: ("opened", "王"),
        NOBODY: ("no_card", None),
    }
    assert [(row["person"], row["outcome"]) for row in rows(engine, AUDIT)] == [
        (LI, "opened"),
        (WANG, "opened"),
        (NOBODY, "no_card"),
    ]


def test_the_newest_record_wins_field_by_field(vault: Vault) -> None:
    """Origins complete each other; an older card neither replaces the held one nor hides a newer origin."""
    vault.put_many([card(name="旧名", address="旧址", record_time=5)])
    vault.put_many([card(origin="yibao/medical.settlement", record_time=7, address="新址", phone="0578-2")])
    vault.put_many([card(name="李一", address="更旧址", record_time=3)])
    wanted = ["name", "address", "phone"]
    assert vault.open(LI, wanted, *REVIEW).fields == {"name": "旧名", "address": "新址", "phone": "0578-2"}
    vault.put_many([card(name="李二", address="今址", record_time=9), card(name="李三", record_time=8)])
    assert vault.open(LI, wanted, *REVIEW).fields == {"name": "李二", "address": "今址", "phone": "0578-2"}


def test_writing_again_changes_nothing_that_can_be_seen(vault: Vault, engine: Engine) -> None:
    """A connector that died between vault and broker writes its batch again."""
    batch = [card(f"{n:032x}", name=f"人{n}") for n in range(1200)]  # more than one IN list holds
    for _ in range(2):
        assert vault.put_many(batch) == frozenset()
    assert len(rows(engine, CARD)) == len(rows(engine, PERSON_KEY)) == 1200
    openings = vault.open_many([one.person for one in batch], ["name"], *REVIEW)
    assert [openings[one.person].fields["name"] for one in batch] == [one.name for one in batch]
    assert vault.put_many([]) == frozenset()


def test_nothing_personal_is_in_the_tables(vault: Vault, engine: Engine) -> None:
    """Neither a card nor a source record id can be read past the vault."""
    vault.put_many([card(address="莲都区")])
    vault.map_records([RecordId(person=LI, source="gongan", record_id="ab", original=NUMBER)])
    vault.open(LI, ["name"], *REVIEW)
    held = repr([rows(engine, table) for table in (CARD, RECORD, PERSON_KEY, AUDIT)]).encode()
    held += b"".join(bytes(row["sealed"]) for table in (CARD, RECORD) for row in rows(engine, table))  # type: ignore[call-overload]  # a column of bytes
    for secret in (NAME, NUMBER, "莲都区"):
        assert secret.encode() not in held


def test_a_person_is_named_by_a_token(vault: Vault) -> None:
    """A raw number would put personal data into every audit row."""
    with pytest.raises(VaultError, match="token"):
        vault.put_many([card(NUMBER)])
    with pytest.raises(VaultError, match="token"):
        vault.open(NUMBER, ["name"], *REVIEW)


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "purpose", "actor", "recorded"),
    [
        (["name", "number"], "caseworker.review", "web:zhou", "caseworker.review"),
        (["name"], "caseworker.review", "dispatcher", "caseworker.review"),
        (["name"], "delivery.funeral", "dispatcher", "unregistered"),
    ],
)
def test_a_refusal_is_audited_and_opens_nothing(
    vault: Vault, engine: Engine, fields: list[str], purpose: str, actor: str, recorded: str
) -> None:
    """Field beyond the purpose, wrong channel, purpose that is not registered."""
    vault.put_many([card()])
    with pytest.raises(PurposeRefused):
        vault.open_many([LI, WANG], fields, purpose, actor, "alert-1")
    found = [(row["person"], row["purpose"], row["outcome"], row["fields"]) for row in rows(engine, AUDIT)]
    assert found == [(LI, recorded, "refused", ""), (WANG, recorded, "refused", "")]


@pytest.mark.parametrize("reason", ["核实 李宝玉", NUMBER, "x:13800138000", "", "a b", "x" * 101])
def test_free_text_never_reaches_the_audit_trail(vault: Vault, engine: Engine, reason: str) -> None:
    """It could name a person; neither is it repeated in the error."""
    for call in (
        lambda: vault.open(LI, ["name"], "caseworker.review", "web:zhou", reason),
        lambda: vault.open(LI, ["name"], "caseworker.review", reason, "alert-1"),
        lambda: vault.erase(LI, actor="cli", reason=reason),
    ):
        with pytest.raises(PurposeRefused) as caught:
            call()
        assert not reason or reason not in str(caught.value)
    assert rows(engine, AUDIT) == []


def test_references_are_accepted(vault: Vault) -> None:
    """Ids of 64 hex digits may hold long runs of digits by chance."""
    for reason in ("0123456789abcdef" * 4, "a1380013800012" + "b" * 50, "b" * 50 + "13800138000012", "case:13/alert#7"):
        assert vault.open(LI, ["name"], "caseworker.review", "web:zhou", reason).outcome == "no_card"


# --- records of the sources ----------------------------------------------------------------------------------------


def test_a_source_gets_its_own_record_ids_back(vault: Vault, engine: Engine) -> None:
    """By source and hashed id; what is not held is left out; one audit row a record."""
    ours = RecordId(person=LI, source="gongan", record_id="ab", original=f"{NUMBER}-1")
    vault.map_records([ours, ours, RecordId(person=WANG, source="yibao", record_id="ab", original="other")])
    call = ("quality.return_file", "quality", "return-1")
    assert vault.open_records("gongan", ["ab", "cd"], *call) == {"ab": f"{NUMBER}-1"}
    [row] = rows(engine, AUDIT)
    assert (row["action"], row["person"], row["fields"]) == ("open_record", LI, "record_id")
    with pytest.raises(PurposeRefused):
        vault.open_records("gongan", ["ab"], *REVIEW)
    assert rows(engine, AUDIT)[1]["outcome"] == "refused"
    vault.erase(LI, actor="cli", reason="request-1")
    assert vault.open_records("gongan", ["ab"], *call) == {}


# --- erasure -------------------------------------------------------------------------------------------------------


def test_what_is_erased_does_not_come_back(vault: Vault, engine: Engine) -> None:
    """Neither by writing the card again nor by putting the old rows back from a backup of the cards."""
    vault.put_many([card(), card(WANG, name="王")])
    [old, _] = rows(engine, CARD)
    assert vault.erase(LI, actor="cli", reason="request-1") is True
    assert vault.open(LI, ["name"], *REVIEW).outcome == "erased"
    assert vault.put_many([card(record_time=9), card(WANG, name="王二", record_time=9)]) == {LI}
    assert vault.map_records([RecordId(person=LI, source="s", record_id="r", original="o")]) == {LI}
    assert [row["person"] for row in rows(engine, CARD)] == [WANG]
    with engine.begin() as connection:
        connection.execute(insert(CARD).values(old))
    assert vault.open(LI, ["name"], *REVIEW).outcome == "erased"
    assert vault.open(WANG, ["name"], *REVIEW).fields == {"name": "王二"}
    assert vault.erase(LI, actor="cli", reason="request-2") is False
    assert [row["action"] for row in rows(engine, AUDIT)].count("erase") == 2


def test_a_person_may_be_erased_before_the_first_card(vault: Vault) -> None:
    """The request stands: a card that arrives later is not written."""
    assert vault.erase(NOBODY, actor="cli", reason="request-1") is False
    assert vault.put_many([card(NOBODY)]) == {NOBODY}


def test_a_destroyed_key_leaves_the_file(tmp_path: Path) -> None:
    """SQLite keeps deleted bytes in free pages and in its log, unless it is told otherwise."""
    place = Settings(data_dir=tmp_path)
    init_keys(place.keys)
    engine = open_store(place.vault)

    def on_disk(wanted: bytes) -> bool:
        return any(wanted in path.read_bytes() for path in tmp_path.glob("vault.db*"))

    with closing(open_vault(place)) as vault:
        vault.put_many([card(f"{n:032x}", name=f"人{n}") for n in range(50)])
        wrapped, sealed = rows(engine, PERSON_KEY)[7]["wrapped"], rows(engine, CARD)[7]["sealed"]
        engine.dispose()
        assert isinstance(wrapped, bytes) and isinstance(sealed, bytes)
        assert on_disk(wrapped) and on_disk(sealed)
        vault.erase(f"{7:032x}", actor="cli", reason="request-1")
        assert not on_disk(wrapped) and not on_disk(sealed)


# --- tampering -----------------------------------------------------------------------------------------------------


def flipped(sealed: object) -> bytes:
    """The same bytes with one bit of the content turned."""
    assert isinstance(sealed, bytes | memoryview)
    changed = bytearray(sealed)
    changed[20] ^= 1
    return bytes(changed)


TAMPERINGS: Final[
    dict[str, Callable[[list[dict[str, object]], list[dict[str, object]]], tuple[Table, dict[str, object]]]]
] = {
    "ciphertext": lambda cards, keys: (CARD, {"sealed": flipped(cards[0]["sealed"])}),
    "another person's card": lambda cards, keys: (CARD, {"sealed": cards[1]["sealed"]}),
    "record time": lambda cards, keys: (CARD, {"record_time": 99}),
    "origin": lambda cards, keys: (CARD, {"origin": "elsewhere"}),
    "version": lambda cards, keys: (CARD, {"version": 0}),
    "wrapped key": lambda cards, keys: (PERSON_KEY, {"wrapped": flipped(keys[0]["wrapped"])}),
    "another person's key": lambda cards, keys: (PERSON_KEY, {"wrapped": keys[1]["wrapped"]}),
    "key cut short": lambda cards, keys: (PERSON_KEY, {"wrapped": b""}),
    "key id": lambda cards, keys: (PERSON_KEY, {"key_id": "deadbeef"}),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_changed_row_does_not_open(vault: Vault, engine: Engine, what: str) -> None:
    """Nothing of it is shown, no opening is recorded, and the other person still opens."""
    vault.put_many([card(), card(WANG, name="王")])
    table, values = TAMPERINGS[what](rows(engine, CARD), rows(engine, PERSON_KEY))
    with engine.begin() as connection:
        connection.execute(update(table).where(table.c.person == LI).values(values))
    with pytest.raises(VaultError):
        vault.open(LI, ["name"], *REVIEW)
    assert rows(engine, AUDIT) == []
    assert vault.open(WANG, ["name"], *REVIEW).fields == {"name": "王"}


def test_a_changed_record_id_does_not_open(vault: Vault, engine: Engine) -> None:
    """A return file must not go out with another's record."""
    one, other = (RecordId(person=LI, source="s", record_id=name, original=name * 2) for name in "ab")
    vault.map_records([one, other])
    with engine.begin() as connection:
        connection.execute(
            update(RECORD).where(RECORD.c.record_id == "a").values(sealed=rows(engine, RECORD)[1]["sealed"])
        )
    with pytest.raises(VaultError):
        vault.open_records("s", ["a"], "quality.return_file", "quality", "return-1")


# --- keys and versions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["token_secret", "audit", "token_version"])
def test_another_key_file_is_refused(place: Settings, vault: Vault, engine: Engine, part: str) -> None:
    """With another token secret every person would get a second token; the error says which file is wanted."""
    other = generate()
    keys = msgspec.structs.replace(other, token_version=2) if part == "token_version" else other
    stranger = Vault(engine, msgspec.structs.replace(vault._keys, **{part: getattr(keys, part)}), load_purposes(), int)
    with pytest.raises(VaultError, match="HUB_KEY_FILE"):
        stranger.create()


def test_a_vault_of_a_later_release_is_refused(place: Settings, vault: Vault, engine: Engine) -> None:
    """Before anything is read from it."""
    with engine.begin() as connection:
        connection.execute(update(META).values(version=99))
    with pytest.raises(StateFromTheFuture, match="99"):
        open_vault(place)


def test_opening_the_vault_twice_makes_nothing_twice(place: Settings, vault: Vault, engine: Engine) -> None:
    """Every process opens it at its start."""
    vault.put_many([card()])
    with closing(open_vault(place)) as again:
        assert again.open(LI, ["name"], *REVIEW).fields == {"name": NAME}
    with session(engine) as db:
        assert db.scalar(select(func.count()).select_from(META)) == 1
