"""The last exchanges with the reason of each, and why a URL is answered as it is; the same as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from aiohttp import web

from webui.frame import Frame
from webui.problems import problem
from webui.traffic_shown import CannotExplain, Explained, Explaining, TrafficList, TrafficQuery

MAX_URL = 4_000


def setup(frame: Frame, traffic: Callable[[TrafficQuery], TrafficList], explaining: Explaining) -> None:
    """Register the page. The sources are asked on the event loop, once per look."""
    pages = _Traffic(frame, traffic, explaining)
    frame.add("traffic", "/traffic", "Traffic")
    frame.app.router.add_get("/traffic", pages.show)
    frame.app.router.add_get("/traffic/explain", pages.explain)
    frame.app.router.add_get("/api/traffic", pages.as_json)


class _Traffic:
    def __init__(self, frame: Frame, traffic: Callable[[TrafficQuery], TrafficList], explaining: Explaining) -> None:
        self._frame = frame
        self._traffic = traffic
        self._explaining = explaining

    async def show(self, request: web.Request) -> web.Response:
        try:
            query = TrafficQuery.parse(request.query)
        except ValueError as wrong:
            raise web.HTTPBadRequest(text=f"The address is not right: {wrong}.\n") from None
        try:
            listed = self._traffic(query)
        except Exception:
            return self._frame.failed(request, "traffic")
        response = self._frame.render(request, "traffic.html", page="traffic", t=listed, q=query)
        response.headers["HX-Replace-Url"] = query.path
        return response

    async def as_json(self, request: web.Request) -> web.Response:
        """What /traffic shows with the same parameters."""
        try:
            query = TrafficQuery.parse(request.query)
        except ValueError as wrong:
            return problem(400, "bad-filter", f"{wrong}.")
        listed = self._traffic(query)
        exchanges = [asdict(exchange) for exchange in listed.rows]
        return web.json_response({"found": listed.found, "kept": listed.kept, "exchanges": exchanges})

    async def explain(self, request: web.Request) -> web.Response:
        """Explain what a URL, or a remembered exchange (`of`), would get now."""
        url, headers = request.query.get("url", "").strip(), request.query.get("headers", "")
        number = request.query.get("of", "")
        explained: Explained | None = None
        wrong = ""
        try:
            if number.isascii() and number.isdigit() and len(number) < 17:
                url = self._explaining.url_of(int(number)) or ""
                explained = await self._explaining.explain_exchange(int(number))
                if explained is not None:
                    url, headers = explained.url, "\n".join(explained.headers)
                wrong = "" if explained else "That exchange is forgotten already, or was no request that could be read."
            elif len(url) > MAX_URL:
                wrong = f"That URL is longer than {MAX_URL:,} characters."
            elif url:
                lines = tuple(line.strip() for line in headers.splitlines() if line.strip())
                explained = await self._explaining.explain(url, lines)
        except CannotExplain as question:
            wrong = f"{str(question)[:1].upper()}{str(question)[1:]}."
        except Exception:
            return self._frame.failed(request, "traffic")
        return self._frame.render(
            request,
            "explain.html",
            page="traffic",
            e=explained,
            wrong=wrong,
            url=url,
            headers=headers,
            here=request.path_qs,
        )
