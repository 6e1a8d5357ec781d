"""Everything that was done, by people, scripts and the edge itself."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from webui.formats import timestamp
from webui.frame import Frame
from webui.timeline_shown import ACTORS, KINDS, Happening, TimelineQuery, TimelineSource

LATEST = 5
MOST = 1000


def setup(frame: Frame, source: TimelineSource) -> None:
    """Register the page and its JSON, and offer `latest_events()` to every template, for timeline_short.html."""
    page = _Timeline(frame, source)
    frame.add("timeline", "/timeline", "Timeline")
    frame.app.router.add_get("/timeline", page.show)
    frame.app.router.add_get("/api/timeline", page.json)
    frame.offer(latest_events=page.latest)


class _Timeline:
    def __init__(self, frame: Frame, source: TimelineSource) -> None:
        self._frame = frame
        self._source = source

    def latest(self) -> tuple[Happening, ...]:
        return self._source.happenings(TimelineQuery(), LATEST).events

    async def show(self, request: web.Request) -> web.Response:
        try:
            query = TimelineQuery.parse(request.query)
        except ValueError as problem:
            raise web.HTTPBadRequest(text=f"The address is not right: {problem}.\n") from None
        try:
            listed = self._source.happenings(query, query.PAGE_SIZE)
        except Exception:
            return self._frame.failed(request, "timeline")
        return self._frame.render(
            request, "timeline.html", page="timeline", t=listed, q=query, kinds=KINDS, actors=ACTORS
        )

    async def json(self, request: web.Request) -> web.Response:
        """The events as scripts read them: the page's filters, and `limit` of them (100)."""
        try:
            query, limit = TimelineQuery.parse(request.query), _limit(request.query.get("limit", "100"))
        except ValueError as problem:
            document = {"title": "bad-filter", "status": 400, "detail": str(problem)}
            return web.json_response(document, status=400, content_type="application/problem+json")
        listed = self._source.happenings(query, limit)
        events = [
            {**asdict(event), "time": timestamp(event.at), "figures": dict(event.figures)} for event in listed.events
        ]
        return web.json_response({"events": events, "more": listed.more, "counts": dict(listed.counts)})


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) <= MOST):
        raise ValueError(f"limit must be a number from 1 to {MOST}")
    return int(text)
