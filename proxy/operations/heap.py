"""Freed memory, given back to the system.

glibc keeps what it was given back for the next allocation, between what is still in use: bodies that have left the
memory tier would stay resident until the process ends, and no alert about memory would ever see that there are fewer.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable

LEAST = 4 * 2**20
"""Bytes that must have been let go of: every allocation of the process waits while the heap is gone through."""
INTERVAL = 5.0
"""Seconds between two looks, and so at least between two times that memory is given back."""

Trim = Callable[[], object]


def malloc_trim() -> Trim | None:
    """What makes the C library give back what is free; None where it has nothing of the kind, as musl."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda: trim(0)


class Heap:
    """Gives memory back whenever what is `held` in bytes has fallen by much, for whatever reason it has."""

    def __init__(self, held: Callable[[], int], trim: Trim | None) -> None:
        self._held = held
        self._trim = trim
        self._highest = 0

    async def keep(self) -> None:
        """Look again and again; to be cancelled."""
        while self._trim is not None:
            await asyncio.sleep(INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Give back what was freed since the last time, if it is worth it."""
        held = self._held()
        self._highest = max(self._highest, held)
        if self._trim is not None and self._highest - held >= LEAST:
            self._highest = held
            # It takes milliseconds, and ctypes lets go of the interpreter meanwhile.
            await asyncio.to_thread(self._trim)
