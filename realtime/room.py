"""Those who are in a room, and what is said to all of them.

The rule of this room: everybody gets the same object, in the order in which it was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from realtime.frames import Outgoing
from realtime.multicast import Multicast
from realtime.stats import RealtimeStats

if TYPE_CHECKING:
    from realtime.socket import Sink, Socket

MANY = 8
"""Members from which on they are written to in a row: for fewer it is not worth remembering who they are, nor while
they come and go between any two things that are said.
"""


class Room:
    """`sinks`, by client: to be changed through `put` and `remove` only."""

    __slots__ = ("_multicast", "_others", "_settled", "_stats", "sinks")

    def __init__(self, stats: RealtimeStats) -> None:
        self.sinks: dict[Socket, Sink] = {}
        self._stats = stats
        self._multicast: Multicast | None = None
        self._others: Sequence[Sink] = ()
        self._settled = False  # nobody has come or gone since something was sent

    def put(self, socket: Socket, sink: Sink) -> None:
        """A client is in the room, or is reached in another way from now on."""
        self.sinks[socket] = sink
        self._changed()

    def remove(self, socket: Socket) -> None:
        """It is not, whether it was or not."""
        if self.sinks.pop(socket, None) is not None:
            self._changed()

    def send(self, outgoing: Outgoing) -> int:
        """Send to everybody; to how many."""
        members = len(self.sinks)
        multicast = self._row()
        if multicast is None:
            # A copy, because a connection may end while it is written to and then leaves the room.
            for sink in list(self.sinks.values()):
                sink.send(outgoing)
            return members
        others = self._others
        multicast.send(outgoing)
        for sink in others:
            sink.send(outgoing)
        if others and any(sink.destination is not None for sink in others):
            self._changed()  # somebody has caught up
        return members

    def _row(self) -> Multicast | None:
        """Those who can be written to in a row, and `_others`; None where that is not worth it."""
        multicast = self._multicast
        if multicast is not None and multicast.intact:
            return multicast
        if not self._settled or len(self.sinks) < MANY:
            self._settled = True
            return None
        destinations, others = [], []
        for sink in self.sinks.values():
            if (destination := sink.destination) is None:
                others.append(sink)
            else:
                destinations.append(destination)
        self._others = others
        self._multicast = Multicast(destinations, self._stats)
        return self._multicast

    def _changed(self) -> None:
        self._settled = False
        multicast, self._multicast = self._multicast, None
        if multicast is not None:
            multicast.dissolve()
            self._others = ()
