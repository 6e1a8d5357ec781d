"""A store's entries as a tree by host and path, opened along one way.

The entries come ordered by URL, so that whatever lies below a place stands together and is found by bisection. A level
is what follows the place's prefix up to the next `/`, or to the `?` before the queries of one path.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

from webui.cache_shown import Branch, CacheRow, CacheTree, Shelf, Tally
from webui.listing import STEP, Listed, Steps, entry_id, first, matching
from webui.query import CacheQuery, target_start

MOST_CHILDREN = 50
"""Children of one place that are listed; a search finds the others."""

MOST_LEVELS = 40

_AFTER = "\U0010ffff"
"""Follows every character of a URL."""

_url, _length, _hits, _fresh_until = map(attrgetter, ("url", "length", "hits", "fresh_until"))
T = TypeVar("T", bound=Listed)
Kind = Literal["host", "folder", "queries", "response"]
_RESPONSE: Kind = "response"


@dataclass(slots=True)
class _Child:
    """What shares one continuation of a prefix: entries `start` up to, not including, `stop`."""

    kind: Kind
    prefix: str
    start: int
    stop: int
    tally: Tally | None = None

    @property
    def known(self) -> Tally:
        return self.tally or Tally(self.stop - self.start)

    def leads_to(self, way: str) -> bool:
        return self.kind != "response" and self.stop - self.start > 1 and way.startswith(self.prefix)


def cache_tree(
    entries: Sequence[T],
    query: CacheQuery,
    *,
    now: float,
    shelf: Shelf,
    row: Callable[[T], CacheRow],
    masked: Callable[[str], str] = str,
) -> Steps[CacheTree]:
    """The tree of what `query` accepts of `entries`, which come in the order of their URLs.

    `row` is asked for what is shown only; `masked` hides what must not be read off a URL's query.
    """
    found = yield from matching(entries, query, now, masked, scoped=False)
    way = _absolute(query.at, found)
    tree = _Tree(found, query, now, row, masked)
    whole = yield from tree.grow("", 0, len(found), 0, way)
    return CacheTree(query, shelf, tuple(tree.branches), whole, tree.end)


class _Tree(Generic[T]):
    def __init__(
        self,
        entries: Sequence[T],
        query: CacheQuery,
        now: float,
        row: Callable[[T], CacheRow],
        masked: Callable[[str], str],
    ) -> None:
        self.branches: list[Branch] = []
        self.end = ""
        self._entries = entries
        self._by, self._descending = query.by, query.descending
        self._now = now
        self._row = row
        self._masked = masked

    def grow(self, prefix: str, start: int, stop: int, depth: int, way: str) -> Steps[Tally]:
        """List the children of a place and, below the one that lies on the way, its own; what all of them hold."""
        children, singles = yield from _children(self._entries, prefix, start, stop)
        if self._by not in ("count", "url"):
            for child in children:
                child.tally = yield from _tally(self._entries, child.start, child.stop, self._now)
        shown = yield from self._first(children, singles)
        only = len(children) == 1 and not singles
        opened = self._opened(children, only, depth, way)
        if opened is not None and opened not in shown:
            shown = [*shown[:-1], opened]
        told = Tally()
        for each in shown:
            told = _sum(told, (yield from self._told(each, prefix, depth, way if each is opened else None, only)))
        hidden = len(children) + len(singles) - len(shown)
        if not hidden:
            return told
        whole = yield from _tally(self._entries, start, stop, self._now)
        self.branches.append(Branch("more", "", prefix, depth, _rest(whole, told), hidden=hidden))
        return whole

    def _told(self, each: _Child | T, prefix: str, depth: int, way: str | None, only: bool) -> Steps[Tally]:
        """List one child, and what is below it if it lies on the way."""
        if not isinstance(each, _Child):
            tally = _single(each, self._now)
            self.branches.append(self._response(each, prefix, depth, tally, self._row(each)))
            return tally
        if each.kind == "response":
            tally = yield from _tally(self._entries, each.start, each.stop, self._now)
            self.branches.append(self._response(self._entries[each.start], prefix, depth, tally, None))
            return tally
        here = len(self.branches)
        if way is not None:
            self.end = each.prefix
            tally = yield from self.grow(each.prefix, each.start, each.stop, depth + 1, way)
        else:
            tally = each.tally or (yield from _tally(self._entries, each.start, each.stop, self._now))
        branch = Branch(each.kind, each.prefix[len(prefix) :], each.prefix, depth, tally, way is not None, only)
        self.branches.insert(here, branch)
        return tally

    def _response(self, entry: T, prefix: str, depth: int, tally: Tally, row: CacheRow | None) -> Branch:
        """A way that leads to one response only is shown as that response, however long it is."""
        url = self._masked(entry.url)
        label = url[len(prefix) :] or "/"
        return Branch("response", label, url, depth, tally, row=row, first=entry_id(entry))

    def _opened(self, children: list[_Child], only: bool, depth: int, way: str) -> _Child | None:
        if depth >= MOST_LEVELS:
            return None
        if only:
            return children[0] if children[0].leads_to(children[0].prefix) else None
        return next((child for child in children if child.leads_to(way)), None) if way else None

    def _first(self, children: list[_Child], singles: list[T]) -> Steps[list[_Child | T]]:
        """The first of the order; the URL settles ties, so that lines do not change places between two looks."""
        sign = -1 if self._descending else 1
        if self._by in ("count", "url"):
            backwards = self._by == "url" and self._descending
            some: list[T] = list(islice(reversed(singles) if backwards else singles, MOST_CHILDREN))
        elif self._by == "fresh":
            some = yield from _by_freshness(singles, self._now, self._descending)
        else:
            some = yield from first(singles, MOST_CHILDREN, self._by, self._descending)
        yield
        if self._by == "url":
            take = heapq.nlargest if self._descending else heapq.nsmallest
            return take(MOST_CHILDREN, [*children, *some], key=_place)
        value = _FIGURES[self._by]

        def order(each: _Child | T) -> tuple[float, str]:
            tally = each.known if isinstance(each, _Child) else _single(each, self._now)
            return sign * value(tally), _place(each)

        return heapq.nsmallest(MOST_CHILDREN, [*children, *some], key=order)


def _children(entries: Sequence[T], prefix: str, start: int, stop: int) -> Steps[tuple[list[_Child], list[T]]]:
    """What continues a prefix: places and URLs of several responses, and the URLs of a single one."""
    children: list[_Child] = []
    singles: list[T] = []
    size, at, looked_at = len(prefix), start, 0
    queries = "?" in prefix
    while at < stop:
        looked_at += 1
        if looked_at % STEP == 0:
            yield
        entry = entries[at]
        url = entry.url
        following = at + 1
        if queries or (prefix and url.find("/", size) < 0 and url.find("?", size) < 0):
            # By far the most frequent case in a place of many: a URL that leads no further.
            kind, child = _RESPONSE, url
            several = following < stop and entries[following].url == url
        else:
            kind, child = _continued(url, prefix)
            several = following < stop and entries[following].url.startswith(child)
        if not several:
            singles.append(entry)
        else:
            beyond = child + "\0" if kind == "response" else child + _AFTER
            following = bisect_left(entries, beyond, following, stop, key=_url)
            children.append(_Child(kind, child, at, following))
        at = following
    return children, singles


def _continued(url: str, prefix: str) -> tuple[Kind, str]:
    """Where a URL leads to from a place that it lies below: the next place, or itself."""
    if not prefix:
        authority = target_start(url)
        return ("host", url[: authority + 1]) if authority < len(url) else ("response", url)
    segment, query = url.find("/", len(prefix)), url.find("?", len(prefix))
    if segment >= 0 and (query < 0 or segment < query):
        return "folder", url[: segment + 1]
    return ("queries", url[: query + 1]) if query >= 0 else ("response", url)


def _tally(entries: Sequence[T], start: int, stop: int, now: float) -> Steps[Tally]:
    size = fresh = hits = 0
    for at in range(start, stop, 5 * STEP):
        part = entries[at : min(at + 5 * STEP, stop)]
        size += sum(map(_length, part))
        hits += sum(map(_hits, part))
        fresh += sum(map(now.__lt__, map(_fresh_until, part)))
        if len(part) >= STEP:
            yield
    return Tally(stop - start, size, fresh, hits)


def _single(entry: Listed, now: float) -> Tally:
    return Tally(1, entry.length, int(entry.fresh_until > now), entry.hits)


def _by_freshness(entries: list[T], now: float, descending: bool) -> Steps[list[T]]:
    """The first entries by whether they are fresh, in the order they come in."""
    found: list[T] = []
    for wanted in (descending, not descending):
        for at in range(0, len(entries), STEP):
            if len(found) < MOST_CHILDREN:
                found += [entry for entry in entries[at : at + STEP] if (entry.fresh_until > now) == wanted]
                yield
    return found[:MOST_CHILDREN]


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(one.count + other.count, one.size + other.size, one.fresh + other.fresh, one.hits + other.hits)


def _rest(whole: Tally, told: Tally) -> Tally:
    return Tally(whole.count - told.count, whole.size - told.size, whole.fresh - told.fresh, whole.hits - told.hits)


def _place(each: _Child | Listed) -> str:
    return each.prefix if isinstance(each, _Child) else each.url


def _absolute(at: str, entries: Sequence[Any]) -> str:
    """A path without a host means the first host that has it. No place lies within a query, which may hold secrets."""
    path, question, _ = at.partition("?")
    at = path + question
    if not at.startswith("/"):
        return at
    place = 0
    while place < len(entries):
        url = str(entries[place].url)
        host = url[: target_start(url)]
        below = bisect_left(entries, host + at, place, key=_url)
        if below < len(entries) and _url(entries[below]).startswith(host + at):
            return host + at
        place = bisect_left(entries, host + "/" + _AFTER, place + 1, key=_url)
    return at


_FIGURES: dict[str, Callable[[Tally], float]] = {
    "count": lambda tally: tally.count,
    "size": lambda tally: tally.size,
    "fresh": lambda tally: tally.fresh / tally.count,
    "hits": lambda tally: tally.hits,
}
