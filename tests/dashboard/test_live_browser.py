"""Charts, traffic and routes of a real edge in a real Chromium, while requests pass through it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser import chromium, in_browser
from tests.dashboard.test_browser import Watched, without_streams
from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply
from tests.process.edge_process import serving

pytestmark = in_browser

ROUTES = [
    {"name": "api", "match": "/api/**", "strategy": "network-first"},
    {"name": "all", "match": "/**", "strategy": "cache-first"},
]
PAGES = ("/", "/traffic", "/traffic?show=1", "/traffic/explain?url=/a", "/routes", "/cache")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def watched(browser: Browser) -> Watched:
    return Watched(await browser.new_page())


@pytest.fixture
async def edge() -> AsyncIterator[EdgeUnderTest]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"one", headers={"Cache-Control": "max-age=60"})
        async with edge_before(origin, routes=ROUTES) as edge:
            yield edge


@asynccontextmanager
async def load(edge: EdgeUnderTest) -> AsyncIterator[None]:
    """Requests pass through as long as this is open."""

    async def ask() -> None:
        number = 0
        while True:
            number += 1
            await edge.get(f"/api/{number % 7}")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def dashboard(edge: EdgeUnderTest) -> str:
    return f"http://{edge.app.admin_address}"


async def served(page: Page) -> int:
    return int((await page.locator("#requests-total").inner_text()).replace(",", ""))


@pytest.mark.parametrize("by", ["stream", "polling"])
async def test_figures_move_under_load(edge: EdgeUnderTest, watched: Watched, by: str) -> None:
    page = watched.page
    if by == "polling":
        await without_streams(page)
    async with load(edge):
        await page.goto(dashboard(edge))
        before = await served(page)
        await expect(page.locator("#requests-total")).not_to_have_text(f"{before:,}")
        later = await served(page)
        await expect(page.locator("#requests-total")).not_to_have_text(f"{later:,}")
    assert await served(page) > later > before - 1
    assert (edge.app.control_room.streams.open == 1) == (by == "stream")
    assert watched.complaints == []


async def test_charts_are_drawn_and_outlive_the_figures_around_them(edge: EdgeUnderTest, watched: Watched) -> None:
    page = watched.page
    await edge.get("/a")
    async with load(edge):
        await page.goto(dashboard(edge))
        await expect(page.locator(".plot canvas")).to_have_count(5)
        await page.evaluate("document.querySelector('#plot-requests canvas').never_replaced = true")
        before = await served(page)
        await expect(page.locator("#requests-total")).not_to_have_text(f"{before:,}")
        assert await page.evaluate("document.querySelector('#plot-requests canvas').never_replaced") is True
    await page.locator("#plot-requests .u-over").hover()
    await expect(page.locator("#plot-requests .readout")).to_contain_text("from the store")
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator(".plot canvas")).to_have_count(5)
    assert watched.complaints == []


async def test_without_script_lines_and_words_stand_in_for_the_charts(edge: EdgeUnderTest, browser: Browser) -> None:
    await edge.get("/a")
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(dashboard(edge))
    await expect(page.locator("#keys-hint")).to_be_hidden()
    await expect(page.locator(".plot .stand-in")).to_have_count(5)
    await expect(page.locator("figure", has_text="Hit ratio")).to_contain_text(
        "share that came from the store: of requests"
    )
    for path in PAGES:
        answer = await page.goto(dashboard(edge) + path)
        assert answer is not None
        assert answer.status == 200, path
    await context.close()


async def test_the_tail_moves_holds_still_under_the_pointer_and_opens_a_row(
    edge: EdgeUnderTest, watched: Watched
) -> None:
    page = watched.page
    await edge.get("/first")
    await page.goto(f"{dashboard(edge)}/traffic")
    await edge.get("/second")
    await expect(page.locator(".tail tbody tr").first).to_contain_text("/second")
    await page.locator(".tail tbody tr").first.hover()
    await expect(page.locator("#live-state")).to_contain_text("Held since")
    await edge.get("/third")
    await page.get_by_role("link", name="GET /second").click()
    await expect(page.locator(".detail")).to_contain_text("Nothing was stored for this URL yet.")
    await expect(page.locator(".tail tbody")).to_contain_text("/third")
    await page.get_by_role("link", name="Explain what this URL would get now").click()
    await expect(page.locator(".lines")).to_contain_text("The next such request is a hit")
    assert watched.complaints == []


async def test_filters_narrow_the_tail_and_stand_in_the_address(edge: EdgeUnderTest, watched: Watched) -> None:
    page = watched.page
    for path in ("/a", "/a", "/b"):
        await edge.get(path)
    await page.goto(f"{dashboard(edge)}/traffic")
    await page.get_by_label("Verdict").select_option("hit")
    await expect(page.locator(".tail tbody tr")).to_have_count(1)
    await expect(page).to_have_url(f"{dashboard(edge)}/traffic?verdict=hit")
    await edge.get("/b")
    await expect(page.locator(".tail tbody tr")).to_have_count(2)
    await page.reload()
    await expect(page.get_by_label("Verdict")).to_have_value("hit")
    assert watched.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_complains_or_scrolls_sideways_at_any_width(
    edge: EdgeUnderTest, watched: Watched, scheme: str
) -> None:
    page = watched.page
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    for path in ("/a", "/" + "x" * 900, "/api/b", "/a"):
        await edge.get(path)
    for path in PAGES:
        for width in (390, 1024, 1920):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.goto(dashboard(edge) + path)
            await expect(page.locator("#live-state")).to_have_text("Live")
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
    assert watched.complaints == []


async def test_a_page_outlives_the_end_of_the_edge_and_says_what_is_wrong(watched: Watched) -> None:
    page = watched.page
    async with ScriptedOrigin() as origin:
        async with edge_before(origin, routes=ROUTES) as edge:
            await page.goto(dashboard(edge))
            await expect(page.locator("#live-state")).to_have_text("Live")
        await expect(page.locator("#live-state")).to_contain_text("No connection; figures are of")


async def test_a_frozen_edge_is_noticed_within_ten_seconds_and_so_is_that_it_goes_on(
    watched: Watched, tmp_path: Path
) -> None:
    page, state = watched.page, watched.page.locator("#live-state")
    await page.clock.install()
    async with ScriptedOrigin() as origin, serving(tmp_path, origin.url) as edge:
        await page.goto(edge.admin_url)
        await expect(state).to_have_attribute("title", "Figures come as soon as they change")
        edge.signal(signal.SIGSTOP)
        try:
            await page.clock.run_for(10_600)
            await expect(state).to_contain_text("No connection; figures are of")
        finally:
            edge.signal(signal.SIGCONT)
        await page.clock.run_for(2_000)
        await expect(state).to_have_text("Live")
