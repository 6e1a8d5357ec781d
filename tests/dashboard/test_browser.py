"""The dashboard in a real Chromium: live without reload, under the strict policy, with and without script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Browser, Page, expect
from pytest_aiohttp import AiohttpServer

from tests.browser import chromium, in_browser
from webui.snapshot import Health, RecentExchange

if TYPE_CHECKING:
    from tests.dashboard.conftest import EdgeUnderView

# A name on plain HTTP is no trustworthy origin: there Chromium sends no Sec-Fetch-Site.
OPS_EXAMPLE = "--host-resolver-rules=MAP ops.example 127.0.0.1"

pytestmark = in_browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium(OPS_EXAMPLE) as browser:
        yield browser


@pytest.fixture
async def address(edge: EdgeUnderView, aiohttp_server: AiohttpServer) -> str:
    server = await aiohttp_server(edge.application(None, "ops.example"))
    return f"http://127.0.0.1:{server.port}"


class Watched:
    """A page whose console and faults are written down. A policy violation is a console error."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


@pytest.fixture
async def watched(browser: Browser) -> Watched:
    return Watched(await browser.new_page())


async def without_streams(page: Page) -> None:
    """As if something on the way let no stream through."""
    await page.add_init_script("delete window.EventSource")


async def test_figures_move_without_reload_and_nobody_complains(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    await page.goto(address)
    await page.evaluate("window.never_reloaded = true")
    await expect(page.locator("#requests-total")).to_have_text("1,234")
    await expect(page.locator("#live-state")).to_have_text("Live")

    edge.show(requests_total=4321, health=Health("failing", "The origin is down."))
    edge.show(recent=(RecentExchange(2.0, "GET", "/new", 504, "error", "origin-timeout", 5.0),))

    await expect(page.locator("#requests-total")).to_have_text("4,321")
    await expect(page.locator(".health")).to_contain_text("The origin is down.")
    await expect(page.locator(".traffic")).to_contain_text("/new")
    await expect(page).to_have_title("Failing · Cachewire")
    assert await page.evaluate("window.never_reloaded") is True
    assert watched.complaints == []


async def test_an_explanation_that_was_opened_stays_open_while_figures_move(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    await page.goto(address)
    await page.get_by_text("Hit ratio", exact=True).click()
    edge.show(requests_total=4321)
    await expect(page.locator("#requests-total")).to_have_text("4,321")
    await expect(page.get_by_text("The share of answers that came out of the store")).to_be_visible()


async def test_a_paused_page_asks_nothing_until_it_is_resumed(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    await page.clock.install()
    await page.goto(address)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#live-state")).to_contain_text("Paused")
    looks = edge.looks
    edge.show(requests_total=4321)

    await page.clock.run_for(60_000)

    assert edge.looks == looks
    await expect(page.locator("#requests-total")).to_have_text("1,234")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("#requests-total")).to_have_text("4,321")


async def test_a_page_that_lost_its_server_says_so_and_recovers(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    await page.goto(address)
    await page.context.set_offline(True)
    state, banner = page.get_by_role("status").filter(has_text="No connection"), page.locator("#lost")
    await expect(state).to_contain_text("No connection; figures are of")
    await expect(banner).to_contain_text("Is the process running? The page recovers by itself.")
    # It stands at the bottom: nothing is below it.
    await expect(banner).to_contain_text(re.compile(r"What is shown is as of \d\d:\d\d:\d\d UTC"))
    await expect(page).to_have_title("No connection · Cachewire")
    await expect(page.locator(".health")).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d UTC.*Healthy"))
    # What is old stays as easy to read as what is new: nothing is made pale.
    assert await page.locator("#live").evaluate("main => getComputedStyle(main).opacity") == "1"
    await page.context.set_offline(False)
    await expect(page.locator("#live-state")).to_have_text("Live")
    await expect(banner).to_be_hidden()
    await expect(page).to_have_title("Healthy · Cachewire")
    await expect(page.locator(".health")).not_to_contain_text("as of")


async def test_figures_that_fail_leave_the_last_ones_standing_and_say_so(
    edge: EdgeUnderView, address: str, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = watched.page
    await page.goto(address)
    monkeypatch.setattr(edge, "figures", None)
    await expect(page.locator("#live-state")).to_contain_text("The dashboard answered 500")
    await expect(page.locator("#requests-total")).to_have_text("1,234")


async def test_a_purged_row_goes_and_the_count_is_announced(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    edge.store("/doomed")
    edge.store("/kept")
    await page.goto(f"{address}/cache")
    await page.evaluate("window.never_reloaded = true")

    await page.get_by_role("button", name="Purge http://127.0.0.1:8080/doomed").click()

    await expect(page.locator("#flash[role=status]")).to_have_text("Purged http://127.0.0.1:8080/doomed.")
    await expect(page.locator(".entries tbody tr")).to_have_count(1)
    await expect(page.locator(".entries")).to_contain_text("/kept")
    await expect(page.locator("#flash")).to_be_focused()
    assert await page.evaluate("window.never_reloaded") is True
    assert watched.complaints == []


async def test_the_list_holds_still_under_the_pointer_and_moves_again_after(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    edge.store("/first")
    await page.goto(f"{address}/cache?view=list")
    await page.locator(".entries .url").hover()
    await expect(page.locator("#live-state")).to_contain_text("Held since")
    edge.store("/second")
    await page.mouse.move(1, 1)
    await expect(page.locator(".entries")).to_contain_text("/second")


async def test_typing_a_filter_narrows_the_list_and_the_address_follows(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    edge.store("/api/reports")
    edge.store("/page")
    await page.goto(f"{address}/cache")
    await page.get_by_label("Find").fill("reports")
    await expect(page.locator(".entries tbody tr")).to_have_count(1)
    await expect(page).to_have_url(f"{address}/cache?q=reports")
    await page.reload()
    await expect(page.get_by_label("Find")).to_have_value("reports")
    assert watched.complaints == []


@pytest.mark.parametrize("by", ["stream", "polling"])
async def test_a_hostile_url_runs_nothing(edge: EdgeUnderView, address: str, watched: Watched, by: str) -> None:
    hostile = "/<img src=x onerror=window.owned=1><script>window.owned=1</script><hx-partial hx-target=body>x"
    edge.show(recent=(RecentExchange(1.0, "GET", hostile, 200, "hit", "fresh", 0.1),))
    edge.store(hostile)
    page = watched.page
    if by == "polling":
        await without_streams(page)
    await page.goto(f"{address}/cache")
    await expect(page.locator("#live-state")).to_have_text("Live")
    assert await page.evaluate("window.owned") is None
    for path in ("/", "/cache?view=list"):
        await page.goto(address + path)
        await expect(page.locator("#live-state")).to_have_text("Live")
        later = "/later" + hostile
        edge.show(recent=(RecentExchange(1.0, "GET", later, 200, "hit", "fresh", 0.1),))
        edge.store(later)
        await expect(page.locator("#live")).to_contain_text("/later")
        await expect(page.locator("#live")).to_contain_text("<hx-partial hx-target=body>")
        assert await page.evaluate("window.owned") is None
    assert watched.complaints == []


async def test_everything_works_without_script_even_by_name_on_plain_http(
    edge: EdgeUnderView, address: str, browser: Browser
) -> None:
    edge.store("/doomed")
    edge.store("/kept")
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(address.replace("127.0.0.1", "ops.example"))
    await expect(page.locator("#pause")).to_be_hidden()
    await page.get_by_role("link", name="Cache", exact=True).click()
    await page.get_by_label("Find").fill("doomed")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".entries tbody tr")).to_have_count(1)

    await page.get_by_role("button", name="Purge http://127.0.0.1:8080/doomed").click()

    await expect(page.locator("#flash[role=status]")).to_have_text("Purged 1 stored response.")
    assert [entry.url for entry in edge.entries] == ["http://127.0.0.1:8080/kept"]
    await context.close()


@pytest.mark.parametrize("width", [390, 1920])
async def test_no_page_scrolls_sideways(edge: EdgeUnderView, address: str, watched: Watched, width: int) -> None:
    endless = "/x" * 400
    edge.show(recent=(RecentExchange(1.0, "GET", endless, 200, "revalidated", "not-modified", 0.1),))
    edge.show(origin=replace(edge.figures.origin, last_error=endless, last_error_at=1.0))
    edge.store(endless, tags=tuple(f"tag-{i}" for i in range(40)))
    await watched.page.set_viewport_size({"width": width, "height": 900})
    for path in ("/", "/cache"):
        await watched.page.goto(address + path)
        assert await watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def test_one_stream_brings_the_figures_and_nothing_is_asked_beside_it(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(address)))
    await page.goto(address)
    for number in (11, 12, 13):
        edge.show(requests_total=number)
        await expect(page.locator("#requests-total")).to_have_text(str(number))
    assert asked.count("/live?page=%2F") == 1
    assert asked.count("/") == 1
    assert watched.complaints == []


@pytest.mark.parametrize("fault", ["refused", "aborted", "unknown"])
async def test_where_no_stream_comes_through_the_page_asks_by_itself(
    edge: EdgeUnderView, address: str, watched: Watched, fault: str
) -> None:
    page = watched.page
    if fault == "unknown":
        await without_streams(page)
    elif fault == "refused":
        await page.route("**/live?*", lambda route: route.fulfill(status=503, body="no"))
    else:
        await page.route("**/live?*", lambda route: route.abort())
    await page.goto(address)
    for number in (11, 12):
        edge.show(requests_total=number)
        await expect(page.locator("#requests-total")).to_have_text(str(number))
        await expect(page.locator("#live-state")).to_have_text("Live")


async def test_a_stream_that_is_held_back_on_the_way_is_given_up_for_asking(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    await page.route("**/live?*", lambda route: None)  # connected, and nothing ever comes
    await page.goto(address)
    edge.show(requests_total=11)
    await expect(page.locator("#requests-total")).to_have_text("11", timeout=15_000)


async def test_a_session_that_is_over_is_said_clearly_and_leads_to_the_login(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    await page.goto(f"{address}/cache?q=reports")
    await expect(page.locator("#live-state")).to_have_text("Live")
    await page.route("**/live?*", lambda route: route.fulfill(status=401, body="no"))
    await page.route("**/cache*", lambda route: route.fulfill(status=401, body="no"))
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("#live-state")).to_contain_text("Logged out; figures are of")
    await expect(page.get_by_role("link", name="Log in and come back here")).to_have_attribute(
        "href", "/cache?q=reports"
    )


async def test_the_keyboard_leads_everywhere_and_lists_its_shortcuts(
    edge: EdgeUnderView, address: str, watched: Watched
) -> None:
    page = watched.page
    await page.goto(address)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    await page.keyboard.type("gc")
    await expect(page).to_have_url(f"{address}/cache")
    await page.keyboard.press("/")
    await page.keyboard.type("go?")
    await expect(page.get_by_label("Find")).to_have_value("go?")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.keyboard.press("Escape")
    await page.keyboard.press("p")
    await expect(page.locator("#live-state")).to_contain_text("Paused")
    await page.keyboard.type("go")
    await expect(page).to_have_url(f"{address}/")
    assert watched.complaints == []


async def test_whatever_the_readers_clock_says_times_are_utc_and_said_to_be(address: str, browser: Browser) -> None:
    page = await browser.new_page(timezone_id="Pacific/Kiritimati")
    await page.clock.install(time=datetime(2026, 1, 1, 23, 30, tzinfo=UTC))
    await page.goto(address)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#live-state")).to_contain_text(re.compile(r"Paused at 23:3\d:\d\d UTC"))
    await expect(page.get_by_text("UTC", exact=True)).to_be_visible()
