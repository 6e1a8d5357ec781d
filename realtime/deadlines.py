"""Many deadlines behind one timer: a heap in which each key has at most one.

The rule of this room: nothing here runs by itself. Whoever holds the timer sets it to `earliest` and calls `due`.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


def soonest(*deadlines: float | None) -> float | None:
    """The first of several deadlines, None when there is none."""
    return min((deadline for deadline in deadlines if deadline is not None), default=None)


class Deadlines(Generic[Key]):
    """Deadlines by key; setting, dropping and taking one costs O(log n).

    A deadline that was dropped or moved stays in the heap until it comes up or outnumbers those that hold.
    Equal deadlines come up in the order in which they were set.
    """

    __slots__ = ("_at", "_count", "_heap")

    def __init__(self) -> None:
        self._at: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, key: object) -> bool:
        return key in self._at

    def set(self, key: Key, at: float) -> None:
        """Give `key` this deadline in place of the one it has."""
        current = self._at.get(key)
        if current is not None and current[0] == at:
            return
        self._count += 1
        self._at[key] = (at, self._count)
        heappush(self._heap, (at, self._count, key))
        self._keep_small()

    def drop(self, key: Key) -> None:
        """Let `key` have none."""
        self._at.pop(key, None)
        self._keep_small()

    @property
    def earliest(self) -> float | None:
        """The deadline that comes first, None when there is none."""
        heap, at = self._heap, self._at
        while heap:
            due, count, key = heap[0]
            if at.get(key) == (due, count):
                return due
            heappop(heap)
        return None

    def due(self, now: float, most: int = sys.maxsize) -> list[Key]:
        """Take every key whose deadline is `now` or earlier, first come first, and no more than so many."""
        taken: list[Key] = []
        while len(taken) < most and (earliest := self.earliest) is not None and earliest <= now:
            key = heappop(self._heap)[2]
            del self._at[key]
            taken.append(key)
        return taken

    def _holds(self, entry: tuple[float, int, Key]) -> bool:
        return self._at.get(entry[2]) == (entry[0], entry[1])

    def _keep_small(self) -> None:
        if len(self._heap) > 2 * len(self._at) + 64:
            self._heap = [entry for entry in self._heap if self._holds(entry)]
            heapify(self._heap)
