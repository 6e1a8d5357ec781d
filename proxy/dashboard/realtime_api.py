"""The realtime pages as JSON, for scripts: the same filters, orders and actions under /api/realtime."""

from __future__ import annotations

from dataclasses import asdict
from typing import TypeVar

from aiohttp import web

from proxy.admin import problem_response
from proxy.dashboard.realtime import RealtimePages
from proxy.errors import RequestRefused
from webui.frame import actor
from webui.realtime_query import ConversationQuery, ListQuery, SessionQuery

_Query = TypeVar("_Query", bound=ListQuery)


class RealtimeApi:
    """The handlers; errors are problem documents (RFC 9457)."""

    def __init__(self, pages: RealtimePages) -> None:
        self._pages = pages

    def setup(self, app: web.Application) -> None:
        router = app.router
        router.add_get("/api/realtime/sessions", self.sessions)
        router.add_get("/api/realtime/sessions/{sid}", self.session)
        router.add_delete("/api/realtime/sessions/{sid}", self.disconnect)
        router.add_post("/api/realtime/sessions/{sid}/reconnect", self.reconnect)
        router.add_get("/api/realtime/conversations", self.conversations)
        router.add_get("/api/realtime/conversation", self.conversation)

    async def sessions(self, request: web.Request) -> web.Response:
        """Sessions by `q`, `transport`, `grade`, `slow=1`, in the order of `sort` and `order`, 50 on each `page`."""
        try:
            found = self._pages.sessions(_query(SessionQuery, request))
        except RequestRefused as error:
            return problem_response(error)
        rows = [asdict(row) for row in found.rows]
        return web.json_response(
            {"all": found.all, "total": found.total, "page": found.query.page, "pages": found.pages, "sessions": rows}
        )

    async def session(self, request: web.Request) -> web.Response:
        """One session: its users, what it joined, its handshake, its client's last report."""
        found = self._pages.session(request.match_info["sid"])
        if found is None:
            return problem_response(_NO_SESSION)
        shown = asdict(found)
        return web.json_response(shown.pop("row") | shown | {"users": found.users})

    async def disconnect(self, request: web.Request) -> web.Response:
        """End one session; its client does not come back by itself."""
        sid = request.match_info["sid"]
        if not self._pages.disconnect(sid, by=actor(request)):
            return problem_response(_NO_SESSION)
        return web.json_response({"sid": sid, "disconnected": True})

    async def reconnect(self, request: web.Request) -> web.Response:
        """Close one session's connection; its client comes back."""
        sid = request.match_info["sid"]
        if not self._pages.reconnect(sid, by=actor(request)):
            return problem_response(_NO_SESSION)
        return web.json_response({"sid": sid, "reconnecting": True})

    async def conversations(self, request: web.Request) -> web.Response:
        """Conversations by `q`, in the order of `sort` and `order`, 50 on each `page`."""
        try:
            found = self._pages.conversations(_query(ConversationQuery, request))
        except RequestRefused as error:
            return problem_response(error)
        rows = [asdict(row) for row in found.rows]
        page = {"all": found.all, "total": found.total, "page": found.query.page, "pages": found.pages}
        return web.json_response(page | {"conversations": rows})

    async def conversation(self, request: web.Request) -> web.Response:
        """The conversation `id` with its users and at most 200 of its sessions."""
        found = self._pages.conversation(request.query.get("id", ""))
        if found is None:
            return problem_response(RequestRefused(404, "no-such-conversation", "nobody is in a conversation `id`"))
        shown = asdict(found)
        return web.json_response(
            shown.pop("row") | {"members": found.users, "member_sessions": [asdict(row) for row in found.sessions]}
        )


_NO_SESSION = RequestRefused(404, "no-such-session", "no session has this id")


def _query(kind: type[_Query], request: web.Request) -> _Query:
    try:
        return kind.parse(dict(request.query))
    except ValueError as error:
        raise RequestRefused(400, "bad-query", str(error)) from None
