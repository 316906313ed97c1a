"""Which code list of `hub.domain.codes` a field of an event draws on: a mapping that yields another code is refused.

The schemas name most lists in their documentation; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from hub.domain import codes

FIELD_CODES: Final[dict[str, Collection[str]]] = {
    "registration.resident.hukou_kind": ("family", "collective"),
    "registration.resident.relation_to_head": codes.RELATION,
    "registration.resident.status": codes.RESIDENT_STATUS,
    "registration.resident.sex": codes.SEX,
    "registration.resident.id_kind": codes.ID_KIND,
    "registration.identity.reason": codes.IDENTITY_REASON,
    "registration.residence.evidence": codes.RESIDENCE_EVIDENCE,
    "registration.kinship.relation": codes.RELATION,
    "registration.kinship.nature": codes.KINSHIP_NATURE,
    "registration.kinship.inventory_complete": codes.INVENTORY,
    "registration.death.precision": ("day", "month", "year"),
    "registration.death.kind": ("natural", "declared"),
    "medical.death.precision": ("day", "month", "year"),
    "justice.status.kind": codes.JUSTICE,
    "medical.settlement.kind": codes.SETTLEMENT,
    "insurance.enrolment.scheme": codes.SCHEME,
    "insurance.enrolment.status": ("active", "suspended", "ended"),
    "insurance.enrolment.subsidised_as": codes.BENEFIT,
    "insurance.pension.scheme": codes.SCHEME,
    "insurance.pension.status": ("paying", "suspended", "ended"),
    "disability.certificate.status": codes.CERTIFICATE_STATUS,
    "disability.certificate.components.category": codes.DISABILITY,
    "assistance.household.relation_to_applicant": codes.RELATION,
    "assistance.household.counted_reason": codes.NOT_COUNTED,
    "assistance.application.benefit": codes.BENEFIT,
    "assistance.application.result": ("granted", "refused", "withdrawn"),
    "assistance.check.income.type": codes.INCOME,
    "assistance.check.property_dibao": codes.PROPERTY,
    "assistance.check.property_margin": codes.PROPERTY,
    "assistance.check.property_tekun": codes.PROPERTY,
    "assistance.check.property_low_income": codes.PROPERTY,
    "assistance.check.property_rigid": codes.PROPERTY,
    "assistance.investigation.income.type": codes.INCOME,
    "assistance.investigation.deductions.type": codes.DEDUCTION,
    "assistance.investigation.rigid_spending.type": codes.RIGID_SPENDING,
    "assistance.investigation.labour_finding": ("able", "partly", "unable"),
    "assistance.benefit.type": codes.BENEFIT,
    "assistance.benefit.status": codes.BENEFIT_STATUS,
    "assistance.benefit.income_pattern": ("regular", "irregular"),
    "assistance.payment.benefit": codes.BENEFIT,
    "source.coverage.scope": ("region", "person"),
    "source.coverage.delivery": ("full", "delta"),
}
"""`topic.field` → codes it may hold. Short lists that only a schema names are written out."""

PERSON_FIELDS: Final = frozenset(
    {
        "registration.identity.old_person",
        "registration.identity.new_person",
        "registration.residence.lives_with",
        "registration.kinship.other",
        "assistance.check.covered_persons",
        "assistance.check.income.person",
        "assistance.investigation.covered_persons",
        "assistance.investigation.income.person",
    }
)
"""Fields that hold a person's token: a mapping may fill them by `person` only, so that no number gets through."""

TOKEN_FIELDS: Final = frozenset({"registration.resident.hukou"})
"""Fields that hold another keyed token: a mapping may fill them by `token` only."""

CHECKED_FIELDS: Final = frozenset(
    {
        "registration.resident.id_check",
        "registration.resident.id_birth_agrees",
        "registration.resident.id_sex_agrees",
        "registration.resident.id_prefix_era",
    }
)
"""Fields that the connector fills itself, from the check of the citizen number."""
