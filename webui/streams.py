"""Live pages without asking again and again: GET /live?page=ADDRESS streams a page's live part (text/event-stream).

The rule of this room: a page is rendered by its own handler, exactly as for a poll, once per period however many look
at it, and by nobody while nobody looks. Whoever reads slowly skips renderings; whoever does not read is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from yarl import URL

from webui.asking import asker, lasts
from webui.auth import SECURITY_HEADERS

HEARTBEAT = 4.0
"""Seconds after which a stream without news says that it is alive: proxies cut silent connections, and a page can
tell figures that stand still from a connection that is dead."""

LIFETIME = 60.0
"""Seconds of one stream. The page opens the next one at once, and everything about who looks is checked anew."""

STALLED = 10.0
"""Seconds that a reader may take nothing."""

MOST_STREAMS = 64
SLOWEST = 60.0
SHARE = 0.02
"""Of the event loop's time, what renderings of one address may take at most: a costly page comes less often."""

MAX_ADDRESS = 2_000

_log = logging.getLogger(__name__)
_HEAD = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_PERIOD = re.compile(r'hx-trigger="every (\d{1,4})s"')
_LINES = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Rendering:
    """A page's live part as its handler answered. `period` is how often it wishes to be rendered, in seconds."""

    status: int
    text: str
    period: float

    @property
    def event(self) -> bytes:
        """As an event of the stream: `live` with the markup, or `failed` with the status."""
        return event("live", self.text) if self.status < 300 else event("failed", str(self.status))


def event(name: str, data: str) -> bytes:
    """One event in the format of the HTML standard, section 9.2; data may have any line ends."""
    lines = "".join(f"data: {line}\n" for line in _LINES.split(data.strip()))
    return f"event: {name}\n{lines}\n".encode("utf-8", "replace")


def period_of(text: str) -> float:
    """How often the live part itself wishes to come: its `hx-trigger="every 2s"`."""
    found = _PERIOD.search(text)
    return min(max(float(found[1]), 1.0), SLOWEST) if found else 5.0


def pause(period: float, took: float) -> float:
    """Seconds until the next rendering of a page that took so long to render."""
    return min(max(period, took / SHARE), SLOWEST)


