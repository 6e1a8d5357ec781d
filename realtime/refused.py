"""PURE: which newcomers were refused lately, for what, and from how many places, however many they are.

No clock: `now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

WINDOW = 60.0
"""Seconds that count as lately."""

MOST_PLACES = 500
"""Places that are told apart within one slot: a flood from everywhere must not fill the memory."""

_SLOT = 5.0


@dataclass(frozen=True, slots=True)
class RefusedLately:
    """Newcomers refused in the last minute, by why; `places` is how many places they came from, or more if `more`."""

    by_reason: Mapping[str, int] = field(default_factory=dict)
    places: int = 0
    more: bool = False
    busiest: str = ""
    """The place most of them came from."""


class _Slot:
    __slots__ = ("at", "by_place", "by_reason", "more")

    def __init__(self, at: float) -> None:
        self.at = at
        self.by_reason: dict[str, int] = {}
        self.by_place: dict[str, int] = {}
        self.more = False


class Newcomers:
    """The newcomers that were refused in the last minute."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque(maxlen=int(WINDOW / _SLOT) + 1)

    def note(self, why: str, place: str, now: float) -> None:
        """One newcomer of that place was refused."""
        if not self._slots or now - self._slots[-1].at >= _SLOT:
            self._slots.append(_Slot(now))
        slot = self._slots[-1]
        slot.by_reason[why] = slot.by_reason.get(why, 0) + 1
        if place in slot.by_place or len(slot.by_place) < MOST_PLACES:
            slot.by_place[place] = slot.by_place.get(place, 0) + 1
        else:
            slot.more = True

    def lately(self, now: float) -> RefusedLately:
        """Those of the last minute, five seconds more or less."""
        by_reason: dict[str, int] = {}
        by_place: dict[str, int] = {}
        slots = [slot for slot in self._slots if now - slot.at < WINDOW]
        for slot in slots:
            for counted, into in ((slot.by_reason, by_reason), (slot.by_place, by_place)):
                for name, count in counted.items():
                    into[name] = into.get(name, 0) + count
        busiest = max(by_place, key=lambda place: by_place[place], default="")
        return RefusedLately(by_reason, len(by_place), any(slot.more for slot in slots), busiest)
