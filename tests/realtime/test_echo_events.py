"""Socket.IO over real connections: the echo application as a process, spoken to in the protocol's own words."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.apps.echo", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("listening on ").strip()
        process.terminate()


class Talk:
    """One WebSocket; Engine.IO's heartbeat is kept up unseen."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def say(self, *packets: str | bytes) -> None:
        for packet in packets:
            if isinstance(packet, str):
                await self._socket.send_str("4" + packet)
            else:
                await self._socket.send_bytes(packet)

    async def hear(self) -> str | bytes | None:
        """The next Socket.IO packet or attachment; None when the connection has been closed."""
        async with asyncio.timeout(10):
            async for message in self._socket:
                if message.data == "2":
                    await self._socket.send_str("3")
                elif isinstance(message.data, bytes):
                    return message.data
                elif message.data.startswith("4"):
                    return str(message.data[1:])
        return None


@pytest.fixture
async def talk(url: str) -> AsyncIterator[Talk]:
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket", autoping=True) as socket,
    ):
        yield Talk(socket)


async def entered(talk: Talk, namespace: str = "/", auth: str = "") -> None:
    prefix = "" if namespace == "/" else f"{namespace},"
    await talk.say(f"0{prefix}{auth}")
    answer = await talk.hear()
    assert isinstance(answer, str)
    assert json.loads(answer.removeprefix(f"0{prefix}")).keys() == {"sid"}
    assert await talk.hear() == f'2{prefix}["auth",{auth or "{}"}]'


@pytest.mark.parametrize("namespace", ["/", "/custom"])
async def test_what_is_said_comes_back(talk: Talk, namespace: str) -> None:
    prefix = "" if namespace == "/" else f"{namespace},"
    await entered(talk, namespace, '{"token":"123"}')
    await talk.say(f'2{prefix}["message",1,"2",{{"3":[true]}}]')
    assert await talk.hear() == f'2{prefix}["message-back",1,"2",{{"3":[true]}}]'
    await talk.say(f'2{prefix}456["message-with-ack","x"]')
    assert await talk.hear() == f'3{prefix}456["x"]'
    await talk.say(f'51-{prefix}["message",{{"_placeholder":true,"num":0}}]', b"\x01\x02")
    assert await talk.hear() == f'51-{prefix}["message-back",{{"_placeholder":true,"num":0}}]'
    assert await talk.hear() == b"\x01\x02"


async def test_namespaces_come_and_go_on_one_connection(talk: Talk) -> None:
    await talk.say("0/random,")
    assert await talk.hear() == '4/random,{"message":"Invalid namespace"}'
    await entered(talk)
    await entered(talk, "/custom")
    await talk.say("1", '2/custom,["message"]')
    assert await talk.hear() == '2/custom,["message-back"]'
    await entered(talk)


@pytest.mark.parametrize("packet", ["abc", "2{}", '2/custom,["message"]', b"x", '52-["message"]'])
async def test_what_breaks_the_protocol_ends_the_connection(talk: Talk, packet: str | bytes) -> None:
    await entered(talk)
    await talk.say(packet, '2["message"]')
    assert await talk.hear() is None


async def test_a_connect_that_is_repeated_at_once_changes_nothing(talk: Talk) -> None:
    await entered(talk, "/custom")
    await entered(talk)
    await talk.say("0", '2["message"]')
    assert await talk.hear() == '2["message-back"]'
    await talk.say('2/custom,["message"]')
    assert await talk.hear() == '2/custom,["message-back"]'


async def test_who_does_not_connect_within_a_second_is_closed(talk: Talk) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await talk.hear() is None
    assert loop.time() - began > 0.8
