"""Carrying out purges: what is stored goes, and what is on its way may not bring it back."""

from __future__ import annotations

from collections.abc import Callable

from proxy.fetching import Landing
from proxy.flight import Flights
from proxy.storage.base import Entry, Store


class Purger:
    """Removes stored responses on an operator's word."""

    def __init__(self, store: Store, flights: Flights[Landing], now: Callable[[], float]) -> None:
        self._store = store
        self._flights = flights
        self._now = now

    async def purge(self, covers: Callable[[Entry], bool], *, soft: bool = False, dry_run: bool = False) -> int:
        """How many entries `covers` accepts; they are gone, or `soft`: stale, or `dry_run`: as they were."""
        if dry_run:
            return sum(1 for entry in self._store.entries() if covers(entry))
        self._flights.forget()
        if soft:
            return await self._store.expire(covers, self._now())
        return await self._store.remove(covers)