class Streams:
    """The streams of one application; `shows` says whether a path is one of its pages."""

    def __init__(self, app: web.Application, shows: Callable[[str], bool]) -> None:
        self._app = app
        self._shows = shows
        self._channels: dict[tuple[str, bool, str], _Channel] = {}
        self._open = 0
        self._closing = asyncio.Event()
        app.router.add_get("/live", self.stream)
        app.on_shutdown.append(self._close)

    @property
    def open(self) -> int:
        """How many look now."""
        return self._open

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Stream one page until its time is over, its reader goes or stalls, or the edge ends."""
        address = self._address(request)
        if self._open >= MOST_STREAMS or self._closing.is_set():
            raise web.HTTPServiceUnavailable(text="Too many pages are open already; this one asks by itself.\n")
        self._open += 1
        try:
            async with self._looking(request, address) as channel:
                return await self._streamed(request, channel)
        finally:
            self._open -= 1

    def _address(self, request: web.Request) -> URL:
        """The page that is asked for: an address of this dashboard's own pages and of nothing else."""
        text = request.query.get("page", "")
        if not text.startswith("/") or text.startswith("//") or len(text) > MAX_ADDRESS or _LINES.search(text):
            raise web.HTTPBadRequest(text="Say which page: /live?page=/cache%3Fq%3Dreports\n")
        address = URL(text).with_fragment(None)
        if not self._shows(address.path):
            raise web.HTTPNotFound(text="No page of this dashboard has this address.\n")
        return address

    @asynccontextmanager
    async def _looking(self, request: web.Request, address: URL) -> AsyncIterator[_Channel]:
        # A page tells who looks what they may do: only those who act under one name share a rendering.
        key = (*_seen_as(request), str(address))
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Channel()
            channel.task = asyncio.create_task(self._render(channel, address), name=f"live {address.path}")
        channel.lookers.append(request)
        channel.wanted.set()
        try:
            yield channel
        finally:
            channel.lookers.remove(request)
            if not channel.lookers:
                del self._channels[key]
                assert channel.task is not None
                channel.task.cancel()

    async def _streamed(self, request: web.Request, channel: _Channel) -> web.StreamResponse:
        # Set here, because a middleware sees the response only when it is over.
        response = web.StreamResponse(headers={**SECURITY_HEADERS, **_HEAD})
        await response.prepare(request)
        transport = request.transport
        try:
            await _write(response, b": the live part of a page, whenever it changes\nretry: 3000\n\n")
            async for message in channel.messages(self._closing, time.monotonic() + LIFETIME):
                if not lasts(request):
                    # The page asks once more, and is told to log in.
                    await _write(response, event("end", ""))
                    break
                await _write(response, message)
        except TimeoutError:
            # Whoever has taken nothing for so long would keep memory for figures that are old already.
            if transport is not None:
                transport.abort()
        except ConnectionError:
            pass  # it has left
        return response

    async def _render(self, channel: _Channel, address: URL) -> None:
        """Render while somebody looks."""
        await channel.wanted.wait()
        before = 0.0
        while True:
            began = time.perf_counter()
            rendering = await self._rendering(channel.lookers[0], address)
            channel.publish(rendering)
            took = time.perf_counter() - began
            # The shorter one of two: the first rendering compiles its template, and any one may have had to wait.
            await asyncio.sleep(pause(rendering.period, min(took, before)))
            before = took

    async def _rendering(self, looker: web.Request, address: URL) -> Rendering:
        """What the page's handler answers a poll. The middlewares have seen who looks, with the stream's own head."""
        try:
            poll = looker.clone(rel_url=address, headers={"Host": looker.headers.get("Host", ""), "HX-Request": "true"})
            match = await self._app.router.resolve(poll)
            match.add_app(self._app)
            match.freeze()
            poll._match_info = match  # aiohttp has no public way to answer one request from within another
            answer = await match.handler(poll)
        except web.HTTPException as refusal:
            return Rendering(refusal.status, "", 5.0)
        except Exception:
            _log.exception("live: %s failed", address.path)
            return Rendering(500, "", 5.0)
        text = answer.text if isinstance(answer, web.Response) and answer.content_type == "text/html" else None
        return Rendering(answer.status, text, period_of(text)) if text is not None else Rendering(406, "", SLOWEST)

    async def _close(self, _app: web.Application) -> None:
        self._closing.set()
        for channel in self._channels.values():
            channel.wake()


@dataclass(slots=True)
class _Channel:
    """One address as those who look at it get it: the last rendering, and word of the next one."""

    lookers: list[web.Request] = field(default_factory=list)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    last: Rendering | None = None
    number: int = 0
    message: bytes = b""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(self, rendering: Rendering) -> None:
        """Tell of a rendering, unless it is the one already told of."""
        if rendering != self.last:
            self.last, self.message = rendering, rendering.event
            self.number += 1
            self.wake()

    def wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def messages(self, closing: asyncio.Event, until: float) -> AsyncIterator[bytes]:
        """The renderings from now on, each the newest one when it is taken, and a beat where there is nothing new.

        There is at least one. The last is `again`: whoever still looks opens the next stream.
        """
        seen = 0
        while not closing.is_set() and (not seen or time.monotonic() < until):
            if seen == self.number:
                await self._told(min(HEARTBEAT, until - time.monotonic()) if seen else HEARTBEAT)
            if closing.is_set() or (seen and time.monotonic() >= until):
                break
            if seen == self.number:
                yield event("beat", str(self.last.status) if self.last else "0")
            else:
                seen = self.number
                yield self.message
        yield event("end" if closing.is_set() else "again", "")

    async def _told(self, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._news.wait()
        except TimeoutError:
            pass


def _seen_as(request: web.Request) -> tuple[str, bool]:
    who = asker(request)
    return who.actor, who.may_change


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(STALLED):
        await response.write(data)
