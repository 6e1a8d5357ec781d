"""The stored responses in the order of their URLs, brought up to date when somebody looks.

The store is not slowed down for it: what came and went is found by comparing, and only the first look orders all.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Generator, Iterator
from operator import attrgetter
from typing import Protocol

from proxy.policy.codings import coding_of
from proxy.storage.base import Entry

STEP = 1_000
MOST_KINDS = 50
_MOST_KNOWN = 5_000
_FEW = 100
"""Entries that are put into their places one by one."""

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
        gone = len(self._known) + len(came) - len(entries)
        if len(came) > max(_FEW, len(entries) // 4):
            known = set(entries)
            yield
            ordered = yield from _ordered(entries)
        else:
            known, ordered = self._known, self.responses
            if gone:
                known = set(entries)
                yield
                ordered = list(filter(known.__contains__, ordered))
                yield
            elif came:
                known, ordered = known | set(came), ordered.copy()
            yield from _put_in(ordered, came)
        yield
        size, copies_size = self.size, self.copies_size
        for sign, some in ((1, came), (-1, self._known.difference(known) if gone else ())):
            copies = sum(entry.length for entry in some if coding_of(entry.key))
            size += sign * (sum(map(_length, some)) - copies)
            copies_size += sign * copies
            yield
        if len(self._kinds) > _MOST_KNOWN:
            self._kinds.clear()
        self._kinds.update(map(_content_type, came))
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


def _put_in(ordered: list[Entry], came: list[Entry]) -> Generator[None, None, None]:
    """Add those that came to a list that is in order already."""
    responses = [entry for entry in came if not coding_of(entry.key)]
    if len(responses) > _FEW:
        ordered += sorted(responses, key=_url)
        yield
        # Two runs that are in order each: joining them is a fraction of ordering all.
        ordered.sort(key=_url)
        return
    for entry in responses:
        insort(ordered, entry, key=_url)


def _ordered(entries: list[Entry]) -> Generator[None, None, list[Entry]]:
    """The responses among entries by URL: dealt out between some of their URLs, so that no single step is long."""
    marks = sorted(_url(entry) for entry in entries[:: max(STEP // 2, 1)])
    dealt: list[list[Entry]] = [[] for _ in range(len(marks) + 1)]
    for start in range(0, len(entries), STEP):
        for entry in entries[start : start + STEP]:
            if not coding_of(entry.key):
                dealt[bisect_right(marks, entry.url)].append(entry)
        yield
    ordered: list[Entry] = []
    for part in dealt:
        ordered += sorted(part, key=_url)
        yield
    return ordered
