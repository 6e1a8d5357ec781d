"""The cache browser and the outbox in a real Chromium: opened, searched, counted, purged; with and without script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Browser, Page, expect
from pytest_aiohttp import AiohttpServer

from tests.browser import chromium, in_browser
from tests.dashboard.shelf import NOW
from tests.edge import edge_before
from tests.origin import ScriptedOrigin
from webui.listing import entry_id

if TYPE_CHECKING:
    from tests.dashboard.conftest import EdgeUnderView

pytestmark = in_browser
HOST = "http://127.0.0.1:8080"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def address(edge: EdgeUnderView, aiohttp_server: AiohttpServer) -> str:
    for path in (
        "/api/reports/1",
        "/api/reports/2",
        "/api/reports?page=1",
        "/api/reports?page=2",
        "/photos/1.jpg",
        "/",
    ):
        edge.store(path, tags=("reports",) if "reports" in path else ())
    server = await aiohttp_server(edge.application())
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page that must not complain; a policy violation is a console error."""
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []


async def _open(page: Page, label: str) -> None:
    await page.get_by_role("link", name=label, exact=True).click()


async def test_a_place_opens_and_closes_without_reload_and_the_way_back_leads_back(
    address: str, page: Page, edge: EdgeUnderView
) -> None:
    await page.goto(f"{address}/cache")
    await page.evaluate("window.never_reloaded = true")
    await _open(page, "api/")
    await _open(page, "reports/")
    await expect(page.get_by_role("link", name="1", exact=True)).to_be_visible()
    await expect(page).to_have_url(f"{address}/cache?at=http%3A%2F%2F127.0.0.1%3A8080%2Fapi%2Freports%2F")
    edge.store("/api/reports/3")
    await expect(page.get_by_role("link", name="3", exact=True)).to_be_visible()
    assert await page.evaluate("window.never_reloaded") is True
    await _open(page, "reports/")
    await expect(page.get_by_role("link", name="1", exact=True)).to_have_count(0)
    await page.go_back()
    await expect(page.get_by_role("link", name="1", exact=True)).to_be_visible()


async def test_a_search_in_the_tree_becomes_a_list_and_the_tree_again(address: str, page: Page) -> None:
    await page.goto(f"{address}/cache")
    await page.get_by_label("Find").fill("page=")
    await expect(page.locator(".entries tbody tr")).to_have_count(2)
    await expect(page).to_have_url(f"{address}/cache?q=page%3D")
    await page.get_by_role("link", name="Tree").click()
    await expect(page.locator("#cache-total")).to_have_text("2")
    await expect(page.locator(".tree")).to_contain_text("?page=1".removeprefix("?"))
    await page.get_by_label("Find").fill("")
    await expect(page.locator("#cache-total")).to_have_text("6")


async def test_further_filters_narrow_the_tree_and_a_wrong_one_is_told(address: str, page: Page) -> None:
    await page.goto(f"{address}/cache")
    await page.get_by_text("More filters").click()
    await page.get_by_label("Tag").fill("reports")
    await expect(page.locator("#cache-total")).to_have_text("4")
    await expect(page).to_have_url(f"{address}/cache?tag=reports")
    await page.reload()
    await expect(page.get_by_label("Tag")).to_be_visible()


async def test_a_purge_by_filter_is_counted_first_and_told_after(address: str, page: Page, edge: EdgeUnderView) -> None:
    await page.goto(f"{address}/cache?tag=reports")
    await page.evaluate("window.never_reloaded = true")
    await _open(page, "Purge what is found…")
    question = page.get_by_role("heading", name="Purge what is tagged reports?")
    await expect(question).to_be_visible()
    await expect(page.locator("#purge-count")).to_have_text("4")
    await expect(page.locator("#flash")).to_be_focused()
    assert len(edge.entries) == 6
    await page.get_by_role("button", name="Purge 4").click()
    await expect(page.locator("#flash[role=status]")).to_have_text("Purged 4 stored responses.")
    await expect(page.locator("#live")).to_contain_text("None of the 2 stored responses matches")
    assert len(edge.entries) == 2
    assert await page.evaluate("window.never_reloaded") is True


async def test_what_is_below_a_place_is_marked_stale(address: str, page: Page, edge: EdgeUnderView) -> None:
    await page.goto(f"{address}/cache")
    await page.get_by_role("link", name=f"Purge what is below {HOST}/api/", exact=True).click()
    await page.get_by_role("button", name="Mark 4 stale").click()
    await expect(page.locator("#flash[role=status]")).to_have_text("Marked 4 stored responses stale.")
    assert sorted(entry.fresh_until <= NOW for entry in edge.entries) == [False, False, True, True, True, True]


