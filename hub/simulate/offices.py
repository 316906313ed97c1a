"""How each office keeps its records: its tables, its column names, its codes and its ways of writing a date.

公安 and 人社 use the column abbreviations of their trades' standards (GMSFHM; AAC002), the others Chinese headings.
The mappings in `connectors/sources/` translate all of it into events.
"""

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

C = Column
_NUMBER: Final = C("GMSFHM", "number")
_PLACE: Final = C("XZQH", "county")
_CHANGED: Final = C("GXSJ", "changed", moment)

GA_HUJI: Final = Office(
    "ga-huji",
    "gongan/huji.db",
    "sqlite",
    (
        Table(
            "CZRK_JBXX",
            "resident",
            (
                C("RYBH", "id"),
                _NUMBER,
                C("XM", "name"),
                C("XBDM", "sex"),
                C("CSRQ", "birth", day8),
                C("HH", "hukou"),
                C("HKLB", "hukou_kind", {"family": "1", "collective": "2"}),
                C("YHZGX", "relation", RELATION),
                C("RYZT", "status", {"registered": "1", "cancelled_death": "2", "moved_out": "3", "abroad": "4"}),
                _PLACE,
                C("XZJD", "township"),
                C("CJWDM", "village"),
                C("ZZ", "address"),
                C("LXDH", "phone"),
                _CHANGED,
            ),
            "SCBZ",
        ),
        Table(
            "QSGX",
            "kinship",
            (
                C("GXBH", "id"),
                _NUMBER,
                C("GXRSFHM", "other"),
                C("GXDM", "relation", RELATION),
                C("GXXZ", "nature", {"blood": "1", "adopted": "2", "step": "3", "guardian": "4", "marriage": "5"}),
                C("QSRQ", "since", day8),
                C("ZZRQ", "until", day8),
                _PLACE,
                _CHANGED,
            ),
            "SCBZ",
        ),
        Table(
            "QSGX_QD",
            "inventory",
            (
                C("QDBH", "id"),
                _NUMBER,
                C("QDLB", "kind", {"children": "ZN", "spouse": "PO", "parents": "FM"}),
                C("HSRQ", "certified_on", day8),
                C("HSDW", "certifier"),
                _PLACE,
                _CHANGED,
            ),
            "SCBZ",
        ),
        Table(
            "SWZX",
            "death",
            (
                C("SWBH", "id"),
                _NUMBER,
                C("SWRQ", "on", day8),
                C("SWRQJD", "precision", {"day": "D", "month": "M", "year": "Y"}),
                C("SWLB", "kind", {"natural": "1", "declared": "2"}),
                C("ZMDW", "certifier"),
                C("ZXRQ", "cancelled_on", day8),
                C("CXBZ", "revoked", ONE_ZERO),
                _PLACE,
                _CHANGED,
            ),
            "SCBZ",
        ),
        Table(
            "SFBG",
            "identity",
            (
                C("BGBH", "id"),
                C("YSFHM", "old"),
                C("XSFHM", "new"),
                C("BGYY", "reason", {"corrected": "1", "duplicate": "2", "upgraded": "3", "foundling": "4"}),
                _PLACE,
                _CHANGED,
            ),
            "SCBZ",
        ),
        Table(
            "JZDJ",
            "residence",
            (
                C("DJBH", "id"),
                _NUMBER,
                C("JZDDM", "place"),
                C("QSRQ", "since", day8),
                C("ZZRQ", "until", day8),
                C("DJYJ", "evidence", {"permit": "JZZ", "floating": "LDRK", "grid": "WGHS"}),
                _PLACE,
                _CHANGED,
            ),
            "SCBZ",
        ),
    ),
)

