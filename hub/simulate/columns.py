"""What a table of an office is made of: columns, codes of their own, ways of writing dates and money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, NamedTuple

from hub.simulate.tables import Row

Cell = str | int | date | datetime | None


class Column(NamedTuple):
    """One column: its name there, the field of the row (or `id`, `changed`, `version`, `parent`), how it is written."""

    name: str
    field: str
    write: Callable[[Any], Cell] | Mapping[Any, str] | None = None

    def cell(self, row: Row) -> Cell:
        """What the office has written in this column."""
        value = row.values[self.field] if self.field in row.values else getattr(row, self.field)
        if isinstance(self.write, Mapping):
            return None if value is None else self.write[value]
        if value is None or self.write is None:
            return value  # type: ignore[no-any-return]  # values of rows are what a cell may hold
        return self.write(value)


class Table(NamedTuple):
    """One table or kind of drop. `deleted`: the column that marks a row as taken back; without one it just vanishes."""

    name: str
    rows: str
    columns: tuple[Column, ...]
    deleted: str | None = None


class Office(NamedTuple):
    """One source system. `store` is its database file, or the folder of its drops."""

    source: str
    store: str
    kind: Literal["sqlite", "csv", "xlsx"]
    tables: tuple[Table, ...]
    encoding: str = "utf-8"
    marker: str | None = None
    snapshot: bool = False


def day8(day: date) -> str:
    """20260315."""
    return f"{day:%Y%m%d}"


def slashed(day: date) -> str:
    """2026/3/15, as a spreadsheet writes it."""
    return f"{day.year}/{day.month}/{day.day}"


def dashed(day: date) -> str:
    """2026-03-15."""
    return day.isoformat()


def moment(instant: datetime) -> str:
    """2026-03-14 20:00:00, local time without a zone."""
    return f"{instant:%Y-%m-%d %H:%M:%S}"


def month6(text: str) -> str:
    """202603 of 2026-03."""
    return text.replace("-", "")


def yuan(fen: int) -> str:
    """1,234.50 of 123450 分."""
    return f"{fen / 100:,.2f}"


def plain_yuan(fen: int) -> str:
    """1234.50 of 123450 分."""
    return f"{fen / 100:.2f}"


def categories(parts: tuple[tuple[str, int], ...]) -> str:
    """肢体;精神 of the components of a disability."""
    return ";".join(DISABILITY[category] for category, _ in parts)


def levels(parts: tuple[tuple[str, int], ...]) -> str:
    """一级;三级 of the components of a disability."""
    return ";".join(f"{'零一二三四'[level]}级" for _, level in parts)


DISABILITY: Final = {
    "limb": "肢体",
    "sight": "视力",
    "hearing": "听力",
    "speech": "言语",
    "intellectual": "智力",
    "mental": "精神",
}
YES_NO: Final = {True: "是", False: "否"}
ONE_ZERO: Final = {True: "1", False: "0"}
# GB/T 4761-2008 家庭关系代码
RELATION: Final = {
    "self": "02",
    "spouse": "10",
    "son": "20",
    "daughter": "30",
    "grandchild": "40",
    "father": "51",
    "mother": "52",
    "grandparent": "60",
    "sibling": "70",
    "other": "80",
}
RELATION_WORD: Final = {
    "self": "本人",
    "spouse": "配偶",
    "son": "儿子",
    "daughter": "女儿",
    "father": "父亲",
    "mother": "母亲",
    "grandchild": "孙辈",
    "grandparent": "祖辈",
    "sibling": "兄弟姐妹",
    "other": "其他",
}
BENEFIT: Final = {
    "dibao": "低保",
    "dibao_margin": "低边",
    "tekun": "特困",
    "orphan": "孤儿",
    "defacto_unsupported": "事实无人抚养",
    "disability_living": "残疾生活补贴",
    "disability_care": "残疾护理补贴",
    "elder_age": "高龄津贴",
}
INCOME: Final = {
    "wage": "工资",
    "farm": "务农",
    "casual": "零工",
    "pension_employee": "职工养老金",
    "pension_resident_basic": "城乡基础养老金",
}
PROPERTY: Final = {"compliant": "符合", "non_compliant": "不符合", "unknown": "待核"}
# LD/T 92 险种类型 (AAE140)
SCHEME: Final = {
    "pension_employee": "110",
    "pension_public": "120",
    "pension_resident": "170",
    "medical_employee": "310",
    "medical_resident": "390",
}
JUSTICE: Final = {
    "prison": "监狱服刑",
    "detention": "羁押",
    "lost_contact": "失联",
    "declared_missing": "宣告失踪",
    "declared_dead": "宣告死亡",
}
