"""The disk tier's directory at start-up: taken by one process, swept of what a dead one left, set aside if corrupt.

Everything here blocks and runs in the tier's writer thread.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import diskcache

from proxy.errors import StorageError
from proxy.storage.database import Batch, Database, Recovered, is_corrupt
from proxy.storage.record import DamagedRecord
from proxy.storage.tombstones import Tombstones, read_tombstones, write_tombstones

log = logging.getLogger(__name__)


class DirectoryInUse(StorageError):
    """Another process holds the cache directory."""

    reason = "cache-directory-in-use"


class CacheDirectory:
    """`lock`, `tombstones`, `incoming/` for bodies that still arrive, `cache/` for the database and its files.

    Two more files are notes to the next start: `corrupt` (set the database aside) and `void` (a purge could not
    be applied: count everything as purged).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.incoming = path / "incoming"
        self._cache = path / "cache"
        self._lock: int | None = None

    def open(self) -> tuple[Database, Recovered, list[int]]:
        """The database, what it holds, and the void records that it refused to delete.

        Raises DirectoryInUse, or OSError, sqlite3.Error or diskcache.Timeout when the directory is of no use.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self._take_lock()
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.incoming.mkdir(mode=0o700, exist_ok=True)
        corrupt = self.path / "corrupt"
        if corrupt.exists():
            self._set_aside(StorageError("found while it was in use"))
            corrupt.unlink()
        try:
            return self._recover()
        except (sqlite3.Error, DamagedRecord, TypeError, ValueError, OSError) as error:
            if not is_corrupt(error) and not (self._cache / "cache.db").is_dir():
                raise
            self._set_aside(error)
            return self._recover()

    def note(self, name: str) -> None:
        """Leave a note, `corrupt` or `void`, to the next start."""
        try:
            (self.path / name).touch()
        except OSError as error:
            log.warning("the disk cache in %s: the note %r could not be left: %s", self.path, name, error)

    def note_void(self, records: frozenset[int], next_record: int) -> None:
        """Note which records are void although they are still on disk. Raises OSError."""
        write_tombstones(self.path / "tombstones", records, next_record)

    def release(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(
                f"another process uses the cache directory {self.path}; stop it, or set another cache.dir"
            ) from None

    def _recover(self) -> tuple[Database, Recovered, list[int]]:
        database = Database(self._cache)
        try:
            return (database, *self._bury(database, database.recover()))
        except BaseException:
            database.close()
            raise

    def _bury(self, database: Database, recovered: Recovered) -> tuple[Recovered, list[int]]:
        """Leave out what was purged while the disk refused to delete it, and delete it now."""
        tombstones = self._tombstones(recovered.next_record)
        void = [entry.record for entry, _ in recovered.entries if tombstones.covers(entry.record)]
        kept = [(entry, size) for entry, size in recovered.entries if not tombstones.covers(entry.record)]
        # The number of a void record must not be given to another one, or that would be void as well.
        recovered = replace(recovered, entries=kept, next_record=max(recovered.next_record, tombstones.highest + 1))
        try:
            database.write(Batch(deletes=void))
            self.note_void(frozenset(), recovered.next_record)
            (self.path / "void").unlink(missing_ok=True)
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            log.warning("the disk cache in %s cannot delete what was purged: %s", self.path, error)
            return recovered, void
        return recovered, []

    def _tombstones(self, next_record: int) -> Tombstones:
        tombstones = read_tombstones(self.path / "tombstones")
        if tombstones is not None and not (self.path / "void").exists():
            return tombstones
        log.warning("not every purge of the last run reached %s; what it holds counts as purged", self.path)
        return Tombstones(floor=next_record)

    def _set_aside(self, error: BaseException) -> None:
        """Rename a corrupt cache so that somebody can look at it; an earlier one makes way."""
        if not self._cache.exists():
            return
        for earlier in self.path.glob("cache.corrupt-*"):
            if earlier.is_dir():
                shutil.rmtree(earlier, ignore_errors=True)
            else:
                earlier.unlink()
        aside = self.path / f"cache.corrupt-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        self._cache.rename(aside)
        log.warning(
            "the disk cache in %s is corrupt (%s); it was moved to %s and an empty one begun", self._cache, error, aside
        )
