"""Alerts as the worker publishes them, one for each rule: what the pages have to show. All persons are invented."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from hub.domain.messages import Alert, Condition, Evidence, Involved, Missing, Truth
from hub.domain.times import at_noon_ms
from tests.browser.days import TODAY, ago

Build = Callable[[Mapping[str, str]], Alert]


def digest(*parts: object) -> str:
    """32 hex of some parts."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def line(depth: int, truth: Truth, text: str, article: str | None = None) -> Condition:
    """One line of a decision."""
    return Condition(id=digest(depth, text)[:8], depth=depth, truth=truth, text=text, article=article)


def proof(
    person: str | None, topic: str, field: str, value: str, source: str, record: str, version: int = 1
) -> Evidence:
    """One value of one record."""
    return Evidence(
        topic=topic, field=field, value=value, person=person, source=source, record_id=record, version=version
    )


def alert(
    rule: str,
    home: str,
    title: str,
    explanation: str,
    *,
    line: str,
    township: str,
    people: Sequence[tuple[str, str]],
    opened: date,
    due: date | None,
    **more: Any,
) -> Alert:
    """An alert with what follows from the rest filled in."""
    values: dict[str, Any] = {
        "alert_id": digest(rule, home, more.get("episode", 1)),
        "revision": 1,
        "state": "OPEN",
        "subject": home,
        "episode": 1,
        "grade": "case",
        "region": township[:6],
        "cause": "facts",
        "decided_on": opened,
        "due_kind": "service",
        "evidence_hash": digest(rule, home, "evidence"),
        "policy_hash": digest("policy"),
        "decided_at": at_noon_ms(opened),
        "caused_at": at_noon_ms(opened),
    }
    return Alert(
        **values
        | more
        | {
            "rule": rule,
            "home": home,
            "title": title,
            "explanation": explanation,
            "line": line,
            "township": township,
            "people": tuple(Involved(person, role) for person, role in people),
            "opened_on": opened,
            "due_on": due,
        }
    )


def dibao(t: Mapping[str, str]) -> Alert:
    """A household of three below the standard: the gap is proposed."""
    father, mother, elder = t["ye_son"], t["ye_wife"], t["ye"]
    return alert(
        "dibao",
        "household:" + digest("ye"),
        "可能符合最低生活保障条件，请核实",
        "可能符合最低生活保障条件，请核实：计入家庭人口3人；家庭人均月收入860.00元，低于本地标准1083.00元"
        "（《浙江省社会救助条例》第9条）；财产状况经核对符合规定。建议差额669元／月，以入户调查和公示结果为准。",
        line="social_assistance",
        township="331102001",
        people=[(elder, "member"), (father, "member"), (mother, "member")],
        opened=ago(12),
        due=ago(-9),
        revision=2,
        state="AMENDED",
        amount_fen=66900,
        articles=("《浙江省社会救助条例》第9条", "《浙江省社会救助条例》第12条", "《最低生活保障审核确认办法》第7条"),
        conditions=(
            line(0, "yes", "最低生活保障"),
            line(1, "yes", "计入家庭人口3人", "《最低生活保障审核确认办法》第7条"),
            line(1, "yes", "家庭人均月收入860.00元，低于本地标准1083.00元", "《浙江省社会救助条例》第9条"),
            line(2, "yes", "工资、务农收入合计2900.00元／月", "《最低生活保障审核确认办法》第13条"),
            line(2, "yes", "因病刚性支出扣减320.00元／月", "《最低生活保障审核确认办法》第13条"),
            line(1, "yes", "财产状况经核对符合规定", "《浙江省社会救助条例》第9条"),
            line(1, "yes", "核对授权在有效期内"),
            line(1, "yes", "目前没有在享的最低生活保障或特困供养"),
        ),
        evidence=(
            proof(elder, "assistance.household", "member_count", "3", "minzheng", "JT-2026-00318", 2),
            proof(father, "assistance.check", "income", "wage 2880000/12", "minzheng", "HD-2026-01127", 3),
            proof(father, "assistance.check", "income", "farm 600000/12", "minzheng", "HD-2026-01127", 3),
            proof(None, "assistance.check", "property_dibao", "compliant", "minzheng", "HD-2026-01127", 3),
            proof(None, "assistance.investigation", "deductions", "illness 32000", "minzheng", "RH-2026-00877"),
            proof(father, "assistance.check", "authorised_until", "2026-12-31", "minzheng", "HD-2026-01127", 3),
        ),
    )


