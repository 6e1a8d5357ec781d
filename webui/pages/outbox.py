"""The writes that wait for the origin: looked at, tried again, discarded after a question."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from webui.frame import Frame, actor, is_live
from webui.outbox_shown import OutboxActions, OutboxQuery, OutboxSource
from webui.parameters import told_count

DONE = {
    "retried": (
        "Nothing is tried again: it was settled already.",
        "1 write is being tried again.",
        "{:,} writes are being tried again.",
    ),
    "discarded": ("Nothing was discarded: it was gone already.", "Discarded 1 write.", "Discarded {:,} writes."),
}
"""What is told once after an action on none, one and many, by the name it has in the address."""


def setup(frame: Frame, source: OutboxSource, actions: OutboxActions) -> None:
    """Register the pages."""
    pages = _Outbox(frame, source, actions)
    frame.add("outbox", "/outbox", "Outbox")
    frame.app.router.add_get("/outbox", pages.show)
    frame.app.router.add_get("/outbox/discard", pages.ask)
    frame.app.router.add_post("/outbox/discard", pages.discard)
    frame.app.router.add_post("/outbox/retry", pages.retry)


class _Outbox:
    def __init__(self, frame: Frame, source: OutboxSource, actions: OutboxActions) -> None:
        self._frame = frame
        self._source = source
        self._actions = actions

    async def show(self, request: web.Request) -> web.Response:
        told = next(
            (_told(name, count) for name in DONE if (count := told_count(request.query.get(name))) is not None), ""
        )
        return await self._shown(request, _query(dict(request.query)), told)

    async def ask(self, request: web.Request) -> web.Response:
        """Whether to discard one write (`id`), or all dead letters without it."""
        back, id_ = _list(request.query.get("list", "")), request.query.get("id", "")
        try:
            write = await self._source.one(id_) if id_ else None
            shown = await self._source.shown(OutboxQuery("dead"))
        except Exception:
            return self._frame.failed(request, "outbox")
        context: dict[str, Any] = {"o": shown, "write": write, "id": id_, "back": back}
        return self._frame.render(request, "outbox_discard.html", page="outbox", status=200, **context)

    async def discard(self, request: web.Request) -> web.Response:
        form = await request.post()
        if id_ := str(form.get("id", "")):
            count = int(await self._actions.discard(id_, by=actor(request)))
        elif form.get("all") == "dead":
            count = await self._actions.discard_dead(by=actor(request))
        else:
            raise web.HTTPBadRequest(text="Say what to discard: id=…, or all=dead for all dead letters.\n")
        return await self._done(request, "discarded", count, str(form.get("list", "")))

    async def retry(self, request: web.Request) -> web.Response:
        form = await request.post()
        if id_ := str(form.get("id", "")):
            count = int(await self._actions.retry(id_, by=actor(request)))
        elif form.get("all") == "dead":
            count = await self._actions.retry_dead(by=actor(request))
        else:
            raise web.HTTPBadRequest(text="Say what to try again: id=…, or all=dead for all dead letters.\n")
        return await self._done(request, "retried", count, str(form.get("list", "")))

    async def _done(self, request: web.Request, what: str, count: int, back: str) -> web.Response:
        query = _list(back)
        if is_live(request):
            return await self._shown(request, query, _told(what, count))
        raise web.HTTPSeeOther(f"{query.path}{'&' if '?' in query.path else '?'}{what}={count}")

    async def _shown(self, request: web.Request, query: OutboxQuery, told: str) -> web.Response:
        try:
            shown = await self._source.shown(query)
        except Exception:
            return self._frame.failed(request, "outbox")
        response = self._frame.render(request, "outbox.html", page="outbox", o=shown, q=shown.query, told=told)
        if request.raw_path != shown.query.path:
            # The address bar forgets what is told already.
            response.headers["HX-Replace-Url"] = shown.query.path
        return response


def _query(parameters: dict[str, str]) -> OutboxQuery:
    try:
        return OutboxQuery.parse(parameters)
    except ValueError as problem:
        raise web.HTTPBadRequest(text=f"The address is not right: {problem}.\n") from None


def _list(text: str) -> OutboxQuery:
    # The list to return to comes as parameters and is parsed: no address of somebody else's can stand here.
    return _query(dict(parse_qsl(text)))


def _told(name: str, count: int) -> str:
    return DONE[name][min(count, 2)].format(count)
