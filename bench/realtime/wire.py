"""A Socket.IO client as cheap as asyncio allows: raw frames, nothing parsed that need not be.

What is measured is the server, and both share the machine. A `Session` understands what it receives; `count()` turns it
into one that only counts the marker in the bytes that arrive and keeps the heartbeat.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Callable
from typing import Any

MARKER = b"^~^"
"""Opens every message's content; three bytes that neither JSON nor a frame's head contain by themselves."""
CONTENT = 120

_PING = b"\x81\x012"  # the frame of an Engine.IO ping; no text of ours contains 0x81
_MASKED = 0x80

Heard = Callable[["Session", str, list[Any]], None]


class Lost(Exception):
    """The session has ended, or the server refused what was asked."""


def content(number: int) -> str:
    """120 bytes that say which message this is and when it left (nanoseconds, monotonic)."""
    return f"^~^{number}:{time.monotonic_ns()}:".ljust(CONTENT, "x")


def number_and_age(text: str) -> tuple[int, float]:
    """Which message, and for how many seconds it has been under way."""
    number, sent, _ = text.removeprefix("^~^").split(":")
    return int(number), (time.monotonic_ns() - int(sent)) / 1e9


def frame(text: str) -> bytes:
    """A text frame, masked as a client's must be, with a mask of zeros: the bytes stay as they are."""
    data = text.encode()
    if len(data) < 126:
        return struct.pack("!BB4x", 0x81, _MASKED | len(data)) + data
    return struct.pack("!BBH4x", 0x81, _MASKED | 126, len(data)) + data


def packet(event: str, *args: Any, ack: int | None = None) -> str:
    """An EVENT of the namespace `/` in an Engine.IO message."""
    return f"42{'' if ack is None else ack}{json.dumps([event, *args], separators=(',', ':'))}"


def agreed(event: str, answer: list[Any]) -> list[Any]:
    """The answer, unless it is a refusal: then raises Lost."""
    if answer and isinstance(answer[0], dict) and answer[0].get("ok") is False:
        raise Lost(f"{event}: {answer[0]}")
    return answer


async def connect(port: int, *, auth: Any = None, heard: Heard | None = None) -> Session:
    """Over WebSocket up to the answer of CONNECT; raises Lost."""
    loop = asyncio.get_running_loop()
    _, session = await loop.create_connection(lambda: Session(port, auth, heard), "127.0.0.1", port)
    await session.ready
    return session


class Session(asyncio.Protocol):
    """One client that understands what it is told."""

    __slots__ = (
        "_acks",
        "_asked",
        "_auth",
        "_buffer",
        "_port",
        "_transport",
        "_upgraded",
        "greeting",
        "heard",
        "lost",
        "offset",
        "ready",
    )

    def __init__(self, port: int, auth: Any, heard: Heard | None) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.greeting: dict[str, Any] = {}
        self.offset: str | None = None
        self._port = port
        self._auth = auth
        self.heard = heard
        self._buffer = b""
        self._upgraded = False
        self._acks: dict[int, asyncio.Future[list[Any]]] = {}
        self._asked = 0

    def emit(self, event: str, *args: Any) -> None:
        self._transport.write(frame(packet(event, *args)))

    def ask(self, event: str, *args: Any) -> asyncio.Future[list[Any]]:
        """Send at once; the future is the ack's arguments, or Lost."""
        self._asked += 1
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._acks[self._asked] = answer
        self._transport.write(frame(packet(event, *args, ack=self._asked)))
        return answer

    async def call(self, event: str, *args: Any, timeout: float = 30.0) -> list[Any]:
        """The ack's arguments; Lost when the answer is a refusal (`ok: false`)."""
        async with asyncio.timeout(timeout):
            return agreed(event, await self.ask(event, *args))

    def count(self, counter: Counter) -> None:
        """From now on only counted, not understood."""
        self._transport.set_protocol(Counting(self._transport, counter))

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def kill(self) -> None:
        """As a client that vanishes: no closing handshake."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
            % self._port
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded and not self._switched():
            return
        while (found := self._next_frame()) is not None:
            self._frame(*found)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost ({exc})")

    def _switched(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if end and not head.startswith(b"HTTP/1.1 101"):
            self._end(head.partition(b"\r\n")[0].decode() + " " + rest.decode(errors="replace"))
            self._transport.abort()
            return False
        if end:
            self._upgraded, self._buffer = True, rest
        return self._upgraded

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Opcode and payload; servers send neither masks nor, here, fragments."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1], 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10]), 10
        if len(buffer) < start + size:  # also while the length itself is incomplete
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 0x0F, buffer[start : start + size]

    def _frame(self, opcode: int, data: bytes) -> None:
        if opcode == 0x8:
            self._end(f"closed {int.from_bytes(data[:2])} {data[2:].decode()}")
            self._transport.abort()
        elif opcode == 0x1:
            self._message(data.decode())

    def _message(self, text: str) -> None:
        if text == "2":
            self._transport.write(frame("3"))
        elif text.startswith("0"):
            self._transport.write(frame("40" + ("" if self._auth is None else json.dumps(self._auth))))
        elif text.startswith("40"):
            self.greeting = json.loads(text[2:])
            self.ready.set_result(None)
        elif text.startswith("42"):
            self._event(json.loads(text[2:]))
        elif text.startswith("43"):
            number, bracket, rest = text[2:].partition("[")
            if (answer := self._acks.pop(int(number))) and not answer.done():
                answer.set_result(json.loads(bracket + rest))
        else:  # 41, 44, 1: the server wants no more of us
            self._end(text)

    def _event(self, args: list[Any]) -> None:
        if len(args) > 1 and isinstance(args[-1], str):
            self.offset = args[-1]
        if self.heard is not None:
            self.heard(self, args[0], args[1:])

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        waiting: list[asyncio.Future[Any]] = [self.ready, *self._acks.values()]
        for answer in waiting:
            if not answer.done():
                answer.set_exception(Lost(reason))
                answer.exception()  # who does not wait any more need not hear of it
        self._acks.clear()


class Counter:
    """What all counting sessions of one process have received."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.lost = 0
        self.room = bytearray(256 * 1024)
        """One receive buffer for all: it is read before the next session's bytes arrive."""


class Counting(asyncio.BufferedProtocol):
    """A session whose messages are counted by their marker and whose pings are answered."""

    __slots__ = ("_counter", "_tail", "_transport")

    def __init__(self, transport: asyncio.Transport, counter: Counter) -> None:
        self._transport = transport
        self._counter = counter
        self._tail = b""

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._counter.room

    def buffer_updated(self, size: int) -> None:
        counter = self._counter
        room = counter.room
        seam = self._tail + room[: min(size, 2)]  # a marker may be cut by the end of what was received
        counter.messages += room.count(MARKER, 0, size) + (MARKER in seam)
        counter.bytes += size
        if room.find(_PING, 0, size) >= 0 or _PING in seam:
            self._transport.write(frame("3"))
        self._tail = (self._tail + room[max(0, size - 2) : size])[-2:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._counter.lost += 1
