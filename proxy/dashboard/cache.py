"""The stored responses as the cache page lists them, and what an operator does with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from proxy.dashboard.masking import masked
from proxy.operations.timeline import Timeline
from proxy.policy.codings import coding_of, source_key
from proxy.purging import Purger
from proxy.storage.base import Entry
from proxy.storage.tiers import Tiers
from webui import snapshot
from webui.listing import cache_list, entry_id
from webui.query import CacheQuery


class CacheSource:
    """The list, and webui's CacheActions."""

    def __init__(
        self,
        store: Tiers,
        purger: Purger,
        timeline: Timeline,
        *,
        now: Callable[[], float],
        public_url: Callable[[], str],
    ) -> None:
        self._store = store
        self._purger = purger
        self._timeline = timeline
        self._now = now
        self._public_url = public_url

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

    async def purge_entry(self, entry_id_: str, *, by: str) -> int:
        """Remove the stored response with this id, and its coded copies with it."""

        def meant(entry: Entry) -> bool:
            if entry_id(entry) == entry_id_:
                return True
            return bool(coding_of(entry.key)) and entry_id(replace(entry, key=source_key(entry.key))) == entry_id_

        purged = await self._purger.purge(meant)
        self._timeline.add("purge", by, "one stored response was purged", purged=purged)
        return purged

    async def purge(self, query: CacheQuery, *, by: str) -> int:
        """Remove what `query` accepts, as of now."""
        now = self._now()

        def accepted(entry: Entry) -> bool:
            return query.accepts(entry, now)

        purged = await self._purger.purge(accepted)
        what = f"what matches {query.url_query}" if query.filtered else "everything stored"
        self._timeline.add("purge", by, f"{what} was purged", purged=purged)
        return purged
