"""The overview: is it healthy, and what is it doing."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from webui.frame import Frame
from webui.snapshot import Overview


def setup(frame: Frame, overview: Callable[[], Overview]) -> None:
    """Register the page. The source is asked on the event loop, once per look."""

    async def show(request: web.Request) -> web.Response:
        try:
            shown = overview()
        except Exception:
            return frame.failed(request, "overview")
        return frame.render(request, "overview.html", page="overview", o=shown)

    frame.add("overview", "/", "Overview")
    frame.app.router.add_get("/", show)
