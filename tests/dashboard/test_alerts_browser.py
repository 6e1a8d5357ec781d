"""The alerts in a real Chromium: seen to fire and to be resolved, changed and put back, with and without script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Page, expect
from pytest_aiohttp import AiohttpServer

from tests.browser import chromium, in_browser
from tests.dashboard.watched_alerts import QUICK, Watched

if TYPE_CHECKING:
    from tests.dashboard.conftest import EdgeUnderView

pytestmark = in_browser


@pytest.fixture
def watched(edge: EdgeUnderView, tmp_path: Path) -> Watched:
    return Watched(edge, QUICK, tmp_path / "alerts.json")


@pytest.fixture
def complaints() -> list[str]:
    """What the console says, and faults; a policy violation is a console error. Nobody complains in these tests."""
    return []


@pytest.fixture
async def page(complaints: list[str]) -> AsyncIterator[Page]:
    async with chromium() as browser:
        page = await browser.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        assert complaints == []


async def test_an_alert_is_seen_to_fire_and_to_be_resolved(
    watched: Watched, aiohttp_server: AiohttpServer, page: Page
) -> None:
    server = await aiohttp_server(watched.application())
    await page.goto(f"http://127.0.0.1:{server.port}/alerts")
    await expect(page.locator(".alerts-summary")).to_contain_text("Nothing fires.")
    await expect(page.locator("#alerts-badge")).to_be_hidden()
    watched.see(1, memory=0.91)
    await expect(page.locator("#memory")).to_contain_text("fires in 2 s")
    watched.see(3)
    await expect(page.locator("#memory .badge-alert-firing")).to_have_text("firing")
    await expect(page.locator("#alerts-badge")).to_contain_text("1")
    await expect(page).to_have_title("1 firing · Alerts · Cachewire")
    watched.see(3, memory=0.2)
    await expect(page.locator(".alerts-summary")).to_contain_text("Nothing fires.")
    await expect(page.locator(".episodes tbody tr")).to_have_count(1)
    await expect(page.locator("#alerts-badge")).to_be_hidden()


async def test_a_rule_is_changed_and_put_back_with_the_keyboard_at_hand(
    watched: Watched, aiohttp_server: AiohttpServer, page: Page, complaints: list[str]
) -> None:
    server = await aiohttp_server(watched.application())
    await page.goto(f"http://127.0.0.1:{server.port}/alerts")
    await page.locator("#edit-memory > summary").click()
    threshold = page.locator("#edit-memory input[name=threshold]")
    await threshold.fill("lots")
    await threshold.press("Enter")
    await expect(page.locator("#flash[role=status]")).to_contain_text(
        "That did not work: threshold: 'lots' is not a share"
    )
    await expect(threshold).to_have_value("lots")
    complaints.clear()  # a browser notes every 400 by itself
    await threshold.fill("10%")
    await threshold.press("Enter")
    await expect(page.locator("#flash[role=status]")).to_contain_text("The alert memory is changed")
    assert watched.watch.alerts.rule("memory").threshold == 0.1
    await page.get_by_role("button", name="Back to the configuration of Memory").click()
    await expect(page.locator("#flash[role=status]")).to_contain_text("as configured again")
    assert watched.watch.alerts.rule("memory").threshold == 0.8


async def test_what_is_being_typed_is_not_taken_away_by_new_figures(
    watched: Watched, aiohttp_server: AiohttpServer, page: Page
) -> None:
    server = await aiohttp_server(watched.application())
    await page.goto(f"http://127.0.0.1:{server.port}/alerts")
    await page.locator("#edit-memory > summary").click()
    threshold = page.locator("#edit-memory input[name=threshold]")
    await threshold.fill("33%")
    await page.locator("h1").click()
    watched.see(1, memory=0.5)
    await expect(page.locator("#memory .rule-value")).to_contain_text("50 %")
    await expect(threshold).to_have_value("33%")
    await expect(threshold).to_be_visible()


async def test_everything_works_without_script(watched: Watched, aiohttp_server: AiohttpServer, page: Page) -> None:
    server = await aiohttp_server(watched.application())
    browser = page.context.browser
    assert browser is not None
    context = await browser.new_context(java_script_enabled=False)
    plain = await context.new_page()
    await plain.goto(f"http://127.0.0.1:{server.port}/alerts")
    await plain.locator("#edit-memory > summary").click()
    await plain.locator("#edit-memory input[name=threshold]").fill("10%")
    await plain.locator("#edit-memory input[name=keep]").check()
    await plain.get_by_role("button", name="Change Memory").click()
    await expect(plain.locator("#flash[role=status]")).to_contain_text("stays so across restarts")
    await expect(plain.locator("#memory .badge-changed")).to_have_text("changed, kept")
    await context.close()


@pytest.mark.parametrize("width", [390, 1920])
async def test_the_page_does_not_scroll_sideways(
    watched: Watched, aiohttp_server: AiohttpServer, page: Page, width: int
) -> None:
    watched.see(5, memory=0.91)
    watched.see(5, memory=0.1)
    watched.see(5, origin_down=1.0)
    server = await aiohttp_server(watched.application())
    await page.set_viewport_size({"width": width, "height": 900})
    for path in ("/alerts", "/"):
        await page.goto(f"http://127.0.0.1:{server.port}{path}")
        for edit in await page.locator(".rule-edit > summary").all():
            await edit.click()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
