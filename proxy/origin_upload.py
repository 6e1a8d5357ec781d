"""The request body on its way to the origin, while the response is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from proxy.errors import RequestRefused

CONTINUE_WAIT = 1.0
"""Seconds to wait for a 100 before the body is sent regardless (RFC 9110 section 10.1.1)."""


class Reporter(Protocol):
    """Who hears how the upload fares; deadlines are its business."""

    def upload_progressed(self) -> None: ...
    def upload_waits_for_origin(self) -> None: ...
    def upload_finished(self) -> None: ...
    def upload_failed(self, error: Exception) -> None: ...


class Upload:
    """One task that copies a body from its iterator to a transport, at the pace of the slower side.

    `consumed` once the iterator was asked for a part, `done` once the framing is complete on the wire.
    """

    __slots__ = (
        "_body",
        "_length",
        "_paused",
        "_permission",
        "_reporter",
        "_room",
        "_transport",
        "consumed",
        "done",
        "task",
    )

    def __init__(
        self,
        reporter: Reporter,
        transport: asyncio.WriteTransport,
        body: AsyncIterator[bytes],
        length: int | None,
        wait_for_continue: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._reporter = reporter
        self._transport = transport
        self._body = body
        self._length = length
        self._paused = False
        self._room: asyncio.Future[None] | None = None
        self._permission: asyncio.Future[bool] | None = loop.create_future() if wait_for_continue else None
        self.consumed = False
        self.done = False
        self.task: asyncio.Task[None] = loop.create_task(self._run())

    def permit(self) -> None:
        """The origin sent a 100."""
        if self._permission is not None and not self._permission.done():
            self._permission.set_result(True)

    def answered(self, status: int) -> None:
        """A final response has begun.

        An error status means that the body is not wanted (RFC 9112 section 9.5); after any other the origin may
        still read, unless it never gave its permission.
        """
        if self._permission is not None and not self._permission.done():
            self._permission.set_result(False)
        if status >= 400:
            self.stop()

    def stop(self) -> None:
        if not self.task.done() and self.task is not asyncio.current_task():
            self.task.cancel()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def _run(self) -> None:
        try:
            if not await self._permitted():
                return
            await self._copy()
        except Exception as error:
            self._reporter.upload_failed(error)
        else:
            self.done = True
            self._reporter.upload_finished()

    async def _permitted(self) -> bool:
        if self._permission is None:
            return True
        try:
            async with asyncio.timeout(CONTINUE_WAIT):
                return await self._permission
        except TimeoutError:
            return True

    async def _copy(self) -> None:
        sent = 0
        if self._length != 0:
            self.consumed = True
            async for part in self._body:
                sent += len(part)
                if self._length is not None and sent > self._length:
                    raise RequestRefused(400, "body-too-long", f"the request body exceeds its {self._length} bytes")
                if part:
                    await self._write(part)
                # The last announced byte ends the body: the origin may answer before the iterator notices.
                if sent == self._length:
                    break
        if self._length is None:
            self._transport.write(b"0\r\n\r\n")
        elif sent < self._length:
            raise RequestRefused(400, "body-incomplete", f"the request body ended after {sent} of {self._length} bytes")

    async def _write(self, part: bytes) -> None:
        self._transport.write(part if self._length is not None else b"%x\r\n%b\r\n" % (len(part), part))
        if self._paused:
            self._reporter.upload_waits_for_origin()
            while self._paused:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
        self._reporter.upload_progressed()
