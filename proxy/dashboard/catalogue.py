"""The stored responses in the order of their URLs, brought up to date when somebody looks.

The store is not slowed down for it: what came and went is found by comparing, and only the first look orders all.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator
from operator import attrgetter
from typing import Protocol

from proxy.policy.codings import coding_of
from proxy.storage.base import Entry

STEP = 1_000
"""Entries that are gone through at a time."""

MOST_KINDS = 50
_MOST_KNOWN = 5_000
_url, _length, _content_type = map(attrgetter, ("url", "length", "content_type"))


class Stock(Protocol):
    """What the catalogue asks of a store."""

    @property
    def changes(self) -> int:
        """How many entries came or went since the start."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Every entry; those that came last are last."""
        ...


class Catalogue:
    """`responses` by URL, without coded copies, as of the last `refresh`. Sizes are bytes of bodies."""

    def __init__(self, stock: Stock) -> None:
        self.responses: list[Entry] = []
        self.size = 0
        self.copies = 0
        self.copies_size = 0
        self._stock = stock
        self._known: set[Entry] = set()
        self._changes = -1
        self._kinds: set[str] = set()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Content types that were seen among them, without parameters."""
        plain = {kind.partition(";")[0].strip().lower() for kind in self._kinds}
        return tuple(sorted(plain - {""})[:MOST_KINDS])

    def refresh(self) -> Generator[None, None, None]:
        """Bring it up to date; yields every millisecond or so, so that others can be let in between.

        What was there before is left as it is until all is done, and nothing is remembered of work that is given up.
        """
        changes = self._stock.changes
        if changes == self._changes:
            return
        entries = list(self._stock.entries())
        yield
        came = yield from self._new(entries)
        known, ordered, went = self._known, self.responses, list[Entry]()
        if len(known) + len(came) > len(entries):
            known = yield from _set_of(entries)
            went = yield from _kept(self._known, lambda entry: entry not in known)
            ordered = yield from _kept(ordered, known.__contains__)
        ordered = yield from _joined(ordered, (yield from _ordered(came)))
        size, copies_size = self.size, self.copies_size
        for sign, some in ((1, came), (-1, went)):
            for part in _parts(some):
                copies = sum(entry.length for entry in part if coding_of(entry.key))
                size += sign * (sum(map(_length, part)) - copies)
                copies_size += sign * copies
                yield
        if len(self._kinds) > _MOST_KNOWN:
            self._kinds.clear()
        for part in _parts(came):
            self._kinds.update(map(_content_type, part))
            yield
        if known is self._known:
            if len(came) > STEP:
                known = yield from _set_of(itertools.chain(known, came))
            else:
                known.update(came)
        self.copies, self.copies_size = len(entries) - len(ordered), copies_size
        self.responses, self.size, self._known, self._changes = ordered, size, known, changes

    def _new(self, entries: list[Entry]) -> Generator[None, None, list[Entry]]:
        """Those that were not there before; a store lists what came last at the end."""
        came: list[Entry] = []
        for entry in reversed(entries):
            if entry in self._known:
                break
            came.append(entry)
            if len(came) % STEP == 0:
                yield
        return came


def _parts(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    rest = iter(entries)
    while part := tuple(itertools.islice(rest, STEP)):
        yield part


def _set_of(entries: Iterable[Entry]) -> Generator[None, None, set[Entry]]:
    found: set[Entry] = set()
    for part in _parts(entries):
        found.update(part)
        yield
    return found


def _kept(entries: Iterable[Entry], condition: Callable[[Entry], bool]) -> Generator[None, None, list[Entry]]:
    found: list[Entry] = []
    for part in _parts(entries):
        found += filter(condition, part)
        yield
    return found


def _ordered(entries: list[Entry]) -> Generator[None, None, list[Entry]]:
    """The responses among entries by URL: dealt out between some of their URLs, so that no single step is long."""
    # Drawn by lot: at every so many, a store that was filled in turns would show only one of its kinds.
    drawn = random.Random(len(entries)).choices(entries, k=2 * len(entries) // STEP)  # noqa: S311 -- nothing is secret
    marks = sorted(map(_url, drawn))
    dealt: list[list[Entry]] = [[] for _ in range(len(marks) + 1)]
    for part in _parts(entries):
        for entry in part:
            if not coding_of(entry.key):
                dealt[bisect_right(marks, entry.url)].append(entry)
        yield
    ordered: list[Entry] = []
    for some in dealt:
        ordered += sorted(some, key=_url)
        yield
    return ordered


def _joined(ordered: list[Entry], came: list[Entry]) -> Generator[None, None, list[Entry]]:
    """Two lists that are in order, as one."""
    if not ordered:
        return came
    joined: list[Entry] = []
    done = 0
    for part in _parts(came):
        for entry in part:
            place = bisect_right(ordered, entry.url, done, key=_url)
            joined += ordered[done:place]
            joined.append(entry)
            done = place
        yield
    joined += ordered[done:]
    return joined
