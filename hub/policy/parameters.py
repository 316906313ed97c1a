"""Dated parameters of the law, per region: which figures exist, and what is in force where and when.

A region inherits 国家 100000 → province → prefecture → county; the nearest region that gives a value for the day
wins. A figure nobody gave is absent: a rule then says *unknown: parameter.<key>* and never borrows a neighbour's.
Files are read by `hub.packs`; here is only what they mean.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from hub.errors import ConfigurationError
from hub.policy.calendar import WorkCalendar

NATION: Final = "100000"
Kind = Literal["fen", "count", "flag", "ratio", "words"]
Value = int | bool | Fraction | tuple[str, ...]
MARKS: Final = {
    "V": "read in a stored transcription of the text",
    "V2": "read as news, code or excerpt only",
    "K": "general knowledge or product default, to be checked before use",
    "DEMO": "made up for demonstration 演示参数（非官方）",
}


class Key(NamedTuple):
    """A parameter that a rule reads: its kind and what it is. `fen` is money in 分, `ratio` a decimal text."""

    kind: Kind
    label: str


KEYS: Final[dict[str, Key]] = {
    "dibao_monthly_fen": Key("fen", "最低生活保障标准（每人每月）"),
    "tekun_monthly_fen": Key("fen", "特困人员基本生活标准（每月）"),
    "disposable_income_annual_fen": Key("fen", "上年度居民人均可支配收入"),
    "orphan_monthly_institution_fen": Key("fen", "机构养育孤儿基本生活标准（每月）"),
    "orphan_scattered_ratio": Key("ratio", "散居孤儿标准与机构养育标准之比"),
    "defacto_monthly_fen": Key("fen", "事实无人抚养儿童基本生活补贴标准（每月）"),
    "warning_self_paid_annual_fen": Key("fen", "大病预警线（十二个月个人自付医疗费用）"),
    "income.window_months": Key("count", "收入平均的月数"),
    "income.excluded_types": Key("words", "不计入低保家庭收入的项目"),
    "income.basic_pension_counts": Key("flag", "城乡居民基础养老金是否计入低保家庭收入"),
    "income.deductible_types": Key("words", "可扣减的刚性支出与就业成本"),
    "deduction.cap_monthly_fen": Key("fen", "每户每月可扣减金额上限"),
    "tekun.elder_age": Key("count", "特困：老年人年龄"),
    "tekun.minor_age": Key("count", "特困：未成年人年龄上限"),
    "tekun.disability": Key("words", "特困：无劳动能力的残疾类别与等级"),
    "tekun.income_excluded_types": Key("words", "特困：不计入收入的项目"),
    "supporter.elder_age": Key("count", "义务人无履行能力：年龄"),
    "supporter.dibao_age": Key("count", "义务人无履行能力：低保对象的年龄"),
    "supporter.disability": Key("words", "义务人无履行能力：残疾类别与等级"),
    "child.minor_age": Key("count", "儿童福利：年龄上限"),
    "defacto.disability": Key("words", "事实无人抚养：父母重残的类别与等级"),
    "defacto.months": Key("count", "事实无人抚养：限制人身自由或失联的月数"),
    "orphan.declared_missing_counts": Key("flag", "父母宣告失踪是否按孤儿认定"),
    "death.hold_days": Key("count", "死亡类提醒的暂缓天数"),
    "death.sign_months": Key("count", "就医记录可作为生存迹象的月数"),
    "death.reliable_sources": Key("words", "死亡日期的可靠数源"),
    "elder_age.centenarian_age": Key("count", "长寿保健补助年龄"),
    "elder_age.from_age": Key("count", "高龄津贴起始年龄"),
    "elder_age.scope": Key("words", "高龄津贴范围：all 或在享救助种类；空为不发放"),
    "lead.signs": Key("words", "候选家庭线索的困难迹象"),
    "lead.earner_from_age": Key("count", "候选家庭线索：劳动年龄起"),
    "lead.earner_to_age": Key("count", "候选家庭线索：劳动年龄止"),
    "service.working_days": Key("count", "服务时限（工作日，产品默认值）"),
    "horizon.lateness_months": Key("count", "数据保留界限：记录、更正与冲正可能迟到的月数"),
    "horizon.taper_months": Key("count", "数据保留界限：待遇渐退的月数"),
}
"""Every parameter the rules read. A pack that names another key is refused."""


class Entry(Struct, frozen=True, kw_only=True):
    """One value of one key in one region, from a day to a day (both inclusive; None is open)."""

    region: str
    key: str
    value: Value
    effective_from: date
    effective_to: date | None = None
    known_from: date | None = None
    source: str
    mark: str
    place: str = ""

    def covers(self, day: date) -> bool:
        """Whether it is in force on a day."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)


