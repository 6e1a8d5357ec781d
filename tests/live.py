"""A Socket.IO client as a test uses it: packets over aiohttp's WebSocket, one line each, nothing hidden.

async with connected(url) as anna:
    await anna.emit("authenticate", "u1")
    user = await anna.heard("authenticated")
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

PATIENCE = 15.0
"""Seconds after which what a test waits for has failed to happen."""


class LiveClient:
    """One connection in the main namespace. Heartbeats are answered; every event is kept until somebody asks for it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.sid = ""
        self.handshake: dict[str, Any] = {}
        self.welcome: dict[str, Any] = {}
        self.close_reason: str | None = None
        self._events: list[list[Any]] = []
        self._acks: dict[int, list[Any]] = {}
        self._asked = 0
        self._news = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    async def open(self, auth: Mapping[str, Any] | None = None) -> None:
        """The handshake, and the main namespace."""
        async with asyncio.timeout(PATIENCE):
            opening = await self.socket.receive_str()
            assert opening.startswith("0"), opening
            self.handshake = json.loads(opening[1:])
            self.sid = self.handshake["sid"]
            await self.socket.send_str("40" + ("" if auth is None else json.dumps(auth)))
            answer = await self.socket.receive_str()
            assert answer.startswith("40"), answer
            self.welcome = json.loads(answer[2:])
        self._reading = asyncio.create_task(self._read())

    async def emit(self, event: str, *args: Any) -> None:
        await self.socket.send_str("42" + json.dumps([event, *args]))

    async def ask(self, event: str, *args: Any) -> Any:
        """Emit, and what the acknowledgement brings."""
        self._asked += 1
        number = self._asked
        await self.socket.send_str(f"42{number}" + json.dumps([event, *args]))
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: number in self._acks or self.close_reason is not None)
        return self._acks[number][0]

    async def heard(self, event: str) -> Any:
        """What the next event of this name brings; those of other names stay."""
        return (await self.heard_all(event))[0]

    async def heard_all(self, event: str) -> list[Any]:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self._waiting(event) or self.close_reason is not None)
        found = self._waiting(event)
        assert found, f"no {event} came; only {[name for name, *_ in self._events]}"
        self._events.remove(found[0])
        return found[0][1:]

    async def closed(self) -> str:
        """Until the connection has ended; why."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: self.close_reason is not None)
        return self.close_reason or ""

    def _waiting(self, event: str) -> list[list[Any]]:
        return [one for one in self._events if one[0] == event]

    async def _read(self) -> None:
        reason = "connection"
        async for message in self.socket:
            text = str(message.data)
            if text == "2":
                await self.socket.send_str("3")
            elif text.startswith("41"):
                reason = "disconnected"
            async with self._news:
                self._take(text)
                self._news.notify_all()
        async with self._news:
            self.close_reason = reason
            self._news.notify_all()

    def _take(self, text: str) -> None:
        if text.startswith("42"):
            self._events.append(json.loads(text[2:].lstrip("0123456789")))
        elif text.startswith("43"):
            number = text[2:].partition("[")[0]
            self._acks[int(number)] = json.loads(text[2 + len(number) :])


@asynccontextmanager
async def connected(
    url: str,
    *,
    path: str = "/socket.io/",
    auth: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[LiveClient]:
    """A client of the edge at `url`, in the main namespace."""
    async with (
        aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.ws_connect(f"{url}{path}?EIO=4&transport=websocket", max_msg_size=0, autoping=True) as socket,
    ):
        client = LiveClient(socket)
        await client.open(auth)
        try:
            yield client
        finally:
            if client._reading is not None:
                client._reading.cancel()


async def member(client: LiveClient, user: str, conversation: str) -> LiveClient:
    """`client`, authenticated as `user` and in the conversation."""
    await client.emit("authenticate", user)
    await client.heard("authenticated")
    await client.ask("join_conversation", conversation)
    return client


def message(conversation: str, sender: str, content: str, **more: Any) -> dict[str, Any]:
    return {
        "conversation_id": conversation,
        "sender_id": sender,
        "content": content,
        "message_type": "text",
        **more,
    }
