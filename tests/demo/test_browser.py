"""The page in a real Chromium, under its own strict policy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from PIL import Image
from playwright.async_api import Page, ViewportSize, expect

from tests.browser import chromium, in_browser

Client = TestClient[Any, Any]
DESK = ViewportSize(width=1400, height=1000)
PHONE = ViewportSize(width=390, height=844)

pytestmark = in_browser


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console complained about: errors, warnings and violations of the policy."""
    return []


@pytest.fixture(params=[DESK], ids=["desk"])
async def page(request: pytest.FixtureRequest, origin: Client, complaints: list[str]) -> AsyncIterator[Page]:
    async with chromium() as browser:
        page = await browser.new_page(viewport=request.param)
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(str(origin.make_url("/")))
        await expect(page.locator(".card h3")).to_have_count(12)
        yield page


async def log_in(page: Page, user: str) -> None:
    await expect(page.locator("#who option")).to_have_count(51)
    async with page.expect_response("**/api/likes?*"):
        await page.select_option("#who", user)


@pytest.mark.parametrize("page", [DESK, PHONE], ids=["desk", "phone"], indirect=True)
async def test_the_page_fits_and_breaks_no_rule_of_its_policy(page: Page, complaints: list[str]) -> None:
    await page.wait_for_load_state("networkidle")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate("document.fonts.check('16px Inter')")
    assert complaints == []


async def test_filters_and_paging_change_the_list(page: Page) -> None:
    await page.click("[data-category=accident]")
    await expect(page.locator(".card .badge").first).to_have_text("Accident")
    await page.click("#more")
    await expect(page.locator(".card h3")).to_have_count(24)
    assert set(await page.locator(".card .badge").all_inner_texts()) == {"Accident"}


async def test_search_lists_what_it_finds(page: Page) -> None:
    await page.fill("#search input", "lime street")
    await page.press("#search input", "Enter")
    await expect(page.locator(".card .place").first).to_contain_text("Lime Street")


async def test_a_like_of_somebody_reaches_the_origin(page: Page, origin: Client) -> None:
    await log_in(page, "u7")
    await expect(page.locator(".like").first).to_be_visible()
    shown = await page.locator(".like").evaluate_all("hearts => hearts.map(heart => heart.dataset.like)")
    # Asked of the origin, because the page may not have heard yet what u7 likes.
    unliked = [id_ for id_ in shown if "u7" not in await likers(origin, id_)]
    report = unliked[0]
    async with page.expect_response(f"**/api/reports/{report}/likes"):
        await page.locator(f'.like[data-like="{report}"]').first.click()
    assert "u7" in await likers(origin, report)


async def likers(origin: Client, report: str) -> list[str]:
    async with origin.get(f"/api/reports/{report}") as response:
        users: list[str] = (await response.json())["liked_by"]
        return users


async def test_a_guest_is_asked_who_they_are(page: Page) -> None:
    await page.locator(".like").first.click()
    await expect(page.locator(".toast")).to_contain_text("browse as")
    await expect(page.locator("#who")).to_be_focused()


async def test_a_comment_appears_in_the_drawer_as_text(page: Page, complaints: list[str]) -> None:
    await log_in(page, "u7")
    await page.locator(".card-link").first.click()
    await page.fill("#detail input", "<img src=x onerror=alert(1)>")
    await page.press("#detail input", "Enter")
    await expect(page.locator(".comments li").last).to_contain_text("<img src=x onerror=alert(1)>")
    await page.keyboard.press("Escape")
    await expect(page.locator("#detail")).to_be_hidden()
    assert complaints == []


async def test_a_report_with_a_photo_can_be_posted(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (900, 600), "tomato").save(photo)
    await log_in(page, "u7")
    await page.click("#open-form")
    for name, value in (("title", "Lamp post hit"), ("place", "Quay Street"), ("text", "It leans.")):
        await page.fill(f"#report-form [name={name}]", value)
    await page.set_input_files("#report-form [name=photo]", photo)
    await page.click("#report-form .primary")
    first = page.locator(".card").first
    await expect(first.locator("h3")).to_have_text("Lamp post hit")
    await expect(first.locator("img.photo")).to_have_attribute("src", "/uploads/r201-1.jpg")


async def test_chat_messages_are_sent_in_batches_and_shown(page: Page, origin: Client) -> None:
    await log_in(page, "u7")
    await page.click("#open-chat")
    await page.locator(".conversations button").first.click()
    await expect(page.locator(".bubble").first).to_be_visible()
    for text in ("On my way.", "Two minutes.", "Here."):
        await page.fill("#compose input", text)
        await page.press("#compose input", "Enter")
    await expect(page.locator(".bubble.own:not(.waiting)").last).to_have_text("Here.")
    async with origin.get("/demo/stats") as response:
        assert 1 <= (await response.json())["by_path"]["/api/chat/messages/batch"] <= 3


async def test_a_dead_origin_gets_a_friendly_page_that_heals_by_itself(page: Page) -> None:
    await page.click("#inspector-toggle")
    await page.click("[data-mode=down]")
    await expect(page.locator("[data-mode=down]")).to_have_attribute("aria-pressed", "true")
    await page.click("[data-category=pothole]")
    await expect(page.locator(".empty h2")).to_have_text("The streets are quiet")
    await expect(page.locator("#inspector-rows .verdict").first).to_have_text("error")
    await page.click("[data-mode=ok]")
    await expect(page.locator(".card h3")).to_have_count(12, timeout=9000)


VERDICTS = [
    (None, 200, None, "direct"),
    ('cachewire; hit; ttl=3; detail="fresh"', 200, "2", "hit"),
    ('cachewire; hit; ttl=-30; detail="stale: unreachable"', 200, "40", "stale"),
    ("cache.example; hit; ttl=-1", 200, "40", "stale"),
    ('cachewire; fwd=stale; fwd-status=503; detail="stale: error-status"', 200, "40", "stale"),
    ('cachewire; fwd=stale; fwd-status=200; stored; detail="stale"', 200, None, "miss"),
    ("inner; hit, cachewire; fwd=stale; fwd-status=304", 200, "0", "revalidated"),
    ('cachewire; fwd=uri-miss; stored; key="a, b; hit"', 200, None, "miss"),
    ("cachewire; fwd=bypass; fwd-status=200", 200, None, "bypass"),
    ('cachewire; fwd=uri-miss; detail="unreachable"', 502, None, "error"),
]


async def test_the_verdict_is_read_from_cache_status(page: Page) -> None:
    script = await page.locator("link[rel=modulepreload][href*='/network.']").get_attribute("href")
    read = """async ([script, rows]) => {
      const { readCacheStatus } = await import(script);
      return rows.map(([header, status, age]) =>
        readCacheStatus(header, { ok: status < 400, status, headers: { get: () => age } }).verdict);
    }"""
    rows = [row[:3] for row in VERDICTS]
    assert await page.evaluate(read, [script, rows]) == [verdict for *_, verdict in VERDICTS]