def death_benefit(t: Mapping[str, str]) -> Alert:
    """Three sources say dead; the allowance is still paid."""
    person = t["hu"]
    return alert(
        "death_benefit_continues",
        f"person:{person}",
        "去世后仍在发放待遇，请核实",
        "去世后仍在发放待遇，请核实：户籍登记2026年1月4日死亡，医学死亡证明和火化记录一致；"
        "2026年2月仍发放高龄津贴100.00元。当月及以前的发放不受影响。",
        line="social_assistance",
        township="331124001",
        people=[(person, "self")],
        opened=ago(20),
        due=ago(3),
        articles=("《社会保险经办条例》第25条", "《社会保险经办条例》第26条"),
        conditions=(
            line(0, "yes", "死亡后继续发放"),
            line(1, "yes", "三处来源登记死亡，日期一致"),
            line(1, "yes", "死亡次月以后仍有发放", "《社会保险经办条例》第25条"),
            line(1, "no", "发放的款项已经退回"),
            line(1, "no", "死亡日期以后有生存迹象"),
        ),
        evidence=(
            proof(person, "registration.death", "death_date", "2026-01-04", "ga-huji", "SW-331124-20260109-003"),
            proof(person, "medical.death", "death_date", "2026-01-04", "weijian", "YX-20260104-0031", 2),
            proof(person, "funeral.cremation", "cremated_on", "2026-01-06", "binzang", "HH-20260106-12"),
            proof(person, "assistance.payment", "amount_fen", "10000", "minzheng", "FF-202602-118822"),
            proof(person, "assistance.payment", "period", "2026-02", "minzheng", "FF-202602-118822"),
        ),
    )


def funeral(t: Mapping[str, str]) -> Alert:
    """A death in the household register, nothing else to do but the family's affairs."""
    person = t["liu"]
    return alert(
        "funeral_affairs",
        f"person:{person}",
        "家属可联办身后事，请主动联系",
        "家属可联办身后事，请主动联系：户籍登记2026年3月5日死亡，已过等候期7天；"
        "可一并办理遗体火化补助、养老保险丧葬补助金、医保个人账户返还。",
        line="funeral",
        township="331126001",
        people=[(person, "self")],
        opened=ago(4),
        due=ago(-1),
        articles=("《浙江省殡葬管理条例》第9条",),
        conditions=(
            line(0, "yes", "身后事联办"),
            line(1, "yes", "死亡已登记，日期明确"),
            line(1, "yes", "已过等候期7天"),
            line(1, "unknown", "基本养老保险参保情况"),
        ),
        evidence=(
            proof(person, "registration.death", "death_date", "2026-03-05", "ga-huji", "SW-331126-20260306-001"),
        ),
        missing=(Missing("insurance.pension.status", person, "self", "renshe"),),
    )


def medical(t: Mapping[str, str]) -> Alert:
    """Twelve months of medical bills of a candidate home: a lead only."""
    return alert(
        "medical_warning",
        "candidate:" + digest("mei"),
        "医疗支出预警，请走访",
        "医疗支出预警，请走访：近12个月个人负担医疗费合计61,240.00元，超过预警线50,000.00元。"
        "家庭由户籍推定，尚未经认定，只作线索。",
        line="social_assistance",
        township="331181001",
        people=[(t["mei"], "member")],
        opened=ago(9),
        due=None,
        grade="lead",
        cause="time",
        articles=("特困人员和低收入人口动态监测意见 四（二）",),
        conditions=(
            line(0, "yes", "医疗支出预警"),
            line(1, "yes", "近12个月个人负担61,240.00元，超过预警线50,000.00元"),
            line(1, "yes", "窗口内医保结算数据完整"),
            line(1, "unknown", "家庭是否为共同生活家庭"),
        ),
        evidence=tuple(
            proof(t["mei"], "medical.settlement", "cash_fen", str(fen), "yibao", f"JS{2025000100 + n}")
            for n, fen in enumerate((1821000, 1644000, 1402000, 1257000))
        ),
        missing=(Missing("assistance.household.aid_household", None, None, "minzheng"),),
    )


def tekun(t: Mapping[str, str]) -> Alert:
    """An elder alone."""
    person = t["lan"]
    return alert(
        "tekun",
        f"person:{person}",
        "可能符合特困人员救助供养条件，请核实",
        "可能符合特困人员救助供养条件，请核实：已满60周岁，无劳动能力（《特困人员认定办法》第5条）；"
        "户籍载明无配偶、无子女；收入低于最低生活保障标准，财产状况经核对符合规定。",
        line="social_assistance",
        township="331127001",
        people=[(person, "self")],
        opened=ago(30),
        due=ago(10),
        amount_fen=141000,
        articles=("《特困人员认定办法》第4条", "《特困人员认定办法》第5条", "《特困人员认定办法》第6条"),
        conditions=(
            line(0, "yes", "特困人员救助供养"),
            line(1, "yes", "无劳动能力：已满60周岁", "《特困人员认定办法》第5条"),
            line(1, "yes", "无生活来源", "《特困人员认定办法》第6条"),
            line(2, "yes", "月收入0.00元，低于1083.00元"),
            line(2, "yes", "财产状况经核对符合规定"),
            line(1, "yes", "无法定赡养、抚养、扶养义务人", "《特困人员认定办法》第4条"),
            line(2, "yes", "子女清单经核实完整：没有子女"),
            line(2, "yes", "没有配偶"),
        ),
        evidence=(
            proof(person, "registration.resident", "birth_date", "1952-06-08", "ga-huji", "RK-331127-00027"),
            proof(person, "registration.kinship", "inventory_complete", "children", "ga-huji", "QS-331127-00027-C"),
            proof(person, "assistance.check", "property_tekun", "compliant", "minzheng", "HD-2026-00412"),
        ),
    )


