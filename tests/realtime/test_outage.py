"""An outage of the application ends nobody: a token that cannot be asked about waits until it can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.realtime.participants import World, world
from tests.realtime.talking import Talker, text
from tests.realtime.wire import turns


@asynccontextmanager
async def restarted_in_an_outage(journal: Path, *users: str, **origin: Any) -> AsyncIterator[tuple[World, Talker]]:
    """A connection of these users, in conversation 7, after edge and application have died and the edge is back."""
    async with world(journal=journal, **origin) as here:
        link = await here.come(*users, joins="7")
        await here.core.settle()
    async with world(journal=journal, **origin) as here:
        here.application.away = True
        yield here, await here.back(link, drop=False)


async def pass_seconds(here: World, seconds: int) -> None:
    for _ in range(seconds):
        await here.talking.pass_time(1.0)
        await turns(20)


def ended(link: Talker) -> list[str]:
    """Why anybody has ended, or lost a part; not what could only not be answered."""
    told = [told["reason"] for told in (*link.heard("auth_error"), *link.heard("message_error"))]
    return [reason for reason in told if reason != "origin-away"]


class TestATokenBroughtInAnOutage:
    async def test_keeps_its_user_where_it_was_before_a_restart(self, tmp_path: Path) -> None:
        async with restarted_in_an_outage(tmp_path, "anna") as (here, anna):
            assert (await anna.ask("authenticate", {"token": "for-anna"}))["reason"] == "origin-away"
            assert (await anna.ask("join_conversation", "7"))["ok"], "nobody has said no"
            assert (await anna.ask("join_conversation", "A"))["reason"] == "origin-away"
            await pass_seconds(here, 60)
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]
            here.application.away = False
            await pass_seconds(here, 400)
            assert (await anna.ask("send_message", text("b", "anna")))["ok"]
            assert (await anna.ask("join_conversation", "A"))["ok"]
            assert ended(anna) == []

    async def test_is_enough_where_nobody_asks_about_conversations(self, tmp_path: Path) -> None:
        async with restarted_in_an_outage(tmp_path, "anna", authorize=None, recheck=3.0) as (here, anna):
            await anna.ask("authenticate", {"token": "for-anna"})
            await pass_seconds(here, 60)
            here.application.away = False
            await pass_seconds(here, 60)
            assert ended(anna) == []
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]

    async def test_is_kept_for_each_of_those_who_share_a_connection(self, tmp_path: Path) -> None:
        async with restarted_in_an_outage(tmp_path, "anna", "ben") as (here, link):
            for user in ("anna", "ben"):
                await link.ask("authenticate", {"token": f"for-{user}"})
            await pass_seconds(here, 20)
            link = await here.back(link)
            await pass_seconds(here, 20)
            here.application.away = False
            await pass_seconds(here, 400)
            assert ended(link) == []
            assert (await link.ask("join_conversation", "7"))["users"] == ["anna", "ben"]
            assert set(here.application.consents()) == {("7", "for-anna"), ("7", "for-ben")}

    async def test_replaces_the_old_one_once_it_is_confirmed(self) -> None:
        async with world(recheck=10.0) as here:
            anna = await here.come("anna")
            here.application.away = True
            await here.talking.pass_time(3.0)
            refused = await anna.ask("authenticate", {"userId": "anna", "token": "for-anna.new"})
            assert refused["reason"] == "origin-away"
            here.application.ended.add("for-anna")
            here.application.away = False
            await pass_seconds(here, 60)
            assert ended(anna) == []
            assert (await anna.ask("join_conversation", "7"))["ok"]
            assert here.application.consents()[-1] == ("7", "for-anna.new")

    async def test_is_forgotten_when_it_is_refused_and_the_old_one_holds(self) -> None:
        async with world(recheck=10.0) as here:
            anna = await here.come("anna", joins="7")
            here.application.away = True
            await here.talking.pass_time(3.0)
            await anna.ask("authenticate", {"token": "for-anna.bad"})
            here.application.ended.add("for-anna.bad")
            here.application.away = False
            await pass_seconds(here, 60)
            assert ended(anna) == []
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]

    async def test_lets_nobody_in_who_was_not_here(self) -> None:
        async with world() as here:
            anna = await here.come("anna", joins="7")
            here.application.away = True
            await anna.ask("authenticate", {"token": "for-ben"})
            await anna.ask("authenticate", {"userId": "ben", "token": "for-ben"})
            here.application.away = False
            await pass_seconds(here, 20)
            assert (await anna.ask("send_message", text("a", "ben")))["reason"] == "not-authenticated"
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]

    async def test_brings_nobody_back_who_was_revoked_meanwhile(self) -> None:
        async with world() as here:
            anna = await here.come("anna", "ben", joins="7")
            here.application.away = True
            await anna.ask("authenticate", {"token": "for-anna.2"})
            await here.core.revoke({"user": "anna"})
            here.application.away = False
            await pass_seconds(here, 20)
            assert (await anna.ask("send_message", text("a", "anna")))["reason"] == "not-authenticated"


class TestWhatCannotBeAnsweredInAnOutage:
    @pytest.mark.parametrize(("trouble", "reason"), [("away", "origin-away"), ("redirects", "origin-unusable")])
    async def test_is_refused_with_why_and_when_to_try_again(self, trouble: str, reason: str) -> None:
        async with world(delete="/messages/{conversation}/{message}") as here:
            anna = await here.come("anna", joins="7")
            setattr(here.application, trouble, True)
            for event, payload in (
                ("authenticate", {"token": "for-anna.2"}),
                ("join_conversation", "A"),
                ("delete_message", {"conversation_id": "7", "message_id": "m"}),
            ):
                refused = await anna.ask(event, payload)
                assert (refused["reason"], refused["retry_after"]) == (reason, 5.0)
            assert [told["retry_after"] for told in anna.heard("auth_error")] == [5.0]
            assert here.core.figures().auth_refused == {reason: 1}


class TestAnApplicationThatRedirectsToALoginPage:
    async def test_ends_nobody_and_lets_nobody_in(self) -> None:
        async with world(recheck=10.0) as here:
            anna = await here.come("anna", joins="7")
            here.application.redirects = True
            assert not (await anna.ask("authenticate", {"token": "for-ben"}))["ok"]
            await pass_seconds(here, 400)
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]
            assert (await anna.ask("send_message", text("a", "ben")))["reason"] == "not-authenticated"
            assert [told["reason"] for told in anna.heard("auth_error")] == ["origin-unusable"]

    async def test_is_asked_again_about_a_token_that_was_brought_meanwhile(self, tmp_path: Path) -> None:
        async with restarted_in_an_outage(tmp_path, "anna") as (here, anna):
            here.application.away, here.application.redirects = False, True
            assert (await anna.ask("authenticate", {"token": "for-anna"}))["reason"] == "origin-unusable"
            await pass_seconds(here, 60)
            here.application.redirects = False
            await pass_seconds(here, 60)
            assert (await anna.ask("join_conversation", "A"))["ok"]
            assert [told["reason"] for told in anna.heard("auth_error")] == ["origin-unusable"]


class TestATokenThatIsNotBroughtAgain:
    async def test_has_its_ten_seconds_when_the_application_answers(self, tmp_path: Path) -> None:
        async with restarted_in_an_outage(tmp_path, "anna") as (here, anna):
            await pass_seconds(here, 60)
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]
            here.application.away = False
            await pass_seconds(here, 8)
            assert ended(anna) == []
            await pass_seconds(here, 20)
            assert ended(anna) == ["reauthenticate"]

    async def test_ends_nobody_by_a_recheck_in_the_outage(self, tmp_path: Path) -> None:
        async with restarted_in_an_outage(tmp_path, "anna", authorize=None, recheck=3.0) as (here, anna):
            await pass_seconds(here, 60)
            assert ended(anna) == []
            here.application.away = False
            await pass_seconds(here, 60)
            assert ended(anna) == ["reauthenticate"]
