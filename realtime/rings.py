"""PURE What was sent to rooms of late, up to so many packets and bytes for each, and bytes for all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final

from realtime.frames import Outgoing
from realtime.settings import RecoverySettings

OVERHEAD: Final = 512
"""Bytes that a packet takes besides its own: short ones would not be bounded otherwise."""


class Kept:
    """A packet in a ring, encoded as it was sent. `skip` are the clients it was not sent to."""

    __slots__ = ("at", "number", "outgoing", "skip")

    def __init__(self, number: int, at: float, outgoing: Outgoing, skip: Collection[str]) -> None:
        self.number = number
        self.at = at
        self.outgoing = outgoing
        self.skip = skip


class Ring:
    """The latest packets of a room. `lost` is the number of the last one dropped, `newest` of the last one added.

    `holders` counts the memberships, present and past, that may ask for what is in it.
    """

    __slots__ = ("_latest", "bytes", "holders", "kept", "lost", "newest")

    def __init__(self) -> None:
        self.kept: OrderedDict[int, Kept] | None = None
        self.bytes = 0
        self.lost = 0
        self.newest = 0
        self.holders = 0
        self._latest: dict[str, int] | None = None

    def add(self, packet: Kept, settings: RecoverySettings) -> None:
        if self.kept is None:
            self.kept = OrderedDict()
        key = packet.outgoing.conflate
        if key is not None and not packet.skip:
            self._supersede(key, packet.number)
        self.kept[packet.number] = packet
        self.bytes += packet.outgoing.size
        self.newest = packet.number
        while len(self.kept) > settings.packets or self.bytes > settings.bytes:
            self._drop()

    @property
    def memory(self) -> int:
        """Bytes that its packets take, about."""
        return self.bytes + OVERHEAD * len(self.kept or ())

    def expire(self, before: float) -> None:
        """Drop what was sent before this time."""
        while self.kept and next(iter(self.kept.values())).at < before:
            self._drop()

    def empty(self) -> None:
        """Drop everything."""
        self.kept = self._latest = None
        self.bytes = 0
        self.lost = self.newest

    def last_before(self, time: float) -> int:
        """The number of the last packet that was sent before this time, as far as is known; 0 for none."""
        if time == float("-inf"):
            return 0
        sent = (packet.number for packet in reversed((self.kept or {}).values()) if packet.at < time)
        return next(sent, self.lost)

    def since(self, start: int, stop: int | None) -> list[Kept]:
        """The packets with numbers above `start`, up to `stop`."""
        found: list[Kept] = []
        for packet in reversed((self.kept or {}).values()):
            if packet.number <= start:
                break
            if stop is None or packet.number <= stop:
                found.append(packet)
        return found

    def _supersede(self, key: str, number: int) -> None:
        """Of packets with the same key only the latest is of use: the former one is no loss."""
        assert self.kept is not None
        if self._latest is None:
            self._latest = {}
        former = self.kept.pop(self._latest.get(key, 0), None)
        if former is not None:
            self.bytes -= former.outgoing.size
        self._latest[key] = number

    def _drop(self) -> None:
        assert self.kept is not None
        _, packet = self.kept.popitem(last=False)
        self.bytes -= packet.outgoing.size
        self.lost = packet.number
        key = packet.outgoing.conflate
        if key is not None and self._latest is not None and self._latest.get(key) == packet.number:
            del self._latest[key]


class Shelf:
    """The packets of all rings together, within `settings.bytes_in_all`: the ring longest not written is emptied first.

    `emptied` counts those.
    """

    __slots__ = ("_settings", "_written", "emptied", "memory")

    def __init__(self, settings: RecoverySettings) -> None:
        self._settings = settings
        self._written: OrderedDict[Ring, None] = OrderedDict()
        self.memory = 0
        self.emptied = 0

    def add(self, ring: Ring, packet: Kept) -> None:
        self.memory -= ring.memory
        ring.add(packet, self._settings)
        self.memory += ring.memory
        self._written[ring] = None
        self._written.move_to_end(ring)
        while self.memory > self._settings.bytes_in_all:
            oldest = next(iter(self._written))
            self.remove(oldest)
            oldest.empty()
            self.emptied += 1

    def remove(self, ring: Ring | None) -> None:
        """This ring is not needed any more, or there was none."""
        if ring is not None and ring in self._written:
            del self._written[ring]
            self.memory -= ring.memory

    def expire(self, before: float) -> None:
        """Drop from every ring what was sent before this time."""
        for ring in list(self._written):
            self.memory -= ring.memory
            ring.expire(before)
            self.memory += ring.memory
            if not ring.kept:
                del self._written[ring]
