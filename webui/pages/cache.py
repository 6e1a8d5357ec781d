"""The stored responses: found in a tree or a list, looked at one by one, purged after a count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from webui.cache_shown import CacheActions, CacheDetail, CacheSource
from webui.frame import Frame, actor, is_live
from webui.parameters import told_count
from webui.query import CacheQuery

EXAMPLES = 5
"""Responses that a purge names before it is carried out."""


def setup(frame: Frame, source: CacheSource, actions: CacheActions) -> None:
    """Register the pages."""
    pages = _Cache(frame, source, actions)
    frame.add("cache", "/cache", "Cache")
    frame.app.router.add_get("/cache", pages.show)
    frame.app.router.add_get("/cache/purge/count", pages.ask)
    frame.app.router.add_post("/cache/purge", pages.purge)
    frame.app.router.add_get("/cache/{id:[0-9a-f]{32}}", pages.detail)


class _Cache:
    def __init__(self, frame: Frame, source: CacheSource, actions: CacheActions) -> None:
        self._frame = frame
        self._source = source
        self._actions = actions

    async def show(self, request: web.Request) -> web.Response:
        return await self._shown(request, _query(request.query), _done(request.query))

    async def detail(self, request: web.Request) -> web.Response:
        return await self._detailed(request, request.match_info["id"], _done(request.query))

    async def ask(self, request: web.Request) -> web.Response:
        """What a purge would take with it, before it is carried out."""
        query = _query({name: value for name, value in request.query.items() if name != "list"})
        back = _list(request.query.get("list", ""))
        try:
            found = await self._source.listed(query.turned(1).seen_as("list"))
        except Exception:
            return self._frame.failed(request, "cache")
        examples = found.rows[:EXAMPLES]
        return self._frame.render(
            request, "cache_purge.html", page="cache", c=found, q=query, back=back, examples=examples
        )

    async def purge(self, request: web.Request) -> web.Response:
        form = await request.post()
        soft = form.get("how") == "soft"
        # The list to return to comes as parameters and is parsed: no address of somebody else's can stand here.
        query = _list(str(form.get("list", "")))
        url = ""
        if entry_id := str(form.get("id", "")):
            found = await self._source.detail(entry_id)
            url = found.row.url if found is not None else ""
            purged = await self._actions.purge_entry(entry_id, by=actor(request), soft=soft)
        elif form.get("all") == "yes":
            meant = _list(str(form["what"])) if "what" in form else query
            purged = await self._actions.purge(meant.turned(1), by=actor(request), soft=soft)
        else:
            raise web.HTTPBadRequest(text="Say what to purge: id=…, or all=yes for what the list's filter accepts.\n")
        done = {"stale" if soft else "purged": str(purged)}
        told = {**_done(done), "url": url}
        # What was marked stale is still there to be looked at.
        looked_at = entry_id if soft and purged and form.get("from") == "detail" else ""
        if is_live(request):
            if looked_at:
                return await self._detailed(request, looked_at, told)
            return await self._shown(request, query, told)
        address = f"/cache/{looked_at}" if looked_at else query.path
        name, count = next(iter(done.items()))
        raise web.HTTPSeeOther(f"{address}{'&' if '?' in address else '?'}{name}={count}")

    async def _shown(self, request: web.Request, query: CacheQuery, done: dict[str, Any]) -> web.Response:
        try:
            shown = await (self._source.tree(query) if query.tree else self._source.listed(query))
        except Exception:
            return self._frame.failed(request, "cache")
        template = "cache_tree.html" if query.tree else "cache.html"
        response = self._frame.render(request, template, page="cache", c=shown, q=shown.query, **done)
        if request.raw_path != shown.query.path:
            # The address bar follows the filter in its shortest form, and forgets a purge that is told already.
            response.headers["HX-Replace-Url"] = shown.query.path
        return response

    async def _detailed(self, request: web.Request, entry_id: str, done: dict[str, Any]) -> web.Response:
        try:
            found = await self._source.detail(entry_id)
        except Exception:
            return self._frame.failed(request, "cache")
        return self._found(request, entry_id, found, done)

    def _found(
        self, request: web.Request, entry_id: str, found: CacheDetail | None, done: dict[str, Any]
    ) -> web.Response:
        # A page that is looked at live says that its response has gone; only who comes anew is told "not found".
        status = 200 if found is not None or is_live(request) else 404
        context = {"d": found, "id": entry_id, **done}
        response = self._frame.render(request, "cache_detail.html", page="cache", status=status, **context)
        response.headers["HX-Replace-Url"] = f"/cache/{entry_id}"
        return response


def _query(parameters: Mapping[str, str]) -> CacheQuery:
    try:
        return CacheQuery.parse(parameters)
    except ValueError as problem:
        raise web.HTTPBadRequest(text=f"The address is not right: {problem}.\n") from None


def _list(text: str) -> CacheQuery:
    return _query(dict(parse_qsl(text)))


def _done(parameters: Mapping[str, str]) -> dict[str, Any]:
    """What was done just now, to be told once: how many were purged or marked stale."""
    # Which one it was is told to whom it was done for, and never taken from an address that anybody may have written.
    return {"purged": told_count(parameters.get("purged")), "stale": told_count(parameters.get("stale")), "url": ""}
