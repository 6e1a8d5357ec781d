"""An edge as the dashboard sees it: real index entries, figures that a test sets, a purge that really removes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiohttp import web

from proxy.storage.base import Entry
from webui.auth import security
from webui.frame import Frame
from webui.health import judge
from webui.listing import cache_list, entry_id
from webui.login import Login
from webui.pages import cache, overview
from webui.pages import login as login_page
from webui.query import CacheQuery
from webui.snapshot import CacheList, Origin, Overview, RecentExchange, Tier

NOW = 1_800_000_000.0
PUBLIC_URL = "http://127.0.0.1:8080/"
ORIGIN = Origin("http://127.0.0.1:3000", "up", since=NOW - 300, p50=0.03, p95=0.2, requests_per_second=3.0)


class EdgeUnderView:
    """Implements what the overview and the cache page ask for, and counts how often the overview was looked at."""

    def __init__(self) -> None:
        self.looks = 0
        self.entries: list[Entry] = []
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

    def cache(self, query: CacheQuery) -> CacheList:
        def variants(key: str) -> int:
            return sum(entry.key == key for entry in self.entries)

        return cache_list(self.entries, query, now=NOW, variants=variants, public_url=PUBLIC_URL)

    async def purge_entry(self, entry_id_: str, *, by: str = "operator") -> int:
        return self._remove([entry for entry in self.entries if entry_id(entry) == entry_id_])

    async def purge(self, query: CacheQuery, *, by: str = "operator") -> int:
        return self._remove([entry for entry in self.entries if query.accepts(entry, NOW)])

    def store(self, path: str, **changes: object) -> Entry:
        """Add a stored response of `path`."""
        entry = Entry(
            key=f"GET {path}",
            vary=(),
            url=f"http://127.0.0.1:8080{path}",
            route="api",
            status=200,
            content_type="application/json",
            length=1000,
            stored_at=NOW - 60,
            last_used=NOW,
            fresh_until=NOW + 600,
            in_memory=True,
        )
        for name, value in changes.items():
            setattr(entry, name, value)
        self.entries.append(entry)
        return entry

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
    ) -> web.Application:
        """The admin listener's application with the pages on it."""
        traffic = ("/api/realtime/publish",)
        guard = security(token, allowed_hosts, login=login, read_only=read_only, traffic=traffic, proxies=proxies)
        app = web.Application(middlewares=guard)
        frame = Frame(app)
        if login is not None:
            login_page.setup(frame, login)
        overview.setup(frame, self.overview)
        cache.setup(frame, self.cache, self)
        return app

    def _remove(self, doomed: list[Entry]) -> int:
        self.entries = [entry for entry in self.entries if entry not in doomed]
        return len(doomed)


@pytest.fixture
def edge() -> EdgeUnderView:
    return EdgeUnderView()
