"""The memory tier: complete responses within a bound of bytes, kept by S3-FIFO.

S3-FIFO (Yang et al., SOSP 2023): most objects are asked for once, so new ones pass through a small queue of a
tenth of the space and enter the main queue only when they were used there, or came back while the ghost queue
still remembered them; a scan of one-hit wonders therefore washes through the small queue alone.

A pure structure: no I/O, no clock. Everything is amortised O(1).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from proxy.policy.messages import StoredResponse

_SMALL_SHARE = 0.1
_MOST_USES = 3
_USES_TO_STAY = 2

_HEAD_OVERHEAD = 1500
"""Bytes of a head without its texts: the objects of StoredResponse, Fields, Entry and the places they take in
the index and the queues (measured; a test compares)."""
_LINE_OVERHEAD = 340
"""Bytes per field line without its text: tuple, two strings, the index's list, key and slot."""


def memory_weight(stored: StoredResponse, body: int) -> int:
    """The bytes a response with a body of `body` bytes takes in memory, overhead included; an estimate."""
    lines = sum(2 * len(name) + len(value) + _LINE_OVERHEAD for name, value in stored.fields)
    return body + lines + 2 * (len(stored.key) + len(stored.url)) + _HEAD_OVERHEAD


@dataclass(slots=True, eq=False)
class Resident:
    """A response in memory. `uses` counts hits since it joined its queue, up to three."""

    stored: StoredResponse
    body: bytes
    weight: int
    uses: int = 0


class MemoryTier:
    """Responses by record number, `capacity` bytes at most. Bodies over `object_limit` never enter."""

    def __init__(self, capacity: int, object_limit: int) -> None:
        self._capacity = capacity
        self._object_limit = object_limit
        self._small_target = int(capacity * _SMALL_SHARE)
        self._small: OrderedDict[int, Resident] = OrderedDict()
        self._main: OrderedDict[int, Resident] = OrderedDict()
        self._ghost: OrderedDict[int, int] = OrderedDict()
        self._small_bytes = 0
        self._main_bytes = 0
        self._ghost_bytes = 0

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def __contains__(self, record: int) -> bool:
        return record in self._small or record in self._main

    @property
    def bytes_held(self) -> int:
        """The weights of everything resident; never above the capacity."""
        return self._small_bytes + self._main_bytes

    @property
    def capacity(self) -> int:
        """The most bytes that may be held."""
        return self._capacity

    def resize(self, capacity: int) -> list[int]:
        """Hold `capacity` bytes at most from now on; the records that were evicted to come down to it."""
        self._capacity = capacity
        self._small_target = int(capacity * _SMALL_SHARE)
        evicted = self._make_room(0)
        self._trim_ghost()
        return evicted

    def find(self, record: int) -> Resident | None:
        """What is resident under `record`; counts as a use."""
        resident = self._small.get(record) or self._main.get(record)
        if resident is not None and resident.uses < _MOST_USES:
            resident.uses += 1
        return resident

    def peek(self, record: int) -> Resident | None:
        """What is resident under `record`, without counting a use."""
        return self._small.get(record) or self._main.get(record)

    def admit(self, record: int, stored: StoredResponse, body: bytes) -> tuple[bool, list[int]]:
        """Whether the response became resident, and the records that were evicted for it."""
        self.discard(record)
        weight = memory_weight(stored, len(body))
        if len(body) > self._object_limit or weight > self._capacity:
            return False, []
        evicted = self._make_room(weight)
        resident = Resident(stored, body, weight)
        if self._forget(_fingerprint(stored)):
            self._main[record] = resident
            self._main_bytes += weight
        else:
            self._small[record] = resident
            self._small_bytes += weight
        return True, evicted

    def replace_head(self, record: int, stored: StoredResponse) -> list[int]:
        """Give a resident another head and keep its body and place; the records that were evicted for it."""
        resident = self.peek(record)
        if resident is None:
            return []
        weight = memory_weight(stored, len(resident.body))
        if record in self._small:
            self._small_bytes += weight - resident.weight
        else:
            self._main_bytes += weight - resident.weight
        resident.stored, resident.weight = stored, weight
        return self._make_room(0)

    def discard(self, record: int, *, superseded: bool = False) -> None:
        """Let go of a record. `superseded`: what replaces it inherits a place in the main queue it had earned."""
        if (resident := self._small.pop(record, None)) is not None:
            self._small_bytes -= resident.weight
        elif (resident := self._main.pop(record, None)) is not None:
            self._main_bytes -= resident.weight
            if superseded:
                self._remember(resident)

    def _make_room(self, weight: int) -> list[int]:
        evicted: list[int] = []
        while self.bytes_held + weight > self._capacity:
            if self._small and (self._small_bytes >= self._small_target or not self._main):
                self._pass_small(evicted)
            else:
                self._pass_main(evicted)
        return evicted

    def _pass_small(self, evicted: list[int]) -> None:
        record, resident = self._small.popitem(last=False)
        self._small_bytes -= resident.weight
        if resident.uses >= _USES_TO_STAY:
            resident.uses = 0
            self._main[record] = resident
            self._main_bytes += resident.weight
        else:
            self._remember(resident)
            evicted.append(record)

    def _pass_main(self, evicted: list[int]) -> None:
        record, resident = self._main.popitem(last=False)
        if resident.uses > 0:
            resident.uses -= 1
            self._main[record] = resident
        else:
            self._main_bytes -= resident.weight
            evicted.append(record)

    def _remember(self, resident: Resident) -> None:
        fingerprint = _fingerprint(resident.stored)
        self._forget(fingerprint)
        self._ghost[fingerprint] = resident.weight
        self._ghost_bytes += resident.weight
        self._trim_ghost()

    def _trim_ghost(self) -> None:
        while self._ghost_bytes > self._capacity - self._small_target:
            _, weight = self._ghost.popitem(last=False)
            self._ghost_bytes -= weight

    def _forget(self, fingerprint: int) -> bool:
        weight = self._ghost.pop(fingerprint, None)
        if weight is None:
            return False
        self._ghost_bytes -= weight
        return True


def _fingerprint(stored: StoredResponse) -> int:
    # Records are numbered anew with each put, so the ghost queue remembers by name; 8 bytes of it suffice.
    name: Hashable = (stored.key, stored.vary)
    return hash(name)
