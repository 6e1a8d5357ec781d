"""WebSocket connections on paths outside the realtime core: bytes passed both ways, not understood."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from proxy.errors import OriginError
from proxy.heads import Ended, head_bytes
from proxy.outcome import Outcome
from proxy.policy.forwarding import to_client
from proxy.policy.request_id import REQUEST_ID
from proxy.tunnel import Tunnel

PASSED = "cachewire; fwd=bypass; detail=websocket"


def is_websocket(http: web.BaseRequest) -> bool:
    """The client asks to leave HTTP for WebSocket (RFC 6455 section 4.1)."""
    tokens = {token.strip().lower() for token in http.headers.get("Connection", "").split(",")}
    return http.method == "GET" and "upgrade" in tokens and http.headers.get("Upgrade", "").lower() == "websocket"


class _FromClient:
    """Stands where aiohttp expects its WebSocket parser, and takes the bytes as they are."""

    def __init__(self, tunnel: Tunnel, transport: asyncio.Transport) -> None:
        self.received = 0
        self.has_ended = False
        self._tunnel = tunnel
        self._transport = transport
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queued = 0
        self._paused = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.received += len(data)
        self._queue.put_nowait(bytes(data))
        self._queued += len(data)
        if self._queued > 256 * 2**10 and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        self.has_ended = True
        self._queue.put_nowait(None)

    async def pump(self) -> None:
        """Carry what the client sends to the origin until either side ends."""
        while (data := await self._queue.get()) is not None:
            await self._tunnel.write(data)
            self._queued -= len(data)
            if self._paused and self._queued < 64 * 2**10:
                self._paused = False
                with contextlib.suppress(RuntimeError):  # the transport closed meanwhile
                    self._transport.resume_reading()
        await self._tunnel.close()


async def relay(http: web.BaseRequest, tunnel: Tunnel, outcome: Outcome, write_timeout: float) -> web.StreamResponse:
    """Answer 101 and pass bytes until both sides have ended."""
    protocol: Any = http.protocol
    transport = http.transport
    if transport is None:
        tunnel.abort()
        return Ended()
    outcome.status = 101
    head = tunnel.head
    fields = (
        to_client(head.fields)
        .without(REQUEST_ID)
        .plus(
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Cache-Status", PASSED),
            (REQUEST_ID, outcome.request_id),
        )
    )
    transport.write(head_bytes(101, head.reason, fields, None, keep_alive=True))
    client = _FromClient(tunnel, transport)
    protocol.set_parser(client)
    upstream = asyncio.ensure_future(client.pump())
    try:
        outcome.closed = "drain"  # until one of the two ends it
        while data := await tunnel.read():
            if transport.is_closing():
                break
            transport.write(data)
            outcome.bytes_out += len(data)
            async with asyncio.timeout(write_timeout):
                await protocol._drain_helper()
        outcome.closed = "transport-close" if client.has_ended else "origin-close"
    except TimeoutError:
        outcome.complete, outcome.closed = False, "slow-client"
    except (ConnectionError, OriginError):
        outcome.complete, outcome.closed = False, "transport-error"
    finally:
        outcome.bytes_in = client.received
        upstream.cancel()
        with contextlib.suppress(asyncio.CancelledError, OriginError):
            await upstream
        await tunnel.close()
        transport.close()
    return Ended()
