"""Records that were purged while the disk refused to delete them, kept so that no restart brings them back.

One block of a file that exists from the start: overwriting it needs no free space, so it works on a full disk.
When more records are owed than the block can name, it states a floor instead: everything below is void.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 4096
_PREFIX = struct.Struct(">4sIQI")  # magic, CRC-32 of the rest, floor, count
_MAGIC = b"CWT1"
_MOST = (_BLOCK - _PREFIX.size) // 8


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Which records are void: those below `floor` and those named."""

    floor: int = 0
    records: frozenset[int] = frozenset()

    def covers(self, record: int) -> bool:
        return record < self.floor or record in self.records

    @property
    def highest(self) -> int:
        """The highest record number that may be void; new records must be above it."""
        return max(self.floor - 1, max(self.records, default=0))


def read_tombstones(path: Path) -> Tombstones | None:
    """The tombstones in a file, none when there is no file; None when they cannot be read.

    Raises OSError.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Tombstones()
    if len(data) != _BLOCK:
        return None
    magic, checksum, floor, count = _PREFIX.unpack_from(data)
    if magic != _MAGIC or checksum != zlib.crc32(data[8:]) or count > _MOST:
        return None
    return Tombstones(floor, frozenset(struct.unpack_from(f">{count}Q", data, _PREFIX.size)))


def write_tombstones(path: Path, records: Collection[int], next_record: int) -> None:
    """State that `records` are void; `next_record` is above every record in use. Raises OSError."""
    if len(records) > _MOST:
        floor, named = next_record, b""
    else:
        floor, named = 0, struct.pack(f">{len(records)}Q", *sorted(records))
    rest = struct.pack(">QI", floor, len(named) // 8) + named.ljust(_BLOCK - _PREFIX.size, b"\0")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, struct.pack(">4sI", _MAGIC, zlib.crc32(rest)) + rest, 0)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
