"""What all pages share: the layout, the way a page is shown whole and as its live part, and the list of pages.

A page is a module of `webui.pages` with a `setup` that registers its addresses and its name here. It is rendered by
one template: whole for a visitor, and as its live part for htmx, which asks the page's own address again and again.
Everything works without script.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web

from webui import charts, formats
from webui.asking import actor as actor  # pages find all they need here
from webui.asking import asker
from webui.assets import Assets
from webui.refusals import SHOWN
from webui.streams import Streams

_TEMPLATES = Path(__file__).resolve().parent / "templates"
_log = logging.getLogger(__name__)

_BETWEEN_TEMPLATES = 0.05
"""Seconds: an edge that has just started has others to serve."""

KEYS = {
    "overview": "o", "traffic": "t", "cache": "c", "routes": "u", "realtime": "r",
    "outbox": "b", "alerts": "a", "tuning": "n", "timeline": "l", "config": "f",
}  # fmt: skip
"""The letter that leads to a page after `g`."""

ORDER = tuple(KEYS)
"""Pages as the navigation lists them, whatever the order they are set up in."""


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the navigation."""

    name: str
    path: str
    label: str

    @property
    def key(self) -> str:
        return KEYS[self.name]


class Frame:
    """The layout on one application. Pages are added before the application starts."""

    def __init__(self, app: web.Application) -> None:
        self.app = app
        self.assets = Assets()
        self._pages: list[Page] = []
        self._looked_at = asyncio.Event()
        self._environment = _environment(app, self.assets)
        self._environment.globals["pages"] = self._pages
        self.offer(firing_alerts=tuple)
        self._environment.globals["has_page"] = lambda name: any(page.name == name for page in self._pages)
        self.streams = Streams(app, self.shows)
        app[SHOWN] = self._refused
        app.router.add_get("/static/{name:.+}", self.assets.serve)

    def add(self, name: str, path: str, label: str) -> None:
        """List a page in the navigation."""
        self._pages.append(Page(name, path, label))
        self._pages.sort(key=lambda page: ORDER.index(page.name))

    def offer(self, **functions: Callable[..., Any]) -> None:
        """Let every template call a function by its name."""
        self._environment.globals.update(functions)

    def shows(self, path: str) -> bool:
        """Whether a path is a page's own or below it, and so may be looked at live."""
        return any(path == page.path or (page.path != "/" and path.startswith(f"{page.path}/")) for page in self._pages)

    def render(
        self, request: web.Request, template: str, *, page: str, status: int = 200, **context: Any
    ) -> web.Response:
        """The page, or its live part when htmx asks."""
        self._looked_at.set()
        shared = {
            "layout": "live.html" if is_live(request) else "page.html",
            "page": page,
            "can_change": asker(request).may_change,
            "session": asker(request).session,
        }
        found = aiohttp_jinja2.render_template(template, request, {**shared, **context}, status=status)
        found.headers["Vary"] = "HX-Request"
        return found

    async def prepare(self, within: float = 0.0) -> None:
        """Compile the templates in the background, so that no look at a page is the slow one: when somebody first looks
        at one, or after so many seconds.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._looked_at.wait(), within)
        for name in self._environment.list_templates():
            await asyncio.to_thread(self._environment.get_template, name)
            await asyncio.sleep(_BETWEEN_TEMPLATES)

    def _refused(self, request: web.Request, status: int, title: str, sentence: str) -> web.Response:
        """A page for whoever followed a wrong address, with a way back to the page that it is of."""
        path = request.path
        fits = [each for each in self._pages if path == each.path or path.startswith(f"{each.path.rstrip('/')}/")]
        back = max(fits, key=lambda each: len(each.path), default=Page("overview", "/", "Overview"))
        page = "" if status == 404 else back.name
        return self.render(request, "refused.html", page=page, status=status, title=title, sentence=sentence, back=back)

    def failed(self, request: web.Request, page: str) -> web.Response:
        """To be called where an exception is handled: the figures of a page could not be read."""
        _log.exception("the %s page has no figures", page)
        return self.render(request, "failed.html", status=500, page=page, again=request.path_qs)


def is_live(request: web.Request) -> bool:
    """The live part is asked for, not the whole page."""
    return request.headers.get("HX-Request") == "true"


def _environment(app: web.Application, assets: Assets) -> jinja2.Environment:
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
        countdown=formats.countdown,
        duration=formats.duration,
        rate=formats.rate,
        ratio=formats.ratio,
        size=formats.size,
        timestamp=formats.timestamp,
    )
    environment.globals.update(asset=assets.url, has_asset=assets.has, chart_area=charts.area, chart_line=charts.line)
    return environment
