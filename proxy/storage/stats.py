"""What the store says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Counts since the start, and what is held now. Sizes are bytes.

    `evictions` counts by tier what left for want of room, `expired` what outlived its route's `max_age`,
    `purged` what a purge or a write removed, `marked_stale` what a purge kept, `damaged` what failed a check and was
    dropped, `dropped_writes` what the disk tier could not take.
    `disk_available` is False while the disk tier is off until a restart, None when it is configured so.
    """

    entries: int
    memory_entries: int
    memory_bytes: int
    disk_entries: int
    disk_bytes: int
    evictions: Mapping[str, int]
    expired: int
    purged: int
    marked_stale: int
    damaged: int
    write_behind_bytes: int
    dropped_writes: int
    storage_errors: int
    disk_available: bool | None
