"""Named code lists. Events carry codes as strings (an Avro enum could never grow); each list lives here once.

Each list maps the code to its Chinese label. Source mappings translate a department's own codes into these.
"""

from __future__ import annotations

from typing import Final

CHANGE: Final = {"UPSERT": "新增或更正", "ANNUL": "撤销", "ERASED": "已按个保法删除"}

SEX: Final = {"0": "未知", "1": "男", "2": "女", "9": "未说明"}  # GB/T 2261.1

RELATION: Final = {
    "self": "本人",
    "spouse": "配偶",
    "son": "子",
    "daughter": "女",
    "father": "父",
    "mother": "母",
    "grandchild": "孙子女",
    "grandparent": "祖父母",
    "sibling": "兄弟姐妹",
    "other": "其他",
}

KINSHIP_NATURE: Final = {"blood": "亲生", "adopted": "收养", "step": "继", "guardian": "监护", "marriage": "婚姻"}

INVENTORY: Final = {"children": "子女", "spouse": "配偶", "parents": "父母"}

RESIDENT_STATUS: Final = {
    "registered": "在册",
    "cancelled_death": "死亡注销",
    "moved_out": "迁出",
    "abroad": "出境注销",
}

ID_KIND: Final = {"citizen": "居民身份证", "none": "无证", "hmt": "港澳台居住证", "foreign": "外国人"}

IDENTITY_REASON: Final = {
    "corrected": "更正",
    "duplicate": "重号",
    "upgraded": "15位升18位",
    "foundling": "拾婴入户",
}

RESIDENCE_EVIDENCE: Final = {"permit": "居住证", "floating": "流动人口登记", "grid": "网格核实"}

ROLE: Final = {"self": "本人", "member": "家庭成员", "parent": "父母", "child": "子女", "spouse": "配偶"}
"""What a contributor is to a home."""

HOME: Final = {"person": "个人", "household": "共同生活家庭", "candidate": "候选家庭（户籍推定）"}

BENEFIT: Final = {
    "dibao": "最低生活保障",
    "dibao_margin": "最低生活保障边缘",
    "tekun": "特困人员救助供养",
    "rigid": "刚性支出困难",
    "orphan": "孤儿基本生活保障",
    "defacto_unsupported": "事实无人抚养儿童基本生活保障",
    "disability_living": "困难残疾人生活补贴",
    "disability_care": "重度残疾人护理补贴",
    "elder_age": "高龄津贴",
    "elder_service": "养老服务补贴",
    "temporary_aid": "临时救助",
    "medical_aid": "医疗救助",
}

BENEFIT_STATUS: Final = {"active": "在享", "taper": "渐退", "suspended": "暂停", "ended": "终止"}

INCOME: Final = {
    "wage": "工资性收入",
    "wage_new": "新增就业工资",
    "business": "经营净收入",
    "farm": "务农收入",
    "casual": "零工收入",
    "property": "财产净收入",
    "land_transfer": "土地流转收入",
    "support_received": "赡养（抚养、扶养）费",
    "pension_employee": "职工基本养老金",
    "pension_public": "机关事业养老金",
    "pension_resident_basic": "城乡居民基础养老金",
    "pension_resident_account": "城乡居民个人账户养老金",
    "veteran": "优待抚恤金",
    "family_planning": "计划生育奖励扶助",
    "scholarship": "奖学金助学金",
    "social_aid": "社会救助金",
    "elder_age": "高龄津贴",
    "injury_care": "工伤生活护理费",
}

DEDUCTION: Final = {
    "illness": "因病刚性支出",
    "disability": "因残刚性支出",
    "work_cost": "就业成本",
    "education": "教育支出",
}

RIGID_SPENDING: Final = {
    "medical": "医疗",
    "education": "教育",
    "rent": "房租",
    "property_fee": "物业费",
    "support_paid": "赡养费",
    "rehabilitation": "残疾康复",
}

PROPERTY: Final = {"compliant": "符合", "non_compliant": "不符合", "unknown": "未核定"}

DISABILITY: Final = {
    "limb": "肢体",
    "sight": "视力",
    "hearing": "听力",
    "speech": "言语",
    "intellectual": "智力",
    "mental": "精神",
}

CERTIFICATE_STATUS: Final = {"valid": "有效", "frozen": "冻结", "cancelled": "注销"}