class Policy(Struct, frozen=True):
    """The parameters of one region: for each key the days on which it changes, and the entry from that day on."""

    region: str
    hash: str
    starts: dict[str, list[date]]
    entries: dict[str, list[Entry | None]]

    def entry(self, key: str, on: date) -> Entry | None:
        """The entry in force on a day, or None where nobody gave one. KeyError for a key no pack may hold."""
        starts = self.starts.get(key)
        if starts is None:
            KEYS[key]
            return None
        position = bisect_right(starts, on)
        return self.entries[key][position - 1] if position else None

    def next_change(self, key: str, on: date) -> date | None:
        """First later day on which another entry (or none) is in force."""
        starts = self.starts.get(key, [])
        position = bisect_right(starts, on)
        return starts[position] if position < len(starts) else None

    def number(self, key: str, on: date) -> int | None:
        """Value of a `fen` or `count` key."""
        entry = self.entry(key, on)
        return entry.value if entry is not None and isinstance(entry.value, int) else None

    def flag(self, key: str, on: date) -> bool | None:
        """Value of a `flag` key."""
        entry = self.entry(key, on)
        return entry.value if entry is not None and isinstance(entry.value, bool) else None

    def ratio(self, key: str, on: date) -> Fraction | None:
        """Value of a `ratio` key."""
        entry = self.entry(key, on)
        return entry.value if entry is not None and isinstance(entry.value, Fraction) else None

    def words(self, key: str, on: date) -> tuple[str, ...] | None:
        """Value of a `words` key."""
        entry = self.entry(key, on)
        return entry.value if entry is not None and isinstance(entry.value, tuple) else None


class PolicyBook:
    """All packs: gives each region its policy. `hash` covers every entry and the calendar."""

    def __init__(
        self,
        entries: Iterable[Entry],
        calendar: WorkCalendar,
        known_on: date | None = None,
        overlays: tuple[Iterable[Entry], ...] = (),
    ) -> None:
        """Check the entries and take them over.

        An overlay replaces the keys it names, region by region. `known_on` leaves out what was published later.
        ConfigurationError for an overlap or a gap, naming file, line and key.
        """
        self.calendar = calendar
        self._by_region: dict[str, dict[str, list[Entry]]] = {}
        self._forced: dict[str, list[Entry]] = {}
        self._policies: dict[str, Policy] = {}
        for layer in (entries, *overlays):
            self._add_layer(
                [entry for entry in layer if known_on is None or (entry.known_from or date.min) <= known_on]
            )
        given = [entry for keys in self._by_region.values() for found in keys.values() for entry in found]
        given.sort(key=lambda entry: (entry.region, entry.key, entry.effective_from))
        self.hash = _digest([given, sorted(calendar.holidays), sorted(calendar.workdays)])

    def for_region(self, code: str) -> Policy:
        """The policy of a county, or of any division: its first six digits decide. Same object for the same code."""
        code = code[:6]
        policy = self._policies.get(code)
        if policy is None:
            policy = self._policies[code] = self._resolve(code)
        return policy

    def longest(self, key: str) -> int | None:
        """The largest value of a `count` key in any region on any day; None where a day or a region may go without."""
        forced = self._forced.get(key)
        levels = [forced] if forced is not None else [keys.get(key, []) for keys in self._by_region.values()]
        everywhere = forced if forced is not None else self._by_region.get(NATION, {}).get(key, [])
        if not everywhere or everywhere[-1].effective_to is not None:
            return None
        return max(entry.value for level in levels for entry in level if isinstance(entry.value, int))

    def overridden(self, values: Mapping[str, Value | list[Entry]], source: str = "override") -> PolicyBook:
        """A book in which these values hold in every region, always or as their entries say: what-if and test cases.

        An empty list takes the key away. ConfigurationError for an unknown key or a value of another kind.
        """
        other = copy(self)
        other._policies = {}
        other._forced = {**self._forced, **{key: _always(key, value, source) for key, value in values.items()}}
        other.hash = _digest([self.hash, sorted(other._forced), [other._forced[key] for key in sorted(other._forced)]])
        return other

    def _add_layer(self, entries: list[Entry]) -> None:
        layer: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            _checked(entry.key, entry.value, entry.place)
            if entry.mark not in MARKS:
                raise ConfigurationError(
                    f"{entry.place}: {entry.key}: mark {entry.mark!r} — use one of {', '.join(MARKS)}"
                )
            layer.setdefault((entry.region, entry.key), []).append(entry)
        for (region, key), found in layer.items():
            found.sort(key=lambda entry: entry.effective_from)
            _check_sequence(found)
            self._by_region.setdefault(region, {})[key] = found

    def _resolve(self, code: str) -> Policy:
        chain = [region for region in ancestry(code) if region in self._by_region]
        keys = {key for region in chain for key in self._by_region[region]} | set(self._forced)
        starts: dict[str, list[date]] = {}
        entries: dict[str, list[Entry | None]] = {}
        for key in sorted(keys):
            forced = self._forced.get(key)
            levels = [forced] if forced is not None else [self._by_region[region].get(key, []) for region in chain]
            days = {entry.effective_from for level in levels for entry in level}
            days |= {
                entry.effective_to + timedelta(days=1)
                for level in levels
                for entry in level
                if entry.effective_to is not None
            }
            for day in sorted(days):
                here = next((entry for level in reversed(levels) for entry in level if entry.covers(day)), None)
                held = entries.setdefault(key, [])
                if not held or held[-1] is not here:
                    held.append(here)
                    starts.setdefault(key, []).append(day)
        return Policy(code, _digest([[*entries.items()], [*starts.items()]]), starts, entries)


