"""The stored responses as the cache pages show them, and what an operator does with them.

A coded copy is no response of its own here: it goes with the one that it was made of, and is told with it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol, TypeVar
from urllib.parse import quote

from proxy.compression import CODERS
from proxy.dashboard.catalogue import Catalogue, Stock
from proxy.dashboard.lifetimes import in_words, use, validators
from proxy.dashboard.selection import selected
from proxy.dashboard.turns import every, in_turns
from proxy.masking import masked, masked_field
from proxy.operations.timeline import Timeline
from proxy.policy.codings import coded_key, coding_of, source_key
from proxy.policy.matching import is_private
from proxy.policy.messages import Rules, StoredResponse, Vary
from proxy.purging import Purger, note_purge
from proxy.storage.base import Entry
from webui.branches import cache_tree
from webui.cache_shown import CacheDetail, CacheList, CacheRow, CacheTree, Shelf, Variant
from webui.listing import cache_list, entry_id
from webui.query import CacheQuery

KEPT_EVERY = 10.0
"""Seconds between two times that the catalogue is brought up to date while nobody looks."""
KEPT_SHARE = 0.01
"""Of one core, at most, for that."""

MOST_REMEMBERED = 2_000
MOST_KINDS = 50
MOST_VARIANTS = 100

T = TypeVar("T")


class Shelves(Stock, Protocol):
    """The part of the store that is looked at."""

    def variants(self, key: str) -> Sequence[Entry]: ...

    def with_url(self, url: str) -> list[Entry]: ...

    async def head(self, entry: Entry) -> StoredResponse | None: ...


class CacheSource:
    """webui's CacheSource and CacheActions on one store. `rules` are those of the routes there are now."""

    def __init__(
        self,
        store: Shelves,
        purger: Purger,
        timeline: Timeline,
        *,
        now: Callable[[], float],
        public_url: Callable[[], str],
        rules: Callable[[], Mapping[str, Rules]] = dict,
    ) -> None:
        self._store = store
        self._purger = purger
        self._timeline = timeline
        self._now = now
        self._public_url = public_url
        self._rules = rules
        self._catalogue = Catalogue(store)
        self._refreshing = asyncio.Lock()
        self._remembered: OrderedDict[str, tuple[str, Vary]] = OrderedDict()
        self._every = 2

    async def keep(self) -> None:
        """Know the order of what is stored before somebody looks; to be cancelled.

        To put a hundred thousand in order takes longer than an operator should wait for a page.
        """
        while True:
            spent = await self._refresh()
            await asyncio.sleep(max(KEPT_EVERY, spent / KEPT_SHARE))

    async def _refresh(self) -> float:
        """Bring the catalogue up to date, one look at a time; for how many seconds that held the loop altogether."""
        async with self._refreshing:
            return (await in_turns(self._catalogue.refresh())).seconds

    async def listed(self, query: CacheQuery) -> CacheList:
        """The page of stored responses that `query` asks for."""
        refreshed = await self._refresh()
        shelf, now = self._shelf(), self._now()
        found = cache_list(self._catalogue.responses, query, now=now, shelf=shelf, row=self._row, masked=masked)
        cost = await in_turns(found)
        self._every = every(refreshed + cost.seconds)
        return replace(cost.result, shelf=replace(cost.result.shelf, every=self._every))

    async def tree(self, query: CacheQuery) -> CacheTree:
        """The tree of what `query` accepts, open at `query.at`."""
        refreshed = await self._refresh()
        shelf, now = self._shelf(), self._now()
        tree = cache_tree(self._catalogue.responses, query, now=now, shelf=shelf, row=self._row, masked=masked)
        cost = await in_turns(tree)
        self._every = every(refreshed + cost.seconds)
        return replace(cost.result, shelf=replace(cost.result.shelf, every=self._every))

    async def detail(self, id_: str) -> CacheDetail | None:
        """Everything about one stored response, save its body; looking counts as no use."""
        entry = await self._entry(id_)
        if entry is None:
            return None
        stored = await self._store.head(entry)
        now, row = self._now(), self._row(entry)
        rules = self._rules().get(entry.route)
        fresh = entry.fresh_until > now
        return CacheDetail(
            row=row,
            now=now,
            stored_at=entry.stored_at,
            last_used=entry.last_used,
            reason="" if stored is None else stored.reason,
            lifetime="" if stored is None else in_words(stored, rules, now),
            use="" if stored is None else use(stored, fresh),
            validators=() if stored is None else validators(stored),
            selected=selected(entry),
            fields=None
            if stored is None
            else tuple((name, masked_field(name, value)) for name, value in stored.fields),
            variants=self._variants(entry),
            explain=_explained_at(entry.url) if row.url == entry.url else "",
        )

    async def purge_entry(self, id_: str, *, by: str, soft: bool = False) -> int:
        """Purge the stored response with this id, and its coded copies with it."""
        found = await self._entry(id_)
        if found is None:
            return 0
        key, vary = found.key, found.vary

        def meant(entry: Entry) -> bool:
            return entry.vary == vary and source_key(entry.key) == key

        purged = await self._purger.purge(meant, soft=soft, url=found.url)
        note_purge(self._timeline, by, f"the stored response of {masked(found.url)}", purged, soft=soft)
        return purged

    async def purge(self, query: CacheQuery, *, by: str, soft: bool = False) -> int:
        """Purge what the list of `query` holds, as of now."""
        accepted = query.accepting(self._now(), masked)

        def meant(entry: Entry) -> bool:
            return accepted(self._source(entry))

        purged = await self._purger.purge(meant, soft=soft)
        note_purge(self._timeline, by, masked(query.words), purged, soft=soft)
        return purged

    # Looking

    def _shelf(self) -> Shelf:
        catalogue = self._catalogue
        return Shelf(
            stored=len(catalogue.responses),
            size=catalogue.size,
            public_url=self._public_url(),
            routes=tuple(self._rules()),
            kinds=catalogue.kinds,
            copies=catalogue.copies,
            copies_size=catalogue.copies_size,
        )

    def _row(self, entry: Entry) -> CacheRow:
        id_, now = entry_id(entry), self._now()
        self._remember(id_, entry)
        return CacheRow(
            id=id_,
            url=masked(entry.url),
            route=entry.route,
            status=entry.status,
            content_type=entry.content_type,
            size=entry.length,
            age=max(now - entry.stored_at, 0.0),
            fresh_for=entry.fresh_until - now,
            never_fresh=entry.fresh_until <= 0,
            tiers=_tiers(entry),
            hits=entry.hits,
            tags=entry.tags,
            variants=len(self._store.variants(entry.key)),
            own=is_private(entry.key),
            codings=tuple(coding_of(copy.key) for copy in self._copies(entry)),
        )

    def _variants(self, here: Entry) -> tuple[Variant, ...]:
        """What is stored under the same URL, this one first: a page of its own may have a copy for every user."""
        others = (entry for entry in self._store.with_url(here.url) if entry is not here)
        responses = [here, *islice((entry for entry in others if not coding_of(entry.key)), MOST_VARIANTS)]
        return tuple(
            self._variant(entry, here) for response in responses for entry in (response, *self._copies(response))
        )

    def _variant(self, entry: Entry, here: Entry) -> Variant:
        now, coding = self._now(), coding_of(entry.key)
        id_ = entry_id(entry)
        if not coding:
            self._remember(id_, entry)
        return Variant(
            id="" if coding else id_,
            selected=selected(entry),
            status=entry.status,
            size=entry.length,
            age=max(now - entry.stored_at, 0.0),
            fresh_for=entry.fresh_until - now,
            never_fresh=entry.fresh_until <= 0,
            hits=entry.hits,
            tiers=_tiers(entry),
            own=is_private(entry.key),
            coding=coding,
            here=entry is here,
        )

    def _copies(self, source: Entry) -> list[Entry]:
        found = (entry for coding in CODERS for entry in self._store.variants(coded_key(source.key, coding)))
        return [entry for entry in found if entry.vary == source.vary]

    # Finding

    async def _entry(self, id_: str) -> Entry | None:
        """The response with this id: at once if it was shown lately, else by asking all."""
        known = self._remembered.get(id_)
        if known is None:
            return (await in_turns(self._sought(id_))).result
        key, vary = known
        return next((entry for entry in self._store.variants(key) if entry.vary == vary), None)

    def _sought(self, id_: str) -> Generator[None, None, Entry | None]:
        for looked_at, entry in enumerate(list(self._store.entries())):
            if not coding_of(entry.key) and entry_id(entry) == id_:
                self._remember(id_, entry)
                return entry
            if looked_at % 200 == 0:
                yield
        return None

    def _remember(self, id_: str, entry: Entry) -> None:
        self._remembered[id_] = (entry.key, entry.vary)
        self._remembered.move_to_end(id_)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)

    def _source(self, entry: Entry) -> Entry:
        """What a coded copy is judged by: the response it was made of; itself when that is gone."""
        if not coding_of(entry.key):
            return entry
        sources = self._store.variants(source_key(entry.key))
        return next((source for source in sources if source.vary == entry.vary), entry)


def _explained_at(url: str) -> str:
    return f"/traffic/explain?url={quote(url, safe='')}"


def _tiers(entry: Entry) -> tuple[str, ...]:
    return tuple(name for name, held in (("memory", entry.in_memory), ("disk", entry.on_disk)) if held)
