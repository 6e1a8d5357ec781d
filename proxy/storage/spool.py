"""A body on its way in: one writer, any number of readers, each at its own pace.

Where the bytes are, and how that changes (the bytes in memory are called the window):

    memory  ── more than `memory_limit` bytes ──►  file  ── more than `object_limit` bytes ──►  live
       └────── more than `object_limit` bytes, or no directory to spool to ─────────────────────►  │
                                                     └── the disk refuses a write ──────────────►  │

- memory: every byte is in the window.
- file: the beginning is in a temporary file, the newest bytes in the window, which is flushed in batches;
  `write` waits for the flush, so a slow disk slows the origin down.
- live: the body will not be stored. What is in the file stays there until every reader has passed it; the
  window holds at most LIVE_WINDOW bytes more than the slowest open reader has taken, and `write` waits for
  that reader. Without a reader, `write` raises. A reader that comes too late for the first byte gets
  BodyIncomplete (`joinable` tells).

From each of them the body ends by `finish` (readers end after the last byte) or `abort` (readers raise).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from proxy.errors import BodyIncomplete, StorageError
from proxy.storage.files import PIECE, Incoming, SharedFile

LIVE_WINDOW = 2**20
"""How far, in bytes, the writer may be ahead of the slowest reader of a body that is not stored."""


class BodySpool:
    """The Spool of the tiers. `on_refusal` hears of every error of the temporary file."""

    def __init__(
        self,
        *,
        expected: int | None,
        memory_limit: int,
        object_limit: int,
        incoming: Incoming | None,
        on_refusal: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._expected = expected
        # A body announced as large goes to its file batch by batch from the start.
        self._memory_limit = memory_limit if expected is None or expected <= memory_limit else 0
        self._object_limit = object_limit
        self._incoming = incoming
        self._on_refusal = on_refusal
        self._window: bytearray | bytes = bytearray()
        self._window_start = 0
        self._file: SharedFile | None = None
        self._path: Path | None = None
        self._flushed = 0
        self._checksum = 0
        self._storable = True
        self._finished = False
        self._error: Exception | None = None
        self._closed = False
        self._readers: set[SpoolBody] = set()
        # Both are pulsed (set, then cleared at once): whoever waits is woken, nobody else notices.
        self._grown = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def written(self) -> int:
        return self._window_start + len(self._window)

    @property
    def checksum(self) -> int:
        """CRC-32 of the bytes written."""
        return self._checksum

    @property
    def storable(self) -> bool:
        return self._storable and self._error is None

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def joinable(self) -> bool:
        if self._closed or self._error is not None:
            return False
        return self._window_start <= self._flushed and (self._flushed == 0 or self._file is not None)

    @property
    def abandoned(self) -> bool:
        return not self._storable and not self._readers and not self._finished

    @property
    def readers(self) -> int:
        return len(self._readers)

    async def write(self, chunk: bytes) -> None:
        """Append `chunk`; waits for a slow disk, or for the slowest reader of a live body.

        Raises StorageError when nobody reads a live body any more, or after `finish`, `abort` or `close`.
        """
        if self._finished or self._error is not None or not isinstance(self._window, bytearray):
            raise StorageError("the spool takes no more bytes")
        if not chunk:
            return
        self._window += chunk
        self._checksum = zlib.crc32(chunk, self._checksum)
        _pulse(self._grown)
        if self._storable:
            await self._keep()
        if not self._storable:
            await self._make_room(self._window)

    async def finish(self) -> None:
        if self._storable and self._file is not None:
            await self._flush()
        if self._expected is not None and self.written != self._expected:
            self._go_live()
        if self._file is None and self._storable:
            # From here on the memory tier and every reader share the same bytes.
            self._window = bytes(self._window)
        self._finished = True
        _pulse(self._grown)

    async def abort(self, error: Exception) -> None:
        if not self._finished and self._error is None:
            self._error = error
            self._forget_path()
            _pulse(self._grown)
            _pulse(self._drained)

    def open(self) -> SpoolBody:
        """A reader that counts as the slowest one until it reads or closes."""
        reader = SpoolBody(self)
        self._readers.add(reader)
        return reader

    async def close(self) -> None:
        if not self._finished:
            await self.abort(BodyIncomplete("the body was given up before its end"))
        self._closed = True
        self._forget_path()
        self._drop_if_unused()

    def take(self) -> bytes | Path:
        """The whole body, for the tier that keeps it: its bytes, or the file that the tier now owns.

        Raises StorageError unless the spool is finished and storable. A file can be taken once.
        """
        if not self._finished or not self.storable:
            raise StorageError("only a finished, storable spool can be taken")
        if self._file is None:
            return bytes(self._window)
        if self._path is None:
            raise StorageError("the spool's file was taken before")
        path, self._path = self._path, None
        return path

    async def _keep(self) -> None:
        if self.written > self._object_limit:
            self._go_live()
        elif self.written > self._memory_limit:
            if self._incoming is None:
                self._go_live()
            elif len(self._window) >= PIECE:
                await self._flush()

    async def _flush(self) -> None:
        assert self._incoming is not None
        try:
            if self._file is None:
                self._path, self._file = await self._incoming.create()
            batch = bytes(self._window)
            if batch:
                await self._file.write(self._window_start, batch)
        except (OSError, StorageError) as error:
            self._on_refusal(error)
            self._go_live()
            return
        self._window_start += len(batch)
        self._flushed = self._window_start
        self._window = bytearray()

    def _go_live(self) -> None:
        self._storable = False
        self._forget_path()

    def _forget_path(self) -> None:
        if self._path is not None and self._incoming is not None:
            self._incoming.discard(self._path)
            self._path = None

    async def _make_room(self, window: bytearray) -> None:
        while True:
            if self._error is not None:
                raise StorageError("the spool takes no more bytes")
            if not self._readers:
                raise StorageError("nobody reads this body, and it is too large or too late to be stored")
            slowest = min(reader.position for reader in self._readers)
            passed = slowest - self._window_start
            if passed > 0:
                del window[:passed]
                self._window_start += passed
            if slowest >= self._flushed:
                self._release_file()
            if len(window) <= LIVE_WINDOW:
                return
            await self._drained.wait()

    def _release_file(self) -> None:
        if self._file is not None:
            self._file.release()
            self._file = None

    def _drop_if_unused(self) -> None:
        if self._closed and not self._readers:
            self._release_file()
            self._window_start, self._window = self.written, b""

    async def _read(self, position: int, limit: int | None) -> bytes:
        """The next bytes from `position`; none at the body's end. Waits for the writer."""
        while True:
            stop = self.written if limit is None else min(limit, self.written)
            if position < stop:
                return await self._available(position, min(stop, position + PIECE))
            if limit is not None and position >= limit:
                return b""
            if self._error is not None:
                raise self._error
            if self._finished:
                return b""
            await self._grown.wait()

    async def _available(self, position: int, stop: int) -> bytes:
        if position < self._flushed and self._file is not None:
            return await self._from_file(self._file, position, min(stop, self._flushed) - position)
        if position < self._window_start:
            raise BodyIncomplete("this reader came too late: the beginning of the body is gone")
        with memoryview(self._window) as view:
            return bytes(view[position - self._window_start : stop - self._window_start])

    async def _from_file(self, file: SharedFile, position: int, size: int) -> bytes:
        try:
            piece = await file.read(position, size)
        except (OSError, StorageError) as error:
            self._on_refusal(error)
            raise BodyIncomplete(f"the spooled body cannot be read: {error}") from error
        if not piece:
            raise BodyIncomplete("the spooled body is shorter than what was written")
        return piece

    def _advanced(self) -> None:
        if not self._storable:
            _pulse(self._drained)

    def _left(self, reader: SpoolBody) -> None:
        self._readers.discard(reader)
        _pulse(self._drained)
        self._drop_if_unused()


class SpoolBody:
    """One reader of a spool. `position` is the first byte it has not taken yet."""

    def __init__(self, spool: BodySpool) -> None:
        self._spool = spool
        self.position = 0

    @property
    def length(self) -> int | None:
        return self._spool.written if self._spool.finished else None

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop`, as they arrive.

        Raises the error the spool was aborted with, or BodyIncomplete when the bytes are gone.
        """
        self.position = start
        while chunk := await self._spool._read(self.position, stop):
            yield chunk
            # Only now has the consumer taken it: a live writer may go on.
            self.position += len(chunk)
            self._spool._advanced()

    async def close(self) -> None:
        """Leave; a live writer no longer waits for this reader."""
        self._spool._left(self)


def _pulse(event: asyncio.Event) -> None:
    event.set()
    event.clear()
