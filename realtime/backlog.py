"""PURE: what waits for one session, bounded in bytes of memory, as if nothing of it were shared with other sessions."""

from __future__ import annotations

from collections import OrderedDict

from realtime.frames import Outgoing


class Backlog:
    """First in, first out, within `bound` bytes of memory (`Outgoing.cost`).

    A packet with a conflate key replaces the one of that key and goes to the end. When the bound is reached, volatile
    packets are given up first, then those with a conflate key, the oldest first. `drops` receives how many were given
    up, by kind: conflated (a newer one came), volatile, conflatable (none came).
    """

    __slots__ = ("_bound", "_certain", "_drops", "_entries", "_number", "_size")

    def __init__(self, bound: int, drops: dict[str, int]) -> None:
        self._bound = bound
        self._drops = drops
        self._entries: OrderedDict[str | int, Outgoing] = OrderedDict()
        self._number = 0
        self._size = 0
        self._certain = 0  # bytes of what must not be lost

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of memory that what waits takes."""
        return self._size

    def add(self, outgoing: Outgoing) -> bool:
        """Take a packet; False when it must not be lost and there is no room for it."""
        if outgoing.conflate is not None and outgoing.conflate in self._entries:
            self._drop(outgoing.conflate, "conflated")
        if self._size + outgoing.cost > self._bound:
            if outgoing.volatile:
                self._count("volatile")
                return True
            if self._certain + outgoing.cost > self._bound:
                if outgoing.conflate is None:
                    return False
                self._count("conflatable")
                return True
            self._drop_volatile()
            self._drop_conflatable(outgoing.cost)
        self._number += 1
        self._entries[self._number if outgoing.conflate is None else outgoing.conflate] = outgoing
        self._size += outgoing.cost
        self._certain += _certain(outgoing)
        return True

    def take(self) -> Outgoing:
        """The oldest; KeyError when nothing waits."""
        _, outgoing = self._entries.popitem(last=False)
        self._gone(outgoing)
        return outgoing

    def _drop_volatile(self) -> None:
        for key in [key for key, outgoing in self._entries.items() if outgoing.volatile]:
            self._drop(key, "volatile")

    def _drop_conflatable(self, room: int) -> None:
        """The oldest ones, until there is so much room."""
        for key in [key for key in self._entries if isinstance(key, str)]:
            if self._size + room <= self._bound:
                return
            self._drop(key, "conflatable")

    def _drop(self, key: str | int, kind: str) -> None:
        self._gone(self._entries.pop(key))
        self._count(kind)

    def _gone(self, outgoing: Outgoing) -> None:
        self._size -= outgoing.cost
        self._certain -= _certain(outgoing)

    def _count(self, kind: str) -> None:
        self._drops[kind] = self._drops.get(kind, 0) + 1


def _certain(outgoing: Outgoing) -> int:
    return 0 if outgoing.volatile or outgoing.conflate is not None else outgoing.cost