def orphan(t: Mapping[str, str]) -> Alert:
    """Both parents dead."""
    child = t["zhou"]
    return alert(
        "orphan",
        f"person:{child}",
        "可能属于孤儿，请核实",
        "可能属于孤儿，请核实：未满18周岁；父母双方均有死亡登记（国办发〔2010〕54号 一）。",
        line="child_welfare",
        township="331121001",
        people=[(child, "self"), (digest("father"), "parent"), (digest("mother"), "parent")],
        opened=ago(2),
        due=ago(-18),
        articles=("国办发〔2010〕54号 一",),
        conditions=(
            line(0, "yes", "孤儿"),
            line(1, "yes", "未满18周岁"),
            line(1, "yes", "父母双方死亡或查找不到", "国办发〔2010〕54号 一"),
            line(2, "yes", "父亲已死亡"),
            line(2, "yes", "母亲已死亡"),
        ),
        evidence=(
            proof(child, "registration.resident", "birth_date", "2015-09-04", "ga-huji", "RK-331121-01207"),
            proof(digest("father"), "registration.death", "death_date", "2023-11-02", "ga-huji", "SW-331121-2023-118"),
            proof(digest("mother"), "medical.death", "death_date", "2026-02-27", "weijian", "YX-20260227-0009"),
        ),
    )


def defacto(t: Mapping[str, str]) -> Alert:
    """One parent dead, the other in prison."""
    child, father = t["chen"], t["chen_father"]
    return alert(
        "defacto_unsupported",
        f"person:{child}",
        "可能属于事实无人抚养儿童，请核实",
        "可能属于事实无人抚养儿童，请核实：母亲已死亡；父亲在监狱服刑，刑期30个月，不少于6个月"
        "（民发〔2019〕62号 一）。",
        line="child_welfare",
        township="331122001",
        people=[(child, "self"), (father, "parent")],
        opened=ago(6),
        due=ago(-14),
        articles=("民发〔2019〕62号 一",),
        conditions=(
            line(0, "yes", "事实无人抚养儿童"),
            line(1, "yes", "未满18周岁"),
            line(1, "yes", "一方死亡，另一方在监狱服刑6个月以上", "民发〔2019〕62号 一"),
        ),
        evidence=(
            proof(father, "justice.status", "kind", "prison", "sifa", "SF-2025-3391"),
            proof(father, "justice.status", "term_months", "30", "sifa", "SF-2025-3391"),
        ),
    )


def duplicate(t: Mapping[str, str]) -> Alert:
    """The same benefit in two counties."""
    person = t["lin"]
    return alert(
        "duplicate_benefit",
        f"person:{person}",
        "同一待遇在两地发放，请核实",
        "同一待遇在两地发放，请核实：2026年1月、2月最低生活保障同时由遂昌县和松阳县发放"
        "（《最低生活保障审核确认办法》第5条）。",
        line="social_assistance",
        township="331123001",
        people=[(person, "self")],
        opened=ago(15),
        due=ago(-5),
        articles=("《最低生活保障审核确认办法》第5条",),
        conditions=(
            line(0, "yes", "重复享受"),
            line(1, "yes", "两地所属期重叠2个月"),
            line(1, "no", "其中一地已经退回"),
        ),
        evidence=(
            proof(person, "assistance.payment", "paying_region", "331123", "minzheng", "FF-202601-220017"),
            proof(person, "assistance.payment", "paying_region", "331124", "minzheng", "FF-202601-318204"),
        ),
    )


def elder_age(t: Mapping[str, str]) -> Alert:
    """Eighty today."""
    person = t["pan"]
    return alert(
        "elder_age_allowance",
        f"person:{person}",
        "可能符合高龄津贴条件，请核实",
        "可能符合高龄津贴条件，请核实：已满80周岁（《老年人权益保障法》第33条）；户籍在本地；未见死亡登记；"
        "未在领取高龄津贴。",
        line="elder_care",
        township="331125001",
        people=[(person, "self")],
        opened=TODAY,
        due=ago(-20),
        cause="time",
        articles=("《老年人权益保障法》第33条",),
        conditions=(
            line(0, "yes", "高龄津贴"),
            line(1, "yes", "已满80周岁", "《老年人权益保障法》第33条"),
            line(1, "yes", "户籍在本地"),
            line(1, "yes", "未见死亡登记"),
            line(1, "no", "已在领取高龄津贴"),
        ),
        evidence=(proof(person, "registration.resident", "birth_date", "1946-03-16", "ga-huji", "RK-331125-00461"),),
    )


EVERY: Final[tuple[Build, ...]] = (
    *(dibao, death_benefit, funeral, medical, tekun, orphan, defacto, duplicate, elder_age),
)
