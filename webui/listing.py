"""A store's entries as the page of a cache list.

The rule of this room and of branches.py: whoever goes through all entries yields every few hundred of them, so that
the caller can let others run in between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from webui.cache_shown import CacheList, CacheRow, Shelf
from webui.query import CacheQuery, Filterable, Masked

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


def matching(
    entries: Sequence[E_], query: CacheQuery, now: float, masked: Masked, *, scoped: bool = True
) -> Steps[Sequence[E_]]:
    """The entries that `query` accepts, in the order they come in; without `scoped` wherever their URL lies."""
    question = query if scoped else replace(query, at="")
    if not question.scoped:
        return entries
    accepted, found = question.accepting(now, masked), []
    for start in range(0, len(entries), STEP):
        found += list(filter(accepted, entries[start : start + STEP]))
        yield
    return found


def cache_list(
    entries: Sequence[E_],
    query: CacheQuery,
    *,
    now: float,
    shelf: Shelf,
    row: Callable[[E_], CacheRow],
    masked: Masked = str,
) -> Steps[CacheList]:
    """The page of `entries` that `query` asks for; a page beyond the last one becomes the last one.

    `row` is asked for the entries shown only; `masked` hides what must not be read off a URL's query.
    """
    found = yield from matching(entries, query, now, masked)
    size = shelf.size if found is entries else (yield from total(found, "length"))
    whole = CacheList(query, shelf, (), len(found), size)
    query = query.turned(min(query.page, whole.pages))
    stop = min(query.page * query.limit, whole.MOST_SHOWN)
    shown = yield from first(found, stop, query.by, query.descending)
    return replace(whole, query=query, rows=tuple(row(entry) for entry in shown[(query.page - 1) * query.limit :]))


def total(entries: Sequence[Any], name: str) -> Steps[int]:
    """The sum of one attribute."""
    value, found = attrgetter(name), 0
    for start in range(0, len(entries), 10 * STEP):
        found += sum(map(value, entries[start : start + 10 * STEP]))
        yield
    return found


def first(entries: Sequence[E_], stop: int, by: str, descending: bool) -> Steps[list[E_]]:
    """The first `stop` entries of an order, without ordering the rest; `entries` come in the order of their URLs."""
    if by == "url":
        return list(islice(reversed(entries) if descending else entries, stop))
    value = attrgetter(_ATTRIBUTES[by])
    # The URL settles ties, so that rows do not change places between two looks.
    key = attrgetter(_ATTRIBUTES[by], "url")
    best: list[E_] = []
    limit = None
    for start in range(0, len(entries), STEP):
        step = entries[start : start + STEP]
        if limit is not None:
            # Most of them are out already, and asking for one attribute is a fraction of ordering by two.
            step = [each for each in step if (value(each) >= limit if descending else value(each) <= limit)]
        best += step
        if len(best) >= 2 * stop + STEP:
            best = sorted(best, key=key, reverse=descending)[:stop]
            limit = value(best[-1])
        yield
    return sorted(best, key=key, reverse=descending)[:stop]


_ATTRIBUTES = {
    "stored": "stored_at",
    "status": "status",
    "size": "length",
    "fresh": "fresh_until",
    "hits": "hits",
}
