"""The demonstration, lived through: it works, the origin dies, it still works, the origin is back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import expect

from tests.browser import chromium, in_browser
from tests.process.edge_process import EdgeProcess, demonstrating


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[EdgeProcess]:
    async with demonstrating(tmp_path) as edge:
        yield edge


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


async def chaos(session: aiohttp.ClientSession, edge: EdgeProcess, **behaviour: Any) -> None:
    async with session.post(f"{edge.origin_url}/demo/chaos", json=behaviour) as response:
        assert response.status == 200


async def purge_freshness(session: aiohttp.ClientSession, edge: EdgeProcess) -> None:
    """Make everything stale, as if its time had passed."""
    async with session.post(f"{edge.admin_url}/api/cache/purge", json={"everything": True, "soft": True}) as response:
        assert response.status == 200


async def test_seen_things_survive_a_dead_origin_and_unseen_ones_say_so(
    edge: EdgeProcess, session: aiohttp.ClientSession
) -> None:
    seen = ["/", "/api/reports", "/uploads/r200-1.jpg", "/avatars/u1.png"]
    before = {}
    for path in seen:
        async with session.get(edge.url + path) as response:
            before[path] = await response.read()
    await purge_freshness(session, edge)
    await chaos(session, edge, mode="down")
    for path in seen:
        async with session.get(edge.url + path) as response:
            assert response.status == 200, path
            assert await response.read() == before[path]
            assert 'detail="stale: origin-unreachable"' in response.headers["Cache-Status"]
    async with session.get(f"{edge.url}/api/reports/r5") as response:
        assert response.status == 502
        assert response.content_type == "application/problem+json"
    await chaos(session, edge, mode="ok")
    async with session.get(f"{edge.url}/api/reports") as response:
        assert "fwd-status" in response.headers["Cache-Status"]
    async with session.get(f"{edge.url}/api/reports/r5") as response:
        assert response.status == 200


async def test_a_slow_origin_is_replaced_when_network_timeout_is_over(
    edge: EdgeProcess, session: aiohttp.ClientSession
) -> None:
    async with session.get(f"{edge.url}/api/auth/session", headers={"Cookie": "session=u7"}) as response:
        assert response.status == 200
    await chaos(session, edge, mode="slow", delay=4)
    async with session.get(f"{edge.url}/api/auth/session", headers={"Cookie": "session=u7"}) as response:
        assert response.status == 200
        assert 'detail="stale: origin-timeout"' in response.headers["Cache-Status"]


async def test_two_hundred_at_once_ask_the_origin_once(edge: EdgeProcess) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:
        (await session.post(f"{edge.origin_url}/demo/stats/reset")).release()

        async def fetch() -> bytes:
            async with session.get(f"{edge.url}/uploads/r42-1.jpg") as response:
                assert response.status == 200
                return await response.read()

        bodies = await asyncio.gather(*(fetch() for _ in range(200)))
        assert len(set(bodies)) == 1
        async with session.get(f"{edge.origin_url}/demo/stats") as response:
            assert (await response.json())["requests"] == 1


async def test_the_performance_report_has_exactly_its_five_keys(
    edge: EdgeProcess, session: aiohttp.ClientSession
) -> None:
    async with session.get(f"{edge.url}/api/performance") as response:
        report = await response.json()
    keys = ["uptime", "connectionsActive", "messagesProcessed", "averageResponseTime", "messagesPerSecond"]
    assert list(report) == keys
    assert all(type(value) in (int, float) for value in report.values())


class TestInTheBrowser:
    pytestmark = in_browser

    async def test_the_page_works_and_the_dashboard_moves(self, edge: EdgeProcess) -> None:
        async with chromium() as browser:
            dashboard, page = await browser.new_page(), await browser.new_page()
            faults: list[str] = []
            for one in (dashboard, page):
                one.on("pageerror", lambda error: faults.append(str(error)))
                one.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
            await dashboard.goto(edge.admin_url)
            await page.goto(edge.url)
            await expect(page.locator(".card h3")).to_have_count(12)
            await page.locator(".card h3").first.click()
            asked_by_the_page = re.compile(r"GET /(api|avatars|uploads)/")  # the table holds only what came last
            await expect(dashboard.locator("table")).to_contain_text(asked_by_the_page, timeout=20_000)
            await expect(dashboard.locator("body")).to_contain_text("Healthy")
            await dashboard.goto(f"{edge.admin_url}/cache")
            await expect(dashboard.locator("table")).to_contain_text("uploads/")
            assert faults == []

    async def test_a_reload_with_a_dead_origin_still_shows_the_page(
        self, edge: EdgeProcess, session: aiohttp.ClientSession
    ) -> None:
        async with chromium() as browser:
            page, dashboard = await browser.new_page(), await browser.new_page()
            await page.goto(edge.url)
            await expect(page.locator(".card h3")).to_have_count(12)
            await page.wait_for_load_state("networkidle")
            await purge_freshness(session, edge)
            await chaos(session, edge, mode="down")
            await page.reload()
            await expect(page.locator(".card h3")).to_have_count(12)
            await dashboard.goto(edge.admin_url)
            await expect(dashboard.locator("body")).to_contain_text("The origin has been down")
