"""A connection to the origin that asks nothing: it is made to learn that it can be, and closed again."""

from __future__ import annotations

import asyncio

_PATIENCE = 1.0
"""Seconds that the other side gets to take its leave."""


class Knock(asyncio.Protocol):
    """One such connection. What comes over it is of no interest."""

    def __init__(self) -> None:
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    async def leave(self) -> None:
        """Close in an orderly way, or not, if that takes too long."""
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.close()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._gone
        except TimeoutError:
            self._transport.abort()
        except asyncio.CancelledError:
            self._transport.abort()
            raise
