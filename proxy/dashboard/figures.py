"""How the store and the origin stand, as the metrics and the pages read it."""

from __future__ import annotations

from proxy.operations.metrics import OriginFigures, StoreFigures
from proxy.storage.tiers import Tiers
from proxy.upstream import Origin


class Figures:
    """Asked at every look; each answer is of this moment."""

    def __init__(self, store: Tiers, origin: Origin) -> None:
        self._store = store
        self._origin = origin

    @property
    def memory_limit(self) -> int:
        """What the memory tier may hold now; tuning may have changed it."""
        return self._store.memory_limit

    def store(self) -> StoreFigures:
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
            disk_available=stats.disk_available,
            purged=stats.purged,
            marked_stale=stats.marked_stale,
            damaged=stats.damaged,
        )

    def origin(self) -> OriginFigures:
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
