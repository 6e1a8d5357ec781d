"""The same bytes for many connections, given to the system one after the other.

Asking each of hundreds of connections to write costs about as much as what the system does for it: everything that is
known of each has to be fetched first. So those for which a write is nothing but a write are kept as a row of
descriptors. The rule of this room: a connection steps out, which dissolves the row, before anything of its own waits
to be written, before it closes, and before its descriptor can become that of another one.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from itertools import repeat
from typing import Protocol

from realtime.frames import Outgoing
from realtime.stats import RealtimeStats


class Destination(Protocol):
    """A connection that takes bytes as they are, and of which none wait."""

    @property
    def descriptor(self) -> int: ...

    def stepped_in(self, multicast: Multicast) -> None:
        """It is in `multicast`, and dissolves it before it is any other than it is now."""

    def stepped_out(self, multicast: Multicast, sent: int) -> None:
        """It is in `multicast` no longer, by which it was sent so many bytes."""

    def left_over(self, data: bytes) -> None:
        """The system took no more than what came before `data`; or the connection has failed."""


class Multicast:
    """A row of connections, until it is dissolved."""

    __slots__ = ("_descriptors", "_destinations", "_sent", "_stats", "intact")

    def __init__(self, destinations: Sequence[Destination], stats: RealtimeStats) -> None:
        self._destinations = destinations
        self._descriptors = array("i", [destination.descriptor for destination in destinations])
        self._stats = stats
        self._sent = 0
        self.intact = True
        """It has not been dissolved."""
        for destination in destinations:
            destination.stepped_in(self)

    def send(self, outgoing: Outgoing) -> None:
        """Write to all. Whoever takes less than all of it steps out with the rest."""
        destinations = self._destinations
        data, size = outgoing.frame, outgoing.size
        self._sent += size
        self._stats.packets_out += outgoing.count * len(destinations)
        self._stats.bytes_out += size * len(destinations)
        behind: list[tuple[int, int]] = []
        # Nobody's code runs between these writes, so the row stays as it is until the last of them.
        writes = map(os.write, self._descriptors, repeat(data))
        place = -1
        while True:
            try:
                for place, written in enumerate(writes, place + 1):  # noqa: B020 - it goes on where a failure was
                    if written < size:
                        behind.append((place, written))
                break
            except OSError:
                place += 1
                behind.append((place, 0))
        for place, written in behind:
            destinations[place].left_over(data[written:])

    def dissolve(self) -> None:
        """Let everybody go. A second time it does nothing."""
        self.intact = False
        destinations, self._destinations = self._destinations, ()
        self._descriptors = array("i")
        for destination in destinations:
            destination.stepped_out(self, self._sent)
