"""What the dashboard shows, read off the running edge: the bridge between our figures and webui's snapshot."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from proxy.config.model import Config
from proxy.operations.ledger import Ledger
from proxy.operations.metrics import KeptFigures, OriginFigures, StoreFigures
from proxy.outcome import Outcome
from proxy.policy.codings import coding_of, source_key
from proxy.purging import Purger
from proxy.storage.base import Entry
from proxy.storage.tiers import Tiers
from proxy.upstream import Origin
from proxy.version import __version__
from webui import snapshot
from webui.health import judge
from webui.listing import cache_list, entry_id
from webui.query import CacheQuery

WINDOW = 30
SPARKLINE = 120
RECENT = 15
TROUBLE = 300


class Dashboard:
    """The overview, the cache list and the actions of one edge; implements webui's Actions."""

    def __init__(
        self,
        config: Config,
        *,
        ledger: Ledger,
        store: Tiers,
        origin: Origin,
        purger: Purger,
        now: Callable[[], float],
        connections: Callable[[], int],
        public_url: Callable[[], str],
        kept: Callable[[], KeptFigures] = KeptFigures,
    ) -> None:
        self._kept = kept
        self._config = config
        self._ledger = ledger
        self._store = store
        self._origin = origin
        self._purger = purger
        self._now = now
        self._connections = connections
        self._public_url = public_url
        self._started = now()
        self._errors_seen: deque[tuple[float, int]] = deque([(self._started, 0)], maxlen=1000)

    def overview(self) -> snapshot.Overview:
        """Everything the first page shows, as of now."""
        rates = self._ledger.rates(WINDOW)
        figures = self.store_figures()
        kept = self._kept()
        origin = self._origin_shown()
        return snapshot.Overview(
            version=__version__,
            now=self._now(),
            uptime=self._now() - self._started,
            health=judge(
                origin,
                now=self._now(),
                requests=self._ledger.total,
                error_ratio=rates.error_ratio,
                storage_errors=self._recent_storage_errors(figures.storage_errors),
            ),
            public_url=self._public_url(),
            window=rates.window,
            requests_total=self._ledger.total,
            requests_per_second=rates.requests_per_second,
            bytes_per_second=rates.bytes_per_second,
            hit_ratio=rates.hit_ratio,
            byte_hit_ratio=rates.byte_hit_ratio,
            error_ratio=rates.error_ratio,
            p50=rates.p50,
            p95=rates.p95,
            in_flight=self._ledger.in_flight,
            connections=self._connections(),
            origin=origin,
            stored=figures.entries,
            tiers=(
                snapshot.Tier("memory", figures.memory_entries, figures.memory_bytes, self._config.cache.memory),
                snapshot.Tier("disk", figures.disk_entries, figures.disk_bytes, self._config.cache.disk),
            ),
            write_behind=figures.write_behind_bytes,
            queued_writes=kept.queued_writes,
            dead_writes=kept.dead_writes,
            oldest_write=kept.oldest_write,
            precache=(kept.precache_stored, kept.precache_total),
            recent=tuple(_shown(outcome) for outcome in self._ledger.recent(RECENT)),
            series=tuple(self._ledger.series(SPARKLINE)),
        )

    def _recent_storage_errors(self, count: int) -> int:
        """How many of them since some look within TROUBLE seconds; trouble that is over is over."""
        now = self._now()
        self._errors_seen.append((now, count))
        while len(self._errors_seen) > 1 and self._errors_seen[1][0] < now - TROUBLE:
            self._errors_seen.popleft()
        return count - self._errors_seen[0][1]

    def cache(self, query: CacheQuery) -> snapshot.CacheList:
        """The page of stored responses that `query` asks for."""
        listed = cache_list(
            self._store.entries(),
            query,
            now=self._now(),
            variants=lambda key: len(self._store.variants(key)),
            public_url=self._public_url(),
        )
        return replace(listed, rows=tuple(replace(row, url=masked(row.url)) for row in listed.rows))

    async def purge_entry(self, entry_id_: str) -> int:
        """Remove the stored response with this id, and its coded copies with it."""

        def meant(entry: Entry) -> bool:
            if entry_id(entry) == entry_id_:
                return True
            return bool(coding_of(entry.key)) and entry_id(replace(entry, key=source_key(entry.key))) == entry_id_

        return await self._purger.purge(meant)

    async def purge(self, query: CacheQuery) -> int:
        """Remove what `query` accepts, as of now."""
        now = self._now()

        def accepted(entry: Entry) -> bool:
            return query.accepts(entry, now)

        return await self._purger.purge(accepted)

    def store_figures(self) -> StoreFigures:
        stats = self._store.stats()
        return StoreFigures(
            entries=stats.entries,
            memory_entries=stats.memory_entries,
            memory_bytes=stats.memory_bytes,
            disk_entries=stats.disk_entries,
            disk_bytes=stats.disk_bytes,
            memory_evictions=stats.evictions["memory"],
            disk_evictions=stats.evictions["disk"],
            write_behind_bytes=stats.write_behind_bytes,
            dropped_writes=stats.dropped_writes,
            storage_errors=stats.storage_errors,
            purged=stats.purged,
            damaged=stats.damaged,
        )

    def origin_figures(self) -> OriginFigures:
        health = self._origin.health
        return OriginFigures(
            up={"up": True, "down": False}.get(health.state),
            requests=health.requests,
            errors=health.errors,
            retries=health.retries,
            connect_errors=health.connect_errors,
            open_connections=health.open_connections,
            idle_connections=health.idle_connections,
        )

    def _origin_shown(self) -> snapshot.Origin:
        health, rates = self._origin.health, self._ledger.rates(WINDOW)
        return snapshot.Origin(
            url=self._config.origin.url,
            state=health.state,
            since=health.since,
            last_error=health.last_error,
            last_error_at=health.last_failure,
            p50=rates.origin_p50,
            p95=rates.origin_p95,
            requests_per_second=rates.origin_requests_per_second,
            open_connections=health.open_connections,
        )


def masked(url: str) -> str:
    """A URL or target for eyes: the values of query parameters that sound like secrets are hidden."""
    return _SECRET.sub(r"\1********", url) if "?" in url else url


_SECRET = re.compile(
    r"([?&;][^=&;]*(?:token|secret|passw|pwd|api_?key|auth|session|signature|code|jwt)[^=&;]*=)[^&;]*", re.IGNORECASE
)


def _shown(outcome: Outcome) -> snapshot.RecentExchange:
    return snapshot.RecentExchange(
        started=outcome.started,
        method=outcome.method,
        target=masked(outcome.target),
        status=outcome.status,
        verdict=outcome.verdict,
        reason=outcome.reason,
        duration=outcome.duration,
        route=outcome.route,
    )
