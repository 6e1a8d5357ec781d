"""The bridge between the edge and the realtime core: its questions to the origin, our news to its channels."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from proxy.config.model import Config
from proxy.config.realtime import Realtime as Settings
from proxy.edge import Edge
from proxy.errors import BodyIncomplete, CachewireError, ConfigurationError, OriginError, RequestRefused
from proxy.exchange import HttpExchange
from proxy.operations.realtime import RealtimeFigures
from proxy.operations.refusals import RefusedSessions, newcomers, refused_sessions
from proxy.outbox_store import Write
from proxy.policy.messages import Fields, Request
from proxy.policy.operators import without_session
from proxy.purge import target_of
from proxy.purging import Purger
from proxy.realtime_settings import chat_settings, compression_threshold, core_settings, journal_directory
from proxy.routing import RouteTable
from proxy.upstream import OriginRequest, OriginResponse
from realtime.asking import Asked
from realtime.authentication import AuthenticationUnavailable
from realtime.connection import Caller
from realtime.core import Core
from realtime.origin import OriginAway
from realtime.polling import REFUSED
from realtime.publishing import BadPublication, Publication
from realtime.reasons import REASONS
from realtime.revocation import BadRevocation
from realtime.stats import BATCH_BOUNDS, ROUND_TRIP_BOUNDS

LARGEST_ANSWER = 8 * 2**20
"""Bytes of an answer to one of the core's questions; a batch of messages comes back with their senders."""

PATIENCE = 5.0
"""Seconds that a drain waits, at most, for the application to take the messages under way."""

LEAVING = 8000.0
"""Sessions that are closed in one second of a drain, so that others are heard between them; clients come back spread
out by themselves."""

LONGEST_LEAVING = 0.5
"""Seconds from the first closed session to the last. A client makes few attempts to come back, and whoever is closed
first makes them while the edge still closes the others."""

_log = logging.getLogger("cachewire.realtime")

_SAFE = frozenset({"GET", "HEAD"})


class RealtimeCore:
    """The core as the edge runs it: start, drain, close. `public_url` is where browsers find this edge.

    Raises ConfigurationError when it cannot be built as configured.
    """

    def __init__(
        self,
        config: Config,
        edge: Edge,
        routes: RouteTable,
        purger: Purger,
        *,
        public_url: Callable[[], str],
        monotonic: Callable[[], float],
    ) -> None:
        self._path = config.realtime.path
        self._settings = config.realtime
        self._now = monotonic
        self._edge = edge
        self._purger = purger
        self._journal = journal_directory(config)
        questions = OriginQuestions(edge, routes, config.realtime.origin.timeout, public_url)
        try:
            self.core = Core(
                core_settings(config.realtime),
                ask=questions.ask,
                now=monotonic,
                wall=edge.now,
                journal_path=self._journal,
                purge_tags=self._purge_tags,
            )
        except AuthenticationUnavailable as error:
            raise ConfigurationError(str(error)) from error

    # As the public listener sees it

    def takes(self, path: str) -> bool:
        """The core's own path, with its last slash or without; what lies below it is the application's."""
        return path == self._path or path == self._path[:-1]

    async def handle(
        self,
        http: web.BaseRequest,
        client: str,
        fields: Mapping[str, str],
        ended: Callable[[int, int, str], None] | None = None,
    ) -> web.StreamResponse:
        return await self.core.handle(http, Caller(client, fields, ended))

    def refusal(self, response: web.StreamResponse) -> str:
        return f"realtime-{why}" if (why := response.get(REFUSED)) else ""

    @property
    def open_sessions(self) -> int:
        """All of them, whatever their transport."""
        return len(self.core.engine.sessions)

    @property
    def connections(self) -> int:
        """TCP connections that the listener does not know of any more: WebSockets, also those that are closing."""
        return self.core.engine.connections

    def websockets(self) -> int:
        """Sessions whose transport is a WebSocket."""
        return sum(1 for session in self.core.engine.sessions.values() if session.transport == "websocket")

    # Its life

    async def start(self) -> None:
        """Raises CachewireError when the journal cannot be had."""
        try:
            await self.core.start()
        except OSError as error:
            where = "" if self._journal is None else f"{self._journal} (realtime.recovery.dir): "
            raise CachewireError(f"the realtime core cannot start: {where}{error}") from error

    def hurry(self) -> None:
        """A drain begins: whoever has sent half of a POST cannot hold it up."""
        self.core.engine.hurry()

    async def settle(self, seconds: float) -> None:
        """See the messages under way to their end within `seconds`; sessions are served meanwhile and afterwards."""
        try:
            async with asyncio.timeout(seconds):
                await self.core.settle(min(PATIENCE, seconds * 0.9))
        except TimeoutError:
            _log.warning("messages under way were cut off: the realtime journal cannot be written in time")

    async def leave(self) -> None:
        """Close all sessions together, so that their clients come back: the last thing before the process ends."""
        await self.core.engine.drain(min(LONGEST_LEAVING, self.open_sessions / LEAVING))

    async def close(self) -> None:
        await self.core.close()

    # What may change while it runs

    def tune(self, settings: Settings) -> None:
        """Go by the batching, debouncing, compression, transports and profiles' age of other settings from now on."""
        self.core.apply(chat_settings(settings))
        self.core.admit(transports=settings.transports, compression=compression_threshold(settings))
        self.core.remember_profiles(settings.origin.profiles_max_age)

    def forget_profiles(self) -> None:
        """Load every profile, and all likes, anew when they are next needed."""
        self.core.forget_profiles()

    # What the edge tells its channels

    def cache_updated(self, url: str, reason: str) -> None:
        """A stored representation has changed, or was purged: told on `cache:` and its path, without the query: others
        may subscribe than whoever asked for it, and queries have tokens in them.
        """
        url = url.partition("?")[0]
        path = target_of(url)
        data = {"url": url, "path": path, "reason": reason, "at": self._edge.now()}
        self._announce(f"cache:{path}", "cache_updated", data, key=path)

    def watches(self, url: str) -> bool:
        """Whether anybody, here or away, would hear of a change at this URL."""
        return self.core.reaches(f"cache:{target_of(url.partition('?')[0])}")

    def write_settled(self, write: Write) -> None:
        """A queued write was delivered or given up: told on `outbox:` and its id, which only its sender knows."""
        data = {"id": write.id, "status": write.state, "response_status": write.response_status}
        self._announce(f"outbox:{write.id}", "queued_write_done", data)

    def _announce(self, channel: str, event: str, data: Mapping[str, Any], key: str | None = None) -> None:
        # The core looks whether anybody is there, or may come back, before it encodes anything.
        self.core.tell(Publication(channel, event, data, key))

    async def _purge_tags(self, tags: Sequence[str]) -> int:
        wanted = frozenset(tags)
        return await self._purger.purge(lambda entry: not wanted.isdisjoint(entry.tags))

    # As the admin listener sees it

    async def publish(self, document: object) -> dict[str, Any]:
        """Publish `{channel, event, data, key?, purge_tags?}`. Raises RequestRefused that says what is wrong."""
        if not isinstance(document, Mapping):
            raise RequestRefused(400, "bad-publication", "the body is not a JSON object")
        try:
            return await self.core.publish(document)
        except BadPublication as error:
            raise RequestRefused(400, "bad-publication", str(error)) from error

    async def revoke(self, document: object) -> int:
        """Revoke `{user, conversation?}`. Raises RequestRefused that says what is wrong."""
        try:
            return await self.core.revoke(document)
        except BadRevocation as error:
            raise RequestRefused(400, "bad-revocation", str(error)) from error

    def report(self, most: int) -> dict[str, Any]:
        """Sessions and conversations, at most so many of each, and all counters."""
        return {
            "sessions": self.core.sessions(most),
            "conversations": self.core.conversations(most),
            "counters": asdict(self.core.figures()),
        }

    def refused(self) -> list[RefusedSessions]:
        """The newcomers that were refused, by why, with what would help."""
        engine = self.core.engine
        return refused_sessions(engine.stats.sessions_refused, engine.refused.lately(self._now()), self._settings)

    def explained(self) -> list[str]:
        """Whether newcomers get in, and why not, in sentences."""
        return newcomers(self.open_sessions, self.refused(), self._settings)

    def disconnect(self, sid: str) -> bool:
        return self.core.disconnect(sid)

    def figures(self) -> RealtimeFigures:
        core, websockets = self.core, self.websockets()
        return RealtimeFigures(
            core.figures(),
            ROUND_TRIP_BOUNDS,
            BATCH_BOUNDS,
            websocket=websockets,
            polling=self.open_sessions - websockets,
            conversations=sum(1 for _ in core.chat.signs.conversations()),
            users=core.users(),
            journal_available=core.hub.journal_available,
            quality=core.quality()._asdict(),
            reasons=REASONS,
        )


