"""PURE: who is due when, for delays that are all alike, so that adding at the end keeps the order by itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Timeouts(Generic[T]):
    """Each item with the moment it is due, in seconds. No operation costs more the more there are."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due: OrderedDict[T, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    @property
    def earliest(self) -> float | None:
        """When the next item is due."""
        return next(iter(self._due.values()), None)

    def add(self, item: T, due: float) -> None:
        """Note an item, later than all that are noted; noted before, it moves."""
        self._due[item] = due
        self._due.move_to_end(item)

    def discard(self, item: T) -> None:
        self._due.pop(item, None)

    def expired(self, now: float) -> Iterator[T]:
        """Take out whoever is due, one after the other."""
        while self._due:
            item, due = next(iter(self._due.items()))
            if due > now:
                return
            del self._due[item]
            yield item
