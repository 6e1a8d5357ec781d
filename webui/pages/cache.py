"""The stored responses: found, looked at, purged."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

from aiohttp import web

from webui.frame import Frame, actor, is_live
from webui.query import CacheQuery
from webui.snapshot import CacheActions, CacheList


def setup(frame: Frame, cache: Callable[[CacheQuery], CacheList], actions: CacheActions) -> None:
    """Register the page. The source is asked on the event loop, once per look."""
    pages = _Cache(frame, cache, actions)
    frame.add("cache", "/cache", "Cache")
    frame.app.router.add_get("/cache", pages.show)
    frame.app.router.add_post("/cache/purge", pages.purge)


class _Cache:
    def __init__(self, frame: Frame, cache: Callable[[CacheQuery], CacheList], actions: CacheActions) -> None:
        self._frame = frame
        self._cache = cache
        self._actions = actions

    async def show(self, request: web.Request) -> web.Response:
        query = _query(dict(request.query))
        return self._shown(request, query, purged=_count(request.query.get("purged")))

    async def purge(self, request: web.Request) -> web.Response:
        form = await request.post()
        # The list to return to comes as parameters and is parsed: no address of somebody else's can stand here.
        query = _query(dict(parse_qsl(str(form.get("list", "")))))
        if entry_id := form.get("id"):
            purged = await self._actions.purge_entry(str(entry_id), by=actor(request))
        elif form.get("all") == "yes":
            purged = await self._actions.purge(query.at(1), by=actor(request))
        else:
            raise web.HTTPBadRequest(text="Say what to purge: id=…, or all=yes for what the list's filter accepts.\n")
        if is_live(request):
            return self._shown(request, query, purged=purged)
        address = query.path
        raise web.HTTPSeeOther(f"{address}{'&' if '?' in address else '?'}purged={purged}")

    def _shown(self, request: web.Request, query: CacheQuery, *, purged: int | None) -> web.Response:
        try:
            listed = self._cache(query)
        except Exception:
            return self._frame.failed(request, "cache")
        response = self._frame.render(request, "cache.html", page="cache", c=listed, q=listed.query, purged=purged)
        # The address bar follows the filter in its shortest form, and forgets a purge that is told already.
        response.headers["HX-Replace-Url"] = listed.query.path
        return response


def _query(parameters: dict[str, str]) -> CacheQuery:
    try:
        return CacheQuery.parse(parameters)
    except ValueError as problem:
        raise web.HTTPBadRequest(text=f"The address is not right: {problem}.\n") from None


def _count(text: str | None) -> int | None:
    valid = text is not None and text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if valid and text is not None else None
