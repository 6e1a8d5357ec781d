"""Files read and written off the event loop, and the directory where bodies arrive.

A descriptor is closed by whoever lets go of it last, operations in flight included: a cancelled task may
leave a write running in its thread, and that write must never hit a descriptor that was reused meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from io import FileIO
from pathlib import Path
from typing import TypeVar

from proxy.errors import StorageError

PIECE = 256 * 2**10
"""Bytes read from a file at a time."""

Result = TypeVar("Result")


class SharedFile:
    """An open file with several holders; the last `release` closes it."""

    def __init__(self, file: FileIO, pool: Executor) -> None:
        self._file = file
        self._pool = pool
        self._holders = 1
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Become one more holder. Raises StorageError when it is closed already."""
        with self._lock:
            if self._holders == 0:
                raise StorageError("the file is closed")
            self._holders += 1

    def release(self) -> None:
        """Let go. Callable from any thread."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            # Closing frees the blocks of a file that was unlinked meanwhile, which takes long when it is large.
            submit_or_run(self._pool, self._file.close)

    async def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`. Raises OSError or StorageError."""
        return await self._run(lambda: os.pread(self._file.fileno(), size, offset))

    async def holds(self, length: int, checksum: int) -> bool:
        """Whether it begins with so many bytes, with this CRC-32; False when it cannot be read."""
        offset = found = 0
        try:
            while offset < length:
                piece = await self.read(offset, min(PIECE, length - offset))
                if not piece:
                    return False
                offset += len(piece)
                found = zlib.crc32(piece, found)
        except (OSError, StorageError):
            return False
        return found == checksum

    async def write(self, offset: int, data: bytes) -> None:
        """All of `data` at `offset`. Raises OSError or StorageError."""
        await self._run(lambda: self._write(offset, data))

    def _write(self, offset: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self._file.fileno(), rest, offset)
            rest = rest[count:]
            offset += count

    async def _run(self, operation: Callable[[], Result]) -> Result:
        self.hold()
        try:
            future: Future[Result] = self._pool.submit(operation)
        except RuntimeError as error:  # the pool was shut down
            self.release()
            raise StorageError("the disk tier is closed") from error
        future.add_done_callback(lambda _: self.release())
        return await asyncio.wrap_future(future)


class Incoming:
    """The directory of bodies that are still arriving; what is in it at start-up belongs to a dead process."""

    def __init__(self, directory: Path, pool: Executor) -> None:
        self._directory = directory
        self._pool = pool

    async def create(self) -> tuple[Path, SharedFile]:
        """A new empty file, readable by this user only. Raises OSError or StorageError."""
        path = self._directory / secrets.token_hex(16)
        try:
            future = self._pool.submit(_create, path)
        except RuntimeError as error:
            raise StorageError("the disk tier is closed") from error
        try:
            file = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            # The thread may have created it all the same.
            future.add_done_callback(lambda done: _undo(done, path))
            raise
        return path, SharedFile(file, self._pool)

    def discard(self, path: Path) -> None:
        """Remove a file soon; open descriptors of it stay usable."""
        submit_or_run(self._pool, lambda: path.unlink(missing_ok=True))


def _create(path: Path) -> FileIO:
    return FileIO(path, "x+", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, 0o600))


def _undo(created: Future[FileIO], path: Path) -> None:
    if not created.cancelled() and created.exception() is None:
        created.result().close()
        path.unlink(missing_ok=True)


def submit_or_run(pool: Executor, operation: Callable[[], object]) -> None:
    """Do `operation` in the pool, or here and now when the pool was shut down."""
    try:
        pool.submit(operation)
    except RuntimeError:
        operation()
