"""The demo origin put together: every route and the parts behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from demo import chat, contributions, pages, people, pictures, reports
from demo.announcements import Announcements
from demo.assets import ASSETS, Assets, show_asset
from demo.chaos import Chaos
from demo.database import DATABASE, Database
from demo.pictures import PICTURES, Pictures
from demo.problems import answer_problems
from demo.seed import plant
from demo.statistics import Statistics

LARGEST_REQUEST = 8 * 2**20


def build(directory: Path, publish: str | None = None, token: str | None = None) -> web.Application:
    """The application, freshly seeded; pictures are kept below `directory`.

    New and changed reports are published at the URL `publish`, with `token` where it wants one.
    """
    database = Database()
    plant(database)
    # Read once at the start: which incident a seeded photo shows never changes.
    categories = {row["number"]: row["category"] for row in database.all("SELECT number, category FROM reports")}
    database.statements = 0
    statistics, chaos = Statistics(database), Chaos()
    announcements = Announcements(publish, token, database)
    app = web.Application(
        middlewares=[statistics.middleware, answer_problems, chaos.middleware, announcements.middleware],
        client_max_size=LARGEST_REQUEST,
    )
    app[DATABASE] = database
    app[PICTURES] = Pictures(directory, lambda: categories)
    app[ASSETS] = Assets()
    app.router.add_routes(routes(statistics, chaos))
    app.on_response_prepare.append(_harden)
    app.cleanup_ctx.append(_close)
    app.cleanup_ctx.append(announcements.deliver)
    return app


def routes(statistics: Statistics, chaos: Chaos) -> list[web.RouteDef]:
    """Everything this application answers."""
    return [
        web.get("/api/auth/session", people.show_session),
        web.post("/api/auth/login", people.log_in),
        web.post("/api/auth/logout", people.log_out),
        web.get("/api/profiles", people.list_profiles),
        web.get("/api/profiles/{id}", people.show_profile),
        web.get("/api/reports", reports.list_reports),
        web.post("/api/reports", contributions.create_report),
        web.get("/api/reports/{id}", reports.show_report),
        web.post("/api/reports/{id}/likes", contributions.like),
        web.delete("/api/reports/{id}/likes", contributions.unlike),
        web.post("/api/reports/{id}/comments", contributions.add_comment),
        web.get("/api/likes", reports.list_likes),
        web.get("/api/search", reports.search),
        web.get("/api/chat/conversations", chat.list_conversations),
        web.get("/api/chat/messages/{conversation}", chat.list_messages),
        web.post("/api/chat/messages/batch", chat.send_batch),
        web.get("/uploads/{name}", pictures.show_photo),
        web.get("/avatars/{name}", pictures.show_avatar),
        web.get("/assets/{name}", show_asset),
        web.get("/", pages.show_home),
        web.get("/reports/{id}", pages.show_report_page),
        web.get("/robots.txt", pages.show_robots),
        web.get("/favicon.svg", pages.show_icon),
        web.get("/demo/stats", statistics.show),
        web.post("/demo/stats/reset", statistics.reset),
        web.get("/demo/chaos", chaos.show),
        web.post("/demo/chaos", chaos.change),
    ]


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"


async def _close(app: web.Application) -> AsyncIterator[None]:
    yield
    app[PICTURES].close()
    app[DATABASE].close()
