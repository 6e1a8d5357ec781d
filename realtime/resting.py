"""Connections whose next words may be read late, so that those of many are read together.

Reading one message at a time costs a server several times what reading ten in a row does: between two of them the
processor has forgotten everything. The rule of this room: nobody rests longer than was said, and one timer wakes all
that are due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

TOGETHER = 0.002
"""Seconds that a connection may be woken early, because others are."""


class Rests(Protocol):
    """A connection that is told when its rest is over."""

    def wake(self) -> None:
        """Read again; it begins with `discard`, as whenever it is woken for a reason of its own."""


class Resting:
    """Who rests until when. `loop` is asked for when it is needed: at the beginning there may be none."""

    def __init__(self, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._loop = loop
        self._until: dict[Rests, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.unread = False
        """Somebody was woken in this turn of the loop, and is read in the next."""

    def __len__(self) -> int:
        return len(self._until)

    def add(self, connection: Rests, seconds: float) -> bool:
        """Let a connection rest for so long from now; False when it rests already, and keeps its time."""
        if connection in self._until:
            return False
        loop = self._loop()
        until = self._until[connection] = loop.time() + seconds
        if self._timer is None or until < self._timer.when():
            self._set(loop, until)
        return True

    def discard(self, connection: Rests) -> bool:
        """Its rest is over; False when it did not rest."""
        return self._until.pop(connection, None) is not None

    def end(self) -> None:
        """Wake everybody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in list(self._until):
            connection.wake()

    def _ring(self) -> None:
        loop = self._loop()
        self._timer = None
        soon = loop.time() + TOGETHER
        for connection in [connection for connection, until in self._until.items() if until <= soon]:
            connection.wake()
        if not self.unread:
            self.unread = True
            loop.call_soon(self._read)
        if self._until and self._timer is None:
            self._set(loop, min(self._until.values()))

    def _read(self) -> None:
        self.unread = False

    def _set(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(until, self._ring)
