"""Packs: inheritance, dates, faults with file, line and key, hashes."""

from __future__ import annotations

import shutil
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from hub.errors import ConfigurationError
from hub.packs import FOLDER, load_book, read_pack
from hub.policy.parameters import KEYS, PolicyBook, ancestry

DAY = date(2026, 3, 15)


def pack(folder: Path, region: str, body: str) -> Path:
    """A folder with one pack and the real calendar."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(FOLDER / "calendar.yaml", folder)
    (folder / f"{region}.yaml").write_text(f'region: "{region}"\nparameters:\n{body}', encoding="utf-8")
    return folder


def value(amount: int, since: str, until: str | None = None, key: str = "dibao_monthly_fen", more: str = "") -> str:
    """One entry as a pack writes it; four or five lines."""
    ends = f"\n      effective_to: {until}" if until else ""
    head = f"  {key}:\n" if key else ""
    return f"{head}    - value: {amount}\n      effective_from: {since}{ends}\n      source: s\n      mark: V{more}\n"


def test_a_county_inherits() -> None:
    """The nearest region wins; 浦江 lies in 金华, not in 丽水."""
    book = load_book()
    assert ancestry("331102") == ("100000", "330000", "331100", "331102")
    assert tuple(book.for_region(code).number("tekun.minor_age", DAY) for code in ("331102", "330726")) == (18, 16)
    assert book.for_region("331181").number("elder_age.centenarian_age", DAY) == 100
    assert book.for_region("440103").number("elder_age.centenarian_age", DAY) is None
    assert book.for_region("331102001") is book.for_region("331102")


def test_a_figure_holds_for_its_days_only() -> None:
    """2020's 低保 standard is in force to its last day; later years are absent and nothing is borrowed."""
    policy = load_book().for_region("331102")
    found = [policy.number("dibao_monthly_fen", day) for day in (date(2019, 12, 31), date(2020, 12, 31), DAY)]
    assert found == [None, 85000, None]
    assert date(2021, 1, 1) == policy.next_change("dibao_monthly_fen", date(2020, 6, 1))
    assert policy.next_change("dibao_monthly_fen", DAY) is None


def test_the_demonstration_is_an_overlay() -> None:
    """Made-up figures appear only when asked for, and change the hash of the book."""
    plain, demo = load_book(), load_book(overlay="demo")
    assert demo.for_region("331102").number("dibao_monthly_fen", DAY) == 108300
    assert Fraction(4, 5) == demo.for_region("330726").ratio("orphan_scattered_ratio", DAY)
    assert plain.hash != demo.hash
    with pytest.raises(ConfigurationError, match="overlay 'nonsense' does not exist"):
        load_book(overlay="nonsense")


