"""What a browser opens: the application's page, one page for each report, and the small files beside them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import jinja2
from aiohttp import web

from demo.answers import is_unchanged, not_modified, text_answer, varied, weak_tag
from demo.assets import ASSETS
from demo.database import DATABASE
from demo.reports import details, version
from demo.seed import USERS
from demo.vocabulary import CATEGORIES, STATUSES

TEMPLATES = Path(__file__).parent / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)
environment.filters["moment"] = lambda value: datetime.fromisoformat(value).strftime("%-d %B %Y, %H:%M")
environment.filters["words"] = lambda value: value.replace("-", " ").capitalize()


async def show_home(request: web.Request) -> web.Response:
    """The application's page. It changes when its assets do."""
    assets = request.app[ASSETS]
    tag = weak_tag("home", *sorted(assets.published))
    headers = _page_headers(tag) | {"Cache-Control": "public, max-age=0, stale-if-error=86400"}
    if is_unchanged(request, tag):
        return not_modified(headers)
    # What is vendored is loaded when it is needed, if ever.
    scripts = [assets[name] for name in assets if name.endswith(".js") and name != "app.js" and "/" not in name]
    page = environment.get_template("index.html").render(
        assets=assets, scripts=scripts, categories=CATEGORIES, statuses=STATUSES, users=USERS
    )
    return text_answer(request, page, "text/html", headers)


async def show_report_page(request: web.Request) -> web.Response:
    """A report to read and share, without any script; it has a validator and leaves the rest to the caches."""
    report, database = request.match_info["id"], request.app[DATABASE]
    assets = request.app[ASSETS]
    headers = _page_headers(weak_tag("page", version(database, report).strip('W/"'), assets["app.css"][-14:-4]))
    if is_unchanged(request, headers["ETag"]):
        return not_modified(headers)
    page = environment.get_template("report.html").render(assets=assets, report=details(database, report))
    return text_answer(request, page, "text/html", headers)


async def show_robots(request: web.Request) -> web.Response:
    headers = {"Cache-Control": "public, max-age=86400"}
    return text_answer(request, "User-agent: *\nDisallow: /api/\nDisallow: /demo/\n", "text/plain", headers)


async def show_icon(request: web.Request) -> web.Response:
    icon = TEMPLATES.joinpath("favicon.svg").read_text()
    return text_answer(request, icon, "image/svg+xml", {"Cache-Control": "public, max-age=3600"})


def _page_headers(tag: str) -> dict[str, str]:
    return varied({"ETag": tag, "Content-Security-Policy": POLICY})
