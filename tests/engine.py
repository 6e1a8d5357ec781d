"""The Engine.IO server as a test uses it: the real one on a free port, with a receiver that keeps what it is told.

async with engine_with(ping_interval=0.05) as engine:
    client = await engine.polling()
    await client.post("4hello")
    assert await engine.last.message() == "hello"
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from realtime.connection import Connection
from realtime.frames import Outgoing
from realtime.session import EngineSession
from realtime.settings import EngineSettings
from realtime.stats import RealtimeStats
from realtime.transport import EngineServer
from tests.edge import PATIENCE, Client, Received

PATH = "/engine.io/"

ListenerOf = Callable[[Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]], web.Server]


WATCHED = logging.getLogger("aiohttp"), logging.getLogger("asyncio")


class Complaints(logging.Handler):
    """What is said that nobody should have to read: bad input makes no traceback and no warning."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


class Recorder:
    """A receiver that keeps everything."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.ends: list[str] = []
        self._ended = asyncio.Event()

    def received(self, message: str | bytes) -> None:
        assert not self.ends, "a message after the end"
        self.messages.put_nowait(message)

    def closed(self, reason: str) -> None:
        self.ends.append(reason)
        self._ended.set()

    def send(self, *messages: str | bytes, conflate: str | None = None, volatile: bool = False) -> None:
        self.connection.send(Outgoing(messages, conflate=conflate, volatile=volatile))

    async def message(self) -> str | bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.messages.get()

    async def end(self) -> str:
        """Why the session has ended; it must be told only once."""
        async with asyncio.timeout(PATIENCE):
            await self._ended.wait()
        await asyncio.sleep(0)
        assert len(self.ends) == 1
        return self.ends[0]

    @property
    def session(self) -> EngineSession:
        assert isinstance(self.connection, EngineSession)
        return self.connection


class EngineUnderTest:
    """A running server, its receivers in the order they came, and the ways to reach it."""

    def __init__(self, settings: EngineSettings) -> None:
        self.receivers: list[Recorder] = []
        self.stats = RealtimeStats()
        self.engine = EngineServer(settings, self._opened, self.stats)
        self.listener: web.Server
        self.port = 0
        self.complaints = Complaints(logging.WARNING)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def last(self) -> Recorder:
        return self.receivers[-1]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self.engine.handle(request)

    def _opened(self, connection: Connection) -> Recorder:
        self.receivers.append(Recorder(connection))
        return self.last

    async def connect(self) -> Client:
        return await Client.connect("127.0.0.1", self.port)

    async def request(self, query: str, method: str = "GET", headers: str = "", body: bytes = b"") -> Received:
        """One request on a connection of its own."""
        client = await self.connect()
        try:
            await client.send(head(f"{PATH}?{query}", self.host, method, headers, len(body)) + body)
            return await client.receive(method)
        finally:
            client.leave()

    async def polling(self) -> PollingClient:
        """A session over long-polling."""
        answer = await self.request("EIO=4&transport=polling")
        assert answer.status == 200, answer.body
        return PollingClient(self, json.loads(answer.body[1:]))

    async def websocket(self, query: str = "EIO=4&transport=websocket", headers: str = "") -> RawWebSocket:
        """A WebSocket, whoever's. The handshake packet is not read yet."""
        client = await self.connect()
        await client.send(upgrade_head(f"{PATH}?{query}", self.host, headers))
        answer = await client.receive()
        assert answer.status == 101, (answer.status, answer.body)
        return RawWebSocket(client, answer)

    async def session(self, headers: str = "") -> RawWebSocket:
        """A session over WebSocket, its handshake packet read."""
        websocket = await self.websocket(headers=headers)
        opcode, data = await websocket.frame()
        assert (opcode, data[:1]) == (1, b"0")
        return websocket


def head(target: str, host: str, method: str = "GET", headers: str = "", length: int = 0) -> bytes:
    content = f"Content-Length: {length}\r\n" if length or method == "POST" else ""
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{content}{headers}\r\n".encode()


def upgrade_head(target: str, host: str, headers: str = "") -> bytes:
    key = b64encode(os.urandom(16)).decode()
    fields = f"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n{headers}"
    return head(target, host, headers=f"{fields}Sec-WebSocket-Key: {key}\r\n")


