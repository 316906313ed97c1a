"""A store as it stands in the middle of a working week: cases in every state, quality, quarantine, processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from hub.domain.messages import Alert, Conflict, ConflictParty, Disposition, FindingChange, Missing, Quarantined
from hub.domain.times import at_noon_ms
from hub.quality.projector import project_conflicts, project_findings, project_quarantine
from hub.quality.service import store_results
from hub.store.models import Case, CaseHistory, DispositionRow, IngestCount, Outbox, Process, Release
from tests.browser import alerts
from tests.browser.days import NOW_MS, ago
from tests.browser.results import RESULTS

HOUR_MS: Final = 3_600_000
SCRIPT: Final = "<script>document.title='被改写'</script><img src=x onerror=\"document.title='被改写'\">"
"""What somebody might type, or a source might send, to run a script in a colleague's browser."""


def case_of(alert: Alert, *, work_state: str = "new", outcome: str | None = None, released: bool = True) -> Case:
    """The case of an alert, as the dispatcher keeps it."""
    return Case(
        alert_id=alert.alert_id,
        rule=alert.rule,
        subject=alert.subject,
        home=alert.home,
        line=alert.line,
        region=alert.region,
        township=alert.township,
        grade=alert.grade,
        alert_state=alert.state,
        revision=alert.revision,
        title=alert.title,
        amount_fen=alert.amount_fen,
        body=msgspec.to_builtins(alert),
        opened_on=alert.opened_on,
        due_on=alert.due_on,
        work_state=work_state,
        outcome=outcome,
        released=released,
        updated_at=at_noon_ms(alert.opened_on),
        lock=1,
    )


def happened(alert: Alert, kind: str, day: date, actor: str, hours: float = 0, **detail: Any) -> CaseHistory:
    """One line of a case's history."""
    at = at_noon_ms(day) + round(hours * HOUR_MS)
    return CaseHistory(alert_id=alert.alert_id, revision=alert.revision, at=at, kind=kind, actor=actor, detail=detail)


def sent(alert: Alert, state: str, *, attempts: int = 1, error: str | None = None) -> Outbox:
    """One revision in the outbox."""
    return Outbox(
        alert_id=alert.alert_id,
        revision=alert.revision,
        line=alert.line,
        rule=alert.rule,
        region=alert.region,
        township=alert.township,
        state=state,
        body=msgspec.to_builtins(alert),
        webhook_id=alerts.digest(alert.alert_id, alert.revision),
        attempts=attempts,
        next_attempt_at=NOW_MS,
        last_error=error,
        created_at=at_noon_ms(alert.opened_on),
        accepted_at=NOW_MS if state == "accepted" else None,
    )


def plant(db: Session, tokens: Mapping[str, str]) -> dict[str, str]:
    """Write everything; returns name → alert id of the cases that tests ask for."""
    named = {build.__name__: build(tokens) for build in alerts.EVERY}
    states: dict[str, tuple[str, str | None]] = {
        "tekun": ("working", "accepted"),
        "duplicate": ("closed", "source_wrong"),
        "medical": ("working", "unreachable"),
    }
    withdrawn = msgspec.structs.replace(named["funeral"], state="WITHDRAWN", revision=2, cause="facts")
    named["funeral"] = withdrawn
    for name, alert in named.items():
        work_state, outcome = states.get(name, ("withdrawn" if alert is withdrawn else "new", None))
        db.add(case_of(alert, work_state=work_state, outcome=outcome))
        first = msgspec.structs.replace(alert, revision=1)
        db.add(happened(first, "opened", alert.opened_on, "hub", cause=alert.cause))
        db.add(happened(first, "delivered", alert.opened_on, f"line:{alert.line}", hours=0.2))
        db.add(sent(alert, "pending" if name in ("orphan", "elder_age") else "accepted"))
        if alert.revision > 1:
            kind = "withdrawn" if alert is withdrawn else "amended"
            db.add(happened(alert, kind, ago(3), "hub", cause="facts"))
        if outcome is not None:
            _disposed(db, alert, outcome)
    db.add(happened(named["tekun"], "receipt", ago(28), "line:social_assistance", status="accepted"))
    shadow = msgspec.structs.replace(named["elder_age"], alert_id=alerts.digest("shadow"), region="331126")
    db.add(case_of(shadow, released=False))
    db.add(sent(shadow, "shadow", attempts=0))
    refused = msgspec.structs.replace(named["dibao"], alert_id=alerts.digest("refused"), revision=1)
    db.add(sent(refused, "refused", attempts=13, error="http_503"))
    hostile = msgspec.structs.replace(
        named["elder_age"],
        alert_id=alerts.digest("hostile"),
        title=f"标题含脚本 {SCRIPT}",
        explanation=f"说明含脚本 {SCRIPT}",
        due_on=ago(-2),
    )
    db.add(case_of(hostile))
    _many(db, named)
    _quality(db)
    _operation(db)
    ids = {name: alert.alert_id for name, alert in named.items()}
    return ids | {"shadow": shadow.alert_id, "hostile": hostile.alert_id}


