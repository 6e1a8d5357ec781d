"""The realtime pages as a client without script sees them, over real HTTP; the core below them is real."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from proxy.operations.refusals import RefusedSessions
from tests.dashboard.sessions import RoomUnderView
from tests.realtime.talking import Answer, Talker, Talking, talk, text

HOSTILE = "<script>alert(1)</script>\"'&/x"
LIVE = {"HX-Request": "true"}


class Visitor:
    """A browser without script before the pages of one core."""

    def __init__(self, talking: Talking, room: RoomUnderView, client: TestClient[Any, Any]) -> None:
        self.talking = talking
        self.room = room
        self.client = client

    async def page(self, path: str = "/realtime", status: int = 200, *, live: bool = False) -> str:
        answer = await self.client.get(path, headers=LIVE if live else {})
        assert answer.status == status, await answer.text()
        return await answer.text()

    async def json(self, path: str, status: int = 200, method: str = "GET") -> Any:
        answer = await self.client.request(method, path)
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


@pytest.fixture
async def visitor(aiohttp_client: AiohttpClient) -> AsyncIterator[Visitor]:
    async with talk() as talking:
        room = RoomUnderView(talking)
        yield Visitor(talking, room, await aiohttp_client(room.application()))


def held(talker: Talker, talking: Talking) -> Talker:
    """Known to the Engine.IO server as well, as a real session is."""
    talking.core.engine._sessions[talker.sid] = talker  # type: ignore[assignment] # a Wire stands in
    return talker


class TestRealtime:
    async def test_shows_totals_quality_reports_and_every_session(self, visitor: Visitor) -> None:
        anna, ben = await visitor.talking.member("anna", "c1"), await visitor.talking.member("ben", "c1")
        anna.round_trip, ben.round_trip, ben.queued = 0.02, 0.9, 300_000
        await anna.ask("client_metrics", {"latency": 87, "cachedProfiles": 12, "retries": 3})
        await anna.ask("send_message", text("hello", "anna", "c1"))
        page = await visitor.page()
        for shown in (anna.sid, "20 ms", "900 ms", "293 KiB", "50.0 %", "87 ms", "2 WebSocket, 0 polling", "c1"):
            assert shown in page
        assert re.search(r"poor</span></a> <strong>1<", page.replace("\n", ""))
        assert "50 ms adaptive" in page

    async def test_messages_that_the_application_refuses_are_counted_apart_everywhere(
        self, aiohttp_client: AiohttpClient
    ) -> None:
        async def application(*_: object) -> Answer:
            return 422, [], b"{}"

        async with talk(application, origin={"persist": "/messages"}) as talking:
            visitor = Visitor(talking, room := RoomUnderView(talking), await aiohttp_client(room.application()))
            anna = await talking.member("anna", "c1")
            anna.emit("send_message", text("hello", "anna", "c1"))
            await talking.pass_time(1)
            failed = room.pages.failed_messages()
            assert (failed.lately, failed.of) == (1, 1)
            assert failed.because == "the application refused them (lately with 422)"
            assert "the application refused them (lately with 422)" in await visitor.page()
            for path in ("/realtime/conversations?sort=failed", "/realtime/conversation?id=c1"):
                assert re.search(r"Failed.*<strong>1</strong>", await visitor.page(path), re.DOTALL), path
            assert "1 failed" in await visitor.page(f"/realtime/sessions/{anna.sid}")

    async def test_nothing_is_said_of_the_minutes_before_the_start(self, visitor: Visitor) -> None:
        assert "Nobody has been connected since the start." in await visitor.page()
        await visitor.talking.member("anna", "c1")
        page = await visitor.page()
        assert page.count("nothing is known of the time before the start") == 14
        assert "nobody was connected" not in page

    async def test_refused_newcomers_are_shown_by_reason_with_what_would_help(self, visitor: Visitor) -> None:
        assert "Refused newcomers" not in await visitor.page()
        visitor.room.refused = [RefusedSessions("address", "It has its share.", "Raise it.", 12, 30, whence="from one")]
        page = await visitor.page()
        for shown in ("Refused newcomers", "12 in the last minute from one", "30 since", "It has its share. Raise it."):
            assert shown in page

    async def test_users_are_named_in_the_list_and_all_of_them_on_the_sessions_own_page(self, visitor: Visitor) -> None:
        anna = await visitor.talking.member("anna-7", "c1")
        for number in range(4):
            await anna.ask("authenticate", {"userId": f"other-{number}{'x' * 60}"})
        listed = await visitor.page()
        assert f"anna-7, other-0{'x' * 32}…, other-1{'x' * 32}… and 2 more" in listed
        assert "other-2" not in listed
        own = await visitor.page(f"/realtime/sessions/{anna.sid}")
        for name in ("anna-7", f"other-3{'x' * 60}"):
            assert name in own
        assert anna.sid in await visitor.page("/realtime?q=ANNA")

    async def test_a_grade_says_what_it_is_of(self, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
        anna, ben = await visitor.talking.member("anna", "c1"), await visitor.talking.member("ben", "c1")
        anna.round_trip, ben.round_trip = 0.03, 0.9
        await anna.ask("client_metrics", {"latency": 630})
        page = await visitor.page()
        for reason in ("reports 630 ms itself", "round trip of 900 ms"):
            assert f'title="poor: {reason}. Latency of' in page
            assert f'<span class="quiet reason">{reason}</span>' in page
        assert "reports 630 ms itself" in await visitor.page(f"/realtime/sessions/{anna.sid}")
        monkeypatch.setattr(visitor.talking.core.chat, "_silence", lambda sid: 41.0)
        assert "silent for 41 s" in await visitor.page(f"/realtime/sessions/{anna.sid}")

    async def test_a_poll_gets_the_same_live_part_without_the_frame(self, visitor: Visitor) -> None:
        anna = await visitor.talking.member("anna", "c1")
        paths = ("", "/conversations", "/conversation?id=c1", f"/sessions/{anna.sid}")
        for path in (f"/realtime{path}" for path in paths):
            whole, part = await visitor.page(path), await visitor.page(path, live=True)
            assert part[part.index("<main") :].strip() in whole
            assert "<html" not in part

    async def test_what_clients_call_themselves_is_shown_as_text(self, visitor: Visitor) -> None:
        headers = {"user-agent": HOSTILE, "origin": HOSTILE, "cookie": "session=geheim", "authorization": "geheim"}
        anna = await visitor.talking.member(HOSTILE, HOSTILE, **headers)
        await anna.ask("subscribe", "notifications")
        own, place = f"/realtime/sessions/{anna.sid}", f"/realtime/conversation?id={quote(HOSTILE, safe='')}"
        for path in ("/realtime", "/realtime/conversations", own, place, f"/realtime?q={quote(HOSTILE)}"):
            page = await visitor.page(path)
            assert "<script>alert" not in page
            assert "&lt;script&gt;alert(1)" in page
            assert "geheim" not in page
            assert not re.search(r"\sstyle=|<style|\son\w+=|hx-on|javascript:|<script(?![^>]*\ssrc=)", page)
        assert "&lt;script&gt;" in await visitor.page(f"/realtime/conversation?id=no{quote(HOSTILE)}", 404)

    async def test_the_link_of_a_conversation_leads_there_whatever_it_is_called(self, visitor: Visitor) -> None:
        await visitor.talking.member("anna", HOSTILE)
        (address,) = re.findall(r'href="(/realtime/conversation\?id=[^"]+)"', await visitor.page())
        assert "Users online" in await visitor.page(address.replace("&amp;", "&"))

    async def test_nobody_connected_is_told_apart_from_nobody_found(self, visitor: Visitor) -> None:
        empty = await visitor.page()
        assert "Nobody is connected" in empty
        assert "http://127.0.0.1:8080/socket.io/" in empty
        assert "Nobody is in a conversation" in await visitor.page("/realtime/conversations")
        await visitor.talking.member("anna", "c1")
        assert "None of the 1 sessions matches" in await visitor.page("/realtime?q=zzz")
        assert "None of the 1 conversations matches" in await visitor.page("/realtime/conversations?q=zzz")

    async def test_a_core_that_is_switched_off_is_neither_empty_nor_broken(self, aiohttp_client: AiohttpClient) -> None:
        client = await aiohttp_client(RoomUnderView(None).application())
        assert "switched off" in await (await client.get("/realtime")).text()
        assert (await (await client.get("/api/realtime/sessions")).json())["all"] == 0
        assert (await client.post("/realtime/sessions/x/disconnect", allow_redirects=False)).status == 303

    async def test_figures_that_cannot_be_read_are_a_failure_and_not_an_empty_page(
        self, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise OSError("secret detail")

        for name in ("census", "session", "conversations", "conversation"):
            monkeypatch.setattr(visitor.talking.core.lookout, name, broken)
        for path in ("", "/sessions/x", "/conversations", "/conversation?id=x"):
            page = await visitor.page(f"/realtime{path}", 500)
            assert "could not be read" in page
            assert "secret detail" not in page

    async def test_a_wrong_parameter_is_answered_with_what_would_be_right(self, visitor: Visitor) -> None:
        assert "transport must be websocket or polling" in await visitor.page("/realtime?transport=pigeon", 400)
        assert "sort must be one of rate" in await visitor.page("/realtime/conversations?sort=x", 400)

    async def test_filter_order_and_page_stand_in_every_address_of_the_list(self, visitor: Visitor) -> None:
        for number in range(60):
            await visitor.talking.member(f"u{number}", "c1")
        page = await visitor.page("/realtime?q=u&grade=good&sort=rtt")
        assert 'hx-get="/realtime?q=u&amp;sort=rtt&amp;grade=good"' in page
        assert 'href="/realtime?q=u&amp;sort=rtt&amp;page=2&amp;grade=good"' in page
        assert 'aria-sort="descending"' in page


class TestActions:
    async def test_a_session_is_disconnected_by_a_plain_form_and_the_timeline_has_it(self, visitor: Visitor) -> None:
        anna = held(await visitor.talking.member("anna", "c1"), visitor.talking)
        path = f"/realtime/sessions/{anna.sid}/disconnect"
        answer = await visitor.client.post(path, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/realtime?told=disconnected")
        assert anna.closed == "server-disconnect"
        assert "does not come back by itself" in await visitor.page(answer.headers["Location"])
        (event,) = visitor.room.timeline.events()
        assert (event.kind, event.by, event.figures["session"]) == ("realtime", "operator", anna.sid[:8])

    async def test_by_htmx_the_page_says_that_the_session_has_ended(self, visitor: Visitor) -> None:
        anna = await visitor.talking.member("anna", "c1")
        answer = await visitor.client.post(f"/realtime/sessions/{anna.sid}/disconnect", headers=LIVE)
        await visitor.talking.pass_time(0)
        part = await answer.text()
        assert answer.status == 200
        assert "was disconnected" in part
        assert "This session has ended" in part

    async def test_a_session_is_made_to_reconnect(self, visitor: Visitor) -> None:
        anna = held(await visitor.talking.member("anna", "c1"), visitor.talking)
        answer = await visitor.client.post(f"/realtime/sessions/{anna.sid}/reconnect", allow_redirects=False)
        assert answer.headers["Location"] == "/realtime?told=reconnecting"
        assert anna.closed == "reconnect"
        assert visitor.room.timeline.events()[0].text == "a session was made to reconnect"

    async def test_what_is_gone_already_is_no_error_and_no_event(self, visitor: Visitor) -> None:
        for action in ("disconnect", "reconnect"):
            page = await (await visitor.client.post(f"/realtime/sessions/gone/{action}")).text()
            assert "had ended already" in page
        assert visitor.room.timeline.events() == []

    async def test_a_message_in_the_address_is_one_of_ours_or_none(self, visitor: Visitor) -> None:
        assert 'class="message"' not in await visitor.page("/realtime?told=<b>you+won</b>")

    async def test_a_page_of_another_site_can_do_nothing(self, visitor: Visitor) -> None:
        anna = await visitor.talking.member("anna", "c1")
        foreign = {"Sec-Fetch-Site": "cross-site"}
        answer = await visitor.client.post(f"/realtime/sessions/{anna.sid}/disconnect", headers=foreign)
        assert answer.status == 403
        assert anna.closed is None

    async def test_a_session_that_ended_is_not_found_by_who_comes_later(self, visitor: Visitor) -> None:
        assert "This session has ended" in await visitor.page("/realtime/sessions/nobody", 404)
        assert "This session has ended" in await visitor.page("/realtime/sessions/nobody", live=True)
        assert "Nobody is in this conversation" in await visitor.page("/realtime/conversation?id=none", 404)


class TestApi:
    async def test_lists_have_the_filters_of_the_page(self, visitor: Visitor) -> None:
        anna, ben = await visitor.talking.member("anna", "c1"), await visitor.talking.member("ben", "c2")
        anna.round_trip, ben.round_trip = 0.01, 3.0
        found = await visitor.json("/api/realtime/sessions?grade=poor")
        assert (found["all"], found["total"], found["page"], found["pages"]) == (2, 1, 1, 1)
        (row,) = found["sessions"]
        assert (row["sid"], row["rtt"], row["grade"], row["users"]) == (ben.sid, 3.0, "poor", 1)
        found = await visitor.json("/api/realtime/conversations?sort=id")
        assert [row["id"] for row in found["conversations"]] == ["c1", "c2"]
        assert (await visitor.json("/api/realtime/sessions?slow=x", 400))["title"] == "bad-query"

    async def test_one_session_without_its_cookies_and_tokens(self, visitor: Visitor) -> None:
        headers = {"cookie": "session=geheim", "user-agent": "Firefox"}
        anna = await visitor.talking.member("anna", "c1", **headers)
        found = await visitor.json(f"/api/realtime/sessions/{anna.sid}")
        assert (found["users"], found["conversations"], found["user_agent"]) == (["anna"], ["c1"], "Firefox")
        assert "geheim" not in str(found)
        await visitor.json("/api/realtime/sessions/nobody", 404)

    async def test_one_conversation(self, visitor: Visitor) -> None:
        anna = await visitor.talking.member("anna", "c/1")
        found = await visitor.json("/api/realtime/conversation?id=c/1")
        assert (found["id"], found["members"]) == ("c/1", ["anna"])
        assert [row["sid"] for row in found["member_sessions"]] == [anna.sid]
        await visitor.json("/api/realtime/conversation", 404)

    async def test_sessions_are_ended_and_sent_away(self, visitor: Visitor) -> None:
        anna = held(await visitor.talking.member("anna", "c1"), visitor.talking)
        ben = held(await visitor.talking.member("ben", "c1"), visitor.talking)
        await visitor.json(f"/api/realtime/sessions/{anna.sid}", method="DELETE")
        await visitor.json(f"/api/realtime/sessions/{ben.sid}/reconnect", method="POST")
        assert (anna.closed, ben.closed) == ("server-disconnect", "reconnect")
        await visitor.json("/api/realtime/sessions/nobody", 404, "DELETE")
        await visitor.json("/api/realtime/sessions/nobody/reconnect", 404, "POST")
        assert len(visitor.room.timeline.events()) == 2


async def test_a_page_of_five_thousand_sessions_is_light_and_quick(visitor: Visitor) -> None:
    for number in range(5000):
        client = visitor.talking.client()
        client.emit("authenticate", f"user-{number}")
        client.emit("join_conversation", f"conversation-{number % 400}")
        client.emit("client_metrics", {"latency": number % 700, "retries": 1})
    await visitor.talking.pass_time(0.2)
    assert visitor.talking.core.users() == 5000
    for path in (
        "/realtime",
        "/realtime?q=user-49&page=2",
        "/realtime?sort=joined&order=asc",
        "/realtime/conversations",
    ):
        took = []
        for _ in range(5):
            await visitor.talking.pass_time(4)
            began = time.process_time()
            page = await visitor.page(path)
            took.append(time.process_time() - began)
        assert len(page) < 200_000
        assert min(took) < 0.2, path
    assert "5,000" in await visitor.page()
