"""A connection after `101 Switching Protocols`: bytes both ways, no longer HTTP."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from proxy.errors import OriginUnreachable
from proxy.origin_response import PAUSE_ABOVE, RESUME_BELOW
from proxy.policy.messages import Response

_LINGER = 5.0


class Tunnel(asyncio.Protocol):
    """A byte stream to the origin, with back-pressure both ways. Close it when done, always.

    `head` is the 101 response. Bytes that followed it are the first that `read` gives. There is no idle
    deadline: the protocol spoken inside (WebSocket) has its own pings.
    """

    __slots__ = (
        "_buffered",
        "_closed",
        "_drain_waiter",
        "_ended",
        "_linger",
        "_on_closed",
        "_parts",
        "_paused",
        "_read_waiter",
        "_transport",
        "_write_paused",
        "head",
    )

    def __init__(
        self, head: Response, transport: asyncio.Transport, first: bytes, on_closed: Callable[[Tunnel], None]
    ) -> None:
        self.head = head
        self._transport = transport
        self._on_closed = on_closed
        self._parts: deque[bytes] = deque((first,) if first else ())
        self._buffered = len(first)
        self._paused = False
        self._write_paused = False
        self._ended = False
        self._closed = False
        self._linger: asyncio.TimerHandle | None = None
        self._read_waiter: asyncio.Future[None] | None = None
        self._drain_waiter: asyncio.Future[None] | None = None

    @property
    def buffered(self) -> int:
        """Bytes that have arrived and were not read yet."""
        return self._buffered

    async def read(self) -> bytes:
        """The next bytes from the origin; b"" once it has closed its side."""
        while not self._parts:
            if self._ended:
                return b""
            self._read_waiter = asyncio.get_running_loop().create_future()
            await self._read_waiter
        part = self._parts.popleft()
        self._buffered -= len(part)
        if self._paused and self._buffered < RESUME_BELOW:
            self._paused = False
            self._transport.resume_reading()
        return part

    async def write(self, data: bytes) -> None:
        """Send `data` and wait until the origin keeps up. Raises OriginUnreachable when the tunnel is closed."""
        if self._closed or self._transport.is_closing():
            raise OriginUnreachable("the origin has closed the upgraded connection")
        self._transport.write(data)
        while self._write_paused and not self._closed:
            self._drain_waiter = asyncio.get_running_loop().create_future()
            await self._drain_waiter

    def write_eof(self) -> None:
        """Say that no more will be sent, where the transport can (TLS cannot)."""
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    async def close(self) -> None:
        """Send what was written, then close; unread bytes are dropped. An origin that takes none is cut off."""
        self._transport.close()
        if not self._closed and self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)

    def abort(self) -> None:
        """Close at once and drop what was not sent."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._buffered += len(data)
        if self._buffered > PAUSE_ABOVE and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        _wake(self._read_waiter)

    def eof_received(self) -> bool:
        self._ended = True
        _wake(self._read_waiter)
        # Half-closed: our side may still have something to say. TLS cannot be half-closed.
        return self._transport.can_write_eof()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        _wake(self._drain_waiter)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._closed = True
        if self._linger is not None:
            self._linger.cancel()
        _wake(self._read_waiter)
        _wake(self._drain_waiter)
        self._on_closed(self)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
