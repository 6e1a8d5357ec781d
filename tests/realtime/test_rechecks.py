"""Those who stay connected are asked about again, and end when the application says no."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.realtime.participants import World, world
from tests.realtime.talking import text
from tests.realtime.wire import turns

LATER = 361.0
"""Seconds after which everybody was asked about again, the latest as well."""


async def much_later(here: World, rounds: int = 1) -> None:
    for _ in range(rounds):
        await here.talking.pass_time(LATER)
        await turns(50)


class TestARecheck:
    async def test_ends_who_has_logged_out_and_nobody_else(self) -> None:
        async with world() as here:
            link, bob = await here.come("anna", "ben", joins="7A"), await here.come("bob", joins="7")
            here.application.logged_out.add("anna")
            await much_later(here)
            (told,) = link.heard("auth_error")
            assert (told["reason"], told["user"], told["left"]) == ("refused", "anna", ["A"])
            await bob.ask("send_message", text("for ben", "bob"))
            await here.core.publish({"channel": "user:anna", "event": "hint", "data": None})
            assert (link.contents, link.heard("hint")) == (["for ben"], [])
            assert (await link.ask("send_message", text("a", "anna")))["reason"] == "not-authenticated"
            assert here.core.stats.auth_refused == {"refused": 1}
            await much_later(here, 2)
            assert len(link.heard("auth_error")) == 1

    async def test_ends_a_part_in_a_conversation_that_is_not_consented_to_any_more(self) -> None:
        async with world() as here:
            anna, bob = await here.come("anna", joins="7A"), await here.come("bob", joins="7")
            here.application.parts["7"] = {"bob"}
            await much_later(here)
            (told,) = anna.heard("message_error")
            assert (told["reason"], told["conversation_id"], told["users"]) == ("not-allowed", "7", ["anna"])
            await bob.ask("send_message", text("secret", "bob"))
            assert anna.contents == []
            assert (await anna.ask("send_message", text("a", "anna", "A")))["ok"]
            assert here.core.stats.joins_refused == 1

    async def test_asks_once_however_many_connections_there_are(self) -> None:
        async with world(remember_consent=0.0) as here:
            crowd = [await here.come("anna", joins="7") for _ in range(20)]
            other = await here.come("anna.2", joins="7")
            here.application.asked.clear()
            await much_later(here)
            asked = sorted(here.application.asked)
            assert asked == [
                ("GET", target, token)
                for target in ("/may/7", "/session")
                for token in ("for-anna", "for-anna.2")
            ]  # fmt: skip
            assert all(not link.heard("auth_error") and link.heard("authenticated") for link in (*crowd, other))

    async def test_asks_about_a_few_at_a_time(self) -> None:
        async with world() as here:
            for number in range(20):
                await here.come(f"u{number}")
            here.application.asked.clear()
            here.application.silence = asyncio.Event()
            await much_later(here)
            assert len(here.application.asked) == 4
            here.application.silence.set()
            for _ in range(10):
                await here.talking.pass_time(0.0)
            assert len(here.application.asked) == 20

    async def test_spreads_those_who_came_together(self) -> None:
        async with world() as here:
            for number in range(20):
                await here.come(f"u{number}")
            here.application.asked.clear()
            await here.talking.pass_time(239.0)
            assert here.application.asked == []
            await here.talking.pass_time(61.0)
            await turns(50)
            assert 0 < len(here.application.asked) < 20

    async def test_in_an_outage_ends_nobody_and_hardly_asks(self) -> None:
        async with world() as here:
            anna = await here.come("anna", joins="7")
            for number in range(50):
                await here.come(f"u{number}")
            here.application.away = True
            here.application.logged_out.add("anna")
            here.application.asked.clear()
            await much_later(here)
            for _ in range(29):
                await here.talking.pass_time(1.0)
            assert len(here.application.asked) <= 4
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]
            assert anna.heard("auth_error") == []
            here.application.away = False
            for _ in range(40):
                await here.talking.pass_time(1.0)
            assert [told["reason"] for told in anna.heard("auth_error")] == ["refused"]

    async def test_ends_who_has_not_brought_its_token_again_after_a_restart(self, tmp_path: Path) -> None:
        async with world(journal=tmp_path, authorize=None) as here:
            anna = await here.come("anna", joins="7")
            await here.core.settle()
        async with world(journal=tmp_path, authorize=None) as here:
            anna = await here.back(anna, drop=False)
            assert anna.heard("auth_error") == []
            await much_later(here)
            (told,) = anna.heard("auth_error")
            assert (told["reason"], told["user"], told["left"]) == ("reauthenticate", "anna", ["7"])

    async def test_can_be_switched_off_and_is_not_there_where_nobody_is_asked(self) -> None:
        async with world(recheck=0.0) as here:
            await here.come("anna")
            assert here.core.chat.participation.deadline is None
        async with world(auth="trusted", authorize=None) as here:
            assert (await here.arrive().ask("authenticate", "anna"))["ok"]
            assert here.core.chat.participation.deadline is None

    async def test_is_forgotten_with_the_last_connection(self) -> None:
        async with world() as here:
            first, second = await here.come("anna"), await here.come("anna")
            first.drop()
            await turns()
            deadline = here.core.chat.participation._rechecks.deadline
            assert deadline is not None
            second.drop()
            await turns()
            assert here.core.chat.participation._rechecks.deadline is None
