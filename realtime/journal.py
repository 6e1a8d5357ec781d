"""Keeps what recovery must know across restarts and kill -9: an append-only file, written by a thread of its own.

Only what must be written before it is sent is written by the loop itself (`write_now`), as long as the disk takes it
at once: that is a copy into the system's memory, and less work than waking the thread. Otherwise the loop never waits
for the disk. Records that are appended together are JSON on one line, behind its CRC-32; a line that was being written
when the process was killed does not count. Every life of the process, and every so often a running one, begins a new
file with all that is still of use except the packets; files whose packets are too old are deleted. Written is not the
same as synced: what was settled survives the end of the process, not a loss of power.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import threading
import time
import zlib
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, Final

from realtime.remembered import Record

log = logging.getLogger("cachewire.realtime")

GATHER: Final = 0.001
"""Seconds between two times at which records are handed to the thread, unless somebody waits for them."""
RETRY: Final = 30.0
"""Seconds after a failure of the disk until the journal is begun anew."""
TOGETHER: Final = "together"
"""The first member of a line that holds several records."""
TURN: Final = 0.005
"""Seconds that the loop waits, at most, for the thread to end what it is writing."""
SLOW: Final = 0.1
"""Seconds of a write from which on the disk is slow."""
SPARED: Final = 5.0
"""Seconds after a slow write for which the loop leaves writing to the thread."""


class Journal:
    """The files in `directory` (0700; files 0600), at most about `max_bytes`. `keep` is how long packets are of use, in
    seconds. Another process that uses the directory makes `open` raise BlockingIOError.
    """

    def __init__(self, directory: Path, *, keep: float = 120.0, max_bytes: int = 64 * 2**20) -> None:
        self._directory = directory
        self._keep = keep
        self._max_bytes = max_bytes
        self._lock: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._snapshot: Callable[[], list[Record]] = list
        self._gathered: list[_Item] = []
        self._handing: asyncio.Handle | None = None
        self._handed_at = 0.0
        self._handed: deque[tuple[list[_Item], bool]] = deque()
        self._bell = threading.Semaphore(0)
        self._turn = threading.Lock()  # held by whoever takes what was handed over and writes it
        self._cuts_asked = 0
        self._cuts_made = 0  # each of the two is changed by one thread only
        self._slow_until = 0.0
        self._appended = 0
        self._taken = 0
        self._written = 0
        self._waiters: list[tuple[int, asyncio.Future[bool]]] = []
        self._files: list[_File] = []
        self._file: FileIO | None = None
        self._broken = False
        self._failed_at: float | None = None
        self._renewed = 0  # what has to be written before the last failure is over
        self._thread: threading.Thread | None = None
        self._stopping = False

    async def open(self) -> list[Record]:
        """Take the directory; what former lives have written, in order, or nothing if it is damaged."""
        return await asyncio.to_thread(self._open)

    def begin(self, snapshot: Callable[[], list[Record]]) -> None:
        """Start writing. `snapshot` gives all records that matter except packets, now and whenever a file begins."""
        self._loop = asyncio.get_running_loop()
        self._snapshot = snapshot
        self._cut()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def available(self) -> bool:
        """False from a failure of the disk until a new file has been begun."""
        return self._failed_at is None and self._written >= self._renewed

    def append(self, record: Record) -> None:
        """Write this soon. Before `begin` nothing is written: the first file begins with everything anyway."""
        if self._thread is not None and self._failed_at is None:
            self._put(record)

    def write_now(self) -> bool:
        """Write what was appended so far, all or nothing, before this returns. False when it is not: then it is written
        soon, as the disk is slow or has failed, or a new file is being begun.
        """
        now = time.monotonic()
        if self._thread is None or self._failed_at is not None or now < self._slow_until:
            return False
        if self._written >= self._appended:
            return True
        if self._cuts_asked != self._cuts_made or not self._turn.acquire(timeout=TURN):
            return False
        try:
            if self._handing is not None:
                self._handing.cancel()
                self._handing = None
            batch = [*self._take()[0], *self._gathered]
            self._gathered = []
            well = self._write_batch([_Together(batch)] if len(batch) > 1 else batch, len(batch))
        finally:
            self._turn.release()
        if (ended := time.monotonic()) >= now + SLOW:
            self._slow_until = ended + SPARED
        self._answer(self._taken, well)
        return well

    async def settled(self) -> bool:
        """Wait until what was appended so far is written; False when it cannot be."""
        if self._failed_at is not None or self._thread is None:
            return False
        if self._written >= self._appended:
            return True
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._appended, answer))
        self._hand_over(asked=True)
        return await answer

    def tend(self) -> None:
        """Begin a new file if the current one is old or large, or if the disk has failed a while ago."""
        if self._thread is None:
            return
        now = time.monotonic()
        if self._failed_at is not None:
            if now >= self._failed_at + RETRY:
                self._failed_at = None
                self._cut()
                self._renewed = self._appended
            return
        current = self._files[-1] if self._files else None
        if current and (now >= current.began + self._keep or current.size > self._max_bytes // 4):
            self._cut()

    async def close(self) -> None:
        """Write what is left and release the directory."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._hand_over()
            self._stopping = True
            self._bell.release()
            await asyncio.to_thread(thread.join)
        self._answer(self._appended, self._failed_at is None)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def discard(self) -> None:
        """Delete all files: a journal with a hole is worse than none, as clients would miss packets without knowing."""
        if self._file is not None:
            self._file.close()
            self._file = None
        for file in self._files:
            with contextlib.suppress(OSError):
                file.path.unlink(missing_ok=True)
                file.size = 0

    # On the loop

    def _cut(self) -> None:
        self._cuts_asked += 1
        self._put(_Cut(self._snapshot()))

    def _put(self, item: _Item) -> None:
        self._appended += 1
        self._gathered.append(item)
        if self._handing is None:
            # Waking the thread costs more than a record: once for all that one turn of the loop has to say.
            loop, at = asyncio.get_running_loop(), self._handed_at + GATHER
            soon = at <= loop.time()
            self._handing = loop.call_soon(self._hand_over) if soon else loop.call_at(at, self._hand_over)

    def _hand_over(self, asked: bool = False) -> None:
        """Give the thread what has come together; `asked`: and have it say when that is written."""
        if self._handing is not None:
            self._handing.cancel()
            self._handing = None
        self._handed_at = asyncio.get_running_loop().time()
        gathered, self._gathered = self._gathered, []
        self._handed.append((gathered, asked))
        self._bell.release()

    def _answer(self, written: int, well: bool) -> None:
        if not well and self._failed_at is None:
            self._failed_at = time.monotonic()
        while self._waiters and self._waiters[0][0] <= written:
            _, waiter = self._waiters.pop(0)
            if not waiter.done():
                waiter.set_result(well)

    # In the thread

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._bell.acquire()
            with self._turn:
                stopping = self._stopping
                batch, asked = self._take()
                well = self._write_batch(batch, len(batch))
                taken = self._taken
            if asked or (batch and not well):  # whoever asks while a batch is being written comes with an empty one
                self._tell(taken, well)
        if self._file is not None:
            self._file.close()

    def _tell(self, written: int, well: bool) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._answer, written, well)

    # Whose turn it is to write

    def _take(self) -> tuple[list[_Item], bool]:
        """What was handed over, and whether somebody waits for it."""
        batch: list[_Item] = []
        asked = False
        while self._handed:
            items, wanted = self._handed.popleft()
            batch += items
            asked = asked or wanted
        return batch, asked

    def _write_batch(self, batch: Sequence[_Item], count: int) -> bool:
        well = self._write(batch)
        self._taken += count
        if self._cuts_asked != self._cuts_made:
            self._cuts_made += sum(isinstance(item, _Cut) for item in batch)
        if well:
            self._written = self._taken
        return well

    def _write(self, batch: Sequence[_Item]) -> bool:
        lines: list[bytes] = []
        try:
            for item in batch:
                if isinstance(item, _Cut):
                    self._flush(lines)
                    self._begin_file(item.records)
                elif not self._broken:
                    lines.append(_line((TOGETHER, *item.records) if isinstance(item, _Together) else item))
            self._flush(lines)
        except (OSError, TypeError, ValueError) as error:
            log.error("recovery will not survive a restart: the journal in %s: %s", self._directory, error)
            self._broken = True
            self.discard()
        return not self._broken

    def _flush(self, lines: list[bytes]) -> None:
        content = memoryview(b"".join(lines))
        lines.clear()
        while content and self._file is not None:
            written = self._file.write(content)
            self._files[-1].size += written
            content = content[written:]

    def _begin_file(self, records: list[Record]) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        number = self._files[-1].number + 1 if self._files else 1
        path = self._directory / f"{number:08}.journal"
        self._file = FileIO(path, "xb", opener=_private)
        self._files.append(_File(number, path, 0, time.monotonic()))
        self._flush([_line(record) for record in records])
        self._broken = False
        self._retire()

    def _retire(self) -> None:
        """Delete files whose packets are too old, and the oldest while there is too much of them all.

        A file that is missing at the next start is no harm: the following one says what was lost with it.
        """
        now = time.monotonic()
        while len(self._files) > 1:
            oldest, successor = self._files[:2]
            too_old = now >= successor.began + self._keep
            if not too_old and sum(file.size for file in self._files) <= self._max_bytes:
                return
            oldest.path.unlink(missing_ok=True)
            del self._files[0]

    # At the start

    def _open(self) -> list[Record]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = None
            raise
        for path in sorted(self._directory.glob("*.journal")):
            self._files.append(_File(int(path.stem), path, path.stat().st_size, time.monotonic()))
        try:
            return [record for file in self._files for record in _read(file.path)]
        except ValueError as error:
            log.warning("the recovery journal is begun anew: %s", error)
            self.discard()
            return []


