"""The public listener: a request of aiohttp's becomes a Request, a route's strategy makes an Answer of it.

One way in, one way out, one Outcome per exchange.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from aiohttp import web

from proxy.access_log.writer import AccessLog
from proxy.answer import Answer, Upload
from proxy.config.model import Config
from proxy.connection import FAILED, ClientListener, Refusal
from proxy.delivery import deliver, watched
from proxy.edge import Edge
from proxy.errors import CachewireError, OriginError, RequestRefused
from proxy.exchange import HttpExchange
from proxy.fallback import fallback
from proxy.heads import problem
from proxy.operations.ledger import Ledger
from proxy.outbox import STATUS_PATH, Outbox
from proxy.outcome import Outcome
from proxy.policy.cache_status import cache_status
from proxy.policy.forwarding import client_behind, forwarded_scheme, looped
from proxy.policy.framing import Limits, parse_head
from proxy.policy.messages import Fields, Request
from proxy.policy.operators import without_session
from proxy.policy.request_id import REQUEST_ID, RequestIds, request_id, trace_id
from proxy.purging import PurgeMethod
from proxy.routing import RouteTable
from proxy.selecting import selecting
from proxy.strategies import STRATEGIES
from proxy.tunnel import Tunnel
from proxy.uploading import Continue, Held, body_of, joined, read_up_to
from proxy.websocket import is_websocket, relay

_log = logging.getLogger("cachewire.server")

WebSocketEnded = Callable[[int, int, str], None]
"""Hears of a WebSocket's end: bytes from the client and to it after the handshake, and why."""

LocalPage = Callable[[], bytes]
"""Makes the JSON body of a page that the edge answers itself."""


class Realtime(Protocol):
    """The realtime core as far as this file knows it."""

    @property
    def connections(self) -> int:
        """They count for `max_connections`: WebSockets, which the listener does not know of any more."""

    def takes(self, path: str) -> bool:
        """Whether requests for this path are its own."""

    async def handle(
        self,
        http: web.BaseRequest,
        client: str,
        fields: Mapping[str, str],
        ended: WebSocketEnded | None = None,
    ) -> web.StreamResponse:
        """Answer one of them, of the client at this address, with these fields. A WebSocket has left aiohttp when this
        returns, with status 101."""

    def refusal(self, response: web.StreamResponse) -> str:
        """Why that answer refuses what was asked, a slug; empty when it does not."""


