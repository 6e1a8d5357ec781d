"""Telling others what has happened here: one HTTP call for each change, that nobody waits for and that may fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from demo.database import Database
from demo.reports import details

LONGEST_CALL = 5.0
MOST_WAITING = 200

log = logging.getLogger("demo.announcements")


class Announcements:
    """Publishes new and changed reports at `url`, in their order; does nothing without one."""

    def __init__(self, url: str | None, token: str | None, database: Database) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._database = database
        self._waiting: asyncio.Queue[Mapping[str, object]] = asyncio.Queue(MOST_WAITING)

    @property
    def middleware(self) -> Middleware:
        """Looks at successful writes."""

        @web.middleware
        async def notice(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await handler(request)
            if self._url is not None and request.method in ("POST", "DELETE") and response.status in (200, 201):
                self._notice(request, response)
            return response

        return notice

    async def deliver(self, _: web.Application) -> AsyncIterator[None]:
        """Call out while the application runs."""
        task = asyncio.create_task(self._deliver())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def _notice(self, request: web.Request, response: web.StreamResponse) -> None:
        if not request.path.startswith("/api/reports") or "Idempotency-Replayed" in response.headers:
            return
        if (id_ := request.match_info.get("id")) is not None:
            report = details(self._database, id_)
            data: Mapping[str, object] = {name: report[name] for name in ("id", "like_count", "comment_count")}
            self._announce("report_updated", id_, data)
        else:
            id_ = response.headers["Location"].rpartition("/")[2]
            self._announce("report_created", id_, details(self._database, id_))

    def _announce(self, event: str, key: str, data: Mapping[str, object]) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # whoever should hear is away; a reload tells as much
            self._waiting.put_nowait({"channel": "reports", "event": event, "key": f"{event} {key}", "data": data})

    async def _deliver(self) -> None:
        timeout = aiohttp.ClientTimeout(total=LONGEST_CALL)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session:
            while True:
                publication = await self._waiting.get()
                try:
                    async with session.post(str(self._url), json=publication) as response:
                        if response.status != 200:
                            log.warning("%s answered %d to an announcement", self._url, response.status)
                except (aiohttp.ClientError, TimeoutError) as error:
                    log.warning("an announcement did not get through: %s", error)
