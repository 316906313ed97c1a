"""Every page, in a real browser at two widths: nothing from elsewhere, no sideways scroll, no barrier, no script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import people
from tests.browser.conftest import DESKTOP, PHONE, Site, picture

AXE: Final = Path(__file__).parent / "vendor" / "axe.min.js"


def barriers(page: Page) -> list[dict[str, Any]]:
    """Serious and critical findings of axe-core, without what it only suggests."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        {"id": one["id"], "where": [node["target"] for node in one["nodes"]][:5], "help": one["help"]}
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page(site: Site, page: Page, strangers: list[str], size: dict[str, int]) -> None:
    """Also takes a picture of each, into build/screens."""
    page.set_viewport_size({"width": size["width"], "height": size["height"]})
    broken: dict[str, Any] = {}
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    for name, address in site.pages.items():
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == (404 if name == "missing" else 200), name
        picture(page, f"{name}-{size['width']}")
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            broken[f"{name}: wider than the screen"] = wide
        if found := barriers(page):
            broken[f"{name}: axe"] = found
        text = page.content()
        assert not any(token in text for token in site.tokens.values()), f"{name} shows a token"
        assert not any(people.number(key) in text for key in people.CARDS), f"{name} shows a number"
    assert broken == {}
    assert strangers == []
    assert [text for text in complaints if "404" not in text] == []


def test_a_hostile_title_is_text(site: Site, page: Page) -> None:
    """A script in a title or an explanation is shown and not run, in the queue and on the case."""
    for address in (f"{site.url}/cases", site.case("hostile")):
        page.goto(address)
        expect(page.get_by_text("标题含脚本").first).to_contain_text("<script>")
        assert page.title() != "被改写"
        assert page.locator("main script, main img").count() == 0


def test_headers_of_every_answer(site: Site, page: Page) -> None:
    """Nothing is cached, framed or taken from elsewhere."""
    for address in (f"{site.url}/", site.case("dibao"), f"{site.url}/api/v1/cases"):
        answer = page.request.get(address)
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_not_released_is_not_there(site: Site, page: Page) -> None:
    """A case in shadow has no page, no row and no place in the API; the operator sees that it waits."""
    answer = page.goto(site.case("shadow"))
    assert answer is not None and answer.status == 404
    listed = json.loads(page.request.get(f"{site.url}/api/v1/cases?state=&region=331126").text())
    assert [case["alert_id"] for case in listed["cases"]] == [site.cases["funeral"]]
    page.goto(f"{site.url}/operator")
    waiting = page.get_by_role("table", name="已判定、未放行").get_by_role("row").filter(has_text="庆元县")
    expect(waiting).to_contain_text("1")


def test_the_api_names_nobody(site: Site, page: Page) -> None:
    """No token, no home and no record id in the JSON, over all pages of it."""
    first = json.loads(page.request.get(f"{site.url}/api/v1/cases?state=").text())
    assert first["total"] == 50 and first["pages"] == 2
    text = "".join(page.request.get(f"{site.url}/api/v1/cases?state=&page={number}").text() for number in (1, 2))
    assert len(json.loads(page.request.get(f"{site.url}/api/v1/cases?state=&page=2").text())["cases"]) == 25
    assert not any(token in text for token in site.tokens.values())
    for word in ("person:", "household:", "candidate:", "record_id", "HD-2026"):
        assert word not in text


def test_the_metrics_count_by_route(site: Site, page: Page) -> None:
    """A metric never holds an address, which would name an alert."""
    page.goto(site.case("dibao"))
    text = page.request.get(f"{site.url}/metrics").text()
    assert 'hub_web_requests_total{route="/cases/{alert_id}",status="200"}' in text
    assert site.cases["dibao"] not in text


def test_without_javascript(site: Site, browser: Browser) -> None:
    """Filter, page and read a case with scripts switched off."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{site.url}/")
    page.get_by_role("link", name="待办队列").click()
    page.get_by_label("县（市、区）").select_option(label="景宁畲族自治县")
    page.get_by_role("button", name="筛选").click()
    expect(page.get_by_role("heading", name="共 1 件")).to_be_visible()
    page.get_by_role("link", name="可能符合特困人员救助供养条件").click()
    expect(page.get_by_role("heading", name="为什么提示")).to_be_visible()
    expect(page.get_by_text("已超期")).to_be_visible()
    context.close()
