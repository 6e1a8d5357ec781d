"""Two people in two windows of a real Chromium chat and see each other's reports, through the edge's realtime core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser import chromium, in_browser
from tests.process.edge_process import EdgeProcess, demonstrating

pytestmark = in_browser


class Windows:
    """One browser; each window has a profile of its own, so that two people do not share cookies."""

    def __init__(self, edge: EdgeProcess, stack: AsyncExitStack) -> None:
        self.edge = edge
        self.complaints: list[str] = []
        self._stack = stack

    async def open(self) -> Page:
        browser = await self._stack.enter_async_context(chromium())
        page = await browser.new_page(viewport={"width": 1000, "height": 800})
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        await page.goto(self.edge.url)
        await expect(page.locator("#who option")).to_have_count(51)
        return page

    async def chatting(self, user: str, title: str) -> Page:
        page = await self.open()
        await self.chat(page, user, title)
        return page

    async def chat(self, page: Page, user: str, title: str) -> None:
        if await page.locator("#chat").is_visible():
            await page.click("#chat [data-close]")
        async with page.expect_response("**/api/likes?*"):
            await page.select_option("#who", user)
        await page.click("#open-chat")
        await page.locator(".conversations button", has_text=title).first.click()
        await expect(page.locator("#chat")).to_have_attribute("data-live", "true")
        await expect(page.locator(".bubble").first).to_be_visible()


@pytest.fixture
async def windows(tmp_path: Path) -> AsyncIterator[Windows]:
    async with demonstrating(tmp_path, known_ports=True) as edge, AsyncExitStack() as stack:
        yield Windows(edge, stack)


@pytest.fixture
async def conversation(windows: Windows) -> tuple[str, list[str]]:
    """The title of a conversation, and the ids of two people who take part in it."""
    url = f"{windows.edge.origin_url}/api/chat/conversations?user=u1"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        one = (await response.json())["conversations"][0]
    return one["title"], [member["id"] for member in one["participants"][:2]]


@pytest.fixture
async def two_conversations(windows: Windows) -> tuple[str, str, str, str]:
    """A user, another one, the title of a conversation of the first, and of one that both take part in."""
    async with aiohttp.ClientSession(windows.edge.origin_url) as session:
        for number in range(1, 51):
            user = f"u{number}"
            async with session.get(f"/api/chat/conversations?user={user}") as response:
                listed = (await response.json())["conversations"]
            if len(listed) > 1:
                other = next(one["id"] for one in listed[1]["participants"] if one["id"] != user)
                return user, other, listed[0]["title"], listed[1]["title"]
    raise AssertionError("nobody takes part in two conversations")


class Outage:
    """What lies between a page and the core, and can be interrupted; everything else of the page goes on."""

    def __init__(self) -> None:
        self._open: list[WebSocketRoute] = []
        self._now = False

    @classmethod
    async def of(cls, page: Page) -> Outage:
        self = cls()
        await page.route_web_socket("**/socket.io/**", self._connect)
        return self

    async def _connect(self, route: WebSocketRoute) -> None:
        if self._now:
            await route.close()
        else:
            route.connect_to_server()
            self._open.append(route)

    async def begin(self) -> None:
        self._now = True
        for route in self._open:
            await route.close()
        self._open.clear()

    def end(self) -> None:
        self._now = False


async def say(page: Page, text: str) -> None:
    await page.fill("#compose input", text)
    await page.press("#compose input", "Enter")


async def test_what_one_window_writes_the_other_shows(
    windows: Windows, conversation: tuple[str, list[str]], tmp_path: Path
) -> None:
    title, (first, second) = conversation
    one, other = await windows.chatting(first, title), await windows.chatting(second, title)
    await expect(one.locator("#chat-here")).to_contain_text("here now")
    for text in ("Anybody near the crossing?", "The light is out again.", "I am putting cones up."):
        await say(one, text)
    await expect(other.locator(".bubble:not(.own)").last).to_contain_text("I am putting cones up.")
    shown = [text.splitlines()[-1] for text in await other.locator(".bubble:not(.own) p").all_inner_texts()]
    assert shown[-3:] == ["Anybody near the crossing?", "The light is out again.", "I am putting cones up."]
    await say(other, "On my way.")
    await expect(one.locator(".bubble:not(.own)").last).to_contain_text("On my way.")
    await expect(one.locator(".bubble.waiting")).to_have_count(0)
    assert windows.complaints == []


async def test_what_is_written_after_the_application_began_anew_comes_last_although_its_ids_begin_again(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, second) = conversation
    page = await windows.chatting(first, title)
    before = await page.locator(".bubble").count()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{windows.edge.origin_url}/api/chat/conversations?user={first}") as response:
            listed = (await response.json())["conversations"]
        where = next(one["id"] for one in listed if one["title"] == title)
        async with session.get(f"{windows.edge.origin_url}/api/chat/messages/{where}?per_page=40") as response:
            known = (await response.json())["messages"]
        told = {
            **known[len(known) // 2],
            "sender_id": second,
            "content": "We are back.",
            "created_at": datetime.now(UTC).isoformat(),
        }
        news = {"channel": f"conversation:{where}", "event": "new_messages_batch", "data": [told]}
        (await session.post(f"{windows.edge.admin_url}/api/realtime/publish", json=news)).raise_for_status()
    await expect(page.locator(".bubble")).to_have_count(before + 1)
    await expect(page.locator(".bubble").last).to_contain_text("We are back.")


async def test_the_other_sees_that_somebody_types_and_that_they_stopped(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, second) = conversation
    one, other = await windows.chatting(first, title), await windows.chatting(second, title)
    await one.locator("#compose input").press_sequentially("Hmm")
    await expect(other.locator("#chat-typing")).to_contain_text("is typing")
    await one.fill("#compose input", "")
    await expect(other.locator("#chat-typing")).to_be_empty()


async def test_what_could_not_be_sent_says_so_where_it_was_written_and_is_sent_again_or_taken_back(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, _) = conversation
    page = await windows.chatting(first, title)
    url = f"{windows.edge.origin_url}/demo/chaos"
    failed = page.locator("#chat .bubble.failed")
    async with aiohttp.ClientSession() as session:
        (await session.post(url, json={"mode": "down"})).release()
        for text in ("Does this arrive?", "And this?"):
            await say(page, text)
        await expect(failed).to_have_count(2, timeout=30_000)
        await expect(failed.first.get_by_role("alert")).to_contain_text("Not sent. The message")
        await expect(page.locator("#compose input")).to_have_value("")
        await uncovered(page, ".bubble.failed .why, .bubble.failed .button")
        (await session.post(url, json={"mode": "ok"})).release()
    await page.click("#chat-back")
    entry = page.locator(".conversations button", has_text=title).first
    await expect(entry).to_contain_text("A message was not sent")
    await entry.click()
    await page.fill("#compose input", "later")
    await failed.nth(1).get_by_role("button", name="Take back").press("Enter")
    await expect(page.locator("#compose input")).to_have_value("And this? later")
    await expect(page.locator("#compose input")).to_be_focused()
    await failed.get_by_role("button", name="Send again").press("Enter")
    await expect(failed).to_have_count(0)
    await expect(page.locator(".bubble.own:not(.waiting)").last).to_have_text("Does this arrive?", timeout=15_000)
    await expect(page.locator(".bubble", has_text="And this?")).to_have_count(0)


async def test_what_was_not_sent_is_offered_in_view_once_there_is_an_answer_again_and_is_sent_in_its_order(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, _) = conversation
    page = await windows.open()
    outage = await Outage.of(page)
    await page.reload()
    await windows.chat(page, first, title)
    offer, failed = page.locator("#chat-offer"), page.locator("#chat .bubble.failed")
    await outage.begin()
    await page.route("**/api/chat/**", lambda route: route.abort())
    await expect(page.locator("#chat")).to_have_attribute("data-live", "false")
    for count, text in enumerate(("Does this arrive?", "And this?"), 1):
        await say(page, text)
        await expect(failed).to_have_count(count)
    await expect(offer).to_be_hidden()
    await page.locator("#chat-body").evaluate("body => { body.scrollTop = 0; }")
    await page.unroute("**/api/chat/**")
    outage.end()
    await expect(offer).to_contain_text("2 messages were not sent.")
    await uncovered(page, "#chat-offer, #chat-offer button")
    await expect(page.locator("#chat")).to_have_attribute("data-live", "true", timeout=30_000)
    await offer.get_by_role("button").click()
    await expect(offer).to_be_hidden()
    await expect(page.locator("#compose input")).to_be_focused()
    await expect(page.locator(".bubble.waiting, .bubble.failed")).to_have_count(0)
    shown = await page.locator(".bubble.own").all_inner_texts()
    assert shown[-2:] == ["Does this arrive?", "And this?"]


async def test_what_waits_for_its_turn_is_sent_although_its_writer_turns_away(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, _) = conversation
    page = await windows.open()
    outage = await Outage.of(page)
    await page.reload()
    await windows.chat(page, first, title)
    await outage.begin()
    await expect(page.locator("#chat")).to_have_attribute("data-live", "false")
    held: list[Route] = []
    await page.route("**/api/chat/messages/batch", lambda route: held.append(route), times=1)
    async with page.expect_request("**/api/chat/messages/batch"):
        await say(page, "Does this arrive?")
    await say(page, "And this?")
    await page.click("#chat [data-close]")
    async with page.expect_request(lambda request: "And this?" in (request.post_data or "")):
        await held[0].continue_()
    await page.click("#open-chat")
    await page.locator(".conversations button", has_text=title).first.click()
    await expect(page.locator(".bubble.own:not(.waiting)").last).to_have_text("And this?")
    await expect(page.locator(".bubble.waiting")).to_have_count(0)


async def test_what_fails_while_its_conversation_is_not_open_is_told_above_the_dialog(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, _) = conversation
    page = await windows.chatting(first, title)
    async with aiohttp.ClientSession() as session:
        (await session.post(f"{windows.edge.origin_url}/demo/chaos", json={"mode": "down"})).release()
        await say(page, "Does this arrive?")
        await expect(page.locator(".bubble.waiting")).to_have_count(1)
        await page.click("#chat-back")
        await expect(page.locator(".toast.bad")).to_contain_text("A message was not sent", timeout=30_000)
        await uncovered(page, ".toast.bad")
    await page.click("#chat [data-close]")
    await expect(page.locator("body > #toasts")).to_have_count(1)


async def test_what_was_typed_and_what_was_not_sent_outlast_a_reload_and_nobody_else_finds_them(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, second) = conversation
    page = await windows.chatting(first, title)
    url = f"{windows.edge.origin_url}/demo/chaos"
    failed, box = page.locator("#chat .bubble.failed"), page.locator("#compose input")
    async with aiohttp.ClientSession() as session:
        (await session.post(url, json={"mode": "down"})).release()
        await say(page, "Does this arrive?")
        await expect(failed).to_have_count(1, timeout=30_000)
        reason = await failed.get_by_role("alert").inner_text()
        await box.press_sequentially("I wanted to say")
        await page.reload()
        await page.click("#open-chat")
        await expect(page.locator("#chat-body")).to_contain_text("What you have written is kept")
        (await session.post(url, json={"mode": "ok"})).release()
    await windows.chat(page, second, title)
    await expect(failed).to_have_count(0)
    await expect(box).to_have_value("")
    await windows.chat(page, first, title)
    await expect(failed.get_by_role("alert")).to_have_text(reason)
    await expect(box).to_have_value("I wanted to say")
    await failed.get_by_role("button", name="Send again").click()
    await expect(page.locator(".bubble.own:not(.waiting)").last).to_have_text("Does this arrive?")
    await page.fill("#compose input", "")
    await page.reload()
    await windows.chat(page, first, title)
    await expect(page.locator(".bubble.own", has_text="Does this arrive?")).to_have_count(1)
    await expect(failed).to_have_count(0)
    await expect(box).to_have_value("")


async def test_what_was_under_way_when_the_page_was_left_may_be_sent_again_and_arrives_once(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, _) = conversation
    page = await windows.open()
    outage = await Outage.of(page)
    await page.reload()
    await windows.chat(page, first, title)
    await outage.begin()
    await expect(page.locator("#chat")).to_have_attribute("data-live", "false")
    await page.route("**/api/chat/messages/batch", lambda route: None)  # nobody answers
    await say(page, "Does this arrive?")
    await expect(page.locator(".bubble.waiting")).to_have_count(1)
    await page.reload()
    outage.end()
    await windows.chat(page, first, title)
    failed = page.locator("#chat .bubble.failed")
    await expect(failed).to_contain_text("No answer came")
    await failed.get_by_role("button", name="Send again").click()
    await expect(page.locator(".bubble.own:not(.waiting)").last).to_have_text("Does this arrive?")
    await expect(page.locator(".bubble", has_text="Does this arrive?")).to_have_count(1)


async def test_the_list_of_conversations_shows_where_somebody_has_begun_to_write(
    windows: Windows, two_conversations: tuple[str, str, str, str]
) -> None:
    user, _, begun, other = two_conversations
    page = await windows.chatting(user, begun)
    await page.fill("#compose input", "I wanted to say")
    await page.click("#chat-back")
    entries = page.locator(".conversations button")
    await expect(entries.filter(has_text=begun)).to_contain_text("Draft: I wanted to say")
    await entries.filter(has_text=other).click()
    await expect(page.locator("#compose input")).to_have_value("")


async def test_a_tab_in_which_nothing_can_be_kept_chats_all_the_same(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, _) = conversation
    page = await windows.open()
    await page.evaluate(
        "() => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') } }"
    )
    await windows.chat(page, first, title)
    await page.locator("#compose input").press_sequentially("Here.")
    await page.press("#compose input", "Enter")
    await expect(page.locator(".bubble.own:not(.waiting)").last).to_have_text("Here.")
    assert windows.complaints == []


async def test_who_cannot_become_somebody_else_stays_who_they_were_and_is_told(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, second) = conversation
    page = await windows.open()
    await windows.chat(page, first, title)
    await page.click("#chat [data-close]")
    await page.route("**/api/auth/login", lambda route: route.abort())
    await page.select_option("#who", second)
    await expect(page.locator(".toast.bad")).to_contain_text("You are still")
    await expect(page.locator("#who")).to_have_value(first)
    await page.click("#open-chat")
    await expect(page.locator(".conversations button", has_text=title).first).to_be_visible()


async def uncovered(page: Page, selector: str) -> None:
    """What is found is in sight: nothing lies above the middle of it, a dialog's backdrop neither."""
    seen = await page.locator(selector).evaluate_all(
        """nodes => nodes.map(node => {
          const { x, y, width, height } = node.getBoundingClientRect();
          return node.contains(document.elementFromPoint(x + width / 2, y + height / 2));
        })"""
    )
    assert seen
    assert all(seen)


