"""WebSocket outside the realtime core goes to the origin and back, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("chat",), max_msg_size=0)
    await socket.prepare(request)
    await socket.send_str(f"cookie {request.headers.get('Cookie')}")
    async for message in socket:
        if message.data == "bye":
            await socket.close(code=4001, message=b"as asked")
        elif message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


@pytest.fixture
async def edge() -> AsyncIterator[EdgeUnderTest]:
    app = web.Application()
    app.router.add_get("/ws", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    async with edge_before(f"http://{host}:{port}") as edge:
        yield edge
    await runner.cleanup()


async def test_messages_of_any_size_pass_both_ways(edge: EdgeUnderTest) -> None:
    """RFC 9110 section 7.8."""
    async with (
        aiohttp.ClientSession(headers={"Cookie": "session=anna"}) as session,
        session.ws_connect(f"http://{edge.host}/ws", protocols=("chat",), max_msg_size=0) as socket,
    ):
        assert socket.protocol == "chat"
        assert await socket.receive_str() == "cookie session=anna"
        for size in (0, 1, 125, 126, 65_536, 3_000_000):
            await socket.send_bytes(b"x" * size)
            assert await socket.receive_bytes() == b"x" * size


async def test_the_origins_close_reaches_the_client_with_its_code(edge: EdgeUnderTest) -> None:
    """RFC 6455 section 7.4."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{edge.host}/ws") as socket,
    ):
        await socket.receive_str()
        await socket.send_str("bye")
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as asked")


async def test_a_client_that_vanishes_lets_the_origin_know(edge: EdgeUnderTest) -> None:
    client = await edge.connect()
    key = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    await client.send(edge.request("GET", "/ws", {**key, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}))
    assert (await client.receive()).status == 101
    client.leave()
    while edge.app.origin.health.tunnels:
        await asyncio.sleep(0)


async def test_an_origin_that_declines_is_passed_on() -> None:
    """RFC 9110 section 7.8."""
    async with ScriptedOrigin() as origin:
        origin.on("/ws", reply(403, b"no"))
        async with edge_before(origin) as edge:
            key = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            answer = await edge.get("/ws", {**key, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
            assert (answer.status, answer.body) == (403, b"no")


async def test_an_upgrade_to_anything_else_is_an_ordinary_request() -> None:
    """RFC 9110 section 7.8."""
    async with ScriptedOrigin() as origin:
        origin.on("/a", reply(body=b"plain"))
        async with edge_before(origin) as edge:
            client = await edge.connect()
            upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"}
            await client.send(edge.request("GET", "/a", upgrade))
            assert (await client.receive()).body == b"plain"
            assert origin.requests[0].header("Upgrade") is None
            await client.send(edge.request("GET", "/a"))
            assert (await client.receive()).status == 200
            await client.close()
