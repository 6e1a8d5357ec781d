"""A session that begins over long-polling and goes on over WebSocket."""

from __future__ import annotations

import asyncio

import pytest

from tests.edge import PATIENCE
from tests.engine import PATH, EngineUnderTest, PollingClient, RawWebSocket, engine_with, head


async def upgraded(client: PollingClient) -> RawWebSocket:
    websocket = await client.probe()
    await websocket.send("2probe")
    assert await websocket.text() == "3probe"
    await websocket.send("5")
    return websocket


async def test_a_probe_is_answered_the_get_released_and_what_waited_follows_the_upgrade(
    engine: EngineUnderTest,
) -> None:
    client = await engine.polling()
    waiting = await client.waiting_get()
    async with await client.probe() as websocket:
        await websocket.send("2probe")
        assert await websocket.text() == "3probe"
        assert (await waiting).body == b"6"
        engine.last.send("waited")
        await websocket.send("5")
        assert await websocket.text() == "4waited"
        assert engine.last.connection.transport == "websocket"
        engine.last.send("direct")
        assert await websocket.text() == "4direct"
        await websocket.send("4up")
        assert await engine.last.message() == "up"


async def test_a_get_between_probe_and_upgrade_does_not_wait(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    async with await client.probe() as websocket:
        await websocket.send("2probe")
        await websocket.text()
        assert (await client.get()).body == b"6"


async def test_what_is_posted_before_the_upgrade_is_received(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    async with await client.probe() as websocket:
        await websocket.send("2probe")
        await websocket.text()
        assert (await client.post("4posted")).body == b"ok"
        await websocket.send("5")
        await websocket.send("4sent")
        assert [await engine.last.message(), await engine.last.message()] == ["posted", "sent"]


async def test_after_the_upgrade_requests_are_refused_and_change_nothing(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    async with await upgraded(client) as websocket:
        engine.last.send("over")
        assert await websocket.text() == "4over"
        for answer in (await client.get(), await client.post("4stray"), await client.post("1")):
            assert (answer.status, answer.body) == (400, b'{"code":3,"message":"Bad request"}')
        await websocket.send("4hello")
        assert await engine.last.message() == "hello"


async def test_a_post_that_is_still_coming_when_the_upgrade_completes_is_refused(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    posting = await engine.connect()
    await posting.send(head(f"{PATH}?{client.query}", engine.host, "POST", length=2) + b"4")
    async with asyncio.timeout(PATIENCE):
        while not engine.last.session.is_posting:
            await asyncio.sleep(0)
    async with await upgraded(client) as websocket:
        await websocket.send("4over")
        assert await engine.last.message() == "over"
        await posting.send(b"x")
        assert (await posting.receive()).status == 400
        assert engine.last.messages.empty()
    posting.leave()


async def test_a_get_that_waits_while_the_upgrade_completes_is_released(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    async with await client.probe() as websocket:
        waiting = await client.waiting_get()
        await websocket.send("2probe")
        await websocket.send("5")
        assert (await waiting).body == b"6"


@pytest.mark.parametrize("state", ["probing", "probed", "upgraded"])
async def test_a_second_upgrade_is_refused_and_harms_nobody(engine: EngineUnderTest, state: str) -> None:
    client = await engine.polling()
    async with await client.probe() as websocket:
        if state != "probing":
            await websocket.send("2probe")
            await websocket.text()
        if state == "upgraded":
            await websocket.send("5")
            engine.last.send("up")
            await websocket.text()
        async with await client.probe() as second:
            assert await second.close_code() == 1008
            await second.send("4not mine")
        if state == "probing":
            await websocket.send("2probe")
            await websocket.text()
        if state != "upgraded":
            await websocket.send("5")
        await websocket.send("4hello")
        assert await engine.last.message() == "hello"


@pytest.mark.parametrize("packet", ["4hello", "5", "2", "abc", b"x"])
async def test_a_websocket_that_does_not_probe_is_closed_and_polling_goes_on(
    engine: EngineUnderTest, packet: str | bytes
) -> None:
    client = await engine.polling()
    async with await client.probe() as websocket:
        await websocket.send(packet)
        assert await websocket.close_code() == 1002
    engine.last.send("still here")
    assert (await client.get()).body == b"4still here"
    assert engine.last.messages.empty()
    async with await upgraded(client) as websocket:
        await websocket.send("4second try")
        assert await engine.last.message() == "second try"


async def test_a_probe_whose_connection_breaks_leaves_polling_as_it_was(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    websocket = await client.probe()
    await websocket.send("2probe")
    await websocket.text()
    await websocket.leave()
    waiting = await client.waiting_get()
    engine.last.send("still here")
    assert (await waiting).body == b"4still here"


async def test_an_upgrade_that_is_not_completed_in_time_is_given_up() -> None:
    async with engine_with(upgrade_timeout=0.02) as engine:
        client = await engine.polling()
        async with await client.probe() as websocket:
            assert await websocket.close_code() == 1000
        engine.last.send("still here")
        assert (await client.get()).body == b"4still here"


async def test_a_completed_upgrade_outlives_its_timeout() -> None:
    async with engine_with(upgrade_timeout=0.5, ping_interval=0.6) as engine:
        client = await engine.polling()
        async with await upgraded(client) as websocket:
            assert await websocket.text() == "2", "the heartbeat comes later than the timeout"
            await websocket.send("3")
            await websocket.send("4hello")
            assert await engine.last.message() == "hello"


async def test_a_session_that_ends_takes_its_candidate_with_it(engine: EngineUnderTest) -> None:
    client = await engine.polling()
    async with await client.probe() as websocket:
        await client.post("1")
        assert await websocket.close_code() == 1000
        assert await engine.last.end() == "client-close"


async def test_the_heartbeat_goes_on_over_the_new_transport() -> None:
    async with engine_with(ping_interval=0.05, ping_timeout=60.0) as engine:
        client = await engine.polling()
        async with await upgraded(client) as websocket:
            for _ in range(2):
                assert await websocket.text() == "2"
                await websocket.send("3")


async def test_many_sessions_upgrade_at_once(engine: EngineUnderTest) -> None:
    clients = [await engine.polling() for _ in range(20)]
    websockets = await asyncio.gather(*(upgraded(client) for client in clients))
    for number, receiver in enumerate(engine.receivers):
        receiver.send(str(number))
    assert [await websocket.text() for websocket in websockets] == [f"4{number}" for number in range(20)]
    for websocket in websockets:
        await websocket.leave()
