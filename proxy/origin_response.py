"""The origin's response: a head at once, a body as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from proxy.errors import BodyIncomplete
from proxy.policy.messages import Fields, Response

PAUSE_ABOVE = 256 * 2**10
RESUME_BELOW = 64 * 2**10

_NO_FIELDS = Fields()


class BodySource(Protocol):
    """Where a body comes from while it has not ended."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def retire(self) -> None: ...


class OriginResponse:
    """A final response. Close it when done, always: an unread body holds its connection.

    `length` counts the bytes the body will have, 0 where there can be none, None when that is not announced.
    `version` is the origin's, "1.0" or "1.1". The connection serves other requests as soon as the body's last
    byte has arrived, read or not.
    """

    __slots__ = (
        "_buffered",
        "_ended",
        "_error",
        "_parts",
        "_paused",
        "_source",
        "_waiter",
        "head",
        "length",
        "version",
    )

    def __init__(self, head: Response, length: int | None, version: str, source: BodySource) -> None:
        self.head = head
        self.length = length
        self.version = version
        self._source: BodySource | None = source
        self._parts: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._ended: Fields | None = None
        self._error: BodyIncomplete | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def trailers(self) -> Fields:
        """The trailer section; empty until the body has been read to its end."""
        return self._ended if self._ended is not None and not self._parts else _NO_FIELDS

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived from the origin."""
        return self._ended is not None

    @property
    def paused(self) -> bool:
        """Whether reading has stopped because the reader is far behind."""
        return self._paused

    @property
    def buffered(self) -> int:
        """Bytes that have arrived and were not read yet."""
        return self._buffered

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, in parts, each once.

        Raises BodyIncomplete after the last good byte when the origin broke off.
        """
        while True:
            if self._parts:
                yield self._take()
            elif self._error is not None:
                raise self._error
            elif self._ended is not None:
                return
            else:
                await self._arrival()

    async def close(self) -> None:
        """Drop what was not read. A connection whose response has not ended is closed."""
        self._parts.clear()
        self._buffered = 0
        source, self._source = self._source, None
        if source is not None:
            self._error = BodyIncomplete("the response was closed before its end")
            source.retire()
        self._wake()

    def receive(self, part: bytes) -> None:
        """Take a part from the connection, and stop it from reading when readers are far behind."""
        self._parts.append(part)
        self._buffered += len(part)
        if self._buffered > PAUSE_ABOVE and not self._paused and self._source is not None:
            self._paused = True
            self._source.pause()
        self._wake()

    def finish(self, trailers: Fields) -> None:
        """The body has arrived whole; the connection is free."""
        self._source = None
        self._ended = trailers
        self._wake()

    def break_off(self, error: BodyIncomplete) -> None:
        """No more will come; readers get `error` after the bytes that did."""
        if self._ended is None and self._error is None:
            self._source = None
            self._error = error
            self._wake()

    def _take(self) -> bytes:
        """Buffered parts, joined while they are small, so that a body of crumbs costs few writes."""
        taken = [self._parts.popleft()]
        size = len(taken[0])
        while self._parts and size + len(self._parts[0]) <= RESUME_BELOW:
            taken.append(self._parts.popleft())
            size += len(taken[-1])
        self._buffered -= size
        if self._paused and self._buffered < RESUME_BELOW:
            self._paused = False
            if self._source is not None:
                self._source.resume()
        return taken[0] if len(taken) == 1 else b"".join(taken)

    async def _arrival(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