async def test_a_question_is_withdrawn(address: str, page: Page, edge: EdgeUnderView) -> None:
    await page.goto(f"{address}/cache?view=list")
    await _open(page, "Purge everything…")
    await page.get_by_role("link", name="Keep them").click()
    await expect(page).to_have_url(f"{address}/cache?view=list")
    await expect(page.get_by_role("heading", name="Purge everything stored?")).to_have_count(0)
    assert len(edge.entries) == 6


async def test_a_response_is_looked_at_and_purged_from_its_own_page(
    address: str, page: Page, edge: EdgeUnderView
) -> None:
    await page.goto(f"{address}/cache?view=list&q=photos")
    await page.locator(".entries a.address").click()
    await expect(page).to_have_url(f"{address}/cache/{entry_id(edge.entries[4])}")
    await expect(page.locator(".detail-state")).to_contain_text("10:00 more")
    await page.get_by_role("button", name="Mark stale").click()
    await expect(page.locator(".detail-state")).to_contain_text("stale")
    await page.get_by_role("button", name="Purge", exact=True).click()
    await expect(page.locator("#flash[role=status]")).to_have_text(f"Purged {HOST}/photos/1.jpg.")
    await expect(page).to_have_url(f"{address}/cache")
    assert len(edge.entries) == 5


async def test_a_response_that_goes_while_it_is_looked_at_is_told(
    address: str, page: Page, edge: EdgeUnderView
) -> None:
    await page.goto(f"{address}/cache/{entry_id(edge.entries[0])}")
    edge.shelf.shelved.clear()
    await expect(page.locator("#live")).to_contain_text("is not stored (any more)")


async def test_all_of_it_works_without_script(address: str, browser: Browser, edge: EdgeUnderView) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{address}/cache")
    await _open(page, "api/")
    await _open(page, "reports/")
    await expect(page.get_by_role("link", name="1", exact=True)).to_be_visible()
    await page.get_by_label("Find").fill("page=")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".where")).to_contain_text(f"Below {HOST}/api/reports/")
    await page.get_by_role("link", name="Everywhere").click()
    await expect(page.locator(".entries tbody tr")).to_have_count(2)
    await _open(page, "Purge what is found…")
    await expect(page.locator("#purge-count")).to_have_text("2")
    await page.get_by_role("button", name="Purge 2").click()
    await expect(page.locator("#flash[role=status]")).to_have_text("Purged 2 stored responses.")
    assert len(edge.entries) == 4
    await context.close()


@pytest.mark.parametrize("width", [390, 1920])
async def test_neither_tree_nor_detail_scrolls_sideways(
    address: str, page: Page, edge: EdgeUnderView, width: int
) -> None:
    endless = edge.store("/" + "x" * 900, tags=tuple(f"tag-{'y' * 30}-{i}" for i in range(40)))
    edge.store("/" + "/".join("deep" * 5 for _ in range(14)) + "/1", vary=(("accept-language", "z" * 300),))
    edge.store("/" + "/".join("deep" * 5 for _ in range(14)) + "/2")
    await page.set_viewport_size({"width": width, "height": 900})
    deep = f"{HOST}/" + "/".join("deep" * 5 for _ in range(13)) + "/"
    for path in ("/cache", f"/cache?at={deep}", f"/cache/{entry_id(endless)}", "/cache/purge/count?view=list"):
        await page.goto(address + path)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize("script", [True, False])
async def test_a_write_is_discarded_after_a_question(browser: Browser, script: bool) -> None:
    async def forever(_seconds: float) -> None:
        await asyncio.Event().wait()

    routes = [{"name": "all", "match": "/**", "strategy": "cache-first", "offline_queue": True}]
    async with (
        ScriptedOrigin() as origin,
        edge_before(origin, sleep=forever, routes=routes, origin={"retries": 0}) as edge,
    ):
        await origin.stop()
        for target in ("/kept", "/discarded"):
            await edge.ask("POST", target, {"Content-Type": "text/plain"}, b"x")
        context = await browser.new_context(java_script_enabled=script)
        page = await context.new_page()
        await page.goto(f"http://{edge.app.admin_address}/outbox")
        await expect(page.locator("#count-queued")).to_have_text("2")
        await page.get_by_role("link", name=f"Discard POST http://{edge.host}/discarded").click()
        await page.get_by_role("button", name="Discard it").click()
        await expect(page.locator("#flash[role=status]")).to_have_text("Discarded 1 write.")
        await expect(page.locator("#count-queued")).to_have_text("1")
        await expect(page.locator(".writes")).to_contain_text("/kept")
        await origin.start()
        await page.get_by_role("button", name=f"Try now POST http://{edge.host}/kept").click()
        await expect(page.locator("#flash[role=status]")).to_have_text("1 write is being tried again.")
        await context.close()
