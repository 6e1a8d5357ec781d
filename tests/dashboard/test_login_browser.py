"""Logging in with a real Chromium: with a keyboard, without script, locked out, and as somebody who may only look."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Browser, Page, expect
from pytest_aiohttp import AiohttpServer

from tests.browser import chromium, in_browser
from webui.attempts import FREE
from webui.login import Login
from webui.sessions import Sessions

if TYPE_CHECKING:
    from tests.dashboard.conftest import EdgeUnderView

OPS_EXAMPLE = "--host-resolver-rules=MAP ops.example 127.0.0.1"
PASSWORD, VIEWERS = "correct horse", "only looking"

pytestmark = in_browser


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium(OPS_EXAMPLE) as browser:
        yield browser


@pytest.fixture
def login() -> Login:
    passwords = {"operator": PASSWORD.__eq__, "viewer": VIEWERS.__eq__}
    return Login(passwords, Sessions(100, 100), now=lambda: 1.0, audit=lambda *_, **__: None)  # type: ignore[arg-type] # str.__eq__ says more than bool


@pytest.fixture
async def address(edge: EdgeUnderView, aiohttp_server: AiohttpServer, login: Login) -> str:
    server = await aiohttp_server(edge.application(None, login=login))
    # By a name on plain HTTP, where a browser sends no Sec-Fetch-Site: nothing is easier for an operator, or harder.
    return f"http://ops.example:{server.port}"


@pytest.fixture(params=["with script", "without script"])
async def page(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    context = await browser.new_context(java_script_enabled=request.param == "with script")
    yield await context.new_page()
    await context.close()


async def submit(page: Page, password: str) -> None:
    await page.get_by_label("Password", exact=True).fill(password)
    await page.keyboard.press("Enter")


async def test_a_page_is_asked_for_then_the_password_and_then_the_page_is_there(
    edge: EdgeUnderView, address: str, page: Page
) -> None:
    edge.store("/doomed")
    await page.goto(f"{address}/cache?q=doomed")
    await expect(page).to_have_title("Log in · Cachewire")
    await expect(page.get_by_label("Password", exact=True)).to_be_focused()
    await submit(page, "wrong")
    await expect(page.get_by_role("alert")).to_have_text("That did not work. Try again.")
    await submit(page, PASSWORD)
    await expect(page).to_have_url(f"{address}/cache?q=doomed")

    await page.get_by_role("button", name="Purge http://127.0.0.1:8080/doomed").click()
    await expect(page.locator("#flash[role=status]")).to_have_text(
        re.compile(r"^Purged (http://127\.0\.0\.1:8080/doomed|1 stored response)\.$")
    )

    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_title("Log in · Cachewire")
    await page.goto(f"{address}/cache")
    await expect(page).to_have_title("Log in · Cachewire")


async def test_whoever_guesses_is_locked_out_and_told_for_how_long(address: str, page: Page) -> None:
    await page.goto(address)
    for _ in range(FREE):
        await submit(page, "wrong")
    await expect(page.get_by_role("alert")).to_contain_text("Locked out for 30 s.")
    await submit(page, PASSWORD)
    await expect(page.get_by_role("alert")).to_contain_text("Locked out for 30 s.")


async def test_who_may_only_look_finds_no_lever(edge: EdgeUnderView, address: str, page: Page) -> None:
    edge.store("/kept")
    await page.goto(f"{address}/cache")
    await submit(page, VIEWERS)
    await expect(page.locator(".entries")).to_contain_text("/kept")
    await expect(page.get_by_text("Read only")).to_be_visible()
    await expect(page.get_by_role("button", name="Purge")).to_have_count(0)
    await expect(page.get_by_text("Purge everything…")).to_be_hidden()
    await expect(page.get_by_role("button", name="Show")).to_be_visible()
    await expect(page.get_by_role("button", name="Log out")).to_be_visible()


async def test_an_open_page_asks_for_the_password_when_its_session_has_ended(
    browser: Browser, address: str, login: Login
) -> None:
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"{address}/cache")
    await submit(page, PASSWORD)
    await expect(page.locator("#live-state")).to_have_text("Live")
    for session in list(login._sessions._sessions.values()):
        login.leave(session)
    # The stream notices with its next word, at the latest after its heartbeat.
    await expect(page.locator("#flash[role=status]")).to_contain_text("your session is over", timeout=20_000)
    await page.get_by_role("link", name="Log in and come back here").click()
    await expect(page).to_have_url(f"{address}/login?to=/cache")
    await submit(page, PASSWORD)
    await expect(page).to_have_url(f"{address}/cache")
    assert complaints == []


@pytest.mark.parametrize("width", [390, 1920])
async def test_the_login_page_obeys_the_policy_and_does_not_scroll_sideways(
    browser: Browser, address: str, width: int
) -> None:
    page = await browser.new_page(viewport={"width": width, "height": 800})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    await page.goto(address.replace("ops.example", "127.0.0.1"))
    await page.get_by_text("Lost the password?").click()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert complaints == []