@dataclass
class PollingClient:
    """A client of long-polling; every request has a connection of its own."""

    engine: EngineUnderTest
    handshake: dict[str, Any]

    @property
    def sid(self) -> str:
        return str(self.handshake["sid"])

    @property
    def query(self) -> str:
        return f"EIO=4&transport=polling&sid={self.sid}"

    async def get(self) -> Received:
        return await self.engine.request(self.query)

    async def post(self, body: str | bytes) -> Received:
        return await self.engine.request(self.query, "POST", body=body.encode() if isinstance(body, str) else body)

    async def waiting_get(self) -> asyncio.Task[Received]:
        """A GET that the server is holding."""
        task = asyncio.create_task(self.get())
        session = self.engine.last.session
        async with asyncio.timeout(PATIENCE):
            while not session.is_polled:
                await asyncio.sleep(0)
        return task

    async def probe(self) -> RawWebSocket:
        """A WebSocket that wants to take this session over."""
        return await self.engine.websocket(f"EIO=4&transport=websocket&sid={self.sid}")


class RawWebSocket:
    """The client's side of a WebSocket, frame by frame and with any fault."""

    def __init__(self, client: Client, answer: Received) -> None:
        self.client = client
        self.answer = answer

    async def send(self, data: str | bytes, *, opcode: int | None = None, fin: bool = True, rsv1: bool = False) -> None:
        await self.client.send(masked(data, opcode=opcode, fin=fin, rsv1=rsv1))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and data; RSV1 (compressed) is 0x40 of the opcode."""
        async with asyncio.timeout(PATIENCE):
            first, length = await self.client.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self.client.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.client.reader.readexactly(8))
            return first & 0x4F, await self.client.reader.readexactly(length)

    async def text(self) -> str:
        opcode, data = await self.frame()
        assert opcode == 1, (opcode, data)
        return data.decode()

    async def close_code(self) -> int:
        """The code the server closes with; heartbeats and messages before it are passed over."""
        while (received := await self.frame())[0] != 8:
            pass
        return int.from_bytes(received[1][:2], "big")

    async def leave(self) -> None:
        self.client.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.leave()


def masked(data: str | bytes, *, opcode: int | None = None, fin: bool = True, rsv1: bool = False) -> bytes:
    """A client's frame."""
    payload = data.encode() if isinstance(data, str) else data
    if opcode is None:
        opcode = 1 if isinstance(data, str) else 2
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    length = len(payload)
    if length < 126:
        size = bytes([first, 0x80 | length])
    elif length < 65536:
        size = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        size = struct.pack("!BBQ", first, 0x80 | 127, length)
    mask = os.urandom(4)
    stream = (mask * (length // 4 + 1))[:length]
    return size + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(length, "big")


async def stalled(engine: EngineUnderTest) -> socket.socket:
    """A session whose client takes the handshake and then reads nothing; its system buffers little."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", engine.port))
    await loop.sock_sendall(sock, upgrade_head(f"{PATH}?EIO=4&transport=websocket", engine.host))
    received = b""
    while b'"sid"' not in received:
        received += await loop.sock_recv(sock, 1)
    while not received.endswith(b"}"):
        received += await loop.sock_recv(sock, 1)
    return sock


@asynccontextmanager
async def engine_with(listener: ListenerOf = web.Server, **settings: Any) -> AsyncIterator[EngineUnderTest]:
    """A server that is stopped, and whose receivers all know it, at the end."""
    under_test = EngineUnderTest(EngineSettings(path=PATH, **settings))
    under_test.listener = listener(under_test.handle)
    server = await asyncio.get_running_loop().create_server(under_test.listener, "127.0.0.1", 0)
    under_test.port = server.sockets[0].getsockname()[1]
    for logger in WATCHED:
        logger.addHandler(under_test.complaints)
    try:
        yield under_test
    finally:
        server.close()
        await under_test.engine.close()
        for logger in WATCHED:
            logger.removeHandler(under_test.complaints)
        await under_test.listener.shutdown(1.0)
        await server.wait_closed()
    assert all(len(receiver.ends) == 1 for receiver in under_test.receivers)
    assert under_test.complaints.said == []
