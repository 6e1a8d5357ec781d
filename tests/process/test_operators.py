"""An operator at two in the morning, at a real edge before a real application: sees what is wrong, mends it, and every
page on the way is free of complaints, of the browser's and of axe-core's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from proxy.passwords import PasswordHash
from tests.browser import chromium, in_browser
from tests.origin import ScriptedOrigin, reply
from tests.process.edge_process import EdgeProcess, demonstrating, serving
from tests.socketio_client import modules

pytestmark = in_browser

PAGES = ("/", "/traffic", "/cache", "/routes", "/realtime", "/outbox", "/alerts", "/tuning", "/timeline", "/config")


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[EdgeProcess]:
    async with demonstrating(tmp_path) as edge:
        yield edge


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Desk:
    """A page, and what the browser complained about: errors, exceptions, breaches of the policy."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def faults(self) -> list[str]:
        """What axe-core finds serious or critical on the page as it is."""
        await self.page.evaluate((modules() / "axe-core" / "axe.min.js").read_text())
        found: dict[str, Any] = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {node['html'][:120]}"
            for violation in found["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]


@asynccontextmanager
async def desk(browser: Browser, **options: Any) -> AsyncIterator[Desk]:
    context: BrowserContext = await browser.new_context(**options)
    try:
        yield Desk(await context.new_page())
    finally:
        await context.close()


@asynccontextmanager
async def under_load(session: aiohttp.ClientSession, edge: EdgeProcess) -> AsyncIterator[None]:
    """Requests of every kind, one after the other."""

    async def ask() -> None:
        while True:
            for path in ("/", "/api/reports", "/uploads/r200-1.jpg", "/api/nothing", "/api/reports/r1"):
                async with session.get(edge.url + path) as response:
                    await response.read()
            await asyncio.sleep(0.02)

    load = asyncio.create_task(ask())
    try:
        yield
    finally:
        load.cancel()


async def chaos(session: aiohttp.ClientSession, edge: EdgeProcess, mode: str) -> None:
    async with session.post(f"{edge.origin_url}/demo/chaos", json={"mode": mode}) as response:
        assert response.status == 200


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1920)])
async def test_every_page_moves_under_load_and_nobody_complains(
    edge: EdgeProcess, browser: Browser, session: aiohttp.ClientSession, scheme: str, width: int
) -> None:
    view = {"width": width, "height": 900}
    async with under_load(session, edge), desk(browser, color_scheme=scheme, viewport=view) as operator:
        page = operator.page
        await page.goto(f"{edge.admin_url}/")
        served = page.locator("#requests-total")
        before = await served.inner_text()
        await expect(served).not_to_have_text(before)
        for path in PAGES:
            await page.goto(edge.admin_url + path)
            await expect(page.locator("#live-state")).to_have_text("Live")
            assert await operator.faults() == [], path
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{path} scrolls sideways"
        assert operator.complaints == []


async def test_what_is_wrong_is_seen_within_a_minute_and_mended_from_the_page(
    edge: EdgeProcess, browser: Browser, session: aiohttp.ClientSession
) -> None:
    quick = {"for": "500ms", "resolve_after": "500ms"}
    async with session.post(f"{edge.admin_url}/api/alerts/origin-down", json=quick) as response:
        assert response.status == 200
    async with under_load(session, edge), desk(browser) as operator:
        page = operator.page
        await page.goto(f"{edge.admin_url}/")
        await expect(page.locator(".health")).to_contain_text("Healthy")

        # The application dies: the overview says so, what is stored stands in, and the alert fires.
        await chaos(session, edge, "down")
        await expect(page.locator(".health")).to_contain_text("origin has been down", timeout=20_000)
        await expect(page.locator("body")).to_contain_text("firing", timeout=20_000)
        await page.goto(f"{edge.admin_url}/traffic?only=errors")
        await expect(page.locator("#live")).to_contain_text("The origin is away", timeout=20_000)

        # It is back: the alert is resolved while somebody looks.
        await page.goto(f"{edge.admin_url}/alerts")
        await chaos(session, edge, "ok")
        await expect(page.locator("#live")).to_contain_text("Nothing fires", timeout=20_000)

        # A preset is looked at first and then switched to; the configuration page says who changed what.
        await page.goto(f"{edge.admin_url}/tuning")
        await page.get_by_role("link", name="See what changes").first.click()
        await expect(page.locator("body")).to_contain_text("realtime.batch.delay")
        await page.get_by_role("button", name="Switch to high-traffic").click()
        await expect(page.locator("body")).to_contain_text("100ms")
        await page.goto(f"{edge.admin_url}/config?q=batch.delay")
        await expect(page.locator("#live")).to_contain_text("preset high-traffic")

        # What matches a filter is counted, purged, and on the timeline.
        await page.goto(f"{edge.admin_url}/cache?q=reports")
        await page.get_by_role("link", name="Purge what is found").click()
        await expect(page.locator("body")).to_contain_text("stored response")
        await page.get_by_role("button", name="Purge").first.click()
        await expect(page.locator("#flash")).to_contain_text("Purged")
        await page.goto(f"{edge.admin_url}/timeline")
        for text in ("purged", "high-traffic", "origin-down"):
            await expect(page.locator("#live")).to_contain_text(text)
        assert operator.complaints == []


async def test_without_script_every_page_still_says_all_it_knows(edge: EdgeProcess, browser: Browser) -> None:
    async with desk(browser, java_script_enabled=False) as operator:
        for path in PAGES:
            await operator.page.goto(edge.admin_url + path)
            await expect(operator.page.locator("h1").first).to_be_attached()
            await expect(operator.page.locator("#live")).not_to_be_empty()
        assert operator.complaints == []


async def test_who_knows_the_password_is_let_in_and_who_guesses_is_locked_out(tmp_path: Path, browser: Browser) -> None:
    admin = {"listen": "127.0.0.1:0", "password_hash": str(PasswordHash.of("a good long password"))}
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok")
        async with serving(tmp_path, origin.url, admin=admin) as edge, desk(browser) as operator:
            page = operator.page
            await page.goto(f"{edge.admin_url}/cache")
            await page.get_by_label("Password", exact=True).fill("a good long password")
            await page.keyboard.press("Enter")
            await expect(page).to_have_url(f"{edge.admin_url}/cache")
            async with desk(browser) as stranger:
                await stranger.page.goto(f"{edge.admin_url}/")
                for number in range(6):
                    await stranger.page.get_by_label("Password", exact=True).fill(f"guess {number}")
                    await stranger.page.keyboard.press("Enter")
                    await stranger.page.wait_for_load_state()
                await expect(stranger.page.locator("body")).to_contain_text("Locked out")
            await page.goto(f"{edge.admin_url}/timeline")
            await expect(page.locator("#live")).to_contain_text("logged in")
