"""Clients that connect, leave and connect again before they have an answer, as the usual library does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from realtime.hub import Hub, Refused, Socket
from realtime.limits import Rate
from realtime.settings import RecoverySettings
from tests.realtime.test_hub import Clock, hub_with, only
from tests.realtime.wire import Wire, turns


class Door:
    """A hub whose connect handler waits until it is opened; `told` is what its handlers were."""

    def __init__(self, *, open_: bool = False, error: Exception | None = None, **settings: Any) -> None:
        self.hub: Hub = hub_with(crossing=0.01, **settings)
        self.root = self.hub.namespace()
        self.opened = asyncio.Event()
        self.error = error
        self.told: list[str] = []
        self.root.on("connect")(self.connect if not open_ else self.connect_at_once)
        self.root.on("disconnect")(lambda socket, reason: self.told.append(reason))
        self.root.on("say")(lambda socket: socket.emit("heard"))
        self.wire = Wire(self.hub)

    async def connect(self, socket: Socket) -> None:
        await self.opened.wait()
        self.connect_at_once(socket)

    def connect_at_once(self, socket: Socket) -> None:
        self.told.append("connect")
        socket.emit("welcome")
        if self.error is not None:
            raise self.error

    async def let_in(self) -> None:
        self.opened.set()
        await turns()


def answers(wire: Wire) -> int:
    return sum(str(message).startswith("0") for message in wire.sent)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


async def test_one_answer_is_for_all_who_ask_before_it() -> None:
    door = Door()
    door.wire.say("0", "0", "0")
    await turns()
    assert door.wire.sent == []
    await door.let_in()
    assert (answers(door.wire), door.told, door.wire.closed) == (1, ["connect"], None)
    assert door.hub.stats.invalid == {"connect-repeated": 2}


async def test_who_asks_again_and_speaks_has_its_answer_and_stays_who_it_is() -> None:
    door = Door(open_=True)
    other = door.hub.namespace("/other")
    door.wire.enter("/other")
    before = door.wire.enter()["sid"]
    door.wire.say("0", '2["say"]')
    patient = Wire(door.hub)
    patient.enter()
    patient.say("0")
    await until(lambda: answers(patient) == 1)
    assert before in door.root.sockets, "by now the others' time is over, too"
    assert door.wire.taken() == ['2["welcome"]', '2["heard"]']
    assert (len(other.sockets), door.wire.closed) == (1, None)


async def test_who_asks_again_and_is_silent_was_away_and_is_let_in_anew() -> None:
    door = Door(open_=True)
    door.hub.namespace("/other")
    door.wire.enter("/other")
    before = door.wire.enter()["sid"]
    door.wire.taken()
    door.wire.say("0")
    await until(lambda: answers(door.wire) == 1)
    assert door.wire.welcomed()["sid"] == only(door.root).id != before
    assert door.told == ["connect", "client-disconnect", "connect"]
    assert door.wire.taken() == ['2["welcome"]']
    assert door.wire.closed is None


async def test_who_is_away_when_it_has_recovered_recovers_again() -> None:
    door = Door(open_=True, recovery=RecoverySettings())
    known = door.wire.enter()
    only(door.root).emit("first")
    offset = Wire.event(door.wire.taken()[-1])[-1]
    door.wire.drop()
    await turns()
    door.root.emit(known["sid"], "missed")
    back = Wire(door.hub)
    mine = {"pid": known["pid"], "offset": offset}
    assert back.enter(**mine) == known
    back.taken()
    back.say(f'0{{"pid":"{known["pid"]}","offset":"{offset}"}}')
    await until(lambda: answers(back) == 1)
    assert back.welcomed() == known
    assert any(Wire.event(message)[0] == "missed" for message in back.taken())
    assert (only(door.root).recovered, back.closed) == (True, None)
    await door.hub.close()


async def test_what_is_asked_again_long_after_the_answer_breaks_the_protocol() -> None:
    clock = Clock()
    door = Door(open_=True, clock=clock, connect_timeout=10.0)
    door.wire.enter()
    clock.seconds += 10.0
    door.wire.say("0")
    await turns()
    assert (door.wire.closed, door.told) == ("parse-error", ["connect", "parse-error"])
    assert door.hub.stats.invalid == {"connected-twice": 1}


async def test_asking_again_counts_as_asking() -> None:
    door = Door(connects=Rate(1.0, 3.0))
    door.wire.say("0", "0", "0")
    await turns()
    assert not door.hub.stats.rate_limited
    door.wire.say("0")
    assert (door.wire.closed, door.hub.stats.rate_limited) == ("flood", {"connects": 1})


async def test_no_doubt_outlives_its_connection() -> None:
    door = Door(open_=True)
    door.wire.enter()
    door.wire.say("0")
    door.wire.drop()
    other = Wire(door.hub)
    other.enter()
    other.say("0")
    await until(lambda: answers(other) == 1)
    assert door.told.count("transport-close") == 1
    assert len(door.root.sockets) == 1


@pytest.mark.parametrize("error", [None, Refused("no")])
async def test_who_leaves_while_it_is_let_in_gets_no_answer_and_keeps_its_connection(error: Exception | None) -> None:
    door = Door(error=error)
    door.hub.namespace("/other")
    door.wire.enter("/other")
    door.wire.say("0")
    await turns()
    door.wire.say("1", "1")
    await door.let_in()
    assert door.wire.sent == []
    assert door.told == ["connect"] + ["client-disconnect"] * (error is None)
    assert (len(door.root.sockets), door.wire.closed) == (0, None)
    door.error = None
    door.wire.say("0")
    await turns()
    assert answers(door.wire) == 1


async def test_who_comes_back_before_it_was_let_in_is_let_in() -> None:
    door = Door()
    door.wire.say("0", "1", "0")
    await turns()
    await door.let_in()
    assert (answers(door.wire), door.told) == (1, ["connect"])


async def test_who_is_thrown_out_after_leaving_hears_nothing_of_it() -> None:
    door = Door()

    @door.hub.namespace("/strict").on("connect")
    async def connect(socket: Socket) -> None:
        await door.opened.wait()
        socket.disconnect()

    door.wire.say("0/strict,")
    await turns()
    door.wire.say("1/strict,")
    await door.let_in()
    assert (door.wire.sent, door.wire.closed) == ([], None)


async def test_who_leaves_while_its_return_is_decided_gets_no_answer() -> None:
    door = Door(open_=True, recovery=RecoverySettings())

    @door.root.returning
    async def returning(socket: Socket, auth: Any) -> None:
        await door.opened.wait()

    known = door.wire.enter()
    door.wire.drop()
    await turns()
    back = Wire(door.hub)
    back.say(f'0{{"pid":"{known["pid"]}"}}')
    await turns()
    back.say("1")
    await door.let_in()
    assert (back.sent, back.closed, len(door.root.sockets)) == ([], None, 0)
    assert door.told.count("client-disconnect") == 1
    await door.hub.close()
