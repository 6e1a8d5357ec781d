"""The disk tier: write-behind in front of the database, with every blocking call in threads of its own.

One task writes continuously, so that a killed process loses at most what was queued; purges go before new
responses. What the disk refuses to delete is owed: it is void from the moment of the purge, noted in the
tombstones, and tried again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import TypeVar

import diskcache

from proxy.errors import StorageError
from proxy.policy.messages import StoredResponse
from proxy.storage.database import INLINE, Batch, Database, Edit, Recovered, is_corrupt
from proxy.storage.directory import CacheDirectory, DirectoryInUse
from proxy.storage.files import Incoming, SharedFile, submit_or_run
from proxy.storage.record import DamagedRecord

log = logging.getLogger(__name__)

_FAILURES = (OSError, sqlite3.Error, diskcache.Timeout, StorageError)
_LOG_INTERVAL = 60.0
_SETTLE_TIMEOUT = 5.0
_BATCH_RECORDS = 64
_BATCH_DELETES = 2000
_BATCH_BYTES = 4 * 2**20
_FILE_THREADS = 4

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Queued:
    """A response on its way to the disk, readable from here until it arrived."""

    stored: StoredResponse
    head: bytes
    body: bytes

    @property
    def size(self) -> int:
        return len(self.head) + len(self.body)


class DiskTier:
    """Records on disk. Nothing but `open` raises; failures are counted in `errors` and logged once a minute.

    `write_behind` bounds the queue in bytes. `on_loss` hears of records that were queued and could not be
    written, and of all records (None) when the database turned out to be corrupt.
    """

    def __init__(
        self,
        directory: Path,
        *,
        write_behind: int,
        now: Callable[[], float],
        on_loss: Callable[[Iterable[int] | None], None],
    ) -> None:
        self._directory = CacheDirectory(directory)
        self._bound = write_behind
        self._now = now
        self._on_loss = on_loss
        self._writer = ThreadPoolExecutor(1, "cache-writer")
        self._reader = ThreadPoolExecutor(1, "cache-reader")
        self._files = ThreadPoolExecutor(_FILE_THREADS, "cache-files")
        self._database: Database | None = None
        self._broken = False
        self._off = False
        self._voided = False
        self._next_record = 1
        self._puts: dict[int, Queued] = {}
        self._deletes: dict[int, None] = {}
        self._edits: dict[int, Edit] = {}
        self._flying = Batch()
        self._flying_puts: dict[int, Queued] = {}
        self._owed_deletes: dict[int, None] = {}
        self._owed_edits: dict[int, Edit] = {}
        self._noted: frozenset[int] = frozenset()
        self._work = asyncio.Event()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._last_logged = float("-inf")
        self._queued_bytes = 0
        self.dropped_writes = 0
        self.errors = 0

    @property
    def available(self) -> bool:
        """Whether the tier works; False before `open`, after `close`, and when the directory is of no use."""
        return self._usable() is not None and not self._closing

    @property
    def off(self) -> bool:
        """Whether only a restart brings the tier back."""
        return self._off or self._broken

    @property
    def queued_bytes(self) -> int:
        """What the write-behind holds, the batch being written included."""
        return self._queued_bytes + sum(queued.size for queued in self._flying_puts.values())

    @property
    def incoming(self) -> Incoming | None:
        """Where large bodies arrive; None while the tier is not available."""
        return Incoming(self._directory.incoming, self._files) if self.available else None

    async def open(self) -> Recovered:
        """Take the directory and read what is in it.

        A corrupt database is set aside; a directory that cannot be used switches the tier off with a warning.
        Raises DirectoryInUse when another process uses the directory.
        """
        try:
            self._database, recovered, void = await self._in(self._writer, self._directory.open)
        except DirectoryInUse:
            await self._shut_down()
            raise
        except _FAILURES as error:
            self.errors += 1
            self._off = True
            log.warning("the disk cache in %s is off until restart: %s", self._directory.path, error)
            return Recovered([], 1, 0)
        self._owed_deletes = dict.fromkeys(void)
        self._next_record = recovered.next_record
        self._task = asyncio.create_task(self._write_continuously(), name="cache write-behind")
        return recovered

    async def close(self) -> None:
        """Write everything that is queued, then release threads and directory."""
        self._closing = True
        if self._task is not None:
            self._work.set()
            await self._task
            self._task = None
        await self._shut_down()

    def number(self) -> int:
        """The number of a new record, never used before in this directory."""
        self._next_record += 1
        return self._next_record - 1

    def enqueue(self, record: int, stored: StoredResponse, head: bytes, body: bytes) -> bool:
        """Write a response soon; whether the queue took it."""
        queued = Queued(stored, head, body)
        if not self.available or len(head) >= INLINE:
            return False
        if self.queued_bytes + queued.size > self._bound:
            self.dropped_writes += 1
            return False
        self._puts[record] = queued
        self._queued_bytes += queued.size
        self._wake()
        return True

    async def place(self, record: int, head: bytes, path: Path) -> bool:
        """Write a response whose body is the file at `path`, which moves; whether it is on disk now."""
        database = self._usable()
        if self.available and database is not None and len(head) < INLINE:
            try:
                await self._in(self._writer, database.write, Batch(puts={record: (head, path)}))
            except _FAILURES as error:
                self.refused(error)
            except asyncio.CancelledError:
                # The thread may still finish what nobody waits for, or never have begun.
                self.discard([record])
                submit_or_run(self._writer, lambda: path.unlink(missing_ok=True))
                raise
            else:
                return True
        submit_or_run(self._files, lambda: path.unlink(missing_ok=True))
        return False

    def edit(self, record: int, edit: Edit) -> None:
        """Change a record's head soon; reads see the change at once."""
        earlier = self._edits.get(record) or self._owed_edits.pop(record, None)
        self._edits[record] = edit if earlier is None else earlier.then(edit)
        self._wake()

    def discard(self, records: Iterable[int]) -> None:
        """Delete records soon; reads miss them at once."""
        for record in records:
            self._edits.pop(record, None)
            self._owed_edits.pop(record, None)
            queued = self._puts.pop(record, None)
            if queued is not None:
                self._queued_bytes -= queued.size
            else:
                self._deletes[record] = None
        self._wake()

    async def settle(self, records: Iterable[int]) -> None:
        """Wait until deletes and edits of `records` reached the disk, or were refused and noted; 5 s at most."""
        try:
            async with asyncio.timeout(_SETTLE_TIMEOUT):
                for record in records:
                    while self._task is not None and self._is_changing(record):
                        self._settled.clear()
                        await self._settled.wait()
        except TimeoutError:
            log.warning(
                "the disk cache in %s is slow to delete; a restart now could bring entries back", self._directory.path
            )

    def retry(self) -> None:
        """Try again what the disk refused to delete or change."""
        if self._owed_deletes or self._owed_edits:
            self._deletes.update(self._owed_deletes)
            self._edits = {**self._owed_edits, **self._edits}
            self._owed_deletes = {}
            self._owed_edits = {}
            self._wake()

    async def read(self, record: int) -> tuple[StoredResponse, bytes | SharedFile] | None:
        """A record's head and body; None when the tier cannot read it now.

        Raises DamagedRecord when it is absent or damaged.
        """
        queued = self._puts.get(record) or self._flying_puts.get(record)
        if queued is not None:
            return self._pending(record).applied_to(queued.stored), queued.body
        database = self._usable()
        if not self.available or database is None:
            return None
        # The thread may look just before a pending edit is committed, and this task wake just after the edit was
        # forgotten; so what is pending now counts. An edit that comes later makes another entry: the caller asks again.
        pending = self._pending(record)
        try:
            found = await self._in(self._reader, database.read, record, on_abandon=_close_body)
        except DamagedRecord:
            raise
        except _FAILURES as error:
            self.refused(error)
            return None
        if found is None:
            raise DamagedRecord("the record is not on disk")
        stored, body = found
        content = SharedFile(body, self._files) if isinstance(body, FileIO) else body
        return pending.applied_to(stored), content

    async def read_whole(self, file: SharedFile, length: int) -> bytes:
        """All of a file that is small enough for memory. Raises DamagedRecord."""
        try:
            return await file.read(0, length)
        except (OSError, StorageError) as error:
            raise DamagedRecord(f"the body cannot be read: {error}") from error
        finally:
            file.release()

    def refused(self, error: BaseException) -> None:
        """Count a failure of the disk and log it, once a minute at most."""
        self.errors += 1
        if self._now() - self._last_logged >= _LOG_INTERVAL:
            self._last_logged = self._now()
            log.warning("the disk cache in %s: %s (%d failures so far)", self._directory.path, error, self.errors)
        if isinstance(error, sqlite3.Error) and is_corrupt(error) and not self._broken:
            self._give_up()

    def void(self) -> None:
        """Note that a purge happened which the tier could not apply, so that the next start begins empty."""
        if self._off and not self._voided:
            self._voided = True
            self._files.submit(self._directory.note, "void")

    def _usable(self) -> Database | None:
        return None if self._broken else self._database

    def _pending(self, record: int) -> Edit:
        """What is still to become of a record's head on disk."""
        pending = Edit()
        for edits in (self._owed_edits, self._flying.edits, self._edits):
            edit = edits.get(record)
            if edit is not None:
                pending = pending.then(edit)
        return pending

    def _give_up(self) -> None:
        """The database broke while in use: serve without it, and let the next start set it aside."""
        self._broken = True
        log.warning("the disk cache in %s is corrupt and off until restart, when it is set aside", self._directory.path)
        submit_or_run(self._files, lambda: self._directory.note("corrupt"))
        self._puts.clear()
        self._queued_bytes = 0
        self._on_loss(None)

    # The write-behind

    def _wake(self) -> None:
        self._work.set()

    def _is_changing(self, record: int) -> bool:
        return self._usable() is not None and (
            record in self._deletes
            or record in self._flying.deletes
            or record in self._edits
            or record in self._flying.edits
        )

    async def _write_continuously(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while (database := self._usable()) and (self._deletes or self._puts or self._edits):
                await self._write_once(database)
            self._settled.set()
            if self._closing:
                self.retry()
                if (database := self._usable()) and self._work.is_set():
                    await self._write_once(database)
                return

    async def _write_once(self, database: Database) -> None:
        batch = self._take_batch()
        try:
            await self._in(self._writer, database.write, batch)
        except Exception as error:  # whatever a batch runs into, the next one gets its chance
            self._owe(batch)
            self.refused(error)
        else:
            if batch.deletes and not self._closing:
                self.retry()
        self._flying_puts = {}
        await self._note_owed()
        self._flying = Batch()
        self._settled.set()

    def _take_batch(self) -> Batch:
        deletes = dict.fromkeys(islice(self._deletes, _BATCH_DELETES))
        for record in deletes:
            del self._deletes[record]
        self._flying_puts = {}
        size = 0
        for record in list(islice(self._puts, _BATCH_RECORDS)):
            if size < _BATCH_BYTES:
                queued = self._flying_puts[record] = self._puts.pop(record)
                size += queued.size
        self._queued_bytes -= size
        # An edit of a response that is still queued waits for it.
        edits = {record: edit for record, edit in self._edits.items() if record not in self._puts}
        self._edits = {record: edit for record, edit in self._edits.items() if record in self._puts}
        puts = {record: (queued.head, queued.body) for record, queued in self._flying_puts.items()}
        self._flying = Batch(deletes, puts, edits)
        return self._flying

    def _owe(self, batch: Batch) -> None:
        self._owed_deletes.update(dict.fromkeys(batch.deletes))
        for record, edit in batch.edits.items():
            if record not in self._deletes and record not in self._flying_puts:
                later = self._edits.pop(record, None)
                self._owed_edits[record] = edit if later is None else edit.then(later)
        lost = [record for record in self._flying_puts if record not in self._deletes]
        self.dropped_writes += len(lost)
        if lost:
            self._on_loss(lost)

    async def _note_owed(self) -> None:
        """Write the tombstones when what is owed has changed."""
        owed = frozenset(self._owed_deletes)
        if owed == self._noted:
            return
        try:
            await self._in(self._writer, self._directory.note_void, owed, self._next_record)
        except _FAILURES as error:
            self.refused(error)
        else:
            self._noted = owed

    # Threads

    async def _in(
        self,
        pool: ThreadPoolExecutor,
        operation: Callable[..., Result],
        *arguments: object,
        on_abandon: Callable[[Result], None] | None = None,
    ) -> Result:
        try:
            future = pool.submit(operation, *arguments)
        except RuntimeError as error:
            raise StorageError("the disk tier is closed") from error
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if on_abandon is not None:
                dispose = on_abandon
                future.add_done_callback(
                    lambda done: None if done.cancelled() or done.exception() else dispose(done.result())
                )
            raise

    async def _shut_down(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            await self._in(self._reader, database.close)
            await self._in(self._writer, database.close)
        for pool in (self._reader, self._writer, self._files):
            await asyncio.to_thread(pool.shutdown)
        self._directory.release()


def _close_body(found: tuple[StoredResponse, bytes | FileIO] | None) -> None:
    if found is not None and isinstance(found[1], FileIO):
        found[1].close()
