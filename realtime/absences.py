"""PURE: who is away and may return, as far as there is room; who is worth least is forgotten first.

The rule of this room: of those in one place (an address) only a share is remembered, or one host could make all
others forgotten by coming and going. No clock: everybody is added in the order in which they left.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from realtime.stats import count

T = TypeVar("T")

EVERYWHERE: Final = ""
"""The place of those of whom no address is known any more; it has no share of its own."""


class _Queue(Generic[T]):
    """Two queues, each the longest away first: those who were nobody, and those who were somebody."""

    __slots__ = ("blank", "known")

    def __init__(self) -> None:
        self.blank: OrderedDict[T, None] = OrderedDict()
        self.known: OrderedDict[T, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.blank) + len(self.known)

    def worth_least(self) -> T:
        return next(iter(self.blank or self.known))

    def discard(self, item: T) -> None:
        self.blank.pop(item, None)
        self.known.pop(item, None)


class Absences(Generic[T]):
    """At most `most` items, of which `share` (at most 1) of one place. `forgotten` counts what was given up, by why."""

    __slots__ = ("_all", "_most", "_most_of_one", "_place", "_places", "forgotten")

    def __init__(self, most: int, share: float) -> None:
        self._most = most
        self._most_of_one = max(int(most * share), 1)
        self._all: _Queue[T] = _Queue()
        self._places: dict[str, _Queue[T]] = {}
        self._place: dict[T, str] = {}
        self.forgotten: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._place)

    def add(self, item: T, place: str = EVERYWHERE, *, blank: bool = False) -> list[T]:
        """Remember an item; those that had to make room, already out. `blank`: there is little to remember of it."""
        self.discard(item)
        self._place[item] = place
        queues = [self._all] if place == EVERYWHERE else [self._all, self._places.setdefault(place, _Queue())]
        for queue in queues:
            (queue.blank if blank else queue.known)[item] = None
        given_up = []
        if len(queues[-1]) > self._most_of_one and place != EVERYWHERE:
            given_up.append(self._give_up(queues[-1], "address"))
        if len(self._all) > self._most:
            given_up.append(self._give_up(self._all, "full"))
        return given_up

    def discard(self, item: T) -> None:
        place = self._place.pop(item, None)
        if place is None:
            return
        self._all.discard(item)
        queue = self._places.get(place)
        if queue is not None:
            queue.discard(item)
            if not queue:
                del self._places[place]

    def longest(self) -> list[T]:
        """The ones longest away, at most two: one that was nobody, one that was somebody."""
        return [next(iter(queue)) for queue in (self._all.blank, self._all.known) if queue]

    def _give_up(self, queue: _Queue[T], why: str) -> T:
        item = queue.worth_least()
        count(self.forgotten, "blank" if item in queue.blank else why)
        self.discard(item)
        return item