async def test_leaving_and_coming_back_shows_what_was_written_meanwhile(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, second) = conversation
    one, other = await windows.chatting(first, title), await windows.chatting(second, title)
    await other.click("#chat-back")
    await say(one, "You missed this.")
    await expect(one.locator(".bubble.own:not(.waiting)").last).to_have_text("You missed this.")
    await other.locator(".conversations button", has_text=title).first.click()
    await expect(other.locator(".bubble:not(.own)").last).to_contain_text("You missed this.")


async def test_who_comes_where_all_are_there_already_is_told_who_is_there(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    title, (first, second) = conversation
    one, _, again = [await windows.chatting(user, title) for user in (first, second, first)]
    await expect(again.locator("#chat-here")).to_contain_text("here now")
    await one.click("#chat-back")
    await one.locator(".conversations button", has_text=title).first.click()
    await expect(one.locator("#chat-here")).to_contain_text("here now")
    await again.reload()
    await again.click("#open-chat")
    await again.locator(".conversations button", has_text=title).first.click()
    await expect(again.locator("#chat-here")).to_contain_text("here now")


async def test_who_turns_to_another_conversation_during_an_outage_is_a_member_of_it_afterwards(
    windows: Windows, two_conversations: tuple[str, str, str, str]
) -> None:
    user, other_user, before, after = two_conversations
    page = await windows.open()
    outage = await Outage.of(page)
    await page.reload()
    await windows.chat(page, user, before)
    await outage.begin()
    await expect(page.locator("#chat")).to_have_attribute("data-live", "false")
    await page.click("#chat-back")
    await page.locator(".conversations button", has_text=after).first.click()
    await expect(page.locator("#chat-title")).to_have_text(after)
    outage.end()
    await expect(page.locator("#chat")).to_have_attribute("data-live", "true", timeout=30_000)
    other = await windows.chatting(other_user, after)
    await say(other, "Are you here by now?")
    await expect(page.locator(".bubble:not(.own)").last).to_contain_text("Are you here by now?")
    await expect(page.locator("#chat-here")).to_contain_text("here now")
    await say(page, "I am.")
    await expect(other.locator(".bubble:not(.own)").last).to_contain_text("I am.")


async def test_a_report_and_its_likes_appear_in_the_windows_of_others(
    windows: Windows, conversation: tuple[str, list[str]]
) -> None:
    _, (first, _) = conversation
    watching, posting = await windows.open(), await windows.open()
    for page in (watching, posting):
        await expect(page.locator(".card h3")).to_have_count(12)
    await until_subscribed(windows.edge, 2)
    async with posting.expect_response("**/api/likes?*"):
        await posting.select_option("#who", first)
    await posting.click("#open-form")
    for name, value in (("title", "Lamp post hit"), ("place", "Quay Street"), ("text", "It leans.")):
        await posting.fill(f"#report-form [name={name}]", value)
    await posting.click("#report-form .primary")
    await expect(watching.locator(".card h3").first).to_have_text("Lamp post hit")
    await expect(posting.locator(".card h3", has_text="Lamp post hit")).to_have_count(1)
    await posting.locator(".card", has_text="Lamp post hit").locator(".like").click()
    liked = watching.locator(".card", has_text="Lamp post hit").locator(".like span")
    await expect(liked).to_have_text("1")
    assert windows.complaints == []


async def until_subscribed(edge: EdgeProcess, windows: int) -> None:
    async with asyncio.timeout(15), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{edge.admin_url}/api/realtime") as response:
                sessions = (await response.json())["sessions"]
            if sum(one["channels"] for one in sessions) >= windows:
                return
            await asyncio.sleep(0.05)
