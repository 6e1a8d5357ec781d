"""The admin listener's API: health, metrics, explain, purge and the realtime core, for scripts and scrapers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from proxy.errors import RequestRefused
from proxy.masking import masked
from proxy.operations.metrics import Metrics
from proxy.operations.timeline import Timeline
from proxy.policy.messages import Fields, Request
from proxy.purge import Listed, parse_purge, request_for
from proxy.purging import Purger, note_purge

MOST_LISTED = 10_000
PUBLISH = "/api/realtime/publish"
REVOKE = "/api/realtime/revoke"

Explain = Callable[[Request], Awaitable[dict[str, object]]]


class Realtime(Protocol):
    """The realtime core as operators and the application use it."""

    async def publish(self, document: object) -> dict[str, Any]: ...

    async def revoke(self, document: object) -> int: ...

    def report(self, most: int) -> dict[str, Any]: ...


class AdminApi:
    """The handlers; `ready` answers whether requests are being served now."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        purger: Purger,
        explain: Explain,
        performance: Callable[[], dict[str, int | float]],
        performance_detail: Callable[[], dict[str, Any]],
        ready: Callable[[], bool],
        public_host: Callable[[], str],
        listed: Listed,
        realtime: Realtime | None = None,
        timeline: Timeline | None = None,
    ) -> None:
        self._metrics = metrics
        self._purger = purger
        self._explain = explain
        self._performance = performance
        self._performance_detail = performance_detail
        self._ready = ready
        self._public_host = public_host
        self._listed = listed
        self._realtime = realtime
        self._timeline = timeline

    def setup(self, app: web.Application) -> None:
        """Register the paths. They answer errors as problem documents (RFC 9457)."""
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/api/performance", self.performance)
        app.router.add_get("/api/explain", self.explain)
        app.router.add_post("/api/cache/purge", self.purge)
        app.router.add_get("/api/realtime", self.realtime)
        app.router.add_post(PUBLISH, self.publish)
        app.router.add_post(REVOKE, self.revoke)

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process is alive: it could answer."""
        return web.Response(text="ok\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether requests should be sent here: not while starting or draining."""
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not ready: starting or draining\n")

    async def metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def performance(self, request: web.Request) -> web.Response:
        """The report of the public listener; with `detail=1` that of server, client, realtime, cache and origin."""
        detail = request.query.get("detail", "0")
        if detail not in ("0", "1"):
            return problem_response(RequestRefused(400, "bad-detail", "detail is 0 or 1"))
        return web.json_response(self._performance_detail() if detail == "1" else self._performance())

    async def explain(self, request: web.Request) -> web.Response:
        """In plain words, what the next request for `url` with each `header` would get, and why."""
        url = request.query.get("url", "")
        try:
            asked = request_for(url, host=self._public_host())
            fields = Fields([_field(text) for text in request.query.getall("header", [])])
        except RequestRefused as error:
            return problem_response(error)
        host = fields.first("Host") or asked.host
        return web.json_response(await self._explain(Request("GET", asked.target, host.lower(), fields, asked.scheme)))

    async def purge(self, request: web.Request) -> web.Response:
        """Remove, mark stale or count what a JSON document describes; see proxy/purge.py for its forms."""
        try:
            purge = parse_purge(await _json(request), self._listed)
        except RequestRefused as error:
            return problem_response(error)
        count = await self._purger.purge(purge.covers, soft=purge.soft, dry_run=purge.dry_run)
        if self._timeline is not None and not purge.dry_run:
            note_purge(self._timeline, actor(request), masked(purge.words), count, soft=purge.soft)
        return web.json_response({"count": count, "soft": purge.soft, "dry_run": purge.dry_run})

    async def realtime(self, request: web.Request) -> web.Response:
        """Sessions, conversations (`limit` of each, 200) and counters of the realtime core."""
        try:
            limit = limit_of(request)
        except RequestRefused as error:
            return problem_response(error)
        if self._realtime is None:
            return web.json_response({"enabled": False, "sessions": [], "conversations": [], "counters": {}})
        return web.json_response({"enabled": True, **self._realtime.report(limit)})

    async def publish(self, request: web.Request) -> web.Response:
        """Tell the subscribers of a channel: `{channel, event, data, key?, purge_tags?}`."""
        try:
            document = await _json(request)
            return web.json_response(await self._live().publish(document))
        except RequestRefused as error:
            return problem_response(error)

    async def revoke(self, request: web.Request) -> web.Response:
        """End a user, or its part in a conversation, in all its sessions: `{user, conversation?}`."""
        try:
            document = await _json(request)
            sessions = await self._live().revoke(document)
        except RequestRefused as error:
            return problem_response(error)
        if self._timeline is not None and isinstance(document, dict):
            what = (
                "a user was revoked"
                if "conversation" not in document
                else "a user's part in a conversation was revoked"
            )
            self._timeline.add("realtime", actor(request), what, user=document["user"], sessions=sessions)
        return web.json_response({"sessions": sessions})

    def _live(self) -> Realtime:
        if self._realtime is None:
            raise RequestRefused(409, "no-realtime", "the realtime core is switched off: realtime.enabled")
        return self._realtime


def actor(request: web.Request) -> str:
    """Who asks, as the guard before the API has noted it: a word for the timeline."""
    return str(request.get("actor", "operator"))


def problem_response(error: RequestRefused) -> web.Response:
    document = {"title": error.reason, "status": error.status, "detail": str(error)}
    return web.json_response(document, status=error.status, content_type="application/problem+json")


def limit_of(request: web.Request) -> int:
    limit = request.query.get("limit", "200")
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= MOST_LISTED):
        raise RequestRefused(400, "bad-limit", f"limit is a number from 1 to {MOST_LISTED}")
    return int(limit)


async def _json(request: web.Request) -> object:
    try:
        return json.loads(await request.read())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RequestRefused(400, "bad-json", f"the body is not JSON: {error}") from error
    except ValueError:  # of the numbers in JSON, only whole ones of thousands of digits
        raise RequestRefused(400, "bad-json", "the body has a number of too many digits") from None
    except RecursionError:
        raise RequestRefused(400, "bad-json", "the body is nested too deeply") from None


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(char in text for char in "\r\n\0"):
        raise RequestRefused(400, "bad-header", f"{text!r} is not a header; write it as in Accept-Language: de")
    return name.strip(), value.strip()
