"""The pages Timeline and Config in a real Chromium: live, filtered with and without script, narrow and wide."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect
from pytest_aiohttp import AiohttpServer

from proxy.config import load
from proxy.config.shipped import shipped_file
from proxy.dashboard.configuration import ConfigSource
from proxy.dashboard.timeline import TimelineSource
from proxy.operations.timeline import Timeline
from tests.browser import chromium, in_browser
from tests.dashboard.shelf import NOW
from webui.auth import security
from webui.frame import Frame
from webui.pages import config as config_page
from webui.pages import timeline as timeline_page

pytestmark = in_browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(lambda: NOW)


@pytest.fixture
def live() -> dict[str, tuple[str, str]]:
    return {}


@pytest.fixture
async def address(aiohttp_server: AiohttpServer, timeline: Timeline, live: dict[str, tuple[str, str]]) -> str:
    loaded = load(shipped_file(), env={"CACHEWIRE__ADMIN__TOKEN": "x" * 20}, overrides=["cache.memory=1MiB"])
    app = web.Application(middlewares=security(None))
    frame = Frame(app)
    timeline_page.setup(frame, TimelineSource(timeline, lambda: NOW + 5))
    config_page.setup(frame, ConfigSource(loaded.config, loaded.sources, lambda: live))
    return f"http://127.0.0.1:{(await aiohttp_server(app)).port}"


@pytest.fixture(params=["with script", "without script"])
async def page(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A page whose console stays silent: a policy violation is a console error."""
    context = await browser.new_context(java_script_enabled=request.param == "with script")
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await context.close()
    assert complaints == []


async def test_events_are_narrowed_by_kind_and_by_who(timeline: Timeline, address: str, page: Page) -> None:
    timeline.add("purge", "operator (session)", "everything was purged")
    timeline.add("alert", "automatic", "an alert fires")
    await page.goto(f"{address}/timeline")
    await expect(page.locator(".happenings tbody tr")).to_have_count(2)
    await page.get_by_label("Who").select_option("the edge itself")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".happenings tbody tr")).to_have_count(1)
    await expect(page.locator(".happenings")).to_contain_text("an alert fires")
    await page.get_by_role("link", name="alert", exact=True).click()
    await expect(page).to_have_url(f"{address}/timeline?kind=alert&by=automatic")
    await expect(page.locator("select[name=kind]")).to_have_value("alert")


async def test_an_event_appears_while_somebody_looks(timeline: Timeline, address: str, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(f"{address}/timeline")
    await expect(page.locator("#live")).to_contain_text("Nothing was done yet.")
    timeline.add("config", "operator", "a late <b>event</b>")
    await expect(page.locator(".happenings")).to_contain_text("a late <b>event</b>")


async def test_settings_are_found_by_a_word_and_by_being_changed(address: str, page: Page) -> None:
    await page.goto(f"{address}/config")
    await page.get_by_label("Find").fill("cache.memory")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".settings")).to_contain_text("Larger bodies live on disk only")
    await expect(page.locator("[id='set-cache.memory']")).to_contain_text("1MiB")
    await page.get_by_label("only what is not the default").check()
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".settings tbody tr:not(.section)")).to_have_count(1)
    await expect(page.locator("[id='set-cache.memory']")).to_contain_text("default: 64MiB")
    await page.reload()
    await expect(page.get_by_label("Find")).to_have_value("cache.memory")
    await expect(page.get_by_label("only what is not the default")).to_be_checked()


async def test_a_live_change_appears_while_somebody_looks(
    live: dict[str, tuple[str, str]], address: str, browser: Browser
) -> None:
    page = await browser.new_page()
    await page.clock.install()
    await page.goto(f"{address}/config?q=batch.delay")
    row = page.locator("[id='set-realtime.batch.delay']")
    await expect(row).to_contain_text("50ms")
    live["realtime.batch.delay"] = ("100ms", "preset high-traffic")
    await page.clock.fast_forward(11_000)
    await expect(row).to_contain_text("100ms")
    await expect(row).to_contain_text("preset high-traffic")


@pytest.mark.parametrize("width", [390, 1920])
async def test_no_page_scrolls_sideways(timeline: Timeline, address: str, browser: Browser, width: int) -> None:
    timeline.add("purge", "operator (session)", "x" * 400, **{"y" * 100: "z" * 400})
    page = await browser.new_page(viewport={"width": width, "height": 900})
    for path in ("/timeline", "/config", "/config?changed=yes"):
        await page.goto(address + path)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def test_every_section_can_be_reached_from_the_top(address: str, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(f"{address}/config")
    for link in await page.locator(".parts a").all():
        target = await link.get_attribute("href")
        assert target is not None
        assert await page.locator(target).count() == 1
