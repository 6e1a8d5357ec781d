"""A store's entries as the page of a cache list."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Protocol

from webui.query import CacheQuery, Filterable
from webui.snapshot import CacheList, CacheRow


class Identified(Protocol):
    """What tells one stored response from every other: its key, and the request fields it was selected by."""

    @property
    def key(self) -> str: ...
    @property
    def vary(self) -> tuple[tuple[str, str | None], ...]: ...


class Listed(Identified, Filterable, Protocol):
    """A stored response as a store's index knows it."""

    @property
    def status(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def stored_at(self) -> float: ...
    @property
    def in_memory(self) -> bool: ...
    @property
    def on_disk(self) -> bool: ...
    @property
    def hits(self) -> int: ...


def entry_id(entry: Identified) -> str:
    """A name for an entry that may stand in a page: a digest, because keys may tell of credentials."""
    return blake2b(f"{entry.key}\0{entry.vary!r}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def cache_list(
    entries: Iterable[Listed], query: CacheQuery, *, now: float, variants: Callable[[str], int], public_url: str
) -> CacheList:
    """The page of `entries` that `query` asks for; a page beyond the last one becomes the last one.

    `variants` says how many stored responses share a key; it is asked for the rows shown only.
    """
    stored = list(entries)
    matching = [entry for entry in stored if query.accepts(entry, now)] if query.filtered else stored
    size = sum(entry.length for entry in stored)
    whole = CacheList(query, (), len(matching), len(stored), size, public_url)
    query = query.at(min(query.page, whole.pages))
    # Only the pages up to this one are ordered: a store of 100,000 is listed without sorting all of it.
    take = heapq.nlargest if query.descending else heapq.nsmallest
    stop = query.page * query.PAGE_SIZE
    shown = take(stop, matching, key=_SORT_KEYS[query.sort])[stop - query.PAGE_SIZE :]
    return replace(whole, query=query, rows=tuple(_row(entry, now, variants(entry.key)) for entry in shown))


def _row(entry: Listed, now: float, variants: int) -> CacheRow:
    tiers = [name for name, held in (("memory", entry.in_memory), ("disk", entry.on_disk)) if held]
    return CacheRow(
        id=entry_id(entry),
        url=entry.url,
        route=entry.route,
        status=entry.status,
        content_type=entry.content_type,
        size=entry.length,
        age=max(now - entry.stored_at, 0.0),
        fresh_for=entry.fresh_until - now,
        never_fresh=entry.fresh_until <= 0,
        tiers=tuple(tiers),
        hits=entry.hits,
        tags=entry.tags,
        variants=variants,
    )


# The URL settles ties, so that rows do not change places between two looks.
_SORT_KEYS: dict[str, Callable[[Listed], Any]] = {
    "stored": attrgetter("stored_at", "url"),
    "url": attrgetter("url"),
    "status": attrgetter("status", "url"),
    "size": attrgetter("length", "url"),
    "fresh": attrgetter("fresh_until", "url"),
    "hits": attrgetter("hits", "url"),
}
