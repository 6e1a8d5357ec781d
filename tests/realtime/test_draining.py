"""How a server ends: gradually, so that clients come back one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.edge import PATIENCE
from tests.engine import EngineUnderTest, engine_with


async def test_while_it_drains_nobody_new_is_taken(engine: EngineUnderTest) -> None:
    await engine.engine.drain(0.0)
    answer = await engine.request("EIO=4&transport=polling")
    assert answer.status == 503
    assert int(answer["Retry-After"]) > 0


async def test_sessions_end_in_a_way_that_makes_clients_come_back(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    waiting = await client.waiting_get()
    async with await engine.session() as websocket:
        await engine.engine.drain(0.0)
        assert await websocket.close_code() == 1012
        assert (await waiting).body == b"1"
        assert engine.stats.sessions_closed == {"drain": 2}
        assert engine.engine.sessions == {}


async def test_they_end_one_after_the_other_within_the_time_given(
    engine: EngineUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(10):
        await engine.polling()
    delays: list[float] = []

    def at_once(delay: float, callback: Callable[..., object], *arguments: object) -> None:
        delays.append(delay)
        loop.call_soon(callback, *arguments)

    loop = asyncio.get_running_loop()
    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_later", at_once)
        await engine.engine.drain(1000.0)
    assert all(number * 100 <= delay <= number * 100 + 100 for number, delay in enumerate(delays))
    assert len(set(delays)) == 10
    assert [await receiver.end() for receiver in engine.receivers] == ["drain"] * 10


async def test_a_session_that_ends_by_itself_meanwhile_is_not_waited_for(engine: EngineUnderTest) -> None:
    for _ in range(2):
        await engine.polling()
    draining = asyncio.create_task(engine.engine.drain(1000.0))
    await asyncio.sleep(0)
    for receiver in engine.receivers:
        receiver.connection.close()
    async with asyncio.timeout(PATIENCE):
        await draining
    assert engine.stats.sessions_closed == {"server-close": 2}


async def test_closing_ends_everything_at_once_and_returns_when_all_is_closed() -> None:
    async with engine_with() as engine, await engine.session() as websocket:
        await engine.polling()
        await engine.engine.close()
        assert [receiver.ends for receiver in engine.receivers] == [["drain"], ["drain"]]
        assert await websocket.close_code() == 1012
