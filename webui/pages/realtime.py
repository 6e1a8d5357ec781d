"""Who is connected, how well, and what they talk in: the realtime page, its sessions and its conversations."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web

from webui.frame import Frame, actor, is_live
from webui.realtime_query import ConversationQuery, ListQuery, SessionQuery
from webui.realtime_shown import RealtimeActions, RealtimeSource

PAGE = "realtime"

TOLD = {
    "disconnected": "The session was disconnected. Its client does not come back by itself.",
    "reconnecting": "The connection was closed. Its client comes back within a few seconds, as a new session.",
    "gone": "Nothing was done: the session had ended already.",
}

_Query = TypeVar("_Query", bound=ListQuery)


def setup(frame: Frame, source: RealtimeSource, actions: RealtimeActions) -> None:
    """Register the pages. The source is asked on the event loop, once per look."""
    pages = _Realtime(frame, source, actions)
    router = frame.app.router
    frame.add(PAGE, "/realtime", "Realtime")
    router.add_get("/realtime", pages.show)
    router.add_get("/realtime/sessions/{sid}", pages.session)
    router.add_post("/realtime/sessions/{sid}/disconnect", pages.disconnect)
    router.add_post("/realtime/sessions/{sid}/reconnect", pages.reconnect)
    router.add_get("/realtime/conversations", pages.conversations)
    router.add_get("/realtime/conversation", pages.conversation)


class _Realtime:
    def __init__(self, frame: Frame, source: RealtimeSource, actions: RealtimeActions) -> None:
        self._frame = frame
        self._source = source
        self._actions = actions

    async def show(self, request: web.Request) -> web.Response:
        query = _query(SessionQuery, request)
        try:
            shown = self._source.page(query)
        except Exception:
            return self._frame.failed(request, PAGE)
        told = TOLD.get(request.query.get("told", ""), "")
        response = self._frame.render(
            request, "realtime.html", page=PAGE, r=shown, s=shown.sessions, q=shown.sessions.query, told=told
        )
        response.headers["HX-Replace-Url"] = shown.sessions.query.path
        return response

    async def session(self, request: web.Request) -> web.Response:
        return self._session(request, "")

    async def disconnect(self, request: web.Request) -> web.Response:
        done = self._actions.disconnect(request.match_info["sid"], by=actor(request))
        return self._acted(request, "disconnected" if done else "gone")

    async def reconnect(self, request: web.Request) -> web.Response:
        done = self._actions.reconnect(request.match_info["sid"], by=actor(request))
        return self._acted(request, "reconnecting" if done else "gone")

    async def conversations(self, request: web.Request) -> web.Response:
        query = _query(ConversationQuery, request)
        try:
            shown = self._source.conversations(query)
        except Exception:
            return self._frame.failed(request, PAGE)
        response = self._frame.render(request, "realtime_conversations.html", page=PAGE, c=shown, q=shown.query)
        response.headers["HX-Replace-Url"] = shown.query.path
        return response

    async def conversation(self, request: web.Request) -> web.Response:
        id_ = request.query.get("id", "")
        try:
            shown = self._source.conversation(id_)
        except Exception:
            return self._frame.failed(request, PAGE)
        status = _status(request, found=shown is not None)
        return self._frame.render(
            request, "realtime_conversation.html", page=PAGE, status=status, c=shown, id=id_, address=request.path_qs
        )

    def _session(self, request: web.Request, told: str) -> web.Response:
        sid = request.match_info["sid"]
        try:
            shown = self._source.session(sid)
        except Exception:
            return self._frame.failed(request, PAGE)
        status = _status(request, found=shown is not None)
        return self._frame.render(
            request, "realtime_session.html", page=PAGE, status=status, s=shown, sid=sid, told=TOLD.get(told, "")
        )

    def _acted(self, request: web.Request, told: str) -> web.Response:
        if is_live(request):
            return self._session(request, told)
        raise web.HTTPSeeOther(f"/realtime?told={told}")


def _status(request: web.Request, *, found: bool) -> int:
    # A page that is open when its session ends says so; only who comes later asks for what is not there.
    return 200 if found or is_live(request) else 404


def _query(kind: type[_Query], request: web.Request) -> _Query:
    try:
        return kind.parse(dict(request.query))
    except ValueError as problem:
        raise web.HTTPBadRequest(text=f"The address is not right: {problem}.\n") from None
