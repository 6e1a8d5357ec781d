"""A message that was taken and failed: whoever sent it hears so once, wherever it is by then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from realtime.origin import OriginAway
from tests.realtime.participants import Application, World, world
from tests.realtime.talking import Answer, Talker, text
from tests.realtime.test_chat import Gate
from tests.realtime.wire import turns

ONE_ATTEMPT: dict[str, Any] = {"persist": "/messages", "patience": 4.0, "backoff": 60.0}


class Keeper(Application):
    """Keeps messages when it is let; whatever else it is asked, it answers at once."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    async def __call__(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, *_: object
    ) -> Answer:
        if target == "/messages":
            return await self.gate(method, target, fields, body)
        return await super().__call__(method, target, fields, body)


async def under_way(here: World, keeper: Keeper) -> Talker:
    """A client whose message the application has been asked to keep."""
    anna = await here.come("anna", joins="7")
    anna.emit("send_message", text("a", "anna", client_id="one"))
    await keeper.gate.asked(1)
    return anna


async def fail(keeper: Keeper) -> None:
    keeper.gate.answers[0].set_exception(OriginAway("away"))
    await turns(20)


def failures(*talkers: Talker) -> list[list[str]]:
    """Of which messages each client has heard that they failed."""
    return [[error["client_id"] for error in talker.heard("message_error")] for talker in talkers]


@pytest.mark.parametrize("drop", [True, False])
async def test_a_sender_that_has_recovered_before_its_message_failed_is_told_once(drop: bool) -> None:
    keeper = Keeper()
    async with world(keeper, **ONE_ATTEMPT) as here:
        anna = await under_way(here, keeper)
        window = await here.come("anna")
        again = await here.back(anna, drop=drop)
        await fail(keeper)
        assert failures(anna, again, window) == [[], ["one"], []]


async def test_a_sender_that_recovers_after_its_message_failed_is_told_once_as_are_its_other_windows() -> None:
    keeper = Keeper()
    async with world(keeper, **ONE_ATTEMPT) as here:
        anna = await under_way(here, keeper)
        window = await here.come("anna")
        anna.drop()
        await turns()
        await fail(keeper)
        assert failures(await here.back(anna, drop=False), window) == [["one"], ["one"]]


async def test_a_sender_that_has_recovered_before_a_shutdown_gives_its_message_up_is_told_once() -> None:
    keeper = Keeper()
    async with world(keeper, **ONE_ATTEMPT) as here:
        again = await here.back(await under_way(here, keeper))
        await asyncio.wait_for(here.core.settle(patience=0), 5)
        (told,) = again.heard("message_error")
        assert (told["client_id"], told["may_be_kept"]) == ("one", True)