YIBAO: Final = Office(
    "yibao",
    "yibao",
    "csv",
    (
        Table(
            "jiesuan",
            "settlement",
            (
                C("结算流水号", "id"),
                C("数据版本", "version"),
                C("公民身份号码", "number"),
                C("姓名", "name"),
                C(
                    "医疗类别",
                    "kind",
                    {"inpatient": "21", "outpatient": "11", "chronic": "14", "pharmacy": "41", "manual": "99"},
                ),
                C("开始日期", "service_from", dashed),
                C("结束日期", "service_to", dashed),
                C("结算日期", "settled_on", dashed),
                C("医疗费总额", "total", yuan),
                C("统筹基金支付", "basic", yuan),
                C("大病保险支付", "critical", yuan),
                C("医疗救助支付", "aid_paid", yuan),
                C("其他补充支付", "supplementary", yuan),
                C("个人账户支付", "account", yuan),
                C("现金支付", "cash", yuan),
                C("符合范围自付", "compliant", yuan),
                C("冲正原流水号", "reverses"),
                C("参保区划", "county"),
                C("更新时间", "changed", moment),
            ),
            "作废标志",
        ),
        Table(
            "canbao",
            "enrolment",
            (
                C("参保编号", "id"),
                C("数据版本", "version"),
                C("公民身份号码", "number"),
                C("险种类型", "scheme", SCHEME),
                C("参保年度", "year"),
                C("参保区划", "county"),
                C("参保状态", "status", {"active": "正常参保", "suspended": "暂停参保", "ended": "终止参保"}),
                C("资助身份", "subsidised", BENEFIT),
                C("更新时间", "changed", moment),
            ),
            "作废标志",
        ),
    ),
    encoding="gb18030",
    marker=".done",
)

WEIJIAN: Final = Office(
    "weijian",
    "weijian",
    "xlsx",
    (
        Table(
            "siwang",
            "medical_death",
            (
                C("证明编号", "id"),
                C("版本号", "version"),
                C("死者身份证号", "number"),
                C("死者姓名", "name"),
                C("死亡日期", "on"),
                C("签发机构", "certifier"),
                C("是否撤销", "revoked", YES_NO),
                C("行政区划", "county"),
                C("填报时间", "changed"),
            ),
        ),
    ),
    marker=".done",
)

BINZANG: Final = Office(
    "binzang",
    "binzang",
    "csv",
    (
        Table(
            "huohua",
            "cremation",
            (
                C("火化证号", "id"),
                C("版本号", "version"),
                C("逝者身份证号", "number"),
                C("逝者姓名", "name"),
                C("逝世日期", "on", slashed),
                C("火化日期", "cremated_on", slashed),
                C("殡仪馆", "facility"),
                C("户籍区划", "county"),
                C("登记时间", "changed", moment),
            ),
        ),
    ),
    marker=".done",
)

RENSHE: Final = Office(
    "renshe",
    "renshe/shebao.db",
    "sqlite",
    (
        Table(
            "AC61",
            "pension",
            (
                C("BAZ001", "id"),
                C("AAC002", "number"),
                C("AAE140", "scheme", SCHEME),
                C("AAE002", "period", month6),
                C("AAE036", "paid_on", dashed),
                C("AAE019", "fen", plain_yuan),
                C("AIC020", "basic", plain_yuan),
                C("AAE116", "status", {"paying": "1", "suspended": "2", "ended": "3"}),
                C("AAE200", "alive_on", dashed),
                C("AAB301", "county"),
                C("GXSJ", "changed", moment),
            ),
            "AAE100",
        ),
    ),
)

_CARD: Final = C("身份证号", "number")
_UPDATED: Final = C("更新时间", "changed", moment)
_COUNTY: Final = C("区划代码", "county")