class Server:
    """Serves one edge. `local` maps paths to what the edge answers itself, ahead of every route, and `realtime`
    has its path; fallbacks are precached for the host of `public_url`."""

    def __init__(
        self,
        config: Config,
        edge: Edge,
        routes: RouteTable,
        ledger: Ledger,
        local: dict[str, LocalPage],
        purge_method: PurgeMethod | None = None,
        *,
        public_url: Callable[[], str],
        realtime: Realtime | None = None,
        access_log: AccessLog | None = None,
    ) -> None:
        settings = config.server
        self._settings = settings
        self._edge = edge
        self._routes = routes
        self._ledger = ledger
        self._local = local
        self._purge_method = purge_method
        self._public_url = public_url
        self._realtime = realtime
        self._access_log = access_log
        self._ids = RequestIds(secrets.token_hex(4))
        self._operators_log_in = bool(config.admin.password_hash or config.admin.viewer_password_hash)
        self._polls: set[object] = set()
        self._limits = Limits(settings.max_target, settings.max_head, settings.max_body)
        self._trusted = tuple(ipaddress.ip_network(text, strict=False) for text in settings.trusted_proxies)
        self.listener = ClientListener(
            self.handle,
            refused=self._refused,
            request_id=self._ids.make,
            head_timeout=settings.head_timeout,
            idle_timeout=settings.idle_timeout,
            max_connections=settings.max_connections,
            max_head=settings.max_head,
            max_target=settings.max_target,
            taken_over=(lambda: 0) if realtime is None else (lambda: realtime.connections),
        )

    def is_local(self, path: str) -> bool:
        """Whether GET for this path is answered here, ahead of all routes."""
        return path in self._local or (self._edge.outbox is not None and path.startswith(STATUS_PATH))

    @property
    def busy(self) -> set[object]:
        """The connections that are open, except those of polls, which wait for nothing in particular."""
        return {connection for connection in self.listener.connections if connection not in self._polls}

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Whatever happens, there is an answer and an outcome."""
        outcome = Outcome(http.method, http.raw_path, http.remote or "", self._edge.now())
        outcome.request_id = self._ids.make()
        outcome.begun = time.perf_counter()
        self._ledger.begin()
        try:
            return await self._exchange(http, outcome)
        except CachewireError as error:
            return self._problem(http, outcome, error, None)
        except ConnectionError:
            outcome.complete, outcome.reason = False, "client-left"
            raise
        except Exception:
            outcome.status, outcome.reason = 500, "internal"
            http[FAILED] = outcome.request_id  # for the answer, which is the connection's
            raise
        finally:
            outcome.duration = time.perf_counter() - outcome.begun
            self._ledger.end()
            self._record(outcome)

    async def _exchange(self, http: web.BaseRequest, outcome: Outcome) -> web.StreamResponse:
        trusted = self._is_trusted(http.remote)
        request = self._parsed(http, trusted, outcome)
        page = self._local.get(request.path)
        if page is not None and request.method in ("GET", "HEAD"):
            return _local_answer(outcome, _json(page() if request.method == "GET" else b""))
        if self._realtime is not None and self._realtime.takes(request.path):
            client = client_behind(request.fields, http.remote or "", self._is_trusted)
            return await self._live(self._realtime, http, client, outcome)
        if self._edge.outbox is not None and request.path.startswith(STATUS_PATH):
            return await self._write_status(http, request, outcome, self._edge.outbox)
        if looped(request.fields, self._edge.name):
            raise RequestRefused(508, "loop", "this request has been here before: origin.url leads back to this edge")
        if request.method in ("PURGE", "BAN") and self._purge_method is not None:
            purged = await self._purge_method.carry_out(request)
            return _local_answer(outcome, _json(json.dumps(purged).encode()))
        if request.method == "OPTIONS" and (hops := request.fields.first("Max-Forwards") or "").isdecimal():
            # RFC 9110 section 7.6.2: at 0 this is the final recipient.
            if int(hops) == 0:
                return _local_answer(outcome, web.Response(status=204))
            request = replace(request, fields=request.fields.replacing(("Max-Forwards", str(int(hops) - 1))))
        route = self._routes.find(request)
        outcome.route, outcome.strategy = route.name, route.strategy
        outcome.site = f"{request.scheme}://{request.host}"
        outcome.selecting = selecting(request.fields, route.key.headers)
        exchange = HttpExchange(self._edge, request, route, trusted)
        try:
            if is_websocket(http):
                return await self._websocket(http, exchange, outcome)
            return await self._answered(http, exchange, outcome)
        except CachewireError as error:
            answer = await fallback(exchange, error, self._routes.find, self._public_url())
            if answer is not None:
                return await self._delivered(http, request, answer, outcome)
            asked = exchange.fwd if isinstance(error, OriginError) else None
            return self._problem(http, outcome, error, asked)
        finally:
            await exchange.close()

    async def _answered(self, http: web.BaseRequest, exchange: HttpExchange, outcome: Outcome) -> web.StreamResponse:
        request, settings = exchange.request, self._settings
        permission = Continue(http)
        exchange.interim = permission.interim
        if request.method == "QUERY":
            held = await self._held(http, request, permission, outcome)
            exchange.upload = held if isinstance(held, Upload) else Upload(held, held.length)
            exchange.content_digest = "" if isinstance(held, Upload) else held.digest
        elif request.has_body:
            length = request.fields.first("Content-Length")
            chunks = body_of(http, permission, outcome, timeout=settings.body_timeout, most=settings.max_body)
            exchange.upload = Upload(chunks, None if length is None else int(length))
        plain = request.method in ("GET", "HEAD") and not request.has_body
        if plain or exchange.content_digest:
            # A read that nobody waits for any more is given up; a write is seen through to its end.
            with watched(http):
                chosen: Answer = await STRATEGIES[exchange.route.strategy](exchange)
                answer = await exchange.negotiated(chosen)
        else:
            answer = await exchange.write_through()
        return await self._delivered(http, request, answer, outcome)

    async def _held(
        self, http: web.BaseRequest, request: Request, permission: Continue, outcome: Outcome
    ) -> Held | Upload:
        """The content of a QUERY, which is part of its key; an upload like any other when it is too large for that."""
        settings = self._settings
        if not request.has_body:
            return Held(b"")
        content = body_of(http, permission, outcome, timeout=settings.body_timeout, most=settings.max_body)
        beginning, whole = await read_up_to(content, Held.MOST)
        if whole:
            return Held(beginning)
        length = request.fields.first("Content-Length")
        return Upload(joined(beginning, content), None if length is None else int(length))

    async def _delivered(
        self, http: web.BaseRequest, request: Request, answer: Answer, outcome: Outcome
    ) -> web.StreamResponse:
        outcome.verdict, outcome.reason = answer.verdict, answer.why
        outcome.origin_duration = answer.origin_duration
        outcome.collapsed, outcome.stored = answer.collapsed, answer.kept
        if answer.stored is not None and answer.stored.vary:
            names = [name for name, _ in (*outcome.selecting, *answer.stored.vary) if not name.startswith(":")]
            outcome.selecting = selecting(request.fields, names)
        try:
            return await deliver(
                http, request, answer, outcome, now=self._edge.now(), write_timeout=self._settings.write_timeout
            )
        finally:
            await answer.close()

    async def _write_status(
        self, http: web.BaseRequest, request: Request, outcome: Outcome, outbox: Outbox
    ) -> web.StreamResponse:
        """The fate of a queued write, for whoever knows its id."""
        if request.method not in ("GET", "HEAD"):
            raise RequestRefused(405, "method-not-allowed", "the status of a write can be read only: use GET")
        status = await outbox.status(request.path.removeprefix(STATUS_PATH))
        if status is None:
            outcome.verdict, outcome.reason, outcome.status, outcome.route = "local", "edge", 404, "(edge)"
            response = problem(
                http,
                404,
                "no-such-write",
                "no write has this id; what was delivered is told for a day",
                request_id=outcome.request_id,
            )
            outcome.bytes_out = response.content
            return response
        return _local_answer(outcome, _json(json.dumps(status).encode() if request.method == "GET" else b""))

    async def _live(self, core: Realtime, http: web.BaseRequest, client: str, outcome: Outcome) -> web.StreamResponse:
        """One polling exchange, or the handshake of a WebSocket, which is an outcome at its beginning; its line of the
        access log is written at its end.
        """
        outcome.route, outcome.verdict, outcome.timed = "(realtime)", "local", False
        fields = {REQUEST_ID: outcome.request_id}
        if is_websocket(http):
            outcome.reason = "websocket"
            response = await core.handle(http, client, fields, self._line_at_the_end(outcome))
            if http.transport is None:
                # The connection is not HTTP's any more, and what was returned no response.
                if response.status == 101:
                    outcome.status, outcome.lasts = 101, True
                else:
                    outcome.complete, outcome.reason = False, "client-left"
                return response
        elif http.method == "GET":
            outcome.reason = "polling"
            # It may wait long for something to say, and nobody should wait for who has left.
            self._polls.add(http.protocol)
            try:
                with watched(http):
                    response = await core.handle(http, client, fields)
            finally:
                self._polls.discard(http.protocol)
        else:
            outcome.reason = "polling"
            Continue(http).wanted()
            response = await core.handle(http, client, fields)
        if why := core.refusal(response):
            outcome.verdict = "refused"
            outcome.reason = why
        outcome.status = response.status
        body = getattr(response, "body", None)
        outcome.bytes_out = len(body) if isinstance(body, bytes) else 0
        outcome.bytes_in = http.content.total_bytes
        return response

    def _line_at_the_end(self, outcome: Outcome) -> WebSocketEnded | None:
        """What writes the line of a WebSocket that begins with this outcome; None if it will have no line."""
        log = self._access_log
        return partial(_ended, outcome, log) if log is not None and log.draws() else None

    async def _websocket(self, http: web.BaseRequest, exchange: HttpExchange, outcome: Outcome) -> web.StreamResponse:
        outcome.verdict, outcome.reason, outcome.timed = "bypass", "websocket", False
        opened = await exchange.upgrade()
        if isinstance(opened, Tunnel):
            return await relay(http, opened, outcome, self._settings.write_timeout)
        return await self._delivered(http, exchange.request, opened, outcome)

    def _parsed(self, http: web.BaseRequest, trusted: bool, outcome: Outcome) -> Request:
        fields = Fields.from_raw(http.raw_headers)
        if self._operators_log_in:
            fields = without_session(fields)
        if (given := request_id(fields)) is None:
            named = (REQUEST_ID, outcome.request_id)
            fields = fields.replacing(named) if REQUEST_ID in fields else fields.plus(named)
        else:
            outcome.request_id = given
        if "traceparent" in fields:
            outcome.trace_id = trace_id(fields)
        scheme = (forwarded_scheme(fields) if trusted else None) or "http"
        return parse_head(
            method=http.method,
            target=http.raw_path,
            version=(http.version.major, http.version.minor),
            fields=fields,
            scheme=scheme,
            client=http.remote or "",
            limits=self._limits,
        )

    def _is_trusted(self, peer: str | None) -> bool:
        if not self._trusted or not peer:
            return False
        address = ipaddress.ip_address(peer.partition("%")[0])
        return any(address in network for network in self._trusted)

    def _problem(
        self, http: web.BaseRequest, outcome: Outcome, error: CachewireError, fwd: str | None
    ) -> web.StreamResponse:
        refused = isinstance(error, RequestRefused)
        outcome.verdict = "refused" if refused else "error"
        outcome.status, outcome.reason = error.status, error.reason
        response = problem(
            http,
            error.status,
            error.reason,
            error.public,
            close=refused or http.body_exists,
            fwd=fwd,
            request_id=outcome.request_id,
        )
        outcome.bytes_out = response.content
        return response

    def _refused(self, refusal: Refusal) -> None:
        """What never became a request is an outcome too."""
        outcome = Outcome(refusal.method, refusal.target, refusal.client, self._edge.now(), verdict="refused")
        outcome.status, outcome.reason = refusal.status, refusal.reason
        outcome.request_id, outcome.bytes_out = refusal.request_id, refusal.content
        self._record(outcome)

    def _record(self, outcome: Outcome) -> None:
        self._ledger.record(outcome)
        if self._access_log is not None and not outcome.lasts:
            self._access_log.add(outcome)


def _ended(begun: Outcome, log: AccessLog, bytes_in: int, bytes_out: int, why: str) -> None:
    duration = time.perf_counter() - begun.begun
    log.write(replace(begun, duration=duration, bytes_in=bytes_in, bytes_out=bytes_out, closed=why, lasts=False))


def _local_answer(outcome: Outcome, response: web.Response) -> web.StreamResponse:
    outcome.verdict, outcome.reason, outcome.status, outcome.route = "local", "edge", response.status, "(edge)"
    outcome.bytes_out = len(response.body) if isinstance(response.body, bytes) else 0
    response.headers["Cache-Status"] = cache_status(detail="local")
    response.headers["Server"] = "cachewire"
    response.headers[REQUEST_ID] = outcome.request_id
    return response


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
