"""The words of decision cases, as caseworkers write them, and the codes of events they stand for."""

from __future__ import annotations

from typing import Final

BENEFITS: Final = {
    "低保": "dibao",
    "低保边缘": "dibao_margin",
    "特困": "tekun",
    "刚性支出困难家庭": "rigid",
    "孤儿": "orphan",
    "事实无人抚养": "defacto_unsupported",
    "事实无人抚养儿童": "defacto_unsupported",
    "困难残疾人生活补贴": "disability_living",
    "重度残疾人护理补贴": "disability_care",
    "高龄津贴": "elder_age",
    "养老服务补贴": "elder_service",
    "临时救助": "temporary_aid",
    "医疗救助": "medical_aid",
}
INCOME: Final = {
    "工资": "wage",
    "工资_新增就业": "wage_new",
    "经营": "business",
    "务农": "farm",
    "零工": "casual",
    "财产性收入": "property",
    "土地流转": "land_transfer",
    "赡养费": "support_received",
    "养老金": "pension_employee",
    "机关事业养老金": "pension_public",
    "城乡居民基础养老金": "pension_resident_basic",
    "城乡居民个人账户养老金": "pension_resident_account",
    "优待抚恤金": "veteran",
    "计划生育奖励扶助": "family_planning",
    "奖学金": "scholarship",
    "社会救助金": "social_aid",
    "高龄津贴": "elder_age",
    "工伤生活护理费": "injury_care",
}
DISABILITY: Final = {
    "肢体": "limb",
    "视力": "sight",
    "听力": "hearing",
    "言语": "speech",
    "智力": "intellectual",
    "精神": "mental",
}
JUSTICE: Final = {
    "prison": "prison",
    "sentence_served_outside_prison": "outside_prison",
    "compulsory_detox": "compulsory_detox",
    "criminal_detention": "detention",
    "declared_missing": "declared_missing",
    "declared_dead": "declared_dead",
    "lost_contact": "lost_contact",
    "guardianship_revoked": "guardianship_revoked",
    "deported": "deported",
}
DEDUCTIONS: Final = {"因病": "illness", "因残": "disability", "就业成本": "work_cost", "教育": "education"}
STATUS: Final = {"在享": "active", "渐退": "taper", "暂停": "suspended", "终止": "ended"}
PENDING: Final = ("申请中", "待审核", "pending")
RELATIONS: Final = {
    "本人": "self",
    "配偶": "spouse",
    "子": "son",
    "女": "daughter",
    "养子": "son",
    "养女": "daughter",
    "父": "father",
    "母": "mother",
    "养父": "father",
    "养母": "mother",
    "继父": "father",
    "继母": "mother",
    "祖父": "grandparent",
    "祖母": "grandparent",
    "孙": "grandchild",
}
MEMBER_FIELDS: Final = frozenset(
    {
        *("ref", "relation", "birth_date", "sex", "student", "income", "disability", "facts", "hukou_status"),
        *("lives_together", "long_term_coresident", "away_for_work", "left_home_since", "own_household", "clergy"),
        *("living_alone", "empty_nest", "caring", "visits", "notified", "basic_medical", "pension_insurance"),
        *("medical_self_paid_12m", "medical_bills", "payments", "alive_check", "property", "id_token"),
    }
)
"""Member fields that are read, or that none of the rules built here depends on."""