class OriginQuestions:
    """The core's questions, asked over the edge's own client of the origin.

    `timeout` in seconds is for one question, its whole answer included.
    """

    def __init__(self, edge: Edge, routes: RouteTable, timeout: float, public_url: Callable[[], str]) -> None:
        self._edge = edge
        self._routes = routes
        self._timeout = timeout
        self._public_url = public_url

    async def ask(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, asked: Asked
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Status, fields and body of the answer. Raises OriginAway when there is none, or none that can be used.

        What has a body counts as sent once a connection takes the body: without it nothing can be done.
        """
        public = urlsplit(self._public_url())
        host = self._edge.origin_host or public.netloc
        lines = without_session(Fields([("Host", host), *fields, ("Via", f"1.1 {self._edge.name}")]))
        chunks, length = (_content(body, asked), len(body)) if body else (None, None)
        if body:
            asked.in_vain()
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._edge.origin.send(OriginRequest(method, target, lines, chunks, length))
                try:
                    answer = await _whole(response)
                finally:
                    await response.close()
        except TimeoutError:
            raise OriginAway(f"no answer within {self._timeout:g} s") from None
        except (OriginError, BodyIncomplete, RequestRefused) as error:
            raise OriginAway(str(error)) from error
        if method not in _SAFE:
            # The same as for a write of a browser: what it makes outdated must go.
            request = Request(method, target, public.netloc.lower(), scheme=public.scheme, has_body=bool(body))
            exchange = HttpExchange(self._edge, request, self._routes.find(request))
            await exchange.invalidate(response.head.status, response.head.fields)
        return response.head.status, list(response.head.fields), answer


async def _content(body: bytes, asked: Asked) -> AsyncIterator[bytes]:
    asked.sent()
    yield body


async def _whole(response: OriginResponse) -> bytes:
    content = bytearray()
    async for chunk in response.chunks():
        content += chunk
        if len(content) > LARGEST_ANSWER:
            raise OriginAway(f"an answer of more than {LARGEST_ANSWER} bytes")
    return bytes(content)
