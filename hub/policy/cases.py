"""Runs decision cases: one case is a home of the catalogue's own kind, decided by the catalogue's own rule.

The format (fields, closed world, `sequence`) is described in docs/guide/decision-cases.md. Pure: the caller reads the
file. There is no second engine: a case becomes facts, contributions and a home, and `catalogue.decide` answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple

from hub.domain.homes import Home, HomeKind, Member
from hub.domain.messages import Fact, Missing
from hub.policy.case_facts import HOUSEHOLD, UNKNOWN, CannotExpress, facts_of, fen, kinship
from hub.policy.case_words import BENEFITS, RELATIONS
from hub.policy.catalogue import RULES, decide, topics_for
from hub.policy.findings import Finding
from hub.policy.parameters import NATION, Entry, PolicyBook, Value

ALIASES: Final = {"household": "dibao"}
"""Names in cases for a rule that answers them: `household` asks 低保 for who counts."""
State = Literal["passed", "failed", "not_built", "cannot_express"]
_MONEY: Final = {
    "dibao_monthly": "dibao_monthly_fen",
    "tekun_monthly": "tekun_monthly_fen",
    "disposable_income_annual": "disposable_income_annual_fen",
    "warning_self_paid_annual": "warning_self_paid_annual_fen",
    "orphan_monthly_institution": "orphan_monthly_institution_fen",
    "defacto_monthly": "defacto_monthly_fen",
}
_COUNTS: Final = {
    "minor_age": "tekun.minor_age",
    "high_age": "elder_age.from_age",
    "low_income_age": "elder_age.from_age",
    "centenarian_age": "elder_age.centenarian_age",
}
_FIELDS: Final = {
    "registration.resident.birth_date": "birth_date",
    "registration.resident.status": "hukou_status",
    "assistance.check.income": "income",
    "disability.certificate.valid_until": "disability",
    "disability.certificate.status": "disability",
    "registration.death.death_date": "facts",
    "medical.death.death_date": "facts",
    "funeral.cremation.death_date": "facts",
    "justice.status.care_given": "facts",
    "justice.status.term_months": "facts",
    "source.coverage.justice.status": "facts",
    "source.coverage.disability.certificate": "disability",
    "source.coverage.assistance.payment": "payments",
    "source.coverage.insurance.pension": "payments",
    "source.coverage.medical.settlement": "medical_self_paid_12m",
}
"""Our name of a missing input → the member field of a case."""
_HOUSEHOLD_FIELDS: Final = {
    "assistance.check.property_dibao": "household.property",
    "assistance.check.property_tekun": "household.property",
    "assistance.check.property_low_income": "household.property",
    "assistance.application.authorised_on": "household.authorisation_finance",
    "assistance.investigation.deductions": "household.deductions",
    "assistance.household.aid_household": "household.members",
    "assistance.benefit.until": "benefits.to",
    "source.coverage.assistance.benefit": "benefits",
}
_INVENTORIES: Final = {"child": "children_register", "spouse": "spouse_register", "parent": "parents"}


class Verdict(NamedTuple):
    """What came of one case, or of one step of it."""

    id: str
    rule: str
    state: State
    expected: str
    got: str
    notes: tuple[str, ...] = ()
    finding: Finding | None = None


def run(case: Mapping[str, Any], book: PolicyBook) -> list[Verdict]:
    """Decide a case, step by step where it has a sequence."""
    rule = rule_of(case)
    if rule not in RULES:
        return [Verdict(str(case["id"]), rule, "not_built", str(case["expect"]["decision"]), "")]
    verdicts: list[Verdict] = []
    before: str | None = None
    for name, current, expected in _steps(case):
        try:
            finding = answer(current, book)
        except CannotExpress as field:
            verdicts.append(
                Verdict(name, rule, "cannot_express", str(expected["decision"]), "", (f"no schema carries {field}",))
            )
            continue
        verdicts.append(_judge(name, rule, finding, expected, before))
        before = finding.truth if finding is not None else "no"
    return verdicts


def answer(case: Mapping[str, Any], book: PolicyBook) -> Finding | None:
    """The finding of the case's rule on the case's subject; None where the rule does not apply."""
    on = _date(case["as_of"])
    own_book = book.overridden(_parameters(case.get("parameters") or {}), "case")
    found = decide(home_of(case), own_book, on)
    return next((finding for finding in found if finding.rule == rule_of(case)), None)


def rule_of(case: Mapping[str, Any]) -> str:
    """Id of the rule that answers a case; one that is not built keeps its own name."""
    return ALIASES.get(str(case["rule"]), str(case["rule"]))


def home_of(case: Mapping[str, Any]) -> Home:
    """The home a case describes, with no more facts than each role would contribute."""
    kind: HomeKind = "household" if "household" in RULES[rule_of(case)].homes else "person"
    listed: list[Mapping[str, Any]] = list(case["household"]["members"])
    if kind == "household":
        return Home(
            f"household:{HOUSEHOLD}",
            tuple(
                Member(one["ref"], ("member",), _carried(kind, ("member",), facts_of(one, case, True)))
                for one in sorted(listed, key=lambda one: str(one["ref"]))
            ),
        )
    subject = str(case["expect"].get("subject", "p1"))
    subject = subject if any(one["ref"] == subject for one in listed) else "p1"
    ties = list(_ties(listed, subject))
    members: list[Member] = []
    for one in listed:
        ref = one["ref"]
        roles = ("self",) if ref == subject else tuple(_ROLE[relation] for other, relation, _ in ties if other == ref)
        if roles:
            facts = list(facts_of(one, case, False))
            if ref == subject:
                facts += kinship(subject, ties, _complete(case["household"]), str(case["region"]), _date(case["as_of"]))
            members.append(Member(ref, roles, _carried(kind, roles, facts)))
    return Home(f"person:{subject}", tuple(sorted(members, key=lambda member: member.person)))


_ROLE: Final = {"father": "parent", "mother": "parent", "son": "child", "daughter": "child", "spouse": "spouse"}


def _ties(listed: Sequence[Mapping[str, Any]], subject: str) -> Iterator[tuple[str, str, str]]:
    """What the others are to the subject, from what everybody is to p1."""
    to_first = {str(one["ref"]): str(one["relation"]) for one in listed}
    own = RELATIONS.get(to_first[subject], "other")
    for ref, word in to_first.items():
        relation = RELATIONS.get(word, "other")
        if ref == subject:
            continue
        if own == "self":
            if relation in _ROLE:
                yield ref, relation, _nature(word, relation)
        elif own in ("son", "daughter") and relation in ("self", "spouse"):
            sex = next(str(one.get("sex")) for one in listed if one["ref"] == ref)
            yield ref, "mother" if sex == "female" else "father", _nature(to_first[subject], own)
        elif own in ("father", "mother") and relation == "self":
            yield ref, "son", "blood"
        elif own == "spouse" and relation == "self":
            yield ref, "spouse", "marriage"


def _nature(word: str, relation: str) -> str:
    if relation == "spouse":
        return "marriage"
    return "adopted" if word.startswith("养") else "step" if word.startswith("继") else "blood"


def _complete(household: Mapping[str, Any]) -> list[str]:
    """Closed world: a list of kin is complete unless the case says that it was not received."""
    gaps = ("missing", UNKNOWN)
    fields = {"children": "children_register", "spouse": "spouse_register", "parents": "parents"}
    told = {kind: household.get(field) not in gaps for kind, field in fields.items()}
    if household.get("father_record") in gaps or household.get("mother_record") in gaps:
        told["parents"] = False
    return [kind for kind, complete in told.items() if complete]


def _carried(kind: HomeKind, roles: tuple[str, ...], facts: Sequence[Fact]) -> tuple[Fact, ...]:
    topics = frozenset[str]().union(*(topics_for(kind, role) for role in roles)) | {"source.coverage"}
    return tuple(sorted((fact for fact in facts if fact.topic in topics), key=lambda f: (f.source, f.record_id)))


def _parameters(given: Mapping[str, Any]) -> dict[str, Value | list[Entry]]:
    """The case's figures under our keys. `unknown` takes the key away; what no rule here reads is left out."""
    values: dict[str, Value | list[Entry]] = {"income.window_months": 12}
    for name, value in given.items():
        key = _MONEY.get(name) or _COUNTS.get(name)
        if key is not None and value == UNKNOWN:
            values[key] = []
        elif name in _MONEY:
            key = _MONEY[name]
            values[key] = (
                [_entry(key, fen(one["value"]), one["from"]) for one in value]
                if isinstance(value, list)
                else fen(value)
            )
        elif name in _COUNTS:
            values[_COUNTS[name]] = int(value)
        elif name == "orphan_scattered_ratio":
            values[name] = Fraction(str(value))
        elif name == "low_income_scope":
            values["elder_age.scope"] = tuple(BENEFITS[word] for word in value)
        elif name == "basic_pension_excluded_until":
            values["income.basic_pension_counts"] = _basic_pension(value, given)
    return values


