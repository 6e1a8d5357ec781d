"""What a page says of what somebody has just asked for, in a real Chromium: in view, and until it is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, Route, ViewportSize, expect

from tests.browser import chromium, in_browser
from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin

pytestmark = in_browser

SIZES: list[ViewportSize] = [{"width": 1280, "height": 900}, {"width": 390, "height": 844}]
FORMS = [
    ("/tuning", "#knob-realtime-compression-threshold .edit", "value", "16KiB"),
    ("/alerts", "#edit-disk-full", "threshold", "96%"),
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture
async def edge() -> AsyncIterator[EdgeUnderTest]:
    async with ScriptedOrigin() as origin, edge_before(origin) as edge:
        yield edge


async def opened(browser: Browser, edge: EdgeUnderTest, path: str, size: ViewportSize) -> Page:
    page = await browser.new_page(viewport=size)
    await page.goto(f"http://{edge.app.admin_address}{path}")
    await expect(page.locator("#live-state")).to_have_text("Live")
    return page


async def seen(page: Page) -> bool:
    """Whether nothing covers the middle of the message, and it is inside the window."""
    return bool(
        await page.evaluate(
            """() => {
              const message = document.querySelector("#flash .message");
              const { left, top, width, height } = message.getBoundingClientRect();
              return message.contains(document.elementFromPoint(left + width / 2, top + height / 2));
            }"""
        )
    )


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size["width"]))
@pytest.mark.parametrize(("path", "place", "name", "right"), FORMS, ids=["tuning", "alerts"])
async def test_what_became_of_a_form_far_below_is_in_view_and_moves_no_row(
    browser: Browser, edge: EdgeUnderTest, path: str, place: str, name: str, right: str, size: ViewportSize
) -> None:
    page = await opened(browser, edge, path, size)
    form, flash = page.locator(place), page.locator("#flash[role=status]")
    await form.locator("summary").click()
    field = form.locator(f"[name={name}]")
    await field.fill("oops")
    before = await field.bounding_box()
    await field.press("Enter")
    await expect(flash).to_contain_text("'oops' is not a")
    assert await seen(page)
    assert await field.bounding_box() == before
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("aria-invalid", "true")
    assert "flash" in (await field.get_attribute("aria-describedby") or "").split()

    await page.get_by_role("button", name="Dismiss").click()
    await expect(flash).to_have_text("")
    await field.fill(right)
    await expect(field).not_to_have_attribute("aria-invalid", "true")
    await field.press("Enter")
    await expect(flash).to_contain_text(right if path == "/tuning" else "The alert disk-full is changed")
    assert await seen(page)


async def test_a_filter_that_got_no_answer_is_applied_when_figures_come_again(
    browser: Browser, edge: EdgeUnderTest
) -> None:
    for path in ("/wanted", "/other"):
        await edge.get(path)
    page = await opened(browser, edge, "/traffic", SIZES[0])
    away = True

    async def answered(route: Route) -> None:
        await (route.abort() if away else route.continue_())

    await page.route("**/traffic?*q=wanted*", answered)
    await page.get_by_label("Find").fill("wanted")
    await expect(page.locator("#flash")).to_contain_text("no connection to the dashboard")
    away = False
    await edge.get("/another")  # figures come
    await expect(page.locator(".tail tbody tr")).to_have_count(1)
    await expect(page.locator(".tail tbody tr")).to_contain_text("/wanted")
    await expect(page).to_have_url(f"http://{edge.app.admin_address}/traffic?q=wanted")
    await expect(page.locator("#flash")).to_have_text("")


async def test_what_takes_a_while_is_said_to_be_loading_until_it_is_there(
    browser: Browser, edge: EdgeUnderTest
) -> None:
    await edge.get("/wanted")
    page = await opened(browser, edge, "/traffic", SIZES[0])
    there = asyncio.Event()

    async def late(route: Route) -> None:
        await there.wait()
        await route.continue_()

    await page.route("**/traffic?*q=wanted*", late)
    await page.get_by_label("Find").fill("wanted")
    await expect(page.locator("#loading")).to_have_text("Loading…")
    await expect(page.locator("#loading")).to_be_visible()
    await edge.get("/another")
    await expect(page.locator(".tail")).to_contain_text("/another")
    await expect(page.locator("#live")).to_have_attribute("aria-busy", "true")
    there.set()
    await expect(page.locator("#loading")).to_have_text("")
    await expect(page.locator("#live")).not_to_have_attribute("aria-busy", "true")
    await expect(page).to_have_url(f"http://{edge.app.admin_address}/traffic?q=wanted")


async def test_a_write_that_is_tried_again_shows_what_comes_of_it_under_the_pointer_that_rests(
    browser: Browser,
) -> None:
    async def forever(_seconds: float) -> None:
        await asyncio.Event().wait()

    routes = [{"name": "all", "match": "/**", "strategy": "cache-first", "offline_queue": True}]
    async with (
        ScriptedOrigin() as origin,
        edge_before(origin, sleep=forever, routes=routes, origin={"retries": 0}) as edge,
    ):
        await origin.stop()
        await edge.ask("POST", "/kept", {"Content-Type": "text/plain"}, b"x")
        page = await opened(browser, edge, "/outbox", SIZES[0])
        attempts = page.locator(".writes td[data-label=Attempts]")
        await expect(attempts).to_have_text("1")
        await page.get_by_role("button", name="Try now").click()
        await expect(page.locator("#flash[role=status]")).to_have_text("1 write is being tried again.")
        await expect(attempts).to_have_text("2")
        await expect(page.locator("#live-state")).to_have_text("Live")
        assert await page.locator(".writes:hover").count() == 1
        await page.mouse.move(640, 5)
        await page.locator(".writes .url").hover()
        await expect(page.locator("#live-state")).to_contain_text("Held since")


async def test_a_sentence_that_all_went_well_leaves_and_one_that_it_did_not_stays(
    browser: Browser, edge: EdgeUnderTest
) -> None:
    page = await browser.new_page()
    await page.clock.install()
    await page.goto(f"http://{edge.app.admin_address}/alerts")
    await page.locator("#edit-disk-full > summary").click()
    threshold, flash = page.locator("#edit-disk-full [name=threshold]"), page.locator("#flash")
    await threshold.fill("96%")
    await threshold.press("Enter")
    await expect(flash).to_contain_text("The alert disk-full is changed")
    await page.clock.run_for(10_100)
    await expect(flash).to_have_text("")
    await threshold.fill("oops")
    await threshold.press("Enter")
    await expect(flash).to_contain_text("'oops' is not a share")
    await page.clock.run_for(30_000)
    await expect(flash).to_contain_text("'oops' is not a share")


async def test_what_opens_the_form_of_a_value_looks_like_what_can_be_pressed(
    browser: Browser, edge: EdgeUnderTest
) -> None:
    page = await opened(browser, edge, "/tuning", SIZES[0])
    change = page.locator("#knob-cache-memory .edit summary")
    assert await change.evaluate("summary => getComputedStyle(summary).borderTopStyle") == "solid"
    colour = "element => getComputedStyle(element).color"
    assert await change.evaluate(colour) == await page.locator("body").evaluate(colour)
