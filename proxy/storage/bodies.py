"""Bodies of stored responses: in memory, and streamed from a file with its checksum verified on the way."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable

from proxy.errors import BodyIncomplete, StorageError
from proxy.storage.files import PIECE, SharedFile


class MemoryBody:
    """A body that is all there; it survives the removal of its entry because bytes do not change."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    @property
    def length(self) -> int:
        return len(self.content)

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop`, in one piece."""
        part = self.content[start:stop]
        if part:
            yield part

    async def close(self) -> None:
        """Nothing to release."""


class FileBody:
    """A body in a file, which stays readable when the file is unlinked meanwhile.

    Reading the whole verifies its CRC-32 before the last piece is handed out. A range cannot be verified by
    the checksum of the whole; for it only the length counts.
    """

    def __init__(self, file: SharedFile, length: int, checksum: int, on_damage: Callable[[], None]) -> None:
        self._file = file
        self._length = length
        self._checksum = checksum
        self._on_damage = on_damage
        self._closed = False

    @property
    def length(self) -> int:
        return self._length

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop`. Raises BodyIncomplete when the file is damaged."""
        end = self._length if stop is None else min(stop, self._length)
        whole = start == 0 and end == self._length
        checksum = 0
        offset = start
        while offset < end:
            piece = await self._read(offset, min(PIECE, end - offset))
            offset += len(piece)
            if whole:
                checksum = zlib.crc32(piece, checksum)
                if offset == end and checksum != self._checksum:
                    raise self._damage("the stored body fails its checksum")
            yield piece

    async def close(self) -> None:
        """Let go of the file."""
        if not self._closed:
            self._closed = True
            self._file.release()

    async def _read(self, offset: int, size: int) -> bytes:
        try:
            piece = await self._file.read(offset, size)
        except StorageError as error:
            raise BodyIncomplete(f"the stored body cannot be read any more: {error}") from error
        except OSError as error:
            raise self._damage(f"the stored body cannot be read: {error.strerror or error}") from error
        if not piece:
            raise self._damage("the stored body is shorter than it was")
        return piece

    def _damage(self, what: str) -> BodyIncomplete:
        self._on_damage()
        return BodyIncomplete(what)
