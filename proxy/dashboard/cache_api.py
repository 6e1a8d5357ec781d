"""The cache for scripts: the same list, filters and purges that the pages have, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from aiohttp import web

from proxy.admin import problem_response
from proxy.dashboard.cache import CacheSource
from proxy.errors import RequestRefused
from webui.frame import actor
from webui.query import NAMES, CacheQuery

_OWN = ("soft", "dry_run", "everything")


class CacheApi:
    """The handlers. They answer errors as problem documents (RFC 9457)."""

    def __init__(self, cache: CacheSource) -> None:
        self._cache = cache

    def setup(self, app: web.Application) -> None:
        """Register the paths."""
        app.router.add_get("/api/cache", self.listed)
        app.router.add_delete("/api/cache", self.purge)
        app.router.add_get("/api/cache/{id:[0-9a-f]{32}}", self.detail)
        app.router.add_delete("/api/cache/{id:[0-9a-f]{32}}", self.purge_one)

    async def listed(self, request: web.Request) -> web.Response:
        """A page of the stored responses, with the filters, order and paging of the cache page."""
        try:
            found = await self._cache.listed(_query(request.query))
        except RequestRefused as error:
            return problem_response(error)
        return web.json_response(
            {
                "total": found.total,
                "size": found.size,
                "stored": found.shelf.stored,
                "page": found.query.page,
                "pages": found.pages,
                "limit": found.query.limit,
                "responses": [asdict(row) for row in found.rows],
            }
        )

    async def detail(self, request: web.Request) -> web.Response:
        """Everything about one stored response, save its body."""
        found = await self._cache.detail(request.match_info["id"])
        if found is None:
            return problem_response(_gone())
        document = {name: value for name, value in asdict(found).items() if name not in ("row", "explain")}
        return web.json_response({**asdict(found.row), **document})

    async def purge(self, request: web.Request) -> web.Response:
        """Purge what the filter accepts. `soft=yes` marks stale, `dry_run=yes` counts; without any filter it has to be
        `everything=yes`."""
        try:
            query = _query({name: value for name, value in request.query.items() if name not in _OWN})
            soft, dry_run = _flag(request.query, "soft"), _flag(request.query, "dry_run")
            if not query.scoped and not _flag(request.query, "everything"):
                raise RequestRefused(400, "bad-purge", "say what: a filter, such as ?tag=x, or ?everything=yes")
        except RequestRefused as error:
            return problem_response(error)
        if dry_run:
            count = (await self._cache.listed(query.turned(1))).total
        else:
            count = await self._cache.purge(query, by=actor(request), soft=soft)
        return web.json_response({"count": count, "soft": soft, "dry_run": dry_run})

    async def purge_one(self, request: web.Request) -> web.Response:
        """Purge one stored response; `soft=yes` marks it stale."""
        try:
            soft = _flag(request.query, "soft")
            count = await self._cache.purge_entry(request.match_info["id"], by=actor(request), soft=soft)
            if not count:
                raise _gone()
        except RequestRefused as error:
            return problem_response(error)
        return web.json_response({"count": count, "soft": soft})


def _query(parameters: Mapping[str, str]) -> CacheQuery:
    # A filter that is misspelt would leave nothing out, and a purge take everything.
    if unknown := sorted(set(parameters) - NAMES):
        raise RequestRefused(400, "bad-filter", f"{unknown[0]!r} is not known; filters are {', '.join(sorted(NAMES))}")
    try:
        query = CacheQuery.parse({**parameters, "view": "list"})
    except ValueError as problem:
        raise RequestRefused(400, "bad-filter", str(problem)) from None
    return replace(query, view="list")


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    value = parameters.get(name, "no")
    if value not in ("yes", "no"):
        raise RequestRefused(400, "bad-filter", f"{name} is yes or no")
    return value == "yes"


def _gone() -> RequestRefused:
    return RequestRefused(404, "not-stored", "no stored response has this id (any more)")