def ancestry(code: str) -> tuple[str, ...]:
    """A division and what it lies in, the nation first: 100000, 330000, 331100, 331102."""
    return tuple(dict.fromkeys((NATION, f"{code[:2]}0000", f"{code[:4]}00", code[:6])))


def _always(key: str, value: Value | list[Entry], source: str) -> list[Entry]:
    _kind(key, source)
    if isinstance(value, list):
        return sorted(value, key=lambda entry: entry.effective_from)
    checked = _checked(key, value, source)
    return [Entry(region=NATION, key=key, value=checked, effective_from=date.min, source=source, mark="K")]


def parse_value(key: str, raw: object, place: str) -> Value:
    """A value as a pack writes it. ConfigurationError (with `place`) for an unknown key or another kind."""
    kind = _kind(key, place)
    if kind == "words" and isinstance(raw, list) and all(isinstance(word, str) for word in raw):
        return tuple(raw)
    if kind == "ratio" and isinstance(raw, str):
        try:
            return Fraction(raw)
        except (ValueError, ZeroDivisionError):
            raise ConfigurationError(f"{place}: {key}: {raw!r} is no number — write a decimal text as '0.8'") from None
    if isinstance(raw, int):
        return _checked(key, raw, place)
    raise ConfigurationError(f"{place}: {key}: a value of kind {kind} is expected — see hub/policy/parameters.py")


def _kind(key: str, place: str) -> Kind:
    if key not in KEYS:
        raise ConfigurationError(f"{place}: {key}: no rule reads this key — correct its name, or add it to KEYS")
    return KEYS[key].kind


def _checked(key: str, value: Value, place: str) -> Value:
    kind = _kind(key, place)
    fits = {
        "fen": isinstance(value, int) and not isinstance(value, bool) and value >= 0,
        "count": isinstance(value, int) and not isinstance(value, bool) and value >= 0,
        "flag": isinstance(value, bool),
        "ratio": isinstance(value, Fraction) and value >= 0,
        "words": isinstance(value, tuple),
    }
    if not fits[kind]:
        raise ConfigurationError(f"{place}: {key}: a value of kind {kind} is expected — see hub/policy/parameters.py")
    return value


def _check_sequence(found: list[Entry]) -> None:
    for earlier, later in pairwise(found):
        expected = None if earlier.effective_to is None else earlier.effective_to + timedelta(days=1)
        if expected is None or later.effective_from < expected:
            raise ConfigurationError(
                f"{later.place}: {later.key}: overlaps the value at {earlier.place} — end that one the day before"
            )
        if later.effective_from > expected:
            raise ConfigurationError(
                f"{later.place}: {later.key}: nothing is in force from {expected} to the day before"
                f" {later.effective_from} — close the gap to the value at {earlier.place}"
            )


def _digest(content: object) -> str:
    encoded = msgspec.json.encode(_canonical(content), order="deterministic")
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


def _canonical(value: object) -> object:
    """Plain lists, dicts and texts with a fixed order; where a value was written does not count."""
    if isinstance(value, Entry):
        return {field: _canonical(getattr(value, field)) for field in value.__struct_fields__ if field != "place"}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, Fraction):
        return str(value)
    return value
