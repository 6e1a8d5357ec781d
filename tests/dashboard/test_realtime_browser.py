"""The realtime pages in a real Chromium, before a running edge with real sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import chromium, in_browser
from tests.edge import EdgeUnderTest, edge_before
from tests.live import connected, member
from tests.origin import ScriptedOrigin

pytestmark = in_browser

HOSTILE = "<img src=x onerror=window.owned=1><script>window.owned=1</script>"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def edge() -> AsyncIterator[EdgeUnderTest]:
    async with ScriptedOrigin() as origin, edge_before(origin, realtime={"auth": "trusted"}) as edge:
        yield edge


def address(edge: EdgeUnderTest, path: str = "/realtime") -> str:
    return f"http://{edge.app.admin_address}{path}"


def complaints(page: Page) -> list[str]:
    """What the console says from now on; a policy violation is an error there."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


async def test_who_comes_and_reports_is_seen_without_reload(edge: EdgeUnderTest, browser: Browser) -> None:
    page = await browser.new_page()
    said = complaints(page)
    await page.goto(address(edge))
    await expect(page.locator("main")).to_contain_text("Nobody is connected")
    await page.evaluate("window.never_reloaded = true")
    async with connected(f"http://{edge.host}") as anna:
        await member(anna, HOSTILE, HOSTILE)
        await anna.ask("client_metrics", {"latency": 640, "retries": 3})
        await expect(page.locator(".sessions tbody tr")).to_have_count(1)
        await expect(page.locator(".sessions tbody")).to_contain_text("poor")
        await expect(page.locator("#reported-p50")).to_have_text("640 ms")
        await expect(page.locator(".conversations tbody")).to_contain_text(HOSTILE)
        await page.locator("select[name=grade]").select_option("excellent")
        await expect(page.locator("main")).to_contain_text("None of the 1 sessions matches")
        await expect(page).to_have_url(address(edge, "/realtime?grade=excellent"))
    assert await page.evaluate("window.never_reloaded") is True
    assert await page.evaluate("window.owned") is None
    assert said == []


async def test_a_session_is_disconnected_after_a_second_thought(edge: EdgeUnderTest, browser: Browser) -> None:
    page = await browser.new_page()
    said = complaints(page)
    async with connected(f"http://{edge.host}") as anna:
        await member(anna, HOSTILE, "c1")
        await page.goto(address(edge))
        await page.locator(".sessions .address").click()
        await expect(page.locator(".names").first).to_contain_text(HOSTILE)
        button = page.get_by_role("button", name="Disconnect", exact=True)
        await expect(button).to_be_hidden()
        await page.get_by_text("Disconnect for good…").click()
        await button.click()
        await expect(page.locator("#flash[role=status]")).to_contain_text("does not come back by itself")
        await expect(page.locator("main")).to_contain_text("This session has ended")
        assert await anna.closed() == "disconnected"
    assert await page.evaluate("window.owned") is None
    assert said == []


async def test_everything_works_without_script(edge: EdgeUnderTest, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    async with connected(f"http://{edge.host}") as anna, connected(f"http://{edge.host}") as ben:
        await member(anna, "anna", "c1")
        await member(ben, "ben", "c1")
        await page.goto(address(edge))
        await page.get_by_label("Find").fill("anna")
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator(".sessions tbody tr")).to_have_count(1)
        await page.locator(".sessions .address").click()
        await page.get_by_role("button", name="Make it reconnect").click()
        await expect(page.locator("#flash[role=status]")).to_contain_text("Its client comes back")
        assert await anna.closed() == "connection"
        await page.goto(address(edge))
        await page.get_by_role("link", name="c1").click()
        await expect(page.locator(".names")).to_have_text("ben")
    await context.close()


@pytest.mark.parametrize("width", [390, 1920])
async def test_no_page_scrolls_sideways(edge: EdgeUnderTest, browser: Browser, width: int) -> None:
    endless = "x" * 200
    page = await browser.new_page(viewport={"width": width, "height": 900})
    headers = {"User-Agent": endless * 3, "Origin": f"http://{edge.host}"}
    async with connected(f"http://{edge.host}", headers=headers) as anna:
        await member(anna, endless, endless)
        await anna.ask("client_metrics", {"latency": 640, "cachedProfiles": 10**9})
        paths = ("", "/conversations", f"/conversation?id={endless}", f"/sessions/{anna.sid}")
        for path in (f"/realtime{path}" for path in paths):
            await page.goto(address(edge, path))
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