JUSTICE: Final = {
    "prison": "监狱服刑",
    "outside_prison": "监外执行",
    "compulsory_detox": "强制隔离戒毒",
    "detention": "刑事拘留或逮捕",
    "declared_missing": "宣告失踪",
    "declared_dead": "宣告死亡",
    "lost_contact": "失联",
    "guardianship_revoked": "撤销监护资格",
    "deported": "驱逐遣送出境",
}

SCHEME: Final = {
    "medical_employee": "职工基本医疗保险",
    "medical_resident": "城乡居民基本医疗保险",
    "pension_employee": "职工基本养老保险",
    "pension_public": "机关事业单位养老保险",
    "pension_resident": "城乡居民基本养老保险",
}

SETTLEMENT: Final = {
    "inpatient": "住院",
    "outpatient": "普通门诊",
    "chronic": "门诊慢特病",
    "pharmacy": "药店",
    "manual": "手工报销",
}

NOT_COUNTED: Final = {
    "prison": "在监狱内服刑",
    "compulsory_detox": "强制隔离戒毒",
    "declared_missing": "宣告失踪",
    "clergy": "脱离家庭独立生活三年以上的宗教教职人员",
    "not_living_together": "不共同生活",
}

OUTCOME: Final = {
    "accepted": "已受理",
    "helped": "已落实救助",
    "already_served": "已在享或已办理",
    "not_eligible": "核实后不符合",
    "source_wrong": "数源有误",
    "unreachable": "无法联系",
    "declined": "本人不愿申请",
}

OUTCOME_CLOSES: Final = frozenset({"helped", "already_served", "not_eligible", "source_wrong", "declined"})
"""Outcomes that end the case; the others leave it open."""

OUTCOME_REASON: Final = {
    "income_changed": "收入与记录不符",
    "property_changed": "财产与记录不符",
    "not_living_together": "并非共同生活",
    "person_alive": "本人健在",
    "supporter_found": "有履行能力的义务人",
    "paid_elsewhere": "已由他处保障",
    "moved_away": "已迁离本地",
    "record_wrong": "记录错误，已通知数源单位",
    "other": "其他",
}

CONFLICT: Final = {
    "dead_and_alive": "一处登记死亡、另一处仍有生存迹象",
    "birth_dates_differ": "出生日期不一致",
    "unknown_in_registration": "户籍中查无此人",
    "two_live_households": "同时属于两个在册救助家庭",
    "version_collision": "同一版本内容不同",
    "deaths_differ": "死亡日期不一致",
    "replaced_identity": "已被替换的身份仍有新记录",
}

QUARANTINE_REASONS: Final = {
    "bad_magic": "消息首字节不是 0",
    "truncated": "消息不完整",
    "unknown_schema": "未知的模式编号",
    "null_key": "消息没有键",
    "key_mismatch": "消息键与记录所属人不符",
    "oversize": "超过消息大小上限",
    "citizen_id_check": "公民身份号码校验位不符",
    "citizen_id_form": "公民身份号码格式不符",
    "impossible_date": "日期不存在",
    "not_a_number": "金额不是数字",
    "unknown_region": "行政区划代码从未存在",
    "unknown_code": "代码不在约定的代码表中",
    "missing_field": "必填字段为空",
    "duplicate_header": "文件表头有重复列",
    "wrong_encoding": "文件编码与约定不符",
    "broken_row": "行的列数与表头不符",
    "unreadable_file": "文件无法读取",
    "schema_misfit": "记录与模式不符",
    "fold_failed": "程序无法归并该记录",
}

DIMENSION: Final = {
    "conformity": "规范性",
    "completeness": "完整性",
    "accuracy": "准确性",
    "consistency": "一致性",
    "timeliness": "时效性",
    "accessibility": "可访问性",
}
"""GB/T 36344-2018 data quality dimensions."""

TOPIC: Final = {
    "registration.resident": "户籍登记",
    "registration.identity": "公民身份变更",
    "registration.residence": "居住登记",
    "registration.kinship": "亲属关系",
    "registration.death": "死亡注销",
    "medical.death": "医学死亡证明",
    "funeral.cremation": "火化记录",
    "justice.status": "司法状态",
    "medical.settlement": "医保结算",
    "insurance.enrolment": "参保",
    "insurance.pension": "养老金发放",
    "disability.certificate": "残疾人证",
    "assistance.household": "救助家庭成员",
    "assistance.application": "救助申请",
    "assistance.check": "核对报告",
    "assistance.investigation": "入户调查",
    "assistance.benefit": "在享救助",
    "assistance.payment": "救助资金发放",
    "source.coverage": "数据覆盖说明",
}
"""Topics, without version, as a caseworker names them."""