def _disposed(db: Session, alert: Alert, outcome: str) -> None:
    at = at_noon_ms(ago(1))
    db.add(happened(alert, "disposition", ago(1), "caseworker", outcome=outcome))
    db.add(
        DispositionRow(
            disposition_id=alerts.digest("disposition", alert.alert_id),
            alert_id=alert.alert_id,
            body=msgspec.to_builtins(
                Disposition(
                    disposition_id=alerts.digest("disposition", alert.alert_id),
                    alert_id=alert.alert_id,
                    home=alert.home,
                    subject=alert.subject,
                    rule=alert.rule,
                    revision=alert.revision,
                    evidence_hash=alert.evidence_hash,
                    policy_hash=alert.policy_hash,
                    outcome=outcome,
                    reason="record_wrong" if outcome == "source_wrong" else None,
                    suppress=outcome == "source_wrong",
                    by="caseworker",
                    made_at=at,
                )
            ),
            note="已电话通知数源单位更正。" if outcome == "source_wrong" else None,
            made_at=at,
            published=True,
        )
    )


def _many(db: Session, named: Mapping[str, Alert]) -> None:
    """Forty more elders, so that the queue has pages."""
    townships = ("331102002", "331102003", "331121001", "331122001", "331123001", "331181001")
    for number in range(40):
        township = townships[number % len(townships)]
        alert = msgspec.structs.replace(
            named["elder_age"],
            alert_id=alerts.digest("elder", number),
            region=township[:6],
            township=township,
            opened_on=ago(number % 9),
            due_on=ago(number % 9 - 20),
        )
        db.add(case_of(alert))
        db.add(sent(alert, "accepted"))


def _quality(db: Session) -> None:
    store_results(db, RESULTS)
    missing = (
        Missing("assistance.check.income", None, "member", "minzheng"),
        Missing("parameter.tekun_monthly_fen"),
        Missing("source.coverage.medical.settlement", None, None, "yibao"),
    )
    project_findings(
        db,
        [
            FindingChange(
                rule=("dibao", "tekun", "medical_warning")[number % 3],
                subject=f"household:{alerts.digest(number)}",
                home=f"household:{alerts.digest(number)}",
                truth="unknown",
                region="331102",
                missing=missing[: 1 + number % 3],
                sequence=1,
                policy_hash=alerts.digest("policy"),
                decided_on=ago(1),
                decided_at=NOW_MS,
            )
            for number in range(37)
        ],
    )
    kinds = (
        ("dead_and_alive", "registration.death.death_date", ("ga-huji", "yibao")),
        ("dead_and_alive", "registration.death.death_date", ("ga-huji", "yibao")),
        ("birth_dates_differ", "registration.resident.birth_date", ("ga-huji", "renshe")),
        ("two_live_households", "assistance.household.aid_household", ("minzheng",)),
    )
    project_conflicts(
        db,
        [
            Conflict(
                conflict_id=alerts.digest("conflict", number),
                kind=kind,
                person=alerts.digest("person", number),
                state="OPEN",
                sequence=1,
                field=field,
                region="331102",
                parties=tuple(
                    ConflictParty(field.rpartition(".")[0], source, f"R-{number}", 1, "date") for source in sources
                ),
                seen_at=NOW_MS,
            )
            for number, (kind, field, sources) in enumerate(kinds)
        ],
    )
    faults = (
        *(("ga-huji", "citizen_id_check", "number", 3), ("yibao", "not_a_number", "cash_fen", 5)),
        *(("yibao", "impossible_date", "settled_on", 2), ("minzheng", "unknown_region", "paying_region", 1)),
    )
    project_quarantine(
        db,
        [
            Quarantined(
                quarantine_id=alerts.digest(source, reason, number),
                stage="connector",
                source=source,
                topic="medical.settlement",
                locator=f"jiesuan_20260315.csv#{number + 2}",
                field=field,
                reason=reason,
                value_class="text",
                message="see the reason",
                original=b"sealed",
                received_at=NOW_MS,
            )
            for source, reason, field, count in faults
            for number in range(count)
        ],
    )


def _operation(db: Session) -> None:
    counts = {
        ("ga-huji", "registration.resident"): {"published": 18204, "annulled": 12, "quarantined": 3},
        ("ga-huji", "registration.death"): {"published": 311},
        ("yibao", "medical.settlement"): {"published": 92118, "quarantined": 7, "unchanged": 40},
        ("minzheng", "assistance.benefit"): {"published": 4120, "quarantined": 1},
        ("minzheng", "assistance.check"): {"published": 21},
    }
    for (source, topic), kinds in counts.items():
        for kind, count in kinds.items():
            db.add(IngestCount(source=source, topic=topic, kind=kind, count=count, updated_at=NOW_MS))
    db.add(Release(region="331102", rule="", township="", per_minute=60, released_at=at_noon_ms(ago(40))))
    db.add(
        Release(
            region="331121", rule="elder_age_allowance", township="", per_minute=60, released_at=at_noon_ms(ago(31))
        )
    )


def announce(db: Session, url: str) -> None:
    """Three processes: one that answers at `url`, one that does not, one that was killed. By the system clock."""
    now = time.time_ns() // 1_000_000
    for name, address, silent_ms in (
        ("web", url, 0),
        ("worker", "http://127.0.0.1:1", 0),
        ("dispatcher", "http://127.0.0.1:2", HOUR_MS),
    ):
        db.add(
            Process(
                name=name,
                instance=f"{name}-1",
                url=address,
                started_at=now - 26 * HOUR_MS,
                heartbeat_at=now - silent_ms,
            )
        )