class _Together:
    """These are written on one line, so that none is without the others."""

    __slots__ = ("records",)

    def __init__(self, records: Sequence[object]) -> None:
        self.records = records


class _Cut:
    """In the queue of records: begin a new file here, with these."""

    __slots__ = ("records",)

    def __init__(self, records: list[Record]) -> None:
        self.records = records


_Item = Record | _Together | _Cut


class _File:
    __slots__ = ("began", "number", "path", "size")

    def __init__(self, number: int, path: Path, size: int, began: float) -> None:
        self.number = number
        self.path = path
        self.size = size
        self.began = began


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _line(record: Record) -> bytes:
    text = json.dumps(record, separators=(",", ":"), default=_as_base64).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _as_base64(value: Any) -> Any:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} in a record")
    return {"base64": b64encode(value).decode()}


def _read(path: Path) -> Iterator[Record]:
    """The records of a file. Raises ValueError for a damaged one; its last line may be torn."""
    torn = False
    with path.open("rb") as file:
        for line in file:
            if torn:
                raise ValueError(f"{path} is damaged")
            record = _record(line)
            if record is None:
                torn = True
            elif record[0] == TOGETHER:
                yield from map(tuple, record[1:])
            else:
                yield record


def _record(line: bytes) -> Record | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    return tuple(json.loads(text, object_hook=_from_base64))


def _from_base64(value: dict[str, Any]) -> Any:
    return b64decode(value["base64"]) if value.keys() == {"base64"} else value
