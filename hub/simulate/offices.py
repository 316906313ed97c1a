"""How each office keeps its records: its tables, its column names, its codes and its ways of writing a date.

公安 and 人社 use the column abbreviations of their trades' standards (GMSFHM; AAC002), the others Chinese headings.
The mappings in `connectors/sources/` translate all of it into events.
"""

from __future__ import annotations

from typing import Final

from hub.simulate.columns import (
    BENEFIT,
    JUSTICE,
    ONE_ZERO,
    RELATION,
    SCHEME,
    YES_NO,
    Column,
    Office,
    Table,
    categories,
    dashed,
    day8,
    levels,
    moment,
    month6,
    plain_yuan,
    slashed,
    yuan,
)
from hub.simulate.office_minzheng import MINZHENG

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
