"""The outbox for scripts: what waits, what failed, what was delivered; try again, or forget."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from proxy.admin import actor, limit_of, problem_response
from proxy.errors import RequestRefused
from proxy.outbox import Outbox


class Actions(Protocol):
    """What an operator does to writes; each is told on the timeline. False or 0: there was nothing to do it to."""

    async def retry(self, id_: str, *, by: str) -> bool: ...

    async def discard(self, id_: str, *, by: str) -> bool: ...

    async def retry_dead(self, *, by: str) -> int: ...

    async def discard_dead(self, *, by: str) -> int: ...


class OutboxApi:
    """The handlers. They answer errors as problem documents (RFC 9457). `outbox` None: no route queues."""

    def __init__(self, outbox: Outbox | None, actions: Actions) -> None:
        self._outbox = outbox
        self._actions = actions

    def setup(self, app: web.Application) -> None:
        """Register the paths."""
        app.router.add_get("/api/outbox", self.report)
        app.router.add_post("/api/outbox/dead/retry", self.retry_dead)
        app.router.add_delete("/api/outbox/dead", self.delete_dead)
        app.router.add_post("/api/outbox/{id}/retry", self.retry)
        app.router.add_delete("/api/outbox/{id}", self.delete)

    async def report(self, request: web.Request) -> web.Response:
        """The writes that wait, those that failed and those that were delivered; `limit` of them (200)."""
        try:
            limit = limit_of(request)
        except RequestRefused as error:
            return problem_response(error)
        if self._outbox is None:
            return web.json_response({"counts": {"queued": 0, "done": 0, "dead": 0}, "writes": []})
        return web.json_response(await self._outbox.report(limit))

    async def retry(self, request: web.Request) -> web.Response:
        """Try the queue now, a dead letter behind it."""
        if not await self._actions.retry(request.match_info["id"], by=actor(request)):
            return problem_response(RequestRefused(404, "no-such-write", "no queued or dead write has this id"))
        return web.json_response({"id": request.match_info["id"], "status": "queued"})

    async def delete(self, request: web.Request) -> web.Response:
        """Forget a write: it is not sent any more."""
        if not await self._actions.discard(request.match_info["id"], by=actor(request)):
            return problem_response(RequestRefused(404, "no-such-write", "no write has this id"))
        return web.json_response({"id": request.match_info["id"], "deleted": True})

    async def retry_dead(self, request: web.Request) -> web.Response:
        """Queue all dead letters again, behind what waits."""
        return web.json_response({"queued": await self._actions.retry_dead(by=actor(request))})

    async def delete_dead(self, request: web.Request) -> web.Response:
        """Forget all dead letters."""
        return web.json_response({"deleted": await self._actions.discard_dead(by=actor(request))})
