"""The configuration in force: every value, its default, and where it came from. Secrets are masked before they come."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from webui.config_shown import ConfigQuery, ConfigSource, config_list
from webui.frame import Frame, actor, is_live


def setup(frame: Frame, source: ConfigSource) -> None:
    """Register the page and its JSON."""
    page = _Config(frame, source)
    frame.add("config", "/config", "Config")
    frame.app.router.add_get("/config", page.show)
    frame.app.router.add_get("/api/config", page.json)
    frame.app.router.add_post("/config/reload", page.reload)
    frame.app.router.add_post("/api/config/reload", page.reload_json)


class _Config:
    def __init__(self, frame: Frame, source: ConfigSource) -> None:
        self._frame = frame
        self._source = source

    async def show(self, request: web.Request) -> web.Response:
        try:
            query = ConfigQuery.parse(request.query)
        except ValueError as problem:
            raise web.HTTPBadRequest(text=f"The address is not right: {problem}.\n") from None
        # What became of it is known to the timeline; an address could claim anything.
        told = "the timeline says what became of it" if request.query.get("reloaded") == "yes" else ""
        return self._shown(request, query, told=told)

    async def reload(self, request: web.Request) -> web.Response:
        """Read the configuration again, and show it with what became of that."""
        try:
            told = await self._source.reload(actor(request))
        except ValueError as problem:
            return self._shown(request, ConfigQuery(), wrong=str(problem))
        if is_live(request):
            return self._shown(request, ConfigQuery(), told=told)
        raise web.HTTPSeeOther("/config?reloaded=yes")

    async def reload_json(self, request: web.Request) -> web.Response:
        """The same for scripts: 422 with the report if it is wrong, and nothing has changed."""
        try:
            return web.json_response({"result": await self._source.reload(actor(request))})
        except ValueError as problem:
            document = {"title": "bad-configuration", "status": 422, "detail": str(problem)}
            return web.json_response(document, status=422, content_type="application/problem+json")

    def _shown(self, request: web.Request, query: ConfigQuery, *, told: str = "", wrong: str = "") -> web.Response:
        try:
            listed = config_list(self._source.groups(), query, self._source.notes())
        except Exception:
            return self._frame.failed(request, "config")
        return self._frame.render(
            request,
            "config.html",
            page="config",
            c=listed,
            q=query,
            told=told,
            wrong=wrong,
            can_reload=self._source.can_reload,
        )

    async def json(self, request: web.Request) -> web.Response:
        """The settings as scripts read them, by the page's filters."""
        try:
            query = ConfigQuery.parse(request.query)
        except ValueError as problem:
            document = {"title": "bad-filter", "status": 400, "detail": str(problem)}
            return web.json_response(document, status=400, content_type="application/problem+json")
        found = [each for group in self._source.groups() for each in group.settings if query.accepts(each)]
        settings = [{name: value for name, value in asdict(each).items() if name != "name"} for each in found]
        return web.json_response({"settings": settings, "notes": list(self._source.notes())})
