"""What this origin was asked, and what it cost: `/demo/stats`."""

from __future__ import annotations

import logging
import time
from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from demo.answers import json_answer
from demo.database import Database

log = logging.getLogger("demo.access")


class Statistics:
    """Counts requests as they arrive, before anything can go wrong with them; `/demo/*` is not counted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clear()

    async def show(self, request: web.Request) -> web.Response:
        document = {
            "requests": self._by_path.total(),
            "sql_queries": self._database.statements - self._statements_before,
            "not_modified": self._not_modified,
            "by_path": dict(sorted(self._by_path.items())),
        }
        return json_answer(request, document, {"Cache-Control": "no-store"})

    async def reset(self, request: web.Request) -> web.Response:
        self._clear()
        return await self.show(request)

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/demo/"):
                return await handler(request)
            resource = request.match_info.route.resource
            self._by_path[resource.canonical if resource is not None else "(no route)"] += 1
            started = time.perf_counter()
            response = await handler(request)
            self._not_modified += response.status == 304
            duration = 1000 * (time.perf_counter() - started)
            log.info("%s %s %d, %.0f ms", request.method, request.path_qs, response.status, duration)
            return response

        return count

    def _clear(self) -> None:
        self._by_path: Counter[str] = Counter()
        self._not_modified = 0
        self._statements_before = self._database.statements
