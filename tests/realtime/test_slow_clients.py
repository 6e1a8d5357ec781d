"""Clients that do not read: what waits for them is bounded, and nobody else waits."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from realtime.frames import Outgoing
from realtime.websocket import TakenWebSocket
from tests.edge import PATIENCE, Client, Received
from tests.engine import EngineUnderTest, RawWebSocket, engine_with, stalled

KILOBYTE = "x" * 1000
SLOW: dict[str, Any] = {"max_queue": 100_000, "high_water": 10_000, "close_timeout": 0.01}


async def congest(engine: EngineUnderTest) -> int:
    """Send to the session until its bytes begin to wait; how many messages that took."""
    session = engine.last.session
    for number in range(100_000):
        if session.queued:
            return number
        engine.last.send(f"{number:06}{KILOBYTE}")
        if number % 50 == 0:
            await asyncio.sleep(0)
    raise AssertionError("the system buffers everything")


async def test_a_stalled_reader_is_closed_when_its_queue_is_full_and_delays_nobody() -> None:
    async with engine_with(**SLOW) as engine, await engine.session() as healthy:
        well = engine.last
        sock = await stalled(engine)
        slow = engine.last
        sent = 0
        while not slow.ends:
            outgoing = Outgoing([f"{sent:06}{KILOBYTE}"])
            slow.connection.send(outgoing)
            well.connection.send(outgoing)
            assert slow.session.queued <= SLOW["max_queue"]
            assert (await healthy.text())[1:7] == f"{sent:06}"
            sent += 1
        assert await slow.end() == "slow-client"
        assert engine.stats.queue_drops == {"slow-client": 1}
        well.send("done")
        assert await healthy.text() == "4done"
        sock.close()


async def test_no_copies_are_made_of_what_waits() -> None:
    async with engine_with(**SLOW) as engine:
        sock = await stalled(engine)
        await congest(engine)
        for number in range(50):
            engine.last.send(f"{number}{KILOBYTE}")
        (carrier,) = engine.engine._carriers
        assert isinstance(carrier, TakenWebSocket)
        assert carrier.buffered <= SLOW["high_water"] + 2 * len(KILOBYTE)
        assert engine.last.session.queued >= 50_000
        sock.close()


async def test_a_reader_that_comes_back_gets_everything_in_order() -> None:
    async with engine_with(**SLOW) as engine:
        sock = await stalled(engine)
        count = await congest(engine)
        for number in range(count, count + 20):
            engine.last.send(f"{number:06}{KILOBYTE}")
        websocket = await reading(sock)
        for number in range(count + 20):
            assert (await websocket.text())[1:7] == f"{number:06}"
        assert engine.last.session.queued == 0
        engine.last.send("direct again")
        assert await websocket.text() == "4direct again"
        await websocket.leave()


async def test_what_may_be_lost_is_lost_first_and_of_each_key_the_latest_stays() -> None:
    async with engine_with(**SLOW) as engine:
        sock = await stalled(engine)
        before = await congest(engine)
        for number in range(200):
            engine.last.send(f"volatile {number} {KILOBYTE}", volatile=True)
        for number in range(200):
            engine.last.send(f"price {number} {KILOBYTE}", conflate="price")
        engine.last.send("certain" + KILOBYTE * 97)
        assert engine.last.ends == []
        websocket = await reading(sock)
        for _ in range(before):
            await websocket.text()
        assert (await websocket.text())[:11] == "4price 199 "
        assert (await websocket.text())[:8] == "4certain"
        assert engine.stats.queue_drops["conflated"] == 199
        assert engine.stats.queue_drops["volatile"] == 200
        await websocket.leave()


async def test_a_session_that_is_closed_sends_what_waits_before_it_goes() -> None:
    async with engine_with(max_queue=100_000, high_water=10_000) as engine:
        sock = await stalled(engine)
        count = await congest(engine)
        engine.last.send("last words")
        engine.last.connection.close()
        websocket = await reading(sock)
        for _ in range(count):
            await websocket.text()
        assert await websocket.text() == "4last words"
        assert await websocket.close_code() == 1000
        await websocket.leave()


async def test_a_half_open_connection_is_noticed_by_the_heartbeat() -> None:
    async with engine_with(ping_interval=0.02, ping_timeout=0.02, **SLOW) as engine:
        sock = await stalled(engine)
        assert await engine.last.end() == "ping-timeout"
        sock.close()


async def reading(sock: socket.socket) -> RawWebSocket:
    """The stalled client begins to read."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(sock=sock, limit=2**20)
    return RawWebSocket(Client(reader, writer), Received(101, "", [], b""))