MINZHENG: Final = Office(
    "minzheng",
    "minzheng/jiuzhu.db",
    "sqlite",
    (
        Table(
            "家庭成员",
            "household",
            (
                C("成员编号", "id"),
                _CARD,
                C("家庭编号", "aid"),
                C("与申请人关系", "relation", RELATION_WORD),
                C("共同生活", "lives_together", YES_NO),
                C("起始日期", "since", dashed),
                C("终止日期", "until", dashed),
                C("计入人口", "counted", YES_NO),
                C("不计入原因", "counted_reason", {"prison": "服刑", "clergy": "宗教教职"}),
                C("认定人数", "member_count"),
                C("认定日期", "certified_on", dashed),
                _COUNTY,
                _UPDATED,
            ),
            "删除标志",
        ),
        Table(
            "救助申请",
            "application",
            (
                C("申请编号", "id"),
                _CARD,
                C("家庭编号", "aid"),
                C("申请事项", "benefit", BENEFIT),
                C("事由编号", "cause"),
                C("受理日期", "accepted_on", dashed),
                C("核对授权日期", "authorised_on", dashed),
                C("拒绝授权日期", "refused_on", dashed),
                C("发起核对日期", "check_on", dashed),
                C("入户日期", "inquiry_on", dashed),
                C("公示开始", "publicised_from", dashed),
                C("公示结束", "publicised_to", dashed),
                C("确认日期", "decided_on", dashed),
                C("确认结果", "result", {"granted": "同意", "refused": "不予同意", "withdrawn": "撤回"}),
                C("下放乡镇", "delegated", YES_NO),
                C("情况复杂", "complex", YES_NO),
                _COUNTY,
                _UPDATED,
            ),
            "删除标志",
        ),
        Table(
            "核对报告",
            "check",
            (
                C("报告编号", "id"),
                _CARD,
                C("家庭编号", "aid"),
                C("核对期起", "period_from", dashed),
                C("核对期止", "period_to", dashed),
                C("低保财产", "property_dibao", PROPERTY),
                C("边缘财产", "property_margin", PROPERTY),
                C("特困财产", "property_tekun", PROPERTY),
                C("低收入财产", "property_low_income", PROPERTY),
                C("刚性支出财产", "property_rigid", PROPERTY),
                C("授权有效期", "authorised_until", dashed),
                _COUNTY,
                _UPDATED,
            ),
            "删除标志",
        ),
        Table(
            "入户调查",
            "investigation",
            (
                C("调查编号", "id"),
                _CARD,
                C("家庭编号", "aid"),
                C("入户日期", "visited_on", dashed),
                C("义务人已查清", "supporters_complete", YES_NO),
                C("付出赡养费", "support_paid", plain_yuan),
                C("收到赡养费", "support_received", plain_yuan),
                C("扣减项已问清", "deductions_complete", YES_NO),
                C("就业情况", "employment"),
                C("劳动能力", "labour", {"able": "有", "partly": "部分丧失", "unable": "丧失"}),
                _COUNTY,
                _UPDATED,
            ),
            "删除标志",
        ),
        Table(
            "在享待遇",
            "benefit",
            (
                C("待遇编号", "id"),
                _CARD,
                C("待遇类型", "kind", BENEFIT),
                C("家庭编号", "aid"),
                C("状态", "status", {"active": "在享", "taper": "渐退", "suspended": "暂停", "ended": "终止"}),
                C("开始日期", "since", dashed),
                C("终止日期", "until", dashed),
                C("月标准", "fen", plain_yuan),
                C("发放区划", "paying"),
                C("有效期至", "valid_until", dashed),
                C("上次复核", "last_review_on", dashed),
                C("收入类型", "income_pattern", {"regular": "稳定", "irregular": "不稳定"}),
                C("渐退开始", "taper_started_on", dashed),
                _COUNTY,
                _UPDATED,
            ),
            "删除标志",
        ),
        Table(
            "资金发放",
            "payment",
            (
                C("发放编号", "id"),
                _CARD,
                C("待遇类型", "kind", BENEFIT),
                C("所属月份", "period", month6),
                C("发放日期", "paid_on", dashed),
                C("金额", "fen", plain_yuan),
                C("退回日期", "returned_on", dashed),
                C("发放区划", "paying"),
                C("非本人账户", "holder_differs", YES_NO),
                _COUNTY,
                _UPDATED,
            ),
            "删除标志",
        ),
        Table(
            "核对收入",
            "check_income",
            (
                C("明细编号", "id"),
                C("报告编号", "parent"),
                _CARD,
                C("收入类型", "kind", INCOME),
                C("金额", "fen", plain_yuan),
                C("月数", "months"),
                C("开始日期", "started_on", dashed),
            ),
        ),
        Table(
            "入户收入",
            "visit_income",
            (
                C("明细编号", "id"),
                C("调查编号", "parent"),
                _CARD,
                C("收入类型", "kind", INCOME),
                C("金额", "fen", plain_yuan),
                C("月数", "months"),
                C("开始日期", "started_on", dashed),
            ),
        ),
        Table(
            "入户扣减",
            "deduction",
            (
                C("明细编号", "id"),
                C("调查编号", "parent"),
                C(
                    "扣减类型",
                    "kind",
                    {"illness": "因病", "disability": "因残", "work_cost": "就业", "education": "教育"},
                ),
                C("月金额", "fen", plain_yuan),
            ),
        ),
        Table(
            "入户支出",
            "spending",
            (
                C("明细编号", "id"),
                C("调查编号", "parent"),
                C("支出类型", "kind", {"medical": "医疗", "education": "教育", "rent": "房租"}),
                C("金额", "fen", plain_yuan),
                C("支付日期", "paid_on", dashed),
            ),
        ),
    ),
)
COVERED_BY: Final = {"核对对象": "check", "调查对象": "investigation"}
"""Tables (编号, 身份证号) of the persons a report covers, and the reports' rows."""

