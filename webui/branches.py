"""A store's entries as a tree by host and path, opened along one way.

The entries come ordered by URL, so that whatever lies below a place stands together and is found by bisection. A level
is what follows the place's prefix up to the next `/`, or to the `?` before the queries of one path.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, TypeVar

from webui.cache_shown import Branch, CacheRow, CacheTree, Shelf, Tally
from webui.listing import STEP, Listed, Steps, entry_id, matching
from webui.query import CacheQuery, target_start

MOST_CHILDREN = 50
"""Children of one place that are listed; a search finds the others."""

MOST_LEVELS = 40

_AFTER = "\U0010ffff"
"""Follows every character of a URL."""

_url, _length, _hits, _fresh_until = map(attrgetter, ("url", "length", "hits", "fresh_until"))
T = TypeVar("T", bound=Listed)
Kind = Literal["host", "folder", "queries", "response"]


@dataclass(slots=True)
class _Child:
    """What shares one continuation of a prefix: entries `start` up to, not including, `stop`."""

    kind: Kind
    prefix: str
    start: int
    stop: int
    tally: Tally


def cache_tree(
    entries: Sequence[T], query: CacheQuery, *, now: float, shelf: Shelf, row: Callable[[T], CacheRow]
) -> Steps[CacheTree]:
    """The tree of what `query` accepts of `entries`, in the order of their URLs; `row` is asked for what is shown."""
    found = yield from matching(entries, query, now, scoped=False)
    way = _absolute(query.at, found)
    tree = _Tree(found, query, now, row)
    whole = yield from tree.grow("", 0, len(found), 0, way)
    return CacheTree(query, shelf, tuple(tree.branches), whole, tree.end)


class _Tree:
    def __init__(self, entries: Sequence[T], query: CacheQuery, now: float, row: Callable[[T], CacheRow]) -> None:
        self.branches: list[Branch] = []
        self.end = ""
        self._entries = entries
        self._order = query.by, query.descending
        self._now = now
        self._row = row

    def grow(self, prefix: str, start: int, stop: int, depth: int, way: str) -> Steps[Tally]:
        """List the children of a place and, below the one that lies on the way, its own; what all of them hold."""
        children, whole = yield from _children(self._entries, prefix, start, stop, self._now)
        shown = _ordered(children, *self._order)
        opened = _next(children, way) if depth < MOST_LEVELS else None
        if opened is not None and opened not in shown:
            shown = [*shown[:-1], opened]
        for child in shown:
            self.branches.append(self._branch(child, prefix, depth, opened is child))
            if opened is child:
                self.end = child.prefix
                yield from self.grow(child.prefix, child.start, child.stop, depth + 1, way)
        if hidden := len(children) - len(shown):
            self.branches.append(Branch("more", "", prefix, depth, _rest(whole, shown), hidden=hidden))
        return whole

    def _branch(self, child: _Child, prefix: str, depth: int, is_open: bool) -> Branch:
        first, single = self._entries[child.start], child.stop - child.start == 1
        label = child.prefix[len(prefix) :]
        if single:
            # A way that leads to one response only is shown as that response.
            return Branch("response", _url(first)[len(prefix) :], _url(first), depth, child.tally, row=self._row(first))
        if child.kind == "response":
            return Branch("response", label, child.prefix, depth, child.tally, first=entry_id(first))
        return Branch(child.kind, label, child.prefix, depth, child.tally, open=is_open)


def _rest(whole: Tally, shown: list[_Child]) -> Tally:
    return Tally(
        whole.count - sum(child.tally.count for child in shown),
        whole.size - sum(child.tally.size for child in shown),
        whole.fresh - sum(child.tally.fresh for child in shown),
        whole.hits - sum(child.tally.hits for child in shown),
    )


def _children(
    entries: Sequence[T], prefix: str, start: int, stop: int, now: float
) -> Steps[tuple[list[_Child], Tally]]:
    found: list[_Child] = []
    size = fresh = hits = 0
    at = start
    while at < stop:
        kind, child = _continued(_url(entries[at]), prefix)
        following = at + 1
        if following < stop and _belongs(_url(entries[following]), child, kind):
            beyond = child + "\0" if kind == "response" else child + _AFTER
            following = bisect_left(entries, beyond, following, stop, key=_url)
        tally = yield from _tally(entries, at, following, now)
        found.append(_Child(kind, child, at, following, tally))
        size, fresh, hits = size + tally.size, fresh + tally.fresh, hits + tally.hits
        at = following
        if len(found) % STEP == 0:
            yield
    return found, Tally(stop - start, size, fresh, hits)


def _continued(url: str, prefix: str) -> tuple[Kind, str]:
    """Where a URL leads to from a place that it lies below: the next place, or itself."""
    if not prefix:
        authority = target_start(url)
        return ("host", url[: authority + 1]) if authority < len(url) else ("response", url)
    if "?" in prefix:
        return "response", url
    segment, query = url.find("/", len(prefix)), url.find("?", len(prefix))
    if segment >= 0 and (query < 0 or segment < query):
        return "folder", url[: segment + 1]
    return ("queries", url[: query + 1]) if query >= 0 else ("response", url)


def _belongs(url: str, child: str, kind: Kind) -> bool:
    return url == child if kind == "response" else url.startswith(child)


def _tally(entries: Sequence[T], start: int, stop: int, now: float) -> Steps[Tally]:
    if stop - start == 1:
        only = entries[start]
        return Tally(1, only.length, int(only.fresh_until > now), only.hits)
    size = fresh = hits = 0
    for at in range(start, stop, 5 * STEP):
        part = entries[at : min(at + 5 * STEP, stop)]
        size += sum(map(_length, part))
        hits += sum(map(_hits, part))
        fresh += sum(map(now.__lt__, map(_fresh_until, part)))
        if len(part) >= STEP:
            yield
    return Tally(stop - start, size, fresh, hits)


def _next(children: list[_Child], way: str) -> _Child | None:
    """The child to open: the one on the way or, where there is only one, that."""
    if len(children) == 1 and children[0].kind != "response" and children[0].tally.count > 1:
        return children[0]
    if not way:
        return None
    places = (child for child in children if child.kind != "response" and child.tally.count > 1)
    return next((child for child in places if way.startswith(child.prefix)), None)


def _ordered(children: list[_Child], by: str, descending: bool) -> list[_Child]:
    """The first of an order; the URL settles ties, so that lines do not change places between two looks."""
    if by == "url":
        take = heapq.nlargest if descending else heapq.nsmallest
        return take(MOST_CHILDREN, children, key=attrgetter("prefix"))
    value, sign = _FIGURES[by], -1 if descending else 1
    return heapq.nsmallest(MOST_CHILDREN, children, key=lambda child: (sign * value(child.tally), child.prefix))


def _absolute(at: str, entries: Sequence[Any]) -> str:
    """A path without a host means the first host that has it."""
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
