"""The pages: what each address shows and what each form does."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from hub.delivery.dispositions import StaleCase, record_disposition
from hub.delivery.lines import load_lines
from hub.domain import codes
from hub.domain.times import local_date
from hub.errors import HubError, PurposeRefused
from hub.ops.clock import Clock
from hub.policy.catalogue import RULES
from hub.quality.reports import open_conflicts, source_reports, unknowns
from hub.settings import Settings
from hub.store.db import session
from hub.store.models import Case, CaseHistory
from hub.vault.cards import Vault
from hub.web import present, queries
from hub.web.scrape import ask
from hub.web.sources import departments
from hub.web.words import templates

CSRF_COOKIE: Final = "hub_csrf"
PURPOSE: Final = "caseworker.review"
REVEALED: Final = {"name": "姓名", "number_last4": "身份号码后四位", "address": "住址", "phone": "电话"}
API_FIELDS: Final = (
    *("alert_id", "rule", "line", "region", "township", "grade", "alert_state", "revision", "title"),
    *("amount_fen", "opened_on", "due_on", "work_state", "outcome"),
)
"""What the API gives of a case: nothing that names a person, not even a token."""
MESSAGES: Final = {
    "done": ("good", "已登记，将回传给判定流程。"),
    "stale": ("bad", "这件提示刚被别人或新的记录改动过，请看过最新内容后再登记。"),
}


class Pages:
    """All pages over one store and one vault."""

    def __init__(self, settings: Settings, engine: Engine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault
        self._clock = Clock(settings)
        self._settings = settings
        self._lines = {line.id: line.name for line in load_lines()}
        self._rules = {rule.id: rule.title for rule in RULES.values()}
        self._templates = templates(
            lines=self._lines,
            rules=self._rules,
            sources=departments(settings.sources),
            expectations=settings.expectations,
        )

    def routes(self) -> list[Route]:
        """Addresses of the pages and of the read-only API."""
        return [
            Route("/", self.home),
            Route("/cases", self.queue),
            Route("/cases/{alert_id}", self.case),
            Route("/cases/{alert_id}/identity", self.reveal, methods=["POST"]),
            Route("/cases/{alert_id}/disposition", self.dispose, methods=["POST"]),
            Route("/quality", self.quality),
            Route("/operator", self.operator),
            Route("/api/v1/cases", self.api_cases),
        ]

    def exception_handlers(self) -> Mapping[Any, Any]:
        """A page for what goes wrong, in words."""
        return {HTTPException: self._http_error, HubError: self._hub_error}

    # --- pages -----------------------------------------------------------------------------------------------

    async def home(self, request: Request) -> Response:
        """Counts by line."""
        return await self._read(request, "home.html", lambda db: {"lines": queries.lines(db, self._today())})

    async def queue(self, request: Request) -> Response:
        """The queue, filtered."""
        wanted = _filter(request)

        def read(db: Any) -> dict[str, Any]:
            found = queries.queue(db, wanted, self._today())
            page = min(wanted.page, found.pages)
            return {
                "found": found,
                "wanted": msgspec.structs.replace(wanted, page=page),
                "choices": queries.choices(db),
                "query": lambda number: _query(wanted, number),
                "line_name": lambda code: present.label(self._lines, code),
                "rule_name": lambda code: present.label(self._rules, code),
                "grade_name": lambda code: present.label(present.GRADE, code),
                "place": present.place,
            }

        return await self._read(request, "queue.html", read)

    async def case(self, request: Request) -> Response:
        """One case."""
        shown = request.query_params.get("shown", "")
        return await self._case_page(request, message=MESSAGES.get(shown))

    async def quality(self, request: Request) -> Response:
        """Source quality."""
        return await self._read(
            request,
            "quality.html",
            lambda db: {"reports": source_reports(db), "unknowns": unknowns(db), "conflicts": open_conflicts(db)},
        )

    async def operator(self, request: Request) -> Response:
        """Processes, lag, quarantine, shadow."""

        def read(db: Any) -> dict[str, Any]:
            return {
                "announced": queries.processes(db),
                "outbox": queries.outbox(db),
                "outbox_states": list(present.OUTBOX_STATE),
                "ingest_kinds": list(present.INGEST_KIND),
                "shadow": queries.shadow(db),
                "releases": queries.releases(db),
                "quarantine": queries.quarantine(db),
                "ingest": queries.ingest(db),
            }

        context = await self._query(read)
        # Heartbeats are beaten by the system clock, whatever clock is rehearsed.
        context["processes"] = await ask(context.pop("announced"), Clock(Settings(clock_file=None)).now_ms())
        return self._render(request, "operator.html", context)

    async def api_cases(self, request: Request) -> Response:
        """Released cases as JSON, without identity; the same filters as the queue."""
        wanted = _filter(request)

        def read(db: Any) -> dict[str, Any]:
            found = queries.queue(db, wanted, self._today())
            return {
                "total": found.total,
                "pages": found.pages,
                "cases": [
                    msgspec.to_builtins({name: getattr(case, name) for name in API_FIELDS}) for case in found.cases
                ],
            }

        return JSONResponse(await self._query(read))

    # --- forms -----------------------------------------------------------------------------------------------

    async def reveal(self, request: Request) -> Response:
        """Show one person's identity once: one audit row in the vault, one line in the case's history."""
        form = await self._form(request)
        alert_id, reason = request.path_params["alert_id"], str(form.get("reason", ""))
        if reason not in present.REVEAL_REASON or form.get("purpose") != PURPOSE:
            raise HTTPException(400, "请选择查看目的和事由。")

        def open_card() -> list[tuple[str, list[tuple[str, str]]]]:
            with session(self._engine, writes=False) as db:
                case = self._found(db, alert_id)
                people = present.involved(case.body["people"])
                revision = case.revision
            chosen = _index(str(form.get("who", "")), len(people))
            token, name = people[chosen]
            opening = self._vault.open(token, tuple(REVEALED), PURPOSE, "web:caseworker", f"{alert_id}:{reason}")
            with session(self._engine) as db:
                db.add(
                    CaseHistory(
                        alert_id=alert_id,
                        revision=revision,
                        at=self._clock.now_ms(),
                        kind="revealed",
                        actor="web",
                        detail={"who": name, "why": reason},
                    )
                )
            return [(name, [(REVEALED[field], value) for field, value in opening.fields.items()])]

        identities = await asyncio.to_thread(open_card)
        return await self._case_page(request, identities=identities)

    async def dispose(self, request: Request) -> Response:
        """Register a disposition; the dispatcher publishes it to the stream."""
        form = await self._form(request)
        alert_id = request.path_params["alert_id"]
        outcome, reason = str(form.get("outcome", "")), str(form.get("reason", "")) or None
        lock = str(form.get("lock", ""))
        if outcome not in codes.OUTCOME or (reason is not None and reason not in codes.OUTCOME_REASON):
            raise HTTPException(400, "请选择处置结果。")
        if not lock.isdigit():
            raise HTTPException(400, "表单不完整，请刷新页面后再登记。")

        def write() -> bool:
            return self._record(alert_id, int(lock), outcome, reason, str(form.get("note", ""))[:500] or None)

        if await asyncio.to_thread(write):
            return RedirectResponse(f"/cases/{alert_id}?shown=done", status_code=303)
        return await self._case_page(request, message=MESSAGES["stale"], form=form, status=409)

    # --- inside ------------------------------------------------------------------------------------------------

    def _record(self, alert_id: str, lock: int, outcome: str, reason: str | None, note: str | None) -> bool:
        """True when recorded, False when the case had changed meanwhile."""
        try:
            with session(self._engine) as db:
                self._found(db, alert_id)
                record_disposition(
                    db,
                    alert_id=alert_id,
                    lock=lock,
                    outcome=outcome,
                    reason=reason,
                    note=note,
                    by="caseworker",
                    now_ms=self._clock.now_ms(),
                )
        except StaleCase:
            return False
        return True

    def _today(self) -> date:
        return local_date(self._clock.now_ms())

    def _found(self, db: Any, alert_id: str) -> Case:
        found = queries.case(db, alert_id)
        if found is None:
            raise HTTPException(404, "没有这件提示，或它还没有放行。")
        return found

    async def _case_page(
        self,
        request: Request,
        *,
        message: tuple[str, str] | None = None,
        identities: list[tuple[str, list[tuple[str, str]]]] | None = None,
        form: Mapping[str, Any] | None = None,
        status: int = 200,
    ) -> Response:
        alert_id = request.path_params["alert_id"]

        def read(db: Any) -> dict[str, Any]:
            case = self._found(db, alert_id)
            today = self._today()
            people = present.involved(case.body["people"])
            return {
                "case": case,
                "body": case.body,
                "people": dict(people),
                "about": "—" if case.home.startswith("person:") else "家庭",
                "names": [name for _token, name in people],
                "history": queries.history(db, alert_id),
                "dispositions": queries.notes(db, alert_id),
                "overdue": case.due_on is not None and case.due_on < today and case.work_state in queries.OPEN_STATES,
            }

        context = await self._query(read)
        purpose = self._vault.purposes.get(PURPOSE)
        context |= {
            "message": {"kind": message[0], "text": message[1]} if message else None,
            "identities": identities,
            "purposes": [(purpose.id, purpose.name)],
            "reveal_reasons": list(present.REVEAL_REASON.items()),
            "outcomes": codes.OUTCOME,
            "reasons": codes.OUTCOME_REASON,
            "form": {name: str((form or {}).get(name, "")) for name in ("outcome", "reason", "note")},
        }
        return self._render(request, "case.html", context, status)

    async def _query(self, read: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            with session(self._engine, writes=False) as db:
                return read(db)

        return await asyncio.to_thread(run)

    async def _read(self, request: Request, template: str, read: Callable[[Any], dict[str, Any]]) -> Response:
        return self._render(request, template, await self._query(read))

    def _render(self, request: Request, template: str, context: dict[str, Any], status: int = 200) -> Response:
        token = request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(24)
        page = self._templates.get_template(template).render(
            **context, path=request.url.path, today=self._today(), csrf=token
        )
        response = HTMLResponse(page, status_code=status)
        if CSRF_COOKIE not in request.cookies:
            response.set_cookie(CSRF_COOKIE, token, httponly=True, samesite="strict")
        return response

    async def _form(self, request: Request) -> dict[str, Any]:
        """The form, once its token agrees with the cookie's: a page elsewhere cannot post here."""
        form = dict(await request.form())
        cookie = request.cookies.get(CSRF_COOKIE, "")
        if not cookie or not hmac.compare_digest(cookie, str(form.get("csrf", ""))):
            raise HTTPException(403, "表单已过期，请返回页面重新提交。")
        return form

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = str(error.detail) if isinstance(error, HTTPException) and status != 405 else "不支持这种访问方式。"
        return self._error(request, status, "找不到" if status == 404 else "不能完成", text)

    async def _hub_error(self, request: Request, error: Exception) -> Response:
        refused = isinstance(error, PurposeRefused)
        text = "该目的不允许查看这些内容。" if refused else "系统的一个部分暂时不应答，请稍后再试。"
        return self._error(request, 403 if refused else 503, "不能完成", text)

    def _error(self, request: Request, status: int, title: str, text: str) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": text}, status_code=status)
        if text == "Not Found":
            text = "没有这个页面。"
        return self._render(request, "error.html", {"title": title, "text": text, "back": "/"}, status)


def _filter(request: Request) -> queries.QueueFilter:
    params = request.query_params
    page = params.get("page", "1")
    return queries.QueueFilter(
        line=params.get("line", ""),
        rule=params.get("rule", ""),
        region=params.get("region", ""),
        grade=params.get("grade", ""),
        state=params.get("state", "open"),
        overdue=params.get("overdue") == "1",
        page=int(page) if page.isdigit() and int(page) > 0 else 1,
    )


def _query(wanted: queries.QueueFilter, page: int) -> str:
    values = msgspec.structs.asdict(wanted) | {"page": page, "overdue": "1" if wanted.overdue else ""}
    return urlencode(values)


def _index(text: str, size: int) -> int:
    if not text.isdigit() or int(text) >= size:
        raise HTTPException(400, "请选择要查看的人。")
    return int(text)
