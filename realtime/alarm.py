"""One timer for everything that waits for time: the parts know their deadlines, the alarm sleeps until the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

Wake = Callable[[float | None], None]
"""Takes the deadline of a part that has changed."""


class Waits(Protocol):
    """Something with a deadline (None: nothing waits) and what is to be done then."""

    @property
    def deadline(self) -> float | None: ...

    def due(self, now: float) -> None: ...


class Alarm:
    """Watches its parts; they tell it of every deadline that may come before the others."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._parts: Sequence[Waits] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def watch(self, *parts: Waits) -> None:
        self._parts = parts

    @property
    def is_set(self) -> bool:
        return self._timer is not None

    def nearer(self, deadline: float | None) -> None:
        """A part has this deadline now."""
        if deadline is None or (self._timer is not None and self._at <= deadline):
            return  # ringing too early costs less than moving the timer for every event
        self.stop()
        self._at = deadline
        self._timer = asyncio.get_running_loop().call_later(max(0.0, deadline - self._now()), self.ring)

    def ring(self) -> None:
        """Do what is due now, and wait for the next."""
        self.stop()
        now = self._now()
        try:
            for part in self._parts:
                part.due(now)
        finally:
            for part in self._parts:
                self.nearer(part.deadline)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
