"""Every route: its rule in words, what it has answered, what is stored for it; the same as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from aiohttp import web

from webui.frame import Frame
from webui.problems import problem
from webui.routes_shown import RoutesList, RoutesQuery


def setup(frame: Frame, routes: Callable[[RoutesQuery], RoutesList]) -> None:
    """Register the page. The source is asked on the event loop, once per look."""

    async def show(request: web.Request) -> web.Response:
        try:
            query = RoutesQuery.parse(request.query)
        except ValueError as wrong:
            raise web.HTTPBadRequest(text=f"The address is not right: {wrong}.\n") from None
        try:
            shown = routes(query)
        except Exception:
            return frame.failed(request, "routes")
        return frame.render(request, "routes.html", page="routes", r=shown, q=query)

    async def as_json(request: web.Request) -> web.Response:
        try:
            query = RoutesQuery.parse(request.query)
        except ValueError as wrong:
            return problem(400, "bad-order", f"{wrong}.")
        shown = routes(query)
        return web.json_response({"uptime": round(shown.uptime, 3), "routes": [asdict(row) for row in shown.rows]})

    frame.add("routes", "/routes", "Routes")
    frame.app.router.add_get("/routes", show)
    frame.app.router.add_get("/api/routes", as_json)
