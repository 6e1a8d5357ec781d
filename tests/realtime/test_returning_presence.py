"""What those who return are told of who has come and gone: what is new to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from realtime.attendance import MOST_TOLD, Told
from tests.realtime.participants import World, world
from tests.realtime.talking import Talker
from tests.realtime.wire import turns

MOMENT = 0.15


async def told(here: World, talker: Talker, seconds: float = MOMENT) -> list[tuple[Any, Any, Any]]:
    """Who is there, who has joined and who has left, of each update that has come when so much time has passed."""
    await here.talking.pass_time(seconds)
    await turns(20)
    return [(update["users"], update["joined"], update["left"]) for update in talker.heard("presence_update")]


async def test_who_returns_is_told_once_who_has_come_and_gone_meanwhile() -> None:
    async with world() as here:
        anna, ben = await here.come("anna", joins="7"), await here.come("ben", joins="7")
        await told(here, anna)
        anna.drop()
        await turns()
        await here.talking.pass_time(0.5)
        await ben.ask("leave_conversation", "7")
        await told(here, ben)
        await here.come("bob", joins="7")
        await told(here, ben, 10.0)
        anna = await here.back(anna, drop=False)
        assert await told(here, anna) == [(["bob", "anna"], ["bob"], ["ben"])]


async def test_who_came_and_went_while_somebody_was_away_is_not_named_to_them() -> None:
    async with world() as here:
        anna, ben = await here.come("anna", joins="7"), await here.come("ben", joins="7")
        await told(here, anna)
        anna.drop()
        await turns()
        await ben.ask("leave_conversation", "7")
        await told(here, ben)
        await ben.ask("join_conversation", "7")
        await told(here, ben)
        anna = await here.back(anna, drop=False)
        assert await told(here, anna) == [(["anna", "ben"], [], [])]


async def test_after_a_restart_nobody_who_was_there_all_along_has_joined(tmp_path: Path) -> None:
    async with world(journal=tmp_path) as here:
        anna, ben = await here.come("anna", joins="7"), await here.come("ben", joins="7")
        await told(here, anna)
        await here.core.settle()
    async with world(journal=tmp_path) as here:
        anna = await here.back(anna, drop=False)
        assert await told(here, anna) == [(["anna", "ben"], [], [])]
        ben = await here.back(ben, drop=False)
        assert await told(here, ben) == [(["anna", "ben"], [], [])]
        assert await told(here, anna, 5.0) == [(["anna", "ben"], [], [])]


async def test_after_a_restart_who_does_not_return_has_left(tmp_path: Path) -> None:
    async with world(journal=tmp_path) as here:
        anna = await here.come("anna", joins="7")
        await here.come("ben", joins="7")
        await told(here, anna)
        await here.core.settle()
    async with world(journal=tmp_path) as here:
        await here.talking.pass_time(3.0)
        await here.talking.pass_time(MOMENT)
        anna = await here.back(anna, drop=False)
        assert await told(here, anna) == [(["anna"], [], ["ben"])]


def test_what_was_told_is_forgotten_in_time_and_never_grows_without_end() -> None:
    past = Told(60.0)
    for number in range(1000):
        past.note("7", {f"u{number}": True}, 1.0)
    assert past.count("7", 0.0) == len(past.latest("7", MOST_TOLD)) == MOST_TOLD
    past.note("8", {"u": True}, 62.0)
    assert (len(past), past.count("7", 0.0)) == (1, 0)