def test_every_figure_has_a_source_and_official_packs_hold_no_demonstration() -> None:
    """Each entry says where it comes from; made-up figures stay in their own file."""
    for file in sorted(FOLDER.glob("*.yaml")):
        if file.name == "calendar.yaml":
            continue
        entries = read_pack(file)
        assert all(entry.source for entry in entries)
        assert file.name == "demo.yaml" or not any(entry.mark == "DEMO" for entry in entries)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (value(1, "2020-01-01", key="dibao_monthly"), r"331100.yaml:4: dibao_monthly: no rule reads this key"),
        (
            value(1, "2020-01-01", "2020-12-31") + value(2, "2020-12-31", key=""),
            r"331100.yaml:9: dibao_monthly_fen: overlaps the value at 331100.yaml:4",
        ),
        (
            value(1, "2020-01-01") + value(2, "2021-01-01", key=""),
            r"331100.yaml:8: dibao_monthly_fen: overlaps the value at 331100.yaml:4",
        ),
        (
            value(1, "2020-01-01", "2020-12-30") + value(2, "2021-01-01", key=""),
            r"331100.yaml:9: dibao_monthly_fen: nothing is in force from 2020-12-31",
        ),
        (value(1, "2020-01-01", "2019-12-31"), r"331100.yaml:4: dibao_monthly_fen: it ends before it begins"),
        (value(1, "never"), r"331100.yaml:5: dibao_monthly_fen: a date is expected"),
        (value(1, "2020-01-01", more="\n      colour: red"), r"331100.yaml:4: .* unknown field 'colour'"),
        (value(-1, "2020-01-01"), r"331100.yaml:4: dibao_monthly_fen: a value of kind fen"),
        (value(1, "2020-01-01", key="orphan_scattered_ratio"), r"orphan_scattered_ratio: a value of kind ratio"),
        (value(1, "2020-01-01") + value(1, "2020-01-01"), r"331100.yaml:8: dibao_monthly_fen: is given twice"),
        ("  dibao_monthly_fen: 3\n", r"331100.yaml:3: dibao_monthly_fen: a list of values is expected"),
        (value(1, "2020-01-01").replace("mark: V", "mark: X"), r"331100.yaml:4: dibao_monthly_fen: mark 'X'"),
        (value(1, "2020-01-01").replace("      source: s\n", ""), r"331100.yaml:4: .* `source` is missing"),
        (
            '  orphan_scattered_ratio:\n    - {value: "x", effective_from: 2020-01-01, source: s, mark: V}\n',
            r"331100.yaml:4: orphan_scattered_ratio: 'x' is no number",
        ),
    ],
)  # fmt: skip
def test_faults_name_file_line_and_key(tmp_path: Path, body: str, message: str) -> None:
    """A pack that cannot be meant is refused before anything is decided."""
    with pytest.raises(ConfigurationError, match=message):
        load_book(pack(tmp_path / "packs", "331100", body))


def test_a_folder_without_packs_is_refused(tmp_path: Path) -> None:
    """An empty folder is a wrong setting."""
    with pytest.raises(ConfigurationError, match="holds no policy pack"):
        load_book(tmp_path)


def test_what_was_known(tmp_path: Path) -> None:
    """A figure published later is not part of what was known before."""
    folder = pack(tmp_path / "p", "331100", value(7, "2020-01-01", more="\n      known_from: 2020-05-01"))
    early, late = (load_book(folder, known_on=date(2020, month, 30)) for month in (4, 5))
    assert tuple(b.for_region("331100").number("dibao_monthly_fen", DAY) for b in (early, late)) == (None, 7)


def test_hash_covers_content_and_not_its_place(tmp_path: Path) -> None:
    """A comment moves lines and changes nothing; a figure changes its region's hash and no other's."""
    first = load_book(pack(tmp_path / "a", "331102", value(7, "2020-01-01")))
    moved = load_book(pack(tmp_path / "b", "331102", "# a remark\n" + value(7, "2020-01-01")))
    other = load_book(pack(tmp_path / "c", "331102", value(8, "2020-01-01")))
    hashes = [(book.hash, book.for_region("331102").hash) for book in (first, moved, other)]
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[2][0]
    assert hashes[0][1] != hashes[2][1]
    assert first.for_region("331121").hash != first.for_region("331102").hash
    assert first.for_region("331121").entries == other.for_region("331121").entries


def test_override_holds_everywhere_and_leaves_the_book_alone() -> None:
    """What-if: one value for every region and day; an empty list takes a key away."""
    book = load_book(overlay="demo")
    changed = book.overridden({"dibao_monthly_fen": 5, "elder_age.from_age": []})
    assert [changed.for_region("331102").number("dibao_monthly_fen", day) for day in (date(2020, 1, 1), DAY)] == [5, 5]
    assert changed.for_region("331102").number("elder_age.from_age", DAY) is None
    assert book.for_region("331102").number("dibao_monthly_fen", DAY) == 108300
    assert changed.hash != book.hash
    with pytest.raises(ConfigurationError, match="no rule reads this key"):
        book.overridden({"nonsense": 1})
    with pytest.raises(ConfigurationError, match="kind fen"):
        book.overridden({"dibao_monthly_fen": True})


def test_a_key_nobody_declared_is_a_programming_error() -> None:
    """A rule cannot ask for a figure that no pack may hold."""
    book: PolicyBook = load_book()
    with pytest.raises(KeyError):
        book.for_region("331102").number("dibao", DAY)
    assert all(key.label for key in KEYS.values())
