"""The levers: which part of the edge goes by which keys. Thin on purpose: each part knows how to change."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.compression import Compression
from proxy.config.model import Config
from proxy.purging import Purger
from proxy.realtime_core import RealtimeCore
from proxy.routing import RouteTable
from proxy.storage.base import Entry
from proxy.storage.tiers import Tiers
from proxy.tuning.knobs import keys_of


class EdgeLevers:
    """The parts of one edge. `realtime` and `compression` are None where they are not there, and so are their keys."""

    def __init__(
        self,
        config: Config,
        *,
        store: Tiers,
        routes: RouteTable,
        purger: Purger,
        compression: Compression | None,
        realtime: RealtimeCore | None,
    ) -> None:
        self._store = store
        self._routes = routes
        self._purger = purger
        self._compression = compression
        self._realtime = realtime
        self._report_routes = frozenset(config.tuning.auto.report_routes)
        self._report_tags = frozenset(config.tuning.auto.report_tags)

    def keys(self) -> tuple[str, ...]:
        """The keys that have an effect here."""
        return keys_of(realtime=self._realtime is not None, compression=self._compression is not None)

    def tune(self, config: Config) -> None:
        """Go by this configuration from now on."""
        self._routes.tune(config.cache)
        if self._store.memory_limit != config.cache.memory:
            self._store.resize_memory(config.cache.memory)
        if self._compression is not None:
            self._compression.enabled = config.cache.compression.enabled
        if self._realtime is not None:
            self._realtime.tune(config.realtime)

    async def clear(self, *, profiles: bool, reports: bool) -> Mapping[str, int]:
        """Forget profiles, mark reports stale; how many stored responses there were."""
        if profiles and self._realtime is not None:
            self._realtime.forget_profiles()
        return {"stale": await self._purger.purge(self._is_report, soft=True)} if reports else {}

    def _is_report(self, entry: Entry) -> bool:
        return entry.route in self._report_routes or not self._report_tags.isdisjoint(entry.tags)
