"""Speakers who need not be read until there is something to be done with what they say.

Reading one message at a time costs a server several times what reading ten in a row does: between two of them the
processor has forgotten everything. So the loop does not watch those who rest; they are heard, all in a row, when what
they say is wanted. The rule of this room: nobody rests noticeably longer than was said, even if nobody wants to hear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Protocol

from realtime.deadlines import Deadlines

TOGETHER = 0.001
"""Seconds that a connection may be heard early, because others are."""

UNWANTED = 0.005
"""Seconds beyond its time after which a connection is heard although nobody has wanted it."""


class Rests(Hashable, Protocol):
    """A connection that the loop need not watch."""

    def listen(self) -> None:
        """Read what has come, and rest on."""

    def wake(self) -> None:
        """Be watched again; it begins with `discard`, as whenever it is woken for a reason of its own."""


class Ears(Protocol):
    """Hear those who rest; `release` has to follow `hear`."""

    def hear(self) -> None: ...

    def release(self) -> None: ...


class Resting:
    """Who rests until when. `loop` is asked for when it is needed: at the beginning there may be none."""

    def __init__(self, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._loop = loop
        self._until: Deadlines[Rests] = Deadlines()
        self._heard: list[Rests] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._until)

    def add(self, connection: Rests, until: float) -> bool:
        """Let a connection rest until then, by the loop's clock; False when it rests already, and keeps its time."""
        if connection in self._until:
            return False
        self._until.set(connection, until)
        if self._timer is None or until + UNWANTED < self._timer.when():
            self._set(self._loop())
        return True

    def discard(self, connection: Rests) -> bool:
        """Its rest is over; False when it did not rest."""
        rests = connection in self._until
        if rests:
            self._until.drop(connection)
        return rests

    def hear(self) -> None:
        """Read those whose time has come. Each may be told to rest on before `release`, which has to follow."""
        if not self._until:
            return
        loop = self._loop()
        due = self._until.due(loop.time() + TOGETHER)
        self._heard += due
        for connection in due:
            connection.listen()
        if due:
            self._set(loop)

    def release(self) -> None:
        """Have the loop watch those who were heard and may not rest on."""
        if not self._heard:
            return
        heard, self._heard = self._heard, []
        for connection in heard:
            if connection not in self._until:
                connection.wake()

    def end(self) -> None:
        """Wake everybody."""
        for connection in self._until.due(float("inf")):
            connection.wake()
        self._set(self._loop())

    def _ring(self) -> None:
        self._timer = None
        try:
            self.hear()
        finally:
            self.release()
            self._set(self._loop())

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        first = self._until.earliest
        self._timer = None if first is None else loop.call_at(first + UNWANTED, self._ring)
