"""A deadline that moves often and passes rarely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `expired` at the time last set, with one timer of the loop that is moved by comparing times.

    Setting a later time costs an assignment; the timer notices when it fires.
    """

    __slots__ = ("_expired", "_loop", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._when: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float) -> None:
        """Expire at this loop time instead."""
        self._when = when
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._fire)

    def after(self, seconds: float) -> None:
        self.at(self._loop.time() + seconds)

    def suspend(self) -> None:
        """Do not expire until a time is set again; the timer may stay."""
        self._when = None

    def stop(self) -> None:
        """Leave nothing in the loop."""
        self._when = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._when is None:
            return
        if self._loop.time() < self._when:
            self.at(self._when)
        else:
            self._when = None
            self._expired()
