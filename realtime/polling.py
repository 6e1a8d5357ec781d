"""Long-polling: what a GET and a POST of a session are answered with (Engine.IO protocol, "HTTP long-polling")."""

from __future__ import annotations

import asyncio

from aiohttp import web

from realtime.engineio import InvalidPacket, Refusal, Via, decode_payload, refusal_body
from realtime.session import EngineSession
from realtime.settings import EngineSettings
from realtime.stats import RealtimeStats, count

REFUSED = web.ResponseKey("refused", str)

_TEXT = "text/plain; charset=UTF-8"


class Ended(web.StreamResponse):
    """Stands for the answer to a request that has had all it gets: its client has left, or, with status 101, its
    connection was taken.
    """

    def __init__(self, status: int = 200) -> None:
        super().__init__(status=status)
        self._keep_alive = False
        self._eof_sent = True


class _TooLarge(Exception):
    """A body beyond `max_payload`."""


def answer(body: bytes, *, status: int = 200, content_type: str = _TEXT) -> web.Response:
    return web.Response(status=status, body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def refusal(reason: Refusal, *, status: int = 400, why: str = "") -> web.Response:
    """A refusal in the words that Engine.IO clients know; its item REFUSED says why to whoever hosts the server."""
    response = answer(refusal_body(reason), status=status, content_type="application/json")
    response[REFUSED] = why or reason.name.lower()
    return response


class Bodies:
    """The bodies that are being read, each for `patience` seconds at most."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._reading: set[asyncio.Timeout] = set()

    async def read(self, request: web.BaseRequest, most: int) -> bytes:
        """Raises TimeoutError, and whatever the connection does."""
        async with asyncio.timeout(self._patience) as deadline:
            self._reading.add(deadline)
            try:
                return await _read(request, most)
            finally:
                self._reading.discard(deadline)

    def hurry(self, patience: float) -> None:
        """Have no more patience than this, also with those that are being read."""
        self._patience = min(self._patience, patience)
        end = asyncio.get_running_loop().time() + patience
        for deadline in self._reading:
            if (when := deadline.when()) is not None and when > end:
                deadline.reschedule(end)


async def answer_get(session: EngineSession, request: web.BaseRequest, headers: dict[str, str]) -> web.StreamResponse:
    """Wait until there is something for the client, and send it.

    A client whose GET has broken off never sends another one for this session, and what was on its way to it is
    lost: the session ends, and the client recovers what it missed with its next one.
    """
    if session.is_polled:
        session.close("duplicate-poll")
        return refusal(Refusal.REQUEST)
    await session.wait()
    if request.transport is None or request.transport.is_closing():
        session.close("transport-error")
        return Ended()
    response = answer(session.payload())
    response.headers.update(headers)
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:
        session.close("transport-error")
        return Ended()
    return response


async def answer_post(
    session: EngineSession, request: web.BaseRequest, bodies: Bodies, settings: EngineSettings, stats: RealtimeStats
) -> web.StreamResponse:
    """Take the packets of a body."""
    if session.is_posting:
        session.close("overlapping-post")  # their order is not known
        return refusal(Refusal.REQUEST)
    session.is_posting = True
    try:
        body = await bodies.read(request, settings.max_payload)
    except (_TooLarge, TimeoutError) as error:
        large = isinstance(error, _TooLarge)
        count(stats.invalid, "too-large" if large else "body-timeout")
        session.close("too-large" if large else "transport-error")
        response = refusal(Refusal.REQUEST, status=413 if large else 408)
        response.force_close()
        return response
    except (ConnectionError, web.RequestPayloadError):
        session.close("transport-error")  # what it wanted to say is lost
        return Ended()
    except Exception:
        session.close("transport-error")  # whoever is below us refuses the body, and answers
        raise
    finally:
        session.is_posting = False
    stats.bytes_in += len(body)
    return _take(session, body, settings, stats)


def _take(session: EngineSession, body: bytes, settings: EngineSettings, stats: RealtimeStats) -> web.Response:
    if not session.is_open:
        return refusal(Refusal.SESSION)
    if session.transport != "polling":
        return refusal(Refusal.REQUEST)  # it was upgraded meanwhile; nothing may look taken that is not
    if body.count(b"\x1e") >= settings.packets.burst:
        session.flooded()
        return refusal(Refusal.REQUEST)
    try:
        packets = decode_payload(body)
    except InvalidPacket as error:
        count(stats.invalid, str(error))
        session.close("invalid-packet")
        return refusal(Refusal.REQUEST)
    for packet in packets:
        if not session.arrived(packet, Via.POST):
            return refusal(Refusal.REQUEST)
        if not session.is_open:
            break
    return answer(b"ok")


async def _read(request: web.BaseRequest, most: int) -> bytes:
    if (request.content_length or 0) > most:
        raise _TooLarge
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > most:
            raise _TooLarge
    return b"".join(parts)
