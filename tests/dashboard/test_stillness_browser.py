"""What stands still on a page, and what must not, in a real Chromium: rows under the pointer, and news of alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from playwright.async_api import Browser, Page, expect
from pytest_aiohttp import AiohttpServer

from tests.browser import chromium, in_browser
from tests.dashboard.test_browser import without_streams
from tests.dashboard.watched_alerts import QUICK, Watched
from tests.edge import edge_before
from tests.origin import ScriptedOrigin, reply
from webui.login import Login
from webui.sessions import Role, Sessions

if TYPE_CHECKING:
    from tests.dashboard.conftest import EdgeUnderView

pytestmark = in_browser

WIDTHS = (320, 360, 390, 480, 680, 681, 768, 1000, 1024, 1275, 1276, 1280, 1300, 1366, 1440, 1500, 1501, 1680, 1920)
PAGES = ("/", "/traffic", "/cache", "/routes", "/realtime", "/outbox", "/alerts", "/tuning", "/timeline", "/config")
PASSWORD = "correct horse"
PATIENCE = 20_000
"""Milliseconds: a page that is costly to render on a busy machine comes less often."""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def page(browser: Browser) -> Page:
    return await browser.new_page()


@pytest.fixture
def watched(edge: EdgeUnderView, tmp_path: Path) -> Watched:
    for number in range(30):
        edge.store(f"/stored/{number}")
    return Watched(edge, QUICK, tmp_path / "alerts.json")


@pytest.fixture
async def address(watched: Watched, aiohttp_server: AiohttpServer) -> str:
    server = await aiohttp_server(watched.application())
    return f"http://127.0.0.1:{server.port}"


def only(who: Role) -> Login:
    """A login that lets one kind of people in."""
    right: Any = PASSWORD.__eq__
    return Login({who: right}, Sessions(100, 100), now=lambda: 1.0, audit=lambda *_, **__: None)


async def tops(page: Page, selector: str) -> dict[int, float]:
    """Where an element begins at every width."""
    found = {}
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        found[width] = await page.locator(selector).first.evaluate("each => each.getBoundingClientRect().top")
    return found


@pytest.mark.parametrize("who", ["anybody", "operator", "viewer"])
async def test_no_row_moves_whatever_the_state_says_at_any_width(
    watched: Watched, aiohttp_server: AiohttpServer, page: Page, who: Role | Literal["anybody"]
) -> None:
    server = await aiohttp_server(watched.application(login=None if who == "anybody" else only(who)))
    state = page.locator("#live-state")
    await page.goto(f"http://127.0.0.1:{server.port}/cache?view=list")
    if who != "anybody":
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.keyboard.press("Enter")
    await expect(state).to_have_text("Live")
    row = "main tbody tr"
    live = await tops(page, row)

    await page.locator(f"{row} a.address").first.focus()
    await expect(state).to_contain_text("Held since")
    assert await tops(page, row) == live
    watched.see(5, origin_down=1.0)
    await expect(page.locator("#alerts-badge")).to_be_visible(timeout=PATIENCE)
    await expect(state).to_contain_text("newer waits", timeout=PATIENCE)
    assert await tops(page, row) == live

    await page.locator("#pause").click()
    await expect(state).to_contain_text("Paused")
    assert await tops(page, row) == live
    await page.locator("#pause").click()
    await expect(state).to_have_text("Live")
    assert await tops(page, row) == live

    await page.context.set_offline(True)
    await expect(state).to_contain_text("No connection")
    assert await tops(page, row) == live


async def test_no_line_of_the_state_is_cut_off(watched: Watched, address: str, page: Page) -> None:
    await page.goto(f"{address}/cache?view=list")
    await expect(page.locator("#live-state")).to_have_text("Live")
    for said in (
        "Held since 02:13:15, newer waits; move away to go on",
        "The dashboard answered 500; figures are of 02:13:15 UTC",
        "Without script, reload for new figures.",
    ):
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            room = await page.locator("#live-state").evaluate(
                "(each, said) => { each.textContent = said; return each.scrollHeight <= each.clientHeight + 1 }", said
            )
            assert room, (said, width)


async def test_without_script_a_session_leaves_the_bar_on_its_lines(
    watched: Watched, aiohttp_server: AiohttpServer, browser: Browser
) -> None:
    login = only("operator")
    server = await aiohttp_server(watched.application(login=login))
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{server.port}/alerts")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.keyboard.press("Enter")
    leave = page.get_by_role("button", name="Log out")
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        box = await leave.bounding_box()
        assert box is not None
        assert box["height"] < 40, width
        assert box["x"] + box["width"] <= width, width
    await context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_no_page_scrolls_sideways_while_an_alert_fires(page: Page, width: int) -> None:
    alerts = {"rules": {"error_rate": {"threshold": "1%", "for": "0"}}}
    routes = [{"name": "all", "match": "/**", "strategy": "network-first", "offline_queue": True}]
    async with ScriptedOrigin() as origin, edge_before(origin, alerts=alerts, routes=routes) as edge:
        origin.default = reply(500)
        for number in range(12):
            await edge.get(f"/broken/{number}")
        dashboard = f"http://{edge.app.admin_address}"
        await page.set_viewport_size({"width": width, "height": 900})
        await page.goto(dashboard)
        await expect(page.locator("#alerts-badge")).to_be_visible(timeout=15_000)
        for path in PAGES:
            await page.goto(dashboard + path)
            await expect(page.locator("#alerts-badge")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize("by", ["stream", "polling"])
async def test_a_held_list_stays_what_and_where_it_is_while_alerts_are_told(
    edge: EdgeUnderView, watched: Watched, address: str, page: Page, by: str
) -> None:
    if by == "polling":
        await without_streams(page)
    state = page.locator("#live-state")
    await page.goto(f"{address}/cache?view=list&sort=url&order=desc")
    first = page.locator("main tbody tr").first
    await expect(first).to_contain_text("/stored/9")
    await first.hover()
    await expect(state).to_contain_text("Held since")
    edge.store("/z")
    watched.see(5, origin_down=1.0)
    await expect(page.locator("#alerts-badge")).to_contain_text("1")
    await expect(page.locator("#cache-total")).to_have_text("31", timeout=PATIENCE)
    await expect(state).to_contain_text("newer waits; move away to go on", timeout=PATIENCE)
    await expect(first).to_contain_text("/stored/9")
    await page.mouse.move(1, 1)
    await expect(first).to_contain_text("/z", timeout=PATIENCE)
    await expect(state).to_have_text("Live")


@pytest.mark.parametrize("by", ["pointer", "keyboard"])
async def test_a_held_form_stays_where_it_is_while_alerts_fire_and_are_resolved_above_it(
    watched: Watched, address: str, page: Page, by: str
) -> None:
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.goto(f"{address}/alerts")
    await page.locator("#edit-memory > summary").click()
    threshold = page.locator("#edit-memory input[name=threshold]")
    await threshold.fill("33%")
    if by == "pointer":
        await threshold.hover()
        await page.evaluate("document.activeElement.blur()")
    top = await threshold.evaluate("each => each.getBoundingClientRect().top")
    await expect(page.locator("#live-state")).to_contain_text("Held since")

    watched.see(5, origin_down=1.0)
    await expect(page.locator(".alerts-summary")).to_contain_text("1 alert fires", timeout=PATIENCE)
    await expect(page).to_have_title("1 firing · Alerts · Cachewire")
    assert await threshold.evaluate("each => each.getBoundingClientRect().top") == pytest.approx(top, abs=1)
    await expect(threshold).to_have_value("33%")

    await page.evaluate("scrollTo(0, 0)")
    top = await threshold.evaluate("each => each.getBoundingClientRect().top")
    if by == "pointer":
        await threshold.hover()
        top = await threshold.evaluate("each => each.getBoundingClientRect().top")
    await expect(page.locator("#live-state")).to_contain_text("Held since")
    watched.see(300, origin_down=0.0)
    await expect(page.locator(".alerts-summary")).to_contain_text("Nothing fires.", timeout=PATIENCE)
    assert await threshold.evaluate("each => each.getBoundingClientRect().top") == pytest.approx(top, abs=1)
    await expect(threshold).to_have_value("33%")
    await page.mouse.move(1, 1)
    await page.evaluate("document.activeElement.blur()")
    await expect(page.locator("#live-state")).to_have_text("Live")
    assert await page.locator("#live").get_attribute("style") is None


async def test_a_form_is_not_taken_away_when_its_own_alert_fires(watched: Watched, address: str, page: Page) -> None:
    await page.goto(f"{address}/alerts")
    await page.locator("#edit-memory > summary").click()
    threshold = page.locator("#edit-memory input[name=threshold]")
    await threshold.fill("33%")
    watched.see(5, memory=0.91)
    await expect(page.locator("article#memory")).to_contain_text("firing", timeout=PATIENCE)
    await expect(threshold).to_be_focused()
    await expect(threshold).to_have_value("33%")
