"""A store's entries as the page of a cache list.

The rule of this room and of branches.py: whoever goes through all entries yields every few hundred of them, so that
the caller can let others run in between.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from webui.cache_shown import CacheList, CacheRow, Shelf
from webui.query import CacheQuery, Filterable

STEP = 1_000
"""Entries between two yields: some hundred microseconds of work."""

T = TypeVar("T")
Steps = Generator[None, None, T]


class Identified(Protocol):
    """What tells one stored response from every other: its key, and the request fields it was selected by."""

    @property
    def key(self) -> str: ...
    @property
    def vary(self) -> tuple[tuple[str, str | None], ...]: ...


class Listed(Identified, Filterable, Protocol):
    """A stored response as a store's index knows it."""

    @property
    def hits(self) -> int: ...


E_ = TypeVar("E_", bound=Listed)


def entry_id(entry: Identified) -> str:
    """A name for an entry that may stand in a page: a digest, because keys may tell of credentials."""
    return blake2b(f"{entry.key}\0{entry.vary!r}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def matching(entries: Sequence[E_], query: CacheQuery, now: float, *, scoped: bool = True) -> Steps[Sequence[E_]]:
    """The entries that `query` accepts, in the order they come in; without `scoped` wherever their URL lies."""
    question = query if scoped else replace(query, at="")
    if not question.scoped:
        return entries
    accepted, found = question.accepting(now), []
    for start in range(0, len(entries), STEP):
        found += list(filter(accepted, entries[start : start + STEP]))
        yield
    return found


def cache_list(
    entries: Sequence[E_], query: CacheQuery, *, now: float, shelf: Shelf, row: Callable[[E_], CacheRow]
) -> Steps[CacheList]:
    """The page of `entries` that `query` asks for; a page beyond the last one becomes the last one.

    `row` is asked for the entries shown only.
    """
    found = yield from matching(entries, query, now)
    size = yield from total(found, "length")
    whole = CacheList(query, shelf, (), len(found), size)
    query = query.turned(min(query.page, whole.pages))
    stop = min(query.page * query.limit, whole.MOST_SHOWN)
    shown = yield from _first(found, stop, _SORT_KEYS[query.by], query.descending)
    return replace(whole, query=query, rows=tuple(row(entry) for entry in shown[(query.page - 1) * query.limit :]))


def total(entries: Sequence[Any], name: str) -> Steps[int]:
    """The sum of one attribute."""
    value, found = attrgetter(name), 0
    for start in range(0, len(entries), 10 * STEP):
        found += sum(map(value, entries[start : start + 10 * STEP]))
        yield
    return found


def _first(entries: Sequence[E_], stop: int, key: Callable[[Any], Any], descending: bool) -> Steps[list[E_]]:
    """The first `stop` entries of an order, without ordering the rest."""
    take = heapq.nlargest if descending else heapq.nsmallest
    runs = []
    for start in range(0, len(entries), STEP):
        runs.append(take(stop, entries[start : start + STEP], key=key))
        yield
    merged = heapq.merge(*runs, key=key, reverse=descending)
    found: list[E_] = []
    while len(found) < stop and (more := list(islice(merged, min(200, stop - len(found))))):
        found += more
        yield
    return found


# The URL settles ties, so that rows do not change places between two looks.
_SORT_KEYS: dict[str, Callable[[Any], Any]] = {
    "stored": attrgetter("stored_at", "url"),
    "url": attrgetter("url"),
    "status": attrgetter("status", "url"),
    "size": attrgetter("length", "url"),
    "fresh": attrgetter("fresh_until", "url"),
    "hits": attrgetter("hits", "url"),
}