def _basic_pension(until: Any, given: Mapping[str, Any]) -> list[Entry]:
    key = "income.basic_pension_counts"
    last = _date(until)
    entries = [_entry(key, False, date.min, last)]
    later = given.get("basic_pension_exclusion_after_2025", UNKNOWN)
    if later != UNKNOWN:
        entries.append(_entry(key, not later, date.fromordinal(last.toordinal() + 1)))
    return entries


def _entry(key: str, value: Value, since: Any, until: date | None = None) -> Entry:
    return Entry(
        region=NATION, key=key, value=value, effective_from=_date(since), effective_to=until, source="case", mark="K"
    )


def _steps(case: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Name, state of the case, expectation: once, or for each step with its changes applied."""
    if not case.get("sequence"):
        yield str(case["id"]), case, case["expect"]
        return
    current = deepcopy(dict(case))
    for step in case["sequence"]:
        for path, value in (step.get("change") or {}).items():
            if path == "ANNULLED":
                _remove(current, str(value))
            elif not path.isupper():
                _assign(current, path, value)
        yield f"{case['id']}#{step['step']}", current, step["expect"]


def _walk(case: dict[str, Any], path: str) -> tuple[Any, Any]:
    """The container and the last key of a path such as p1.income[0].monthly."""
    keys: list[Any] = [int(number) if number else word for word, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)]
    here: Any = case
    if re.fullmatch(r"p\d+", str(keys[0])):
        here = next(one for one in case["household"]["members"] if one["ref"] == keys[0])
        keys = keys[1:]
    for key in keys[:-1]:
        here = here[key]
    return here, keys[-1]


def _assign(case: dict[str, Any], path: str, value: Any) -> None:
    here, key = _walk(case, path)
    if isinstance(here, list) and key == len(here):
        here.append(value)
    else:
        here[key] = value


def _remove(case: dict[str, Any], path: str) -> None:
    """Take an item away; a remark that is no path (as `settlement#2 (30000)`) changes nothing by itself."""
    if not re.fullmatch(r"[\w.\[\]]+", path):
        return
    here, key = _walk(case, path)
    del here[key]


def _judge(name: str, rule: str, finding: Finding | None, expected: Mapping[str, Any], before: str | None) -> Verdict:
    got = finding.truth if finding is not None else "no"
    notes: list[str] = []
    if got != expected["decision"]:
        notes.append(f"decision {got}, expected {expected['decision']}")
    if finding is not None:
        notes += _differences(rule, finding, expected)
    effect = expected.get("alert_effect")
    if effect is not None and before is not None:
        now = "create" if before != "yes" == got else "withdraw" if before == "yes" != got else "none"
        if now != effect.removesuffix("_new_task"):
            notes.append(f"alert_effect {now}, expected {effect}")
    state: State = "failed" if notes else "passed"
    return Verdict(name, rule, state, str(expected["decision"]), got, tuple(notes), finding)


def _differences(rule: str, finding: Finding, expected: Mapping[str, Any]) -> list[str]:
    notes: list[str] = []
    because = expected.get("because") or []
    cited = {*finding.articles, *RULES[rule].articles}
    if because and not cited & set(because):
        notes.append(f"cites {sorted(cited)}, expected one of {because}")
    if "missing" in expected:
        missing = sorted({path(item) for item in finding.missing})
        if missing != sorted(expected["missing"] or []):
            notes.append(f"missing {missing}, expected {sorted(expected['missing'] or [])}")
    if finding.truth == "yes" and finding.amount_fen is not None:
        if "amount" in expected and finding.amount_fen != fen(expected["amount"]):
            notes.append(f"amount {finding.amount_fen / 100}, expected {expected['amount']}")
        if "amount_min" in expected and finding.amount_fen < fen(expected["amount_min"]):
            notes.append(f"amount {finding.amount_fen / 100}, expected at least {expected['amount_min']}")
        if "amount_max" in expected and finding.amount_fen > fen(expected["amount_max"]):
            notes.append(f"amount {finding.amount_fen / 100}, expected at most {expected['amount_max']}")
    elif finding.truth == "yes" and "amount" in expected:
        notes.append(f"no amount, expected {expected['amount']}")
    if "counted" in expected and finding.truth == "yes":
        counted = sorted(one.person for one in finding.people)
        if counted != sorted(expected["counted"]):
            notes.append(f"counted {counted}, expected {sorted(expected['counted'])}")
    return notes


def path(item: Missing) -> str:
    """A missing input as a case names it."""
    if item.field.startswith("parameter."):
        key = item.field.removeprefix("parameter.")
        named = {ours: theirs for theirs, ours in (*_MONEY.items(), *_COUNTS.items())}
        return f"parameter.{named.get(key, key)}"
    if item.field == "registration.kinship.inventory_complete":
        return f"household.{_INVENTORIES[item.role or 'child']}"
    if item.field in _HOUSEHOLD_FIELDS:
        return _HOUSEHOLD_FIELDS[item.field]
    if item.field in _FIELDS:
        return f"{item.person or 'household'}.{_FIELDS[item.field]}"
    return item.field


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
