"""The dashboard's pages.

Each is rendered by one template, whole for a visitor and as its live part for htmx, which asks the page's own
address again and again. Everything works without script.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp_jinja2
import jinja2
from aiohttp import web

from webui import charts, formats
from webui.assets import Assets
from webui.query import CacheQuery
from webui.snapshot import Actions, CacheList, Overview

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_log = logging.getLogger(__name__)


def setup(
    app: web.Application,
    *,
    overview: Callable[[], Overview],
    cache: Callable[[CacheQuery], CacheList],
    actions: Actions,
) -> None:
    """Register the pages and their static files. The two sources are asked on the event loop, once per look."""
    assets = Assets()
    _environment(app, assets)
    pages = _Pages(overview, cache, actions)
    app.router.add_get("/", pages.show_overview)
    app.router.add_get("/cache", pages.show_cache)
    app.router.add_post("/cache/purge", pages.purge)
    app.router.add_get("/static/{name:.+}", assets.serve)


class _Pages:
    def __init__(
        self, overview: Callable[[], Overview], cache: Callable[[CacheQuery], CacheList], actions: Actions
    ) -> None:
        self._overview = overview
        self._cache = cache
        self._actions = actions

    async def show_overview(self, request: web.Request) -> web.Response:
        try:
            overview = self._overview()
        except Exception:
            return _failed(request, "overview")
        return _render(request, "overview.html", page="overview", o=overview)

    async def show_cache(self, request: web.Request) -> web.Response:
        query = _query(dict(request.query))
        return self._cache_page(request, query, purged=_count(request.query.get("purged")))

    async def purge(self, request: web.Request) -> web.Response:
        form = await request.post()
        # The list to return to comes as parameters and is parsed: no address of somebody else's can stand here.
        query = _query(dict(parse_qsl(str(form.get("list", "")))))
        if entry_id := form.get("id"):
            purged = await self._actions.purge_entry(str(entry_id))
        elif form.get("all") == "yes":
            purged = await self._actions.purge(query.at(1))
        else:
            raise web.HTTPBadRequest(text="Say what to purge: id=…, or all=yes for what the list's filter accepts.\n")
        if _is_live(request):
            return self._cache_page(request, query, purged=purged)
        address = query.path
        raise web.HTTPSeeOther(f"{address}{'&' if '?' in address else '?'}purged={purged}")

    def _cache_page(self, request: web.Request, query: CacheQuery, *, purged: int | None) -> web.Response:
        try:
            listed = self._cache(query)
        except Exception:
            return _failed(request, "cache")
        response = _render(request, "cache.html", page="cache", c=listed, q=listed.query, purged=purged)
        # The address bar follows the filter in its shortest form, and forgets a purge that is told already.
        response.headers["HX-Replace-Url"] = listed.query.path
        return response


def _environment(app: web.Application, assets: Assets) -> None:
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=False,
    )
    environment.filters.update(
        age=formats.age,
        clock=formats.clock,
        count=formats.count,
        duration=formats.duration,
        rate=formats.rate,
        ratio=formats.ratio,
        size=formats.size,
        timestamp=formats.timestamp,
    )
    environment.globals.update(asset=assets.url, chart_area=charts.area, chart_line=charts.line)


def _is_live(request: web.Request) -> bool:
    return request.headers.get("HX-Request") == "true"


def _render(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    layout = "live.html" if _is_live(request) else "page.html"
    response = aiohttp_jinja2.render_template(template, request, {"layout": layout, **context}, status=status)
    response.headers["Vary"] = "HX-Request"
    return response


def _failed(request: web.Request, page: str) -> web.Response:
    _log.exception("the %s page has no figures", page)
    return _render(request, "failed.html", status=500, page=page)


def _query(parameters: dict[str, str]) -> CacheQuery:
    try:
        return CacheQuery.parse(parameters)
    except ValueError as problem:
        raise web.HTTPBadRequest(text=f"The address is not right: {problem}.\n") from None


def _count(text: str | None) -> int | None:
    valid = text is not None and text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if valid and text is not None else None
