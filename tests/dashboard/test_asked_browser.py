"""What a page says of what somebody has just asked for, in a real Chromium: in view, and until it is known."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from tests.browser import chromium, in_browser
from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin

pytestmark = in_browser

SIZES = [{"width": 1280, "height": 900}, {"width": 390, "height": 844}]
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
