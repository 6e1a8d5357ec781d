"""What a WebSocket writes goes straight to the system, and in order whatever the system takes of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from realtime.frames import Outgoing
from realtime.websocket import TakenWebSocket
from tests.engine import EngineUnderTest, engine_with

Write = Callable[[int, bytes], int]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The system as WebSockets see it; assign `write` to let it take less. `calls` counts."""
    system = SimpleNamespace(write=os.write, calls=0)

    def write(descriptor: int, data: bytes) -> int:
        system.calls += 1
        taken: int = system.write(descriptor, data)
        return taken

    monkeypatch.setattr("realtime.websocket.os", SimpleNamespace(write=write))
    return system


def carrier_of(engine: EngineUnderTest) -> TakenWebSocket:
    (carrier,) = engine.engine._carriers
    assert isinstance(carrier, TakenWebSocket)
    return carrier


def _some(descriptor: int, data: bytes) -> int:
    return os.write(descriptor, data[:3])


def _full(descriptor: int, data: bytes) -> int:
    raise BlockingIOError


def _interrupted(descriptor: int, data: bytes) -> int:
    raise InterruptedError


@pytest.mark.parametrize("write", [os.write, _some, _full, _interrupted])
async def test_whatever_the_system_takes_everything_arrives_in_order(system: SimpleNamespace, write: Write) -> None:
    async with engine_with() as engine, await engine.session() as websocket:
        system.write = write
        for number in range(50):
            engine.last.send(f"{number}")
        system.write = os.write
        engine.last.send("and again")
        assert [await websocket.text() for _ in range(51)] == [*(f"4{number}" for number in range(50)), "4and again"]
        assert system.calls > 0


async def test_while_bytes_wait_nothing_overtakes_them(system: SimpleNamespace) -> None:
    async with engine_with(high_water=10_000_000, max_queue=10_000_000) as engine, await engine.session() as websocket:
        carrier, count = carrier_of(engine), 0
        while not carrier.buffered:
            engine.last.send(f"{count:06}" + "x" * 100_000)
            count += 1
        calls = system.calls
        engine.last.send("behind them")
        assert system.calls == calls
        for number in range(count):
            assert (await websocket.text())[1:7] == f"{number:06}"
        assert await websocket.text() == "4behind them"


async def test_what_the_system_says_of_a_connection_ends_its_session(system: SimpleNamespace) -> None:
    async with engine_with() as engine, await engine.session() as websocket:
        websocket.client.writer.transport.abort()
        while not engine.last.ends:
            engine.last.send("is anybody there?")
            await asyncio.sleep(0)
        assert await engine.last.end() in ("transport-close", "transport-error")


async def test_a_connection_that_closes_is_not_written_to_by_its_number(system: SimpleNamespace) -> None:
    async with engine_with() as engine, await engine.session():
        carrier = carrier_of(engine)
        calls = system.calls
        carrier.abort()  # from now on the number may be that of another connection
        carrier.write(Outgoing(["too late"]))
        await engine.last.end()
        carrier.write(Outgoing(["much too late"]))
        assert system.calls == calls
