"""What operators see of the chat."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from realtime import lookout
from realtime.quality import Distribution
from tests.realtime.talking import Talking, talk, text

REPORT = {"cachedProfiles": 12, "activeSubscriptions": 3, "pendingUpdates": 1, "latency": 250, "retries": 2}


class TestSessions:
    async def test_a_line_says_how_a_session_fares(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", "7", "8")
            await alice.ask("authenticate", "u2")
            await alice.ask("subscribe", "reports")
            await alice.ask("client_metrics", REPORT)
            await alice.ask("send_message", text("a"))
            alice.round_trip, alice.queued = 0.02, 5000
            (line,) = talking.core.lookout.census().sessions
            assert (line.sid, line.transport, list(line.users)) == (alice.sid, "websocket", ["u1", "u2"])
            assert (line.joined, line.rtt, line.grade, line.queued) == (3, 0.02, "good", 5000)
            assert (line.slow, line.reports, line.messages) == (True, 1, 1)

    async def test_all_of_them_are_added_up(self) -> None:
        async with talk() as talking:
            alice, bob = await talking.member("u1"), await talking.member("u2")
            carol = talking.client()
            alice.round_trip, alice.queued = 0.01, 7
            carol.transport, carol.queued = "polling", lookout.BETWEEN_POLLS
            await bob.ask("client_metrics", {"latency": 900, "retries": 3})
            census = talking.core.lookout.census()
            assert census.quality == Distribution(excellent=1, good=1, poor=1)
            assert (census.websocket, census.polling, census.users) == (2, 1, 2)
            assert (census.slow, census.queued) == (1, 7)
            assert (census.reported.sessions, census.reported.retries, census.reported.latency_p95) == (1, 3, 0.9)

    async def test_a_session_in_detail_with_what_it_joined_and_reported(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", "7", **{"user-agent": "Firefox"})
            await alice.ask("subscribe", "reports")
            await alice.ask("client_metrics", REPORT)
            await talking.pass_time(4.0)
            detail = talking.core.lookout.session(alice.sid)
            assert detail is not None
            assert (detail.conversations, detail.channels) == (["7"], ["reports"])
            assert detail.handshake.headers == {"user-agent": "Firefox"}
            assert detail.report is not None
            assert (detail.report.latency, detail.reported_ago) == (0.25, 4.0)
            assert talking.core.lookout.session("nobody") is None

    async def test_who_leaves_takes_the_report_along(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1")
            await alice.ask("client_metrics", REPORT)
            alice.drop()
            await talking.pass_time(0)
            assert talking.core.lookout.census() == lookout.Census([])

    async def test_the_trend_has_every_look(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1")
            alice.round_trip = 0.01
            talking.core.lookout.census()
            alice.round_trip = 2.0
            await talking.pass_time(60)
            talking.core.lookout.census()
            assert talking.core.lookout.trend()[-2:] == [Distribution(excellent=1), Distribution(poor=1)]


class TestManySessions:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lookout, "FEW", 4)

    async def crowd(self, talking: Talking, sessions: int) -> list[Any]:
        return [await talking.member(f"u{number}") for number in range(sessions)]

    async def test_are_walked_over_in_slices_and_meanwhile_the_last_walk_is_what_is_told(self) -> None:
        async with talk() as talking:
            there = await self.crowd(talking, 10)
            census = talking.core.lookout.census
            assert census().quality == Distribution(good=10)
            for each in there:
                each.round_trip = 0.01
            await talking.pass_time(lookout.SETTLED)
            assert census().quality == Distribution(good=10)
            for _ in range(5):
                await asyncio.sleep(0)
            assert census().quality == Distribution(excellent=10)

    async def test_who_looks_again_and_again_starts_no_further_walk(self) -> None:
        async with talk() as talking:
            await self.crowd(talking, 10)
            census = talking.core.lookout.census
            first = census()
            for _ in range(20):
                assert census() is first
                await asyncio.sleep(0)

    async def test_who_leaves_while_a_walk_is_under_way_is_not_counted(self) -> None:
        async with talk() as talking:
            there = await self.crowd(talking, 10)
            census = talking.core.lookout.census
            census()
            await talking.pass_time(lookout.SETTLED)
            census()
            there[-1].drop()
            for _ in range(5):
                await asyncio.sleep(0)
            assert len(census().sessions) == 9

    async def test_a_walk_that_is_too_old_is_told_to_nobody(self) -> None:
        async with talk() as talking:
            there = await self.crowd(talking, 10)
            census = talking.core.lookout.census
            census()
            there[0].round_trip = 9.0
            await talking.pass_time(lookout.TOO_OLD)
            assert census().quality == Distribution(good=9, poor=1)


class TestConversations:
    async def test_a_line_says_who_is_there_and_how_lively_it_is(self) -> None:
        async with talk() as talking:
            alice, _ = await talking.member("u1", "7"), await talking.member("u2", "7")
            (silent,) = talking.core.lookout.conversations()
            assert (silent.id, silent.sessions, silent.users, silent.quiet, silent.fill) == ("7", 2, 2, None, None)
            await alice.ask("send_message", text("a"))
            for content in "bcd":
                alice.emit("send_message", text(content))
            await talking.pass_time(0.05)
            await talking.pass_time(9.95)
            (line,) = talking.core.lookout.conversations()
            assert (line.messages, line.fill, line.waiting) == (4, 2.0, 0)
            assert line.rate == pytest.approx(4 / 60)
            assert line.quiet == pytest.approx(9.95)

    async def test_one_in_detail_with_its_members_whatever_shape_they_chose(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", "7")
            bob = await talking.member("u2", "7", auth={"deliver": "single"})
            await talking.member("u3", "8")
            detail = talking.core.lookout.conversation("7")
            assert detail is not None
            assert set(detail.users) == {"u1", "u2"}
            assert {line.sid for line in detail.sessions} == {alice.sid, bob.sid}
            assert talking.core.lookout.conversation("9") is None