CANLIAN: Final = Office(
    "canlian",
    "canlian",
    "csv",
    (
        Table(
            "canjizheng",
            "certificate",
            (
                C("残疾人证号", "id"),
                C("身份证号", "number"),
                C("姓名", "name"),
                C("残疾类别", "components", categories),
                C("残疾等级", "components", levels),
                C("发证日期", "issued_on", slashed),
                C("有效期至", "valid_until", slashed),
                C("证件状态", "status", {"valid": "有效", "frozen": "冻结", "cancelled": "注销"}),
                C("长期照护起始", "care_from", slashed),
                C("区划代码", "county"),
                C("更新时间", "changed", moment),
            ),
        ),
    ),
    encoding="gbk",
    marker=".done",
    snapshot=True,
)

SIFA: Final = Office(
    "sifa",
    "sifa",
    "csv",
    (
        Table(
            "zhuangtai",
            "justice",
            (
                C("状态编号", "id"),
                C("身份证号", "number"),
                C("状态类别", "kind", JUSTICE),
                C("起始日期", "since", dashed),
                C("截止日期", "until", dashed),
                C("刑期月数", "months"),
                C("释放日期", "released_on", dashed),
                C("是否照料子女", "care_given", YES_NO),
                C("决定机关", "decided_by"),
                C("区划代码", "county"),
                C("更新时间", "changed", moment),
            ),
        ),
    ),
    marker=".done",
    snapshot=True,
)

SHUJUJU: Final = Office(
    "shujuju",
    "shujuju",
    "csv",
    (
        Table(
            "fugai",
            "coverage",
            (
                C("声明编号", "id"),
                C("版本号", "version"),
                C("数源", "department"),
                C("数据主题", "topic"),
                C("范围", "scope", {"region": "区划", "person": "个人"}),
                C("身份证号", "number"),
                C("区划代码", "county"),
                C("完整起始", "complete_from", dashed),
                C("完整截止", "complete_to", dashed),
                C("提供方式", "delivery", {"full": "全量", "delta": "增量"}),
                C("记录数", "count"),
                C("是否查到", "found", YES_NO),
                C("查询日期", "asked_on", dashed),
                C("声明时间", "changed", moment),
            ),
            "作废标志",
        ),
    ),
    marker=".done",
)

OFFICES: Final = (GA_HUJI, YIBAO, WEIJIAN, BINZANG, RENSHE, MINZHENG, CANLIAN, SIFA, SHUJUJU)
