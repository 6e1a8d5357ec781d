"""An edge as the dashboard sees it: real index entries, figures that a test sets, a purge that really removes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from aiohttp import web

from proxy.background import Background
from proxy.dashboard.cache import CacheSource
from proxy.flight import Flights
from proxy.operations.timeline import Timeline
from proxy.policy.messages import Rules
from proxy.purging import Purger
from proxy.storage.base import Entry, Store
from tests.dashboard.shelf import NOW, Shelf, stored
from webui.auth import security
from webui.frame import Frame
from webui.health import judge
from webui.login import Login
from webui.pages import cache, overview
from webui.pages import login as login_page
from webui.query import CacheQuery
from webui.snapshot import Origin, Overview, RecentExchange, Tier

PUBLIC_URL = "http://127.0.0.1:8080/"
ORIGIN = Origin("http://127.0.0.1:3000", "up", since=NOW - 300, p50=0.03, p95=0.2, requests_per_second=3.0)


class EdgeUnderView:
    """Figures that a test sets, counting how often they are looked at, and the real cache pages over a shelf."""

    def __init__(self) -> None:
        self.looks = 0
        self.shelf = Shelf()
        self.timeline = Timeline(lambda: NOW)
        purger = Purger(cast("Store", self.shelf), Flights(Background(), lambda: NOW), lambda: NOW)
        self.cache = CacheSource(
            self.shelf,
            purger,
            self.timeline,
            now=lambda: NOW,
            public_url=lambda: PUBLIC_URL,
            rules=lambda: {"api": Rules()},
        )
        self.figures = Overview(
            version="1.2.3",
            now=NOW,
            uptime=3700.0,
            health=judge(ORIGIN, now=NOW, requests=9, error_ratio=0.0),
            public_url=PUBLIC_URL,
            window=30.0,
            requests_total=1234,
            requests_per_second=12.5,
            bytes_per_second=2048.0,
            hit_ratio=0.931,
            byte_hit_ratio=0.874,
            error_ratio=0.0,
            p50=0.0009,
            p95=0.042,
            in_flight=2,
            connections=12,
            origin=ORIGIN,
            stored=3,
            tiers=(Tier("memory", 2, 512 * 1024, 2**20), Tier("disk", 3, 0, 2**30)),
            write_behind=0,
            recent=(RecentExchange(NOW, "GET", "/api/reports?page=1", 200, "hit", "fresh", 0.0004),),
            series=tuple((i % 7, i % 5) for i in range(120)),
        )

    def overview(self) -> Overview:
        self.looks += 1
        return self.figures

    async def purge_entry(self, entry_id: str, *, by: str = "operator", soft: bool = False) -> int:
        return await self.cache.purge_entry(entry_id, by=by, soft=soft)

    async def purge(self, query: CacheQuery, *, by: str = "operator", soft: bool = False) -> int:
        return await self.cache.purge(query, by=by, soft=soft)

    def store(self, path: str, **changes: object) -> Entry:
        """Add a stored response of `path`."""
        entry = stored(path, **changes)
        self.shelf.add(entry)
        return entry

    @property
    def entries(self) -> list[Entry]:
        """What is stored."""
        return self.shelf.shelved

    def show(self, **changes: object) -> None:
        """Change figures of the overview."""
        self.figures = replace(self.figures, **changes)  # type: ignore[arg-type] # field names, in tests only

    def application(
        self,
        token: str | None = None,
        *allowed_hosts: str,
        login: Login | None = None,
        read_only: bool = False,
        proxies: tuple[str, ...] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> web.Application:
        """The admin listener's application with the pages on it."""
        traffic = ("/api/realtime/publish",)
        guard = security(
            token, allowed_hosts, login=login, read_only=read_only, traffic=traffic, proxies=proxies, now=now
        )
        app = web.Application(middlewares=guard)
        frame = Frame(app)
        if login is not None:
            login_page.setup(frame, login)
        overview.setup(frame, self.overview)
        cache.setup(frame, self.cache, self)
        return app


@pytest.fixture
def edge() -> EdgeUnderView:
    return EdgeUnderView()
