"""One timer for everything that waits for time: the parts know their deadlines, the alarm sleeps until the first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol


class Waits(Protocol):
    """Something with a deadline (None: nothing waits) and what is to be done then."""

    @property
    def deadline(self) -> float | None: ...

    def due(self, now: float) -> None: ...


class Alarm:
    """Call `arm` whenever a deadline may have come nearer."""

    def __init__(self, parts: Sequence[Waits], now: Callable[[], float]) -> None:
        self._parts = parts
        self._now = now
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def arm(self) -> None:
        at = None
        for part in self._parts:
            deadline = part.deadline
            if deadline is not None and (at is None or deadline < at):
                at = deadline
        if at is None or (self._timer is not None and self._at <= at):
            return  # ringing too early costs less than moving the timer for every event
        self.stop()
        self._at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self._now()), self.ring)

    def ring(self) -> None:
        """Do what is due now, and wait for the next."""
        self.stop()
        now = self._now()
        try:
            for part in self._parts:
                part.due(now)
        finally:
            self.arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
